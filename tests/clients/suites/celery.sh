# A Celery application and its worker processes: results, canvas, chords, priorities, remote control.
prepare() { need_python; }

check() {
  local program
  for program in results chord priorities; do
    passes "$program" "$python" "$clients/programs/python/celery/$program.py"
  done
}
