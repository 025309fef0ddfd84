"""Publishing with confirms, hundreds of them under way at once, and mandatory messages that come back."""

import asyncio

import aiormq
from aio_pika import DeliveryMode, Message
from aio_pika.exceptions import DeliveryError, PublishError
from broker import connect, fresh_queue, run

QUEUE, COUNT = "aio.confirms", 2000


async def main():
    async with await connect() as connection:
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        queue = await fresh_queue(channel, QUEUE, durable=True)

        def publish(n, routing_key=QUEUE):
            message = Message(str(n).encode(), message_id=str(n), delivery_mode=DeliveryMode.PERSISTENT, headers={"n": n})
            return channel.default_exchange.publish(message, routing_key, mandatory=True)

        confirms = await asyncio.gather(*(publish(n) for n in range(COUNT)))
        assert all(isinstance(confirm, aiormq.spec.Basic.Ack) for confirm in confirms)

        # Only those that no queue takes come back, each to the one who sent it.
        outcomes = await asyncio.gather(
            *(publish(n, QUEUE if n % 3 else "aio.no-such-queue") for n in range(300)), return_exceptions=True
        )
        for n, outcome in enumerate(outcomes):
            if n % 3:
                assert isinstance(outcome, aiormq.spec.Basic.Ack), outcome
                continue
            assert isinstance(outcome, PublishError | DeliveryError), outcome
            assert outcome.message.body == str(n).encode(), (n, outcome.message.body)
            assert (outcome.message.delivery.reply_code, outcome.message.delivery.reply_text) == (312, "NO_ROUTE")

        for n in [*range(COUNT), *(n for n in range(300) if n % 3)]:
            message = await queue.get(no_ack=True)
            assert (message.body, message.message_id, message.headers) == (str(n).encode(), str(n), {"n": n})
            assert message.delivery_mode == DeliveryMode.PERSISTENT
        assert await queue.get(fail=False) is None
        await queue.delete()
    print(f"{COUNT} messages confirmed, and 100 came back")


run(main)
