# Kombu's own integration tests over py-amqp, from its source distribution.
prepare() { need_python && pypi_source kombu; }

check() {
  pypi_source kombu
  cd "$source" || return
  RABBITMQ_HOST=$AMQP_HOST RABBITMQ_5672_TCP=$AMQP_PORT pytest_verdicts t/integration/test_py_amqp.py
  baseline kombu
}
