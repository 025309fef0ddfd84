# The same application with the Celery and Kombu of the generation before. To a broker that calls itself RabbitMQ 4, these
# set the prefetch of the channel, and the newest ones that of each consumer.
prepare() { need_python celery-5.3; }

check() {
  local program
  need_python celery-5.3 || return
  for program in results chord priorities prefetch; do
    passes "$program" "$python" "$clients/programs/python/celery/$program.py"
  done
  if [ -z "${LEVERET:-}" ]; then verdict SKIP prefetch-of-the-channel; return; fi
  own_broker --identity RabbitMQ/4.2.4 && holds prefetch-of-the-channel prefetch_per channel
}

# prefetch_per SCOPE: the program, which also has to have chosen that scope.
prefetch_per() {
  timeout --foreground -k 5 180 "$python" "$clients/programs/python/celery/prefetch.py" | tee "$work/prefetch" &&
    grep -q "^prefetch per $1" "$work/prefetch"
}
