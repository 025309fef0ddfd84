# RabbitMQ's seven tutorials as programs with pika that check themselves.
prepare() { need_python; }

check() {
  local program
  for program in hello_world work_queues publish_subscribe routing topics rpc publisher_confirms; do
    passes "$program" "$python" "$clients/programs/python/pika/$program.py"
  done
}
