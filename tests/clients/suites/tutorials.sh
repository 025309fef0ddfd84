# The seven tutorials of our client and their twins with pika, senders of the one make and receivers of the other.
tutorials() {
  local target
  target=$(cd "$repository" && cargo metadata --format-version 1 --no-deps --offline |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')
  export TUTORIALS=${TUTORIALS:-$target/debug/examples/tutorials}
}

prepare() {
  need_python
  [ -n "${TUTORIALS:-}" ] ||
    (cd "$repository" && cargo build --locked -p leveret-client --example tutorials)
}

check() {
  tutorials
  passes rust-senders-pika-receivers "$python" "$clients/programs/python/tutorials/mix.py" rust pika
  passes pika-senders-rust-receivers "$python" "$clients/programs/python/tutorials/mix.py" pika rust
}
