"""What the programs share: a connection to the broker under test, a run with a bound, and a link to it that can be cut."""

import asyncio
import os
from contextlib import suppress
from urllib.parse import urlsplit

import aio_pika

LIMIT = 60
URL = os.environ["AMQP_URL"]


def run(program):
    """Runs a program to its end; a broker that never lets it get there is a failure."""
    async def bounded():
        await asyncio.wait_for(program(), 2 * LIMIT)

    asyncio.run(bounded())


async def connect(url=URL, **options):
    return await aio_pika.connect_robust(url, **options)


async def fresh_queue(channel, name, **options):
    """Declares a queue that has nothing left in it from a run that failed."""
    await channel.queue_delete(name)
    return await channel.declare_queue(name, **options)


async def take(deliveries):
    return await asyncio.wait_for(deliveries.get(), LIMIT)


class Link:
    """A port that leads to the broker. When it is cut, it looks to both sides as if the other one had died."""

    async def __aenter__(self):
        self.writers = set()
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        port = self.server.sockets[0].getsockname()[1]
        self.url = f"amqp://guest:guest@127.0.0.1:{port}/"
        return self

    async def __aexit__(self, *_):
        self.server.close()
        self.cut()

    async def serve(self, client_reader, client_writer):
        broker = urlsplit(URL)
        broker_reader, broker_writer = await asyncio.open_connection(broker.hostname, broker.port or 5672)
        self.writers |= {client_writer, broker_writer}
        await asyncio.gather(self.pass_on(client_reader, broker_writer), self.pass_on(broker_reader, client_writer))

    async def pass_on(self, reader, writer):
        with suppress(OSError):
            while part := await reader.read(65536):
                writer.write(part)
                await writer.drain()
        writer.close()

    def cut(self):
        for writer in self.writers:
            writer.transport.abort()
        self.writers.clear()
