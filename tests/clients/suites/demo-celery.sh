# The email cruncher with Celery and with Kombu, beyond what demo-mix shows: order by priority, Flower, crunchers
# that are killed, a broker that restarts.
# SCREENSHOTS=DIR has Flower's pages drawn there, with Chromium.
prepare() { need_python && need_demo; }

check() {
  local programs=$clients/programs/python/demo make
  passes priorities "$python" "$programs/priorities.py"
  if [ -n "${HTTP_URL:-}" ]; then passes flower "$python" "$programs/watched.py"; else verdict SKIP flower; fi
  for make in kombu celery; do passes "killed-$make" "$python" "$programs/killed.py" "$make"; done
  for make in kombu celery; do
    if [ -n "${LEVERET:-}" ]; then passes "restart-$make" "$python" "$programs/restart.py" "$make"; else verdict SKIP "restart-$make"; fi
  done
}
