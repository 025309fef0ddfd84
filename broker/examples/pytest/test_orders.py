import kombu
import pytest
from orders import Orders


@pytest.fixture
def orders(amqp_url):
    orders = Orders(amqp_url)
    yield orders
    orders.close()


def test_an_order_is_packed_once(orders):
    packed = []
    orders.place("apples", "pears")
    assert orders.pack(packed.append)
    assert not orders.pack(packed.append)
    assert packed == [["apples", "pears"]]


def test_an_order_survives_a_packer_that_fails(orders):
    def clumsy(articles):
        raise OSError("dropped it")

    packed = []
    orders.place("eggs")
    with pytest.raises(OSError):
        orders.pack(clumsy)
    assert orders.pack(packed.append)
    assert packed == [["eggs"]]


def test_every_test_has_a_broker_of_its_own(orders):
    # The queue is durable, and yet nothing of the other tests is in it.
    assert not orders.pack(print)


def test_another_client_sees_the_same_order(orders, amqp_url):
    orders.place("plums")
    with kombu.Connection(amqp_url) as connection:
        message = connection.default_channel.basic_get("orders", no_ack=True)
        assert message.body == b'["plums"]' or message.body == '["plums"]'
