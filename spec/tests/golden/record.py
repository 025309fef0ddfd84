"""Records the conversations that main.rs reads: pika talks to RabbitMQ through a relay that notes every frame.

    python3 record.py [HOST PORT]      writes *.hex beside itself; guest/guest, virtual host /, default 127.0.0.1 5672

A line is a frame, `>` from the client and `<` from the server, in hexadecimal digits; indented lines go on with it, and
`#` starts a comment. Names, tags and times are fixed, so that two recordings differ only in what the broker chose.
"""

import datetime
import decimal
import pathlib
import platform
import socket
import struct
import sys
import threading

import pika
import pika.data
import pika.exceptions
from pika import spec

FRAME_MAX = 4096
FRAME_HEADER = struct.Struct(">BHI")
PROTOCOL_HEADER_BYTES = 8


class Relay:
    """Stands between one client and the broker. A frame is noted before it is passed on, so causes precede effects."""

    def __init__(self, broker):
        self.lines = []
        self.noting = threading.Lock()
        listener = socket.create_server(("127.0.0.1", 0))
        self.port = listener.getsockname()[1]
        self.serving = threading.Thread(target=self.serve, args=(listener, broker), daemon=True)
        self.serving.start()

    def serve(self, listener, broker):
        with listener, listener.accept()[0] as client, socket.create_connection(broker) as server:
            outward = threading.Thread(target=self.relay, args=(client, server, ">", PROTOCOL_HEADER_BYTES))
            outward.start()
            self.relay(server, client, "<", 0)
            outward.join()

    def relay(self, source, sink, mark, protocol_header_bytes):
        """Frames are cut out by their sizes alone: the recording must not depend on the code that it tests."""
        wanted, pending = protocol_header_bytes, b""
        try:
            while received := source.recv(65536):
                pending += received
                while True:
                    if not wanted and len(pending) >= FRAME_HEADER.size:
                        wanted = FRAME_HEADER.size + FRAME_HEADER.unpack_from(pending)[2] + 1
                    if not wanted or len(pending) < wanted:
                        break
                    self.note(mark, pending[:wanted].hex())
                    pending, wanted = pending[wanted:], 0
                sink.sendall(received)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the other side has hung up, which ends a conversation as well

    def note(self, mark, text):
        with self.noting:
            width = 116
            pieces = [text[at : at + width] for at in range(0, len(text), width)]
            self.lines.append(f"{mark} " + "\n  ".join(pieces))


class Tagged:
    """A field value with a type that pika reads but never writes."""

    def __init__(self, tag, layout, value):
        self.bytes = struct.pack(">c" + layout, tag, value)


def encode_tagged(pieces, value, encode_value=pika.data.encode_value):
    if not isinstance(value, Tagged):
        return encode_value(pieces, value)
    pieces.append(value.bytes)
    return len(value.bytes)


pika.data.encode_value = encode_tagged

EVERY_FIELD_TYPE = {
    "bool": True,
    "i8": Tagged(b"b", "b", -8),
    "u8": Tagged(b"B", "B", 200),
    "i16": Tagged(b"s", "h", -1600),
    "u16": Tagged(b"u", "H", 60000),
    "i32": -320000,
    "u32": Tagged(b"i", "I", 4000000000),
    "i64": -64000000000,
    "f32": Tagged(b"f", "f", 1.5),
    "f64": Tagged(b"d", "d", -2.25),
    "decimal": decimal.Decimal("123.45"),
    "longstr": "grüße",
    "bytes": b"\x00\xff",
    "timestamp": datetime.datetime(2024, 2, 29, 12, 0, 0),
    "void": None,
    "array": [1, "two", [False, None], {"three": 3}],
    "table": {"inner": {"innermost": {}}, "list": []},
}

EVERY_PROPERTY = pika.BasicProperties(
    content_type="text/plain",
    content_encoding="utf-8",
    headers=EVERY_FIELD_TYPE,
    delivery_mode=2,
    priority=5,
    correlation_id="correlation",
    reply_to="golden.replies",
    expiration="60000",
    message_id="message-1",
    timestamp=1700000000,
    type="greeting",
    user_id="guest",
    app_id="golden",
    cluster_id="cluster",
)


def topology(connection, note):
    channel = connection.channel()
    note("access.request: a ticket that nobody looks at")
    tickets = []
    request = spec.Access.Request("/data", False, True, True, True, True)
    channel._impl._rpc(request, tickets.append, [spec.Access.RequestOk])
    expect(connection, tickets, 1)
    note("exchange.declare: durable with arguments, then auto-delete, then passive")
    channel.exchange_declare("golden.direct", "direct", durable=True, arguments={"alternate-exchange": "amq.fanout"})
    channel.exchange_declare("golden.headers", "headers", auto_delete=True, internal=True)
    channel.exchange_declare("golden.direct", passive=True)
    note("exchange.bind, exchange.unbind")
    channel.exchange_bind("golden.headers", "golden.direct", "errors", {"x-why": "golden"})
    note("queue.declare: with arguments, then named by the server, then passive")
    arguments = {"x-max-length": 1000, "x-message-ttl": 3600000, "x-dead-letter-exchange": "golden.direct"}
    channel.queue_declare("golden.queue", durable=True, arguments=arguments)
    channel.queue_declare("", exclusive=True, auto_delete=True)
    channel.queue_declare("golden.queue", passive=True)
    note("queue.bind with arguments, queue.unbind")
    match = {"x-match": "all", "shape": "round", "size": 3, "heavy": False}
    channel.queue_bind("golden.queue", "golden.headers", "", match)
    channel.queue_unbind("golden.queue", "golden.headers", "", match)
    channel.exchange_unbind("golden.headers", "golden.direct", "errors", {"x-why": "golden"})
    note("queue.purge, queue.delete, exchange.delete")
    channel.queue_purge("golden.queue")
    channel.queue_delete("golden.queue", if_unused=True, if_empty=True)
    channel.exchange_delete("golden.direct", if_unused=True)
    note("channel.flow, connection.update-secret")
    channel.flow(True)
    connection.update_secret("guest", "golden")
    note("channel.close, connection.close")
    channel.close(200, "done with the channel")
    connection.close(200, "done")


def messages(connection, note):
    channel = connection.channel(7)
    channel.queue_declare("golden.dead", exclusive=True)
    to_dead = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "golden.dead", "x-max-priority": 9}
    channel.queue_declare("golden.work", exclusive=True, arguments=to_dead)
    channel.queue_declare("golden.full", exclusive=True, arguments={"x-max-length": 0, "x-overflow": "reject-publish"})
    channel.basic_qos(prefetch_count=10, global_qos=False)
    note("confirm.select; a message with every property and every type of field")
    channel.confirm_delivery()
    channel.basic_publish("", "golden.work", "Grüße".encode(), EVERY_PROPERTY, mandatory=True)
    note("a message without properties and body, and one in several body frames")
    channel.basic_publish("", "golden.work", b"")
    channel.basic_publish("", "golden.dead", bytes(range(256)) * 16 + b"the end")
    channel.queue_purge("golden.dead")
    note("basic.return, then basic.nack from the server")
    for key, refused in (("golden.nowhere", pika.exceptions.UnroutableError), ("golden.full", pika.exceptions.NackError)):
        try:
            channel.basic_publish("", key, b"lost", mandatory=True)
        except refused:
            continue
        raise AssertionError(f"{key} took the message")
    note("basic.get: a message, put back; then none")
    found, _, _ = channel.basic_get("golden.work")
    channel.basic_reject(found.delivery_tag, requeue=True)
    channel.basic_get("golden.dead", auto_ack=True)
    note("basic.consume, basic.deliver, basic.recover, basic.recover-async")
    deliveries = []
    tag = channel.basic_consume(
        "golden.work",
        lambda _channel, method, _properties, _body: deliveries.append(method),
        consumer_tag="golden.consumer",
        arguments={"x-priority": 1},
    )
    expect(connection, deliveries, 2)
    channel.basic_recover(requeue=True)
    expect(connection, deliveries, 4)
    channel._impl._send_method(spec.Basic.RecoverAsync(True))
    expect(connection, deliveries, 6)
    note("basic.ack, basic.nack without requeue (the message becomes a dead letter), basic.cancel from the client")
    channel.basic_ack(deliveries[-1].delivery_tag)
    channel.basic_nack(deliveries[-2].delivery_tag, multiple=True, requeue=False)
    channel.basic_cancel(tag)
    note("the dead letter")
    tag = channel.basic_consume(
        "golden.dead",
        lambda _channel, method, _properties, _body: deliveries.append(method),
        auto_ack=True,
        exclusive=True,
        consumer_tag="golden.undertaker",
    )
    expect(connection, deliveries, 7)
    note("basic.cancel from the server: the queue is gone")
    cancelled = []
    channel.add_on_cancel_callback(cancelled.append)
    channel.queue_delete("golden.dead")
    expect(connection, cancelled, 1)
    note("a transaction on another channel")
    other = connection.channel(8)
    other.tx_select()
    other.basic_publish("", "golden.work", b"in a transaction")
    other.tx_commit()
    other.tx_rollback()
    connection.close()


def soft_error(connection, note):
    channel = connection.channel()
    note("channel.close from the server: 404")
    try:
        channel.queue_declare("golden.missing", passive=True)
    except pika.exceptions.ChannelClosedByBroker:
        pass
    connection.close()


def hard_error(connection, note):
    channel = connection.channel()
    note("connection.close from the server: 540")
    try:
        channel.flow(False)
    except pika.exceptions.ConnectionClosedByBroker:
        pass


def heartbeat(connection, note):
    note("nothing to say, a heartbeat every half second")
    connection.process_data_events(time_limit=2.2)
    connection.close()


def nothing(_connection, _note):
    raise AssertionError("the broker took a wrong password")


def expect(connection, found, count):
    for _ in range(100):
        if len(found) >= count:
            return
        connection.process_data_events(time_limit=0.1)
    raise AssertionError(f"{len(found)} of {count} arrived")


CONVERSATIONS = [
    ("topology", topology, {}),
    ("messages", messages, {}),
    ("soft_error", soft_error, {}),
    ("hard_error", hard_error, {}),
    ("heartbeat", heartbeat, {"heartbeat": 1}),
    ("refused_login", nothing, {"credentials": pika.PlainCredentials("guest", "wrong")}),
]


def record(broker, name, converse, options):
    relay = Relay(broker)
    relay.note("#", f"pika {pika.__version__} on Python {platform.python_version()}, recorded by record.py: {name}")
    parameters = pika.ConnectionParameters("127.0.0.1", relay.port, frame_max=FRAME_MAX, **options)
    try:
        converse(pika.BlockingConnection(parameters), lambda text: relay.note("#", text))
    except pika.exceptions.ProbableAuthenticationError:
        pass
    relay.serving.join()
    path = pathlib.Path(__file__).with_name(f"{name}.hex")
    path.write_text("\n".join(relay.lines) + "\n")


if __name__ == "__main__":
    host, port = sys.argv[1:] or ("127.0.0.1", "5672")
    for conversation in CONVERSATIONS:
        record((host, int(port)), *conversation)
