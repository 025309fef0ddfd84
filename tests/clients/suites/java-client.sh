# The functional, server and client tests of RabbitMQ's Java client, from its source in Debian, against Debian's build of
# it. They know one port, so their connects are mapped, and call rabbitmqctl, for which the HTTP API at $HTTP_URL stands in.
java_source=$cache/source/rabbitmq-java-client/src/test
java_classes=$cache/java-client
java_libraries=(amqp-client junit4 hamcrest hamcrest-core hamcrest-library mockito-core assertj-core byte-buddy
  byte-buddy-agent objenesis commons-cli commons-lang3 slf4j-api logback-classic logback-core)
java_path=$(printf ':/usr/share/java/%s.jar' "${java_libraries[@]}")

# Left out: what needs libraries that Debian lacks, a name server or files of TLS; and, as the broker keeps nothing yet,
# what restarts it, sets its memory alarm or evaluates Erlang in it.
no_library='Metrics|StandardMetricsCollectorTest'
no_resource='DnsSrvRecordAddressResolverTest|SslContextFactoryTest'
no_control='BlockedConnection|MemoryAlarms|LambdaCallbackTest|ConnectionRecovery|DurableBindingLifecycle'
no_control+='|DeadLetterExchangeDurable|ExclusiveQueueDurability|MessageRecovery|PersistenceGuarantees|Shutdown'
no_control+='|ChannelLimitNegotiation|LoopbackUsers|[A-Za-z]*TTL#restartingExpiry'

# Not in the baseline, though RabbitMQ passes them on most runs: four tests that publish what closes the channel (CC that is
# no array, three bad expirations), and have to call it once more before they hear of that.

prepare() {
  apt_need openjdk-17-jdk-headless librabbitmq-client-java junit4 libassertj-core-java libmockito-java libhamcrest-java \
    liblogback-java libslf4j-java gcc libc6-dev && debian_source rabbitmq-java-client || return
  local programs=$clients/programs mark
  mark=$java_classes/complete-$(cat "$programs/java/junit/RunSuites.java" "$programs/c/portmap.c" | cksum | tr -d ' ')
  [ -e "$mark" ] && return
  rm -rf "$java_classes" && mkdir -p "$java_classes" && cp -r "$java_source/java" "$java_classes/source" || return
  cd "$java_classes" &&
    find source -regextype egrep -regex ".*/(($no_library)\.java|performance/.*\.java)" -delete &&
    find source -name '*Tests.java' -exec sed -i -E "s/^\s*($no_library)\.class,?\$//" {} + &&
    find source -name '*.java' >files &&
    javac -nowarn -d . -cp "$java_path" @files "$programs/java/junit/RunSuites.java" &&
    echo '<configuration><root level="OFF"/></configuration>' >logback-test.xml &&
    gcc -O2 -shared -fPIC -o portmap.so "$programs/c/portmap.c" -ldl && touch "$mark"
}

check() {
  local tests=com.rabbitmq.client.test
  printf '#!/bin/sh\nexec python3 "%s" "$@"\n' "$clients/programs/python/rabbitmqctl.py" >"$work/rabbitmqctl"
  chmod +x "$work/rabbitmqctl"
  LD_PRELOAD=$java_classes/portmap.so java -XX:TieredStopAtLevel=1 -Xmx512m -Djava.net.preferIPv4Stack=true \
    -Dprefix=com.rabbitmq.client. -Dskip=".*\.($no_resource|$no_control)(#.*)?" \
    -Drabbitmqctl.bin="$work/rabbitmqctl" -Dtest-broker.A.nodename=none \
    -cp "$java_classes:$java_path" RunSuites $tests.functional.FunctionalTests $tests.server.ServerTests $tests.ClientTests \
    >"$work/results"
  sed -n 's/^RESULT //p' "$work/results" >>"$verdicts"
  baseline java-client
}
