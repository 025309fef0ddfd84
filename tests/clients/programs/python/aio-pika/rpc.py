"""Calls over messages: aio-pika's own pattern for them, with errors that come back, and its pattern for tasks."""

import asyncio

from aio_pika import Message
from aio_pika.patterns import RPC, Master
from broker import connect, run, take


async def multiply(*, x, y):
    return x * y


async def fail(*, text):
    raise ValueError(text)


async def main():
    async with await connect() as serving, await connect() as calling:
        server = await RPC.create(await serving.channel())
        await server.register("aio.multiply", multiply, auto_delete=True)
        await server.register("aio.fail", fail, auto_delete=True)
        client = await RPC.create(await calling.channel())
        answers = await asyncio.gather(*(client.proxy.aio.multiply(x=n, y=7) for n in range(200)))
        assert answers == [7 * n for n in range(200)]
        try:
            await client.call("aio.fail", {"text": "as asked"})
            raise AssertionError("an error did not come back")
        except ValueError as error:
            assert str(error) == "as asked"
        await client.close()
        await server.close()

        done = asyncio.Queue()

        async def work(*, number):
            await done.put(number)

        worker = await Master(await serving.channel()).create_worker("aio.tasks", work, auto_delete=True)
        master = Master(await calling.channel())
        for n in range(20):
            await master.create_task("aio.tasks", {"number": n})
        assert sorted([await take(done) for _ in range(20)]) == list(range(20))
        await worker.close()

        # By hand, with the reply queue that needs no declaration.
        channel = await calling.channel()
        questions = await channel.declare_queue(exclusive=True)
        replies = await channel.get_queue("amq.rabbitmq.reply-to", ensure=False)
        answered = asyncio.Queue()
        await replies.consume(answered.put, no_ack=True)

        async def answer(message):
            reply = Message(message.body.upper(), correlation_id=message.correlation_id)
            await channel.default_exchange.publish(reply, message.reply_to)

        await questions.consume(answer, no_ack=True)
        question = Message(b"how are you", reply_to="amq.rabbitmq.reply-to", correlation_id="1")
        await channel.default_exchange.publish(question, questions.name)
        reply = await take(answered)
        assert (reply.body, reply.correlation_id) == (b"HOW ARE YOU", "1")
    print("200 calls and 20 tasks answered")


run(main)
