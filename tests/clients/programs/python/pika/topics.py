"""Tutorial 5: a topic exchange matches words: `*` stands for exactly one, `#` for any number of them."""

from broker import connect, wait_until

EXCHANGE = "tutorial.topics"
KEYS = ["kern.critical", "kern.info", "cron.critical", "kern", "kern.net.critical", "", "last"]
EXPECTED = {
    ("#",): KEYS,
    ("kern.*",): ["kern.critical", "kern.info", "last"],
    ("kern.#",): ["kern.critical", "kern.info", "kern", "kern.net.critical", "last"],
    ("*.critical",): ["kern.critical", "cron.critical", "last"],
    ("#.critical",): ["kern.critical", "cron.critical", "kern.net.critical", "last"],
    # Several bindings match the first key, yet the queue gets one copy.
    ("kern.*", "*.critical", "kern.critical"): ["kern.critical", "kern.info", "cron.critical", "last"],
}

connection = connect()
channel = connection.channel()
channel.exchange_declare(EXCHANGE, exchange_type="topic")

received = {}
for patterns in EXPECTED:
    queue = channel.queue_declare("", exclusive=True).method.queue
    # "last" reaches every queue and tells that nothing else is to come.
    for pattern in {*patterns, "last"}:
        channel.queue_bind(queue, EXCHANGE, routing_key=pattern)
    keys = received[patterns] = []
    channel.basic_consume(
        queue, lambda _channel, method, _properties, _body, keys=keys: keys.append(method.routing_key), auto_ack=True
    )

for key in KEYS:
    channel.basic_publish(EXCHANGE, key, b"a line of the log")
wait_until(lambda: all("last" in keys for keys in received.values()), connection)
for patterns, keys in EXPECTED.items():
    assert received[patterns] == keys, (patterns, received[patterns])

channel.exchange_delete(EXCHANGE)
connection.close()
