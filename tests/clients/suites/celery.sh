# A Celery application and its worker processes: results, chord, priorities, prefetch, remote control.
prepare() { need_python; }

check() {
  local program
  for program in results chord priorities prefetch; do
    passes "$program" "$python" "$clients/programs/python/celery/$program.py"
  done
}
