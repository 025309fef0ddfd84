# The email cruncher with services in Rust and with Kombu, mixed in both directions.
prepare() { need_python && need_demo; }

check() {
  passes rust-prompt-kombu-crunchers "$python" "$clients/programs/python/demo/mix.py" kombu rust
  passes kombu-prompt-rust-crunchers "$python" "$clients/programs/python/demo/mix.py" rust kombu
}
