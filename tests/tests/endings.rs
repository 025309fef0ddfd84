//! What ends with a connection or channel, however that ends, and what stays.

use leveret_spec::{TableBuf, basic, exchange, queue};
use leveret_tests::{Difference, Peer, Visit, default, short, table, texts, unique};

/// Section 1.7.2.1: a connection that breaks takes its exclusive queues along, as one that is closed.
#[test]
fn a_broken_connection_has_no_exclusive_queues() {
    let mut peer = Peer::with_channel();
    let mut broken = Peer::with_channel();
    let name = broken.queue(1);
    drop(broken);
    let exclusive = queue::Declare { queue: short(&name), exclusive: true, ..default() };
    // Until the broker has seen the end of the socket, the queue is locked.
    let mut declared = false;
    for _ in 0..10_000 {
        peer.send(1, &exclusive);
        let received = peer.expect_any(1, "queue.DeclareOk or channel.Close");
        declared = received.method.row().name == "queue.DeclareOk";
        if declared {
            break;
        }
        peer.send(1, &leveret_spec::channel::CloseOk {});
        peer.open_channel(1);
    }
    assert!(declared, "the name stays locked");
}

/// Section 1.7.2.1: an auto-delete queue goes with its last consumer, when that one's connection breaks too.
#[test]
fn a_broken_connection_ends_auto_delete_queues() {
    let mut peer = Peer::with_channel();
    let name = unique("auto-delete");
    let declare = queue::Declare { queue: short(&name), durable: true, auto_delete: true, ..default() };
    peer.declare(1, &declare);
    let mut broken = Peer::with_channel();
    broken.consume(1, &name, "c");
    drop(broken);
    let mut tries = 0;
    loop {
        peer.publish_mandatory(1, "", &name, "m");
        peer.send(1, &leveret_spec::channel::Flow { active: true });
        if peer.expect_any(1, "basic.Return or channel.FlowOk").content.is_some() {
            break;
        }
        tries += 1;
        assert!(tries < 10_000, "the queue stays");
    }
}

/// RabbitMQ: messages that a broken consumer held come before newer ones, and are marked.
#[test]
fn what_a_broken_consumer_held_comes_first() {
    let mut peer = Peer::with_channel();
    let name = peer.shared_queue(1);
    for n in 0..5 {
        peer.publish(1, "", &name, n.to_string());
    }
    peer.expect_counts(1, &name, 5, 0);
    let mut broken = Peer::with_channel();
    broken.prefetch(1, 2);
    broken.consume(1, &name, "c");
    assert_eq!(broken.bodies(1, 2), ["0", "1"]);
    drop(broken);
    peer.expect_counts(1, &name, 5, 0);
    peer.consume_settled(1, &name, "c");
    for n in 0..5 {
        let (deliver, content) = peer.delivery(1);
        assert_eq!((content.text(), deliver.redelivered), (n.to_string(), n < 2));
    }
}

/// RabbitMQ: basic.recover may give a message to somebody else.
#[test]
fn recovered_messages_are_for_all() {
    let mut peer = Peer::with_channel();
    let name = peer.queue(1);
    peer.publish(1, "", &name, "m");
    peer.get(1, &name).unwrap();
    peer.open_channel(2);
    peer.consume_settled(2, &name, "other");
    peer.call::<basic::RecoverOk>(1, &basic::Recover { requeue: true });
    let (deliver, content) = peer.delivery(2);
    assert_eq!((content.text().as_str(), deliver.redelivered), ("m", true));
}

/// RabbitMQ: basic.recover with nothing to recover is answered all the same.
#[test]
fn there_may_be_nothing_to_recover() {
    let mut peer = Peer::with_channel();
    peer.call::<basic::RecoverOk>(1, &basic::Recover { requeue: true });
}

/// RabbitMQ: a prefetch for a whole channel is for quorum queues as well. (RabbitMQ refuses to combine them.)
#[test]
fn a_channels_limit_is_for_quorum_queues_too() {
    let mut peer = Peer::with_channel();
    let name = peer.quorum_queue(1, TableBuf::new());
    for n in 0..3 {
        peer.publish(1, "", &name, n.to_string());
    }
    peer.expect_counts(1, &name, 3, 0);
    peer.prefetch_of_channel(1, 1);
    if Difference::GlobalPrefetchForAll.holds() {
        peer.consume(1, &name, "c");
        assert_eq!(peer.bodies(1, 1), ["0"]);
        peer.expect_no_delivery(1, &name);
    } else if Difference::GlobalPrefetch.holds() {
        let text = format!("{} does not support global qos", texts::queue(&name));
        peer.refused_hard(1, &basic::Consume { queue: short(&name), ..default() }, 540, &text);
    }
}

/// RabbitMQ: frames before connection.tune are short; whoever needs longer ones then is not heard.
#[test]
fn the_first_frames_are_short() {
    let padding = |length: usize| {
        let text = "x".repeat(length);
        table([("product", "leveret-tests".into()), ("padding", text.as_str().into())])
    };
    Peer::visit(&Visit { properties: padding(3900), ..default() }).close();
    let mut peer = Peer::connect();
    peer.greet();
    peer.start_ok(&padding(20_000), "PLAIN", b"\0guest\0guest");
    if Difference::RefusedLimitsExplained.holds() {
        peer.expect_end();
    } else {
        peer.expect_eof();
    }
}

/// RabbitMQ: an exchange that is unbound from one it is not bound to, or that is missing, is unbound.
#[test]
fn unbinding_exchanges_is_idempotent() {
    let mut peer = Peer::with_channel();
    let (one, two) = (peer.exchange(1, "fanout"), peer.exchange(1, "fanout"));
    let missing = unique("missing");
    peer.unbind_exchange(1, &one, &two, "never bound");
    peer.unbind_exchange(1, &missing, &two, "");
    peer.unbind_exchange(1, &one, &missing, "");
    peer.bind_exchange(1, &one, &two, "k");
    peer.bind_exchange(1, &one, &two, "k");
    peer.unbind_exchange(1, &one, &two, "k");
    let queue = peer.queue(1);
    peer.bind(1, &queue, &one, "");
    peer.publish(1, &two, "k", "m");
    peer.expect_counts(1, &queue, 0, 0);
}

/// RabbitMQ: the default exchange is no end of a binding between exchanges.
#[test]
fn the_default_exchange_is_bound_to_nothing() {
    let mut peer = Peer::with_channel();
    let name = peer.exchange(1, "fanout");
    let (exchange, nothing, text) = (short(&name), short(""), "operation not permitted on the default exchange");
    for (destination, source) in [(exchange, nothing), (nothing, exchange)] {
        peer.refused(1, &exchange::Bind { destination, source, ..default() }, 403, text);
        peer.refused(1, &exchange::Unbind { destination, source, ..default() }, 403, text);
    }
}

/// RabbitMQ: an auto-delete exchange goes when it is unbound from its last exchange.
#[test]
fn an_auto_delete_exchange_goes_with_its_last_exchange() {
    let mut peer = Peer::with_channel();
    let (name, destination) = (unique("auto-delete"), peer.exchange(1, "fanout"));
    let (exchange, kind) = (short(&name), short("fanout"));
    peer.declare_exchange(1, &exchange::Declare { exchange, kind, auto_delete: true, ..default() });
    peer.bind_exchange(1, &destination, &name, "");
    peer.unbind_exchange(1, &destination, &name, "");
    peer.expect_no_exchange(1, &name);
}

/// RabbitMQ: exchanges that go one after the other because the first went.
#[test]
fn auto_delete_exchanges_go_in_a_row() {
    let mut peer = Peer::with_channel();
    let names = [(); 3].map(|()| unique("auto-delete"));
    for name in &names {
        let (exchange, kind) = (short(name), short("fanout"));
        peer.declare_exchange(1, &exchange::Declare { exchange, kind, auto_delete: true, ..default() });
    }
    let queue = peer.queue(1);
    peer.bind_exchange(1, &names[1], &names[0], "");
    peer.bind_exchange(1, &names[2], &names[1], "");
    peer.bind(1, &queue, &names[2], "");
    peer.publish(1, &names[0], "", "through all");
    assert_eq!(peer.drain(1, &queue), ["through all"]);
    peer.delete_queue(1, &queue);
    for name in &names {
        peer.expect_no_exchange(1, name);
    }
}

/// RabbitMQ's direct reply-to: its name is no queue that could be bound.
#[test]
fn the_name_for_answers_is_not_bound() {
    let mut peer = Peer::with_channel();
    let name = "amq.rabbitmq.reply-to";
    let bind = queue::Bind { queue: short(name), exchange: short("amq.direct"), routing_key: short("k"), ..default() };
    peer.refused(1, &bind, 404, &texts::no_queue(name));
}
