# Celery's own integration tests, from its source distribution: tasks, canvas, remote control and a worker of processes,
# with results in a Redis of their own. They wait far more than they work: about nine minutes.
prepare() { apt_need redis-server && need_python && pypi_source celery; }

check() {
  local redis port tests=t/integration
  pypi_source celery
  cp -r "$source" "$work/celery" && cd "$work/celery" || return
  # A worker that does not answer, or a test that fails, does so for good within less time.
  sed -i 's/timeout=300/timeout=40/; s/reruns=5/reruns=1/' $tests/conftest.py

  port=$(python3 -c 'import socket; print(socket.create_server(("127.0.0.1", 0)).getsockname()[1])')
  redis-server --bind 127.0.0.1 --port "$port" --save '' --appendonly no --dir "$work" &
  redis=$!
  timeout 30 sh -c "until redis-cli -p $port ping; do sleep 0.1; done" || return

  export REDIS_HOST=127.0.0.1 REDIS_PORT=$port
  export TEST_BROKER=pyamqp${AMQP_URL#amqp}// TEST_BACKEND=redis://127.0.0.1:$port
  # The two that are left out wait for minutes and fail, on RabbitMQ too.
  pytest_limit_s=1100 pytest_verdicts -p no:docker --timeout 40 \
    $tests/test_tasks.py $tests/test_inspect.py $tests/test_canvas.py $tests/test_worker.py \
    --deselect $tests/test_canvas.py::test_chord::test_disabling_flag_allow_error_cb_on_chord_header \
    --deselect $tests/test_canvas.py::test_chord::test_enabling_flag_allow_error_cb_on_chord_header
  # Not in the baseline: two of test_task_replacement, which fail where a worker is faster than their next line.
  baseline celery-integration
  kill $redis
  wait $redis
}
