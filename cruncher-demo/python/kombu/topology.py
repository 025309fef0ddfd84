"""The exchanges and queues of the email cruncher, and the way to their broker.

The services in Rust use the same names and settings, so any of them can be replaced by one of these and back.

    prompt -> (emails, fanout) -> [regex-cruncher] -> crunch --fast -+
                               -> [slow-cruncher]  -> crunch --slow -+-> [status] -> status
           status -> (spammer, direct, key = local part) -> [local part] -> spam --name local part
"""

from kombu import Connection, Exchange, Queue

URL = "amqp://guest:guest@127.0.0.1:5672/"
DOMAIN = "apple.com"  # the domain that is watched unless another is named
NAME_BYTES_MAX = 255  # longest name of a queue and longest routing key

EMAILS = Exchange("emails", type="fanout", durable=True)
SPAMMER = Exchange("spammer", type="direct", durable=True)
CRUNCHERS = {
    "fast": Queue("regex-cruncher", exchange=EMAILS, durable=True),
    "slow": Queue("slow-cruncher", exchange=EMAILS, durable=True),
}
STATUS = Queue("status", durable=True)


def spam_queue(local_part):
    """The queue of one address: called like its local part, except where that name is taken.

    No ordinary local part has an @, so no two share a queue.
    """
    taken = local_part in ("regex-cruncher", "slow-cruncher", "status") or local_part.startswith("amq.")
    name = f"spammer@{local_part}" if taken else local_part
    return Queue(name, exchange=SPAMMER, routing_key=local_part, durable=True)


def connect(url):
    """A connection on which a publish returns when the broker has taken the message (publisher confirms)."""
    return Connection(url, transport_options={"confirm_publish": True})


def declare(channel):
    """Declares all that every service needs, so that they may start in any order. A queue brings its exchange along."""
    for entity in (SPAMMER, *CRUNCHERS.values(), STATUS):
        entity(channel).declare()
