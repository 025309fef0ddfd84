"""garbage.py MAKE: messages that no service can use are reported, answered where an answer is due, and do no harm."""

import contextlib
import os
import sys

import pika
from demo import demo
from makes import SERVICES

JSON = "application/json"
DEEP = b"[" * 200_000
NO_NAMES = [
    (b"", None), (b"\xff\xfe", None), (b"a" * 5000, None), (b"a\0b", None), (b"/", None), (b"/dev/zero", None),
    (b"no such file", None),
    (b'"\\ud800"', JSON), (b"3", JSON), (DEEP, JSON), (b'""', JSON), (b"\xff", JSON),
]
NO_RESULTS = [b"", b"3", b"[1]", b'{"a": 1}', b"\xff", DEEP, b'["\\ud800@apple.com"]', b'"ann@apple.com"', b"9" * 5000]

with demo(os.environ["AMQP_URL"], **dict.fromkeys(SERVICES, sys.argv[1])) as run:
    run.start()
    with contextlib.closing(pika.BlockingConnection(pika.URLParameters(run.url))) as connection:
        channel = connection.channel()
        for body, content_type in NO_NAMES:
            channel.basic_publish("emails", "", body, pika.BasicProperties(content_type, headers={"file": 1}))
        for body in NO_RESULTS:
            channel.basic_publish("", "status", body, pika.BasicProperties(JSON, app_id="fast"))
        # Kombu has a header of its own for compressed bodies.
        channel.basic_publish("", "status", b"3", pika.BasicProperties(JSON, headers={"compression": "none of ours"}))
    # What is no file name has a result too, an empty one, from each cruncher.
    run.results += 2 * len(NO_NAMES)
    run.prompt()
    run.finish()
    reports = run.status().count("not a list of addresses")
    assert reports >= len(NO_RESULTS), f"{reports} reports of {len(NO_RESULTS)}"
