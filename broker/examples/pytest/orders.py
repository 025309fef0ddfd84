"""A small shop, as an example of a program whose tests need a broker. It knows an address, and nothing of tests."""

import json

import pika


class Orders:
    """Takes orders and hands them to whoever packs them; none is lost when a packer fails."""

    def __init__(self, url):
        self.connection = pika.BlockingConnection(pika.URLParameters(url))
        self.channel = self.connection.channel()
        self.channel.confirm_delivery()
        self.channel.queue_declare("orders", durable=True)

    def place(self, *articles):
        self.channel.basic_publish("", "orders", json.dumps(articles), mandatory=True)

    def pack(self, packer):
        """Has one order packed; false if there is none."""
        method, _, body = self.channel.basic_get("orders")
        if method is None:
            return False
        try:
            packer(json.loads(body))
        except Exception:
            self.channel.basic_nack(method.delivery_tag, requeue=True)
            raise
        self.channel.basic_ack(method.delivery_tag)
        return True

    def close(self):
        self.connection.close()
