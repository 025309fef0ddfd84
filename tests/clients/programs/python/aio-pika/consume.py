"""Consumers within a prefetch that ack, nack and reject: messages come again, go elsewhere, or are gone."""

import asyncio

from aio_pika import Message
from broker import connect, fresh_queue, run, take

QUEUE, DEAD, PREFETCH, COUNT = "aio.work", "aio.work.dead", 10, 200


async def main():
    async with await connect() as publishing, await connect() as consuming:
        sender, receiver = await publishing.channel(), await consuming.channel()
        dead = await fresh_queue(sender, DEAD)
        arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": DEAD}
        queue = await fresh_queue(sender, QUEUE, arguments=arguments)
        for n in range(COUNT):
            await sender.default_exchange.publish(Message(str(n).encode()), QUEUE)

        await receiver.set_qos(prefetch_count=PREFETCH)
        deliveries = asyncio.Queue()
        mine = await receiver.get_queue(QUEUE)
        tag = await mine.consume(deliveries.put)

        window = [await take(deliveries) for _ in range(PREFETCH)]
        assert (await queue.declare()).message_count == COUNT - PREFETCH
        assert deliveries.empty()
        # The last nack is for all before it: they come again in their order.
        await window[-1].nack(multiple=True, requeue=True)
        window = [await take(deliveries) for _ in range(PREFETCH)]
        assert [message.body for message in window] == [str(n).encode() for n in range(PREFETCH)]
        assert all(message.redelivered for message in window)
        await window[-1].ack(multiple=True)

        # Every third is refused for good, every seventh once.
        dropped, settled, again = [], [], []
        while len(settled) + len(dropped) < COUNT - PREFETCH:
            message = await take(deliveries)
            n = int(message.body)
            if n % 7 == 0 and not message.redelivered:
                again.append(n)
                await message.reject(requeue=True)
            elif n % 3 == 0:
                dropped.append(n)
                await message.nack(multiple=False, requeue=False)
            else:
                settled.append(n)
                await message.ack()
        assert sorted(settled + dropped) == list(range(PREFETCH, COUNT)), "lost or doubled"
        await mine.cancel(tag)

        for n in dropped:
            message = await dead.get()
            assert int(message.body) == n, (message.body, n)
            assert message.headers["x-death"][0]["reason"] == "rejected"
            await message.ack()
        # What a channel that closes has not settled is there for the next.
        await sender.default_exchange.publish(Message(b"left"), QUEUE)
        left = await mine.get()
        await receiver.close()
        async with queue.iterator() as messages:
            async for message in messages:
                async with message.process():
                    assert message.body == left.body and message.redelivered
                break
        assert (await queue.delete()).message_count == 0 and (await dead.delete()).message_count == 0
    print(f"{COUNT} messages: {len(settled)} acked, {len(dropped)} dead-lettered, {len(again)} came again")


run(main)
