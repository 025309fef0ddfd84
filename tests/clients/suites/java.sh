# Programs with the newest Java client that check themselves, and RabbitMQ's PerfTest.
java_client=$clients/programs/java/client
java_classes=$cache/java
java_run=(java -XX:TieredStopAtLevel=1 -Xmx512m -cp "$java_classes:$java_classes/jars/*")

prepare() {
  command -v mvn >/dev/null && command -v javac >/dev/null || apt_need maven openjdk-17-jdk-headless
  local mark=$java_classes/complete-$(cat "$java_client"/* | cksum | tr -d ' ')
  [ -e "$mark" ] && return
  rm -rf "$java_classes" && mkdir -p "$java_classes" && cd "$java_classes" || return
  again mvn -B -ntp -q -f "$java_client/pom.xml" -DoutputDirectory="$java_classes/jars" \
    org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies || return
  # The client's own log lines are no verdict.
  echo '<configuration><root level="OFF"/></configuration>' >logback-test.xml
  javac -d . -cp 'jars/*' "$java_client"/*.java && touch "$mark"
}

check() {
  local program
  for program in Confirms Acks Recovery DirectReplies; do passes $program "${java_run[@]}" $program; done
  holds PerfTest perf_test
}

# perf_test: four queues, each with a producer that waits for confirms and a consumer that acks many at once. It ends by
# itself only when each consumer has received as many messages as its queue's producer sent.
perf_test() {
  local each=50000 report=$work/perf-test
  timeout --foreground -k 5 180 "${java_run[@]}" com.rabbitmq.perf.PerfTest --uri "$AMQP_URL" --id perf \
    --queue-pattern 'perf-test-%d' --queue-pattern-from 1 --queue-pattern-to 4 --producers 4 --consumers 4 \
    --confirm 500 --multi-ack-every 50 --qos 200 --flag mandatory --flag persistent --size 200 \
    --pmessages $each --cmessages $each 2>&1 | tee "$report"
  grep -q 'confirmed: [1-9]' "$report" && grep -q 'Consumer reached message limit \[4\]' "$report" &&
    ! grep -E '(nacked|returned): [1-9]|Exception' "$report"
}
