# py-amqp's own integration tests, from its source distribution; those over TLS need a TLS listener.
prepare() { need_python && pypi_source amqp; }

check() {
  pypi_source amqp
  cd "$source" || return
  RABBITMQ_HOST=$AMQP_HOST RABBITMQ_5672_TCP=$AMQP_PORT pytest_verdicts t/integration/test_rmq.py -k 'not tls'
  baseline py-amqp
}
