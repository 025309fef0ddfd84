# Programs with aio-pika that check themselves.
prepare() { need_python; }

check() {
  local program
  for program in confirms consume exchanges rpc robust; do
    passes "$program" "$python" "$clients/programs/python/aio-pika/$program.py"
  done
}
