# The example of a pytest fixture that starts a broker for each test: brokers of its own, the suite's idles.
prepare() { need_python && [ -x "${LEVERET:-}" ]; }

check() { cd "$repository/broker/examples/pytest" && pytest_verdicts .; }
