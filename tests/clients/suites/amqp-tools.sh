# rabbitmq-c: Debian's command-line tools, and the example programs of its source, by exit code and error text.
examples="amqp_exchange_declare amqp_producer amqp_sendstring amqp_bind amqp_unbind"

prepare() {
  apt_need amqp-tools librabbitmq-dev gcc libc6-dev && debian_source librabbitmq || return
  local source=$cache/source/librabbitmq/examples example
  for example in $examples; do
    [ -x "$cache/librabbitmq-examples/$example" ] && continue
    mkdir -p "$cache/librabbitmq-examples"
    gcc -w -O1 -I"$source" -I"$source/unix" -o "$cache/librabbitmq-examples/$example" \
      "$source/$example.c" "$source/utils.c" "$source/unix/platform_utils.c" -lrabbitmq || return
  done
}

check() {
  local queue=tools-$$ big=$work/big
  local declare=(timeout --foreground 20 amqp-declare-queue -s "$AMQP_HOST" --port "$AMQP_PORT")
  local delete=(timeout --foreground 20 amqp-delete-queue -s "$AMQP_HOST" --port "$AMQP_PORT")
  local publish=(timeout --foreground 20 amqp-publish -s "$AMQP_HOST" --port "$AMQP_PORT")
  local get=(timeout --foreground 20 amqp-get -s "$AMQP_HOST" --port "$AMQP_PORT")
  local consume=(timeout --foreground 20 amqp-consume -s "$AMQP_HOST" --port "$AMQP_PORT")
  # says TEXT COMMAND...: how many lines of what the command prints have the text
  says() { local text=$1; shift; "$@" 2>&1 | grep -c -- "$text"; }

  equals declare "$("${declare[@]}" -q $queue 2>&1)" $queue
  equals declare-again "$("${declare[@]}" -q $queue 2>&1)" $queue
  passes declare-durable "${declare[@]}" -d -q $queue-d
  refuses declare-inequivalent-refused "${declare[@]}" -d -q $queue
  local inequivalent="PRECONDITION_FAILED - inequivalent arg 'durable' for queue '$queue' in vhost '/':"
  inequivalent+=" received 'true' but current is 'false'"
  equals declare-inequivalent-text "$(says "$inequivalent" "${declare[@]}" -d -q $queue)" 1

  passes publish "${publish[@]}" -r $queue -b hello
  equals get "$("${get[@]}" -q $queue 2>&1)" hello
  "${get[@]}" -q $queue
  equals get-empty-status $? 2
  equals get-missing-text "$(says "NOT_FOUND - no queue '$queue-none' in vhost '/'" "${get[@]}" -q $queue-none)" 1

  head -c 1000000 /dev/zero | tr '\0' x >"$big"
  passes publish-1MB "${publish[@]}" -r $queue <"$big"
  equals get-1MB "$("${get[@]}" -q $queue | cksum)" "$(cksum <"$big")"

  passes publish-persistent "${publish[@]}" -p -C text/plain -r $queue -b p1
  passes publish-lines "${publish[@]}" -r $queue -l < <(printf '%s\n' a b c)
  equals consume-4 "$("${consume[@]}" -q $queue -c 4 cat | tr -d '\n')" p1abc
  passes publish-5 "${publish[@]}" -r $queue -l < <(printf '%s\n' 1 2 3 4 5)
  equals consume-prefetch "$("${consume[@]}" -q $queue -c 5 -p 2 cat | tr -d '\n')" 12345

  # The consumer's own queue exists some time after its start: publish until it has got one.
  (while sleep 0.1; do "${publish[@]}" -e amq.topic -r tools.x.y -b viatopic; done) &
  local publisher=$!
  equals consume-exclusive-bound "$("${consume[@]}" -e amq.topic -r 'tools.#' -c 1 cat)" viatopic
  kill $publisher
  wait $publisher

  passes url amqp-publish -u "amqp://guest:guest@$AMQP_HOST:$AMQP_PORT/%2f" -r $queue -b u
  local to=$AMQP_HOST:$AMQP_PORT
  local impostor=(timeout --foreground 20 amqp-publish -r $queue -b u -u "amqp://guest:wrong@$to/%2f")
  local stranger=(timeout --foreground 20 amqp-publish -r $queue -b u -u "amqp://guest:guest@$to/nope")
  refuses bad-password-refused "${impostor[@]}"
  equals bad-password-text "$(says 'ACCESS_REFUSED\|403' "${impostor[@]}")" 1
  equals bad-vhost-text "$(says 'NOT_ALLOWED\|530' "${stranger[@]}")" 1
  equals delete-if-unused-nonempty "$(says PRECONDITION_FAILED "${delete[@]}" -e -q $queue)" 1
  equals delete "$("${delete[@]}" -q $queue 2>&1)" 1
  equals delete-durable "$("${delete[@]}" -q $queue-d 2>&1)" 0

  example() { timeout --foreground 60 "$cache/librabbitmq-examples/$1" "$AMQP_HOST" "$AMQP_PORT" "${@:2}"; }
  holds ex-declare example amqp_exchange_declare $queue-x direct
  "${declare[@]}" -q $queue-xq
  holds ex-bind example amqp_bind $queue-x key $queue-xq
  holds ex-send example amqp_sendstring $queue-x key hey
  equals ex-routed "$("${get[@]}" -q $queue-xq 2>&1)" hey
  holds ex-unbind example amqp_unbind $queue-x key $queue-xq
  holds ex-send-unbound example amqp_sendstring $queue-x key hey2
  "${get[@]}" -q $queue-xq
  equals ex-unrouted $? 2
  holds ex-producer example amqp_producer 1000 200
  "${delete[@]}" -q $queue-xq
  baseline amqp-tools
}
