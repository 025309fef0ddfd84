"""Topic, fanout and headers exchanges, bound to each other, and queues that go when they are no longer used."""

import asyncio

from aio_pika import ExchangeType, Message
from aio_pika.exceptions import ChannelClosed, ChannelNotFoundEntity
from broker import connect, run, take

KEYS = ["kern.warning", "kern.info", "mail.warning", "mail.info.long", ""]
EXPECTED = {
    "kern.*": ["kern.warning", "kern.info"],
    "*.warning": ["kern.warning", "mail.warning"],
    "#": KEYS,
    "mail.#": ["mail.warning", "mail.info.long"],
}


async def main():
    async with await connect() as connection, await connect() as other:
        channel = await connection.channel()
        topic = await channel.declare_exchange("aio.topic", ExchangeType.TOPIC, auto_delete=True)
        fanout = await channel.declare_exchange("aio.fanout", ExchangeType.FANOUT, auto_delete=True)
        headers = await channel.declare_exchange("aio.headers", ExchangeType.HEADERS, auto_delete=True)

        async def subscribe(exchange, routing_key="", **options):
            queue, deliveries = await channel.declare_queue(exclusive=True), asyncio.Queue()
            await queue.bind(exchange, routing_key, **options)
            await queue.consume(deliveries.put, no_ack=True)
            return deliveries

        by_pattern = {pattern: await subscribe(topic, pattern) for pattern in EXPECTED}
        await fanout.bind(topic, "mail.#")  # what is mail goes on to everyone there
        everyone = [await subscribe(fanout) for _ in range(3)]
        red = await subscribe(headers, arguments={"x-match": "all", "colour": "red", "size": 3})

        for key in KEYS:
            await topic.publish(Message(key.encode()), key)
        await fanout.publish(Message(b"to all"), "ignored")
        for colour, size in [("red", 3), ("red", 4), ("blue", 3)]:
            await headers.publish(Message(b"box", headers={"colour": colour, "size": size}), "", mandatory=False)

        for pattern, keys in EXPECTED.items():
            got = [(await take(by_pattern[pattern])).body.decode() for _ in keys]
            assert got == keys, (pattern, got)
        for deliveries in everyone:
            assert [(await take(deliveries)).body for _ in range(3)] == [b"mail.warning", b"mail.info.long", b"to all"]
        assert (await take(red)).headers == {"colour": "red", "size": 3}
        assert all(deliveries.empty() for deliveries in [*by_pattern.values(), *everyone, red])

        # An exclusive queue belongs to its connection, and ends with it.
        mine = await channel.declare_queue("aio.mine", exclusive=True)
        stranger = await other.channel()
        try:
            await stranger.declare_queue("aio.mine", passive=True)
            raise AssertionError("an exclusive queue is open to others")
        except ChannelClosed as error:
            assert "RESOURCE_LOCKED" in str(error), error
        # One that deletes itself goes with its last consumer.
        brief = await channel.declare_queue("aio.brief", auto_delete=True)
        tags = [await brief.consume(lambda message: None) for _ in range(2)]
        await brief.cancel(tags[0])
        assert (await brief.declare()).consumer_count == 1
        await brief.cancel(tags[1])
        assert await gone(other, "aio.brief")
    async with await connect() as connection:
        for queue in [mine.name, "aio.brief"]:
            assert await gone(connection, queue), queue
    print(len(KEYS), "messages through", len(EXPECTED), "patterns, and on to 3 queues")


async def gone(connection, queue):
    channel = await connection.channel()
    try:
        await channel.declare_queue(queue, passive=True)
    except ChannelNotFoundEntity:
        return True


run(main)
