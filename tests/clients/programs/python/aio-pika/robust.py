"""A robust connection outlives its link: queues, bindings and consumers come back, and unsettled messages come again."""

import asyncio

from aio_pika import ExchangeType, Message
from broker import Link, connect, fresh_queue, run, take

CUTS = 4


async def main():
    async with Link() as link, await connect() as straight, await connect(link.url, reconnect_interval=0.05) as robust:
        control, channel = await straight.channel(), await robust.channel()
        await fresh_queue(control, "aio.robust", durable=True)
        reconnected = asyncio.Queue()
        robust.reconnect_callbacks.add(lambda *_: reconnected.put_nowait(True))

        await channel.set_qos(prefetch_count=1)
        work, news = asyncio.Queue(), asyncio.Queue()
        queue = await channel.declare_queue("aio.robust", durable=True)
        await queue.consume(work.put)
        exchange = await channel.declare_exchange("aio.robust.news", ExchangeType.TOPIC, auto_delete=True)
        own = await channel.declare_queue("aio.robust.own", exclusive=True)
        await own.bind(exchange, "news.*")
        await own.consume(news.put, no_ack=True)

        for n in range(CUTS):
            await control.default_exchange.publish(Message(f"task {n}".encode()), "aio.robust")
            first = await take(work)
            assert first.body == f"task {n}".encode() and not first.redelivered, first
            link.cut()
            await take(reconnected)

            again = await take(work)
            assert again.body == first.body and again.redelivered, again
            await again.ack()
            # Through the connection that was cut, with a confirm.
            await exchange.publish(Message(f"news {n}".encode()), "news.today")
            assert (await take(news)).body == f"news {n}".encode()
        assert work.empty() and news.empty(), "delivered more than once"
        await control.queue_delete("aio.robust")
    print(f"reconnected {CUTS} times")


run(main)
