"""The messages between the services: how each is written, and what is accepted from services of other makes.

    file name   emails -> crunchers   text/plain         body: the name
    result      crunchers -> status   application/json   body: ["a@b.c", ...]    app_id: cruncher, header file
    warning     status -> spammer     text/plain         body: spam me!          header x-attempts, after a failure

Each may have a correlation_id, the label of the run it belongs to, which is passed on to what follows from it.
"""

import json
from dataclasses import dataclass

import topology

SPAM_ME = "spam me!"
FILE_NAME_BYTES_MAX = 4096
ATTEMPTS_MAX = 2**31


@dataclass
class Result:
    """What a cruncher found, as the status service reads it."""

    cruncher: str
    addresses: list
    label: str | None


def publish_name(producer, name, label=None, **options):
    """Publishes a file name to all crunchers. Their queues are declared first: a name nobody gets would be lost."""
    queues = list(topology.CRUNCHERS.values())
    publish(producer, name, "text/plain", label, exchange=topology.EMAILS, declare=queues, **options)


def publish_result(producer, cruncher, name, addresses, label=None, **options):
    """Publishes what a cruncher found in a file to the status service, through the default exchange."""
    headers = {} if name is None else {"file": name}
    options |= {"routing_key": topology.STATUS.name, "declare": [topology.STATUS], "headers": headers}
    publish(producer, json.dumps(addresses), "application/json", label, app_id=cruncher, **options)


def publish_warning(producer, local_part, label=None):
    """Asks for a warning to that local part, and tells if somebody listens for it.

    A mandatory message that no queue takes comes back, before the broker confirms it.
    """
    returned = []

    def on_return(*what):
        returned.append(what)

    handlers = producer.channel.events["basic_return"]
    handlers.add(on_return)
    try:
        route = {"exchange": topology.SPAMMER, "declare": [topology.SPAMMER], "routing_key": local_part}
        publish(producer, SPAM_ME, "text/plain", label, mandatory=True, **route)
    finally:
        handlers.discard(on_return)
    return not returned


def publish_failed_warning(producer, queue, attempts, label=None):
    """Sends a warning round once more, behind the others in its queue, with its failures counted."""
    publish(producer, SPAM_ME, "text/plain", label, routing_key=queue.name, headers={"x-attempts": attempts})


def publish(producer, body, content_type, label, **options):
    """A text as it is, without one of Kombu's serializers. The exchanges and queues are durable: so are the messages."""
    if label:
        options["correlation_id"] = label
    producer.publish(body, content_type=content_type, content_encoding="utf-8", **options)


def file_name(message):
    """The file name in a message: its text, or a JSON string when the message says so."""
    body = text(message)
    if len(body) > FILE_NAME_BYTES_MAX:
        raise ValueError("a file name that is too long")
    name = parsed(body) if str(message.content_type).startswith("application/json") else body
    if not isinstance(name, str):
        raise ValueError("a message that is no file name")
    if not name:
        raise ValueError("an empty file name")
    return encodable(name)


def result(message):
    """A result. A cruncher of another make may send no more than the list."""
    addresses = parsed(text(message))
    if not isinstance(addresses, list) or not all(isinstance(address, str) for address in addresses):
        raise ValueError("not a list of addresses")
    cruncher = message.properties.get("app_id") or "unknown"
    return Result(cruncher, [encodable(address) for address in addresses], label(message))


def label(message):
    return message.properties.get("correlation_id") or None


def attempts(message):
    """How often sending this warning has failed before."""
    counted = message.headers.get("x-attempts")
    return min(max(counted, 0), ATTEMPTS_MAX) if isinstance(counted, int) else 0


def text(message):
    return message.body if isinstance(message.body, str) else bytes(message.body).decode()


def parsed(json_text):
    try:
        return json.loads(json_text)
    except RecursionError:
        raise ValueError("JSON that is nested too deeply") from None


def encodable(string):
    string.encode()  # JSON can spell halves of characters, which are no text
    return string
