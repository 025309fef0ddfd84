# Our own client and demo against the broker under test and against Debian's RabbitMQ: the same tests, the same results.

prepare() {
  need_demo && apt_need rabbitmq-server && cd "$repository" || return
  again cargo fetch --locked && cargo test --locked -p leveret-client --no-run
}

check() {
  local rabbitmq ready log connections
  client_tests leveret "$AMQP_URL"

  mkfifo "$work/rabbitmq.out"
  "$clients/rabbitmq" >"$work/rabbitmq.out" &
  rabbitmq=$!
  read -r -t 180 ready log <"$work/rabbitmq.out" || return
  [[ "$ready $log" =~ ^ready:\ (amqp:[^ ]*)\ log=(.*)$ ]] || return
  ready=${BASH_REMATCH[1]} log=${BASH_REMATCH[2]}

  client_tests rabbitmq "$ready"
  connections=$(grep -c 'accepting AMQP connection' "$log")
  holds client-tests-meet-rabbitmq test "$connections" -gt 0
  demo_totals "$ready"

  kill -TERM $rabbitmq
  wait $rabbitmq
  equals rabbitmq-stops $? 0
}

# client_tests NAME URL [OPTION...]: the client's own tests, told by AMQP_URL which broker to use.
client_tests() {
  local status
  (cd "$repository" && AMQP_URL=$2 cargo test --locked --offline -p leveret-client --no-fail-fast -- "${@:3}") \
    >"$work/tests" 2>&1
  status=$?
  cat "$work/tests"
  sed -nE "s/^test (.*) \.\.\. (ok|FAILED|ignored).*/\2 $1: \1/p" "$work/tests" |
    sed 's/^ok/PASS/; s/^FAILED/FAIL/; s/^ignored/SKIP/' >>"$verdicts"
  # What is no test can fail too.
  [ $status = 0 ] || grep -q "^FAIL $1: " "$verdicts" || verdict FAIL "$1: cargo test"
}

# demo_totals URL: one run of the demo gives the same totals over its embedded broker, ours and RabbitMQ.
demo_totals() {
  local embedded leveret rabbitmq
  cd "$work" || return
  embedded=$(totals)
  leveret=$(totals --url "$AMQP_URL")
  rabbitmq=$(totals --url "$1")
  python3 -c '
import json, sys
totals = json.loads(sys.argv[1])
assert totals["files"] > 0 and totals["addresses"] > 0 and totals["new_in_domain"], totals
assert totals["warned"] == len(totals["new_in_domain"]), totals' "$embedded"
  equals demo-embedded $? 0
  equals demo-leveret "$leveret" "$embedded"
  equals demo-rabbitmq "$rabbitmq" "$embedded"
}

# Without an argument the demo brings its own broker, unless the environment names one.
totals() { env -u AMQP_URL timeout --foreground -k 5 180 "$CRUNCHER_DEMO" up --once --json "$@" </dev/null | tail -n 1; }
