# The seven tutorials of our client and their twins with pika, senders of the one make and receivers of the other.
prepare() {
  need_python
  [ -n "${TUTORIALS:-}" ] ||
    (cd "$repository" && cargo build --locked -p leveret-client --example tutorials)
}

check() {
  export TUTORIALS=${TUTORIALS:-$(target_directory)/debug/examples/tutorials}
  passes rust-senders-pika-receivers "$python" "$clients/programs/python/tutorials/mix.py" rust pika
  passes pika-senders-rust-receivers "$python" "$clients/programs/python/tutorials/mix.py" pika rust
}
