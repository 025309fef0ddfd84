# Flower, the page that watches Celery, with a live worker and with the email cruncher; it asks the HTTP API at $HTTP_URL for
# the queues. SCREENSHOTS=DIR has its pages drawn there, with Chromium.
prepare() {
  [ -z "${SCREENSHOTS:-}" ] || apt_need chromium
  need_python
}

check() {
  holds http-api test -n "${HTTP_URL:-}" || return
  passes default-vhost "$python" "$clients/programs/python/celery/monitor.py"
  passes another-vhost "$python" "$clients/programs/python/celery/monitor.py" watched
  passes demo "$python" "$clients/programs/python/demo/watched.py"
}
