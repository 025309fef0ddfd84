# The email cruncher with Celery and with Kombu, beyond what demo-mix shows: tasks in the order of their priorities, crunchers
# that are killed, a broker that restarts without memory. Flower's view of it is in the suite flower.
prepare() { need_python && need_demo; }

check() {
  local programs=$clients/programs/python/demo make
  passes priorities "$python" "$programs/priorities.py"
  for make in kombu celery; do passes "killed-$make" "$python" "$programs/killed.py" "$make"; done
  for make in kombu celery; do
    # Its broker is one of its own.
    if [ -n "${LEVERET:-}" ]; then
      passes "restart-$make" "$python" "$programs/restart.py" "$make"
    else
      verdict SKIP "restart-$make"
    fi
  done
}
