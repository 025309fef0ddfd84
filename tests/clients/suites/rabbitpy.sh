# rabbitpy's own tests that need a broker, from its source distribution.
prepare() { need_python && pypi_source rabbitpy; }

check() {
  pypi_source rabbitpy
  cd "$source" || return
  RABBITMQ_URL=$AMQP_URL/%2f pytest_verdicts tests/test_integration.py tests/integration
  baseline rabbitpy
}
