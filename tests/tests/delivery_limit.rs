//! RabbitMQ's quorum queues: deliveries that fail are counted, and too many are the end.

use leveret_spec::{TableBuf, Value, basic, queue};
use leveret_tests::{Content, Difference, Peer, default, short, table, texts, unique};

/// A quorum queue that lets deliveries fail so often, and the queue of its dead letters.
fn limited(peer: &mut Peer, limit: i32) -> (String, String) {
    let dead = peer.queue(1);
    let arguments = table([
        ("x-delivery-limit", limit.into()),
        ("x-dead-letter-exchange", "".into()),
        ("x-dead-letter-routing-key", dead.as_str().into()),
    ]);
    (peer.quorum_queue(1, arguments), dead)
}

fn count(content: &Content) -> Option<i64> {
    content.headers().lookup("x-delivery-count").and_then(Value::as_i64)
}

/// One delivery that fails: its consumer's channel ends without settling it.
#[track_caller]
fn fail(peer: &mut Peer, queue: &str) -> (bool, Content) {
    peer.open_channel(3);
    peer.prefetch(3, 1);
    peer.consume(3, queue, "failing");
    let (deliver, content) = peer.delivery(3);
    peer.close_channel(3);
    (deliver.redelivered, content)
}

/// The header x-delivery-count tells how many deliveries have failed before.
#[test]
fn failed_deliveries_are_counted() {
    let mut peer = Peer::with_channel();
    let queue = peer.quorum_queue(1, TableBuf::new());
    peer.publish(1, "", &queue, "m");
    for failed in 0..4 {
        let (redelivered, content) = fail(&mut peer, &queue);
        assert_eq!((redelivered, count(&content)), (failed > 0, (failed > 0).then_some(failed)));
    }
}

/// A delivery that is given back has failed as well.
#[test]
fn giving_back_counts() {
    let mut peer = Peer::with_channel();
    let (queue, dead) = limited(&mut peer, 1);
    peer.publish(1, "", &queue, "m");
    peer.consume(1, &queue, "c");
    for failed in 0..2 {
        let (deliver, content) = peer.delivery(1);
        assert_eq!(deliver.redelivered, failed > 0);
        if !Difference::GivingBackFails.holds() {
            return;
        }
        assert_eq!(count(&content), (failed > 0).then_some(failed));
        if failed == 0 {
            peer.requeue(1, deliver.delivery_tag);
        } else {
            peer.send(1, &basic::Reject { delivery_tag: deliver.delivery_tag, requeue: true });
        }
    }
    peer.open_channel(2);
    peer.consume_settled(2, &dead, "dead");
    let (_, content) = peer.delivery(2);
    assert_eq!(content.deaths()[0].told(), ("delivery_limit", queue.as_str(), 1));
}

/// A message whose deliveries have failed more often than the limit says is a dead letter, with that reason.
#[test]
fn a_message_that_fails_too_often_is_a_dead_letter() {
    let mut peer = Peer::with_channel();
    let (queue, dead) = limited(&mut peer, 2);
    peer.publish(1, "", &queue, "m");
    for _ in 0..3 {
        fail(&mut peer, &queue);
    }
    peer.consume_settled(1, &dead, "dead");
    let (_, content) = peer.delivery(1);
    assert_eq!(content.deaths()[0].told(), ("delivery_limit", queue.as_str(), 1));
    assert_eq!(content.header("x-first-death-reason"), Some("delivery_limit"));
    peer.expect_counts(1, &queue, 0, 0);
}

/// Without a dead-letter exchange such a message is dropped.
#[test]
fn a_message_that_fails_too_often_is_dropped() {
    let mut peer = Peer::with_channel();
    let queue = peer.quorum_queue(1, table([("x-delivery-limit", 0i32.into())]));
    peer.publish(1, "", &queue, "poison");
    peer.publish(1, "", &queue, "good");
    assert_eq!(fail(&mut peer, &queue).1.text(), "poison");
    peer.consume(1, &queue, "c");
    let (deliver, content) = peer.delivery(1);
    assert_eq!(content.text(), "good");
    peer.ack(1, deliver.delivery_tag);
    peer.expect_counts(1, &queue, 0, 1);
}

/// A consumer that ends with its connection has failed as well.
#[test]
fn a_broken_consumer_counts() {
    let mut peer = Peer::with_channel();
    let (queue, dead) = limited(&mut peer, 1);
    peer.publish(1, "", &queue, "m");
    peer.consume_settled(1, &dead, "dead");
    for round in 0..2 {
        let mut other = Peer::with_channel();
        other.consume(1, &queue, "c");
        let (_, content) = other.delivery(1);
        assert_eq!(count(&content), (round > 0).then_some(round));
        other.close();
    }
    let (_, content) = peer.delivery(1);
    assert_eq!(content.deaths()[0].told(), ("delivery_limit", queue.as_str(), 1));
}

/// Rejecting for good is no failure, with a limit too.
#[test]
fn rejecting_is_rejecting() {
    let mut peer = Peer::with_channel();
    let (queue, dead) = limited(&mut peer, 5);
    peer.publish(1, "", &queue, "m");
    peer.consume(1, &queue, "c");
    let (deliver, _) = peer.delivery(1);
    peer.reject(1, deliver.delivery_tag);
    peer.consume_settled(1, &dead, "dead");
    let (_, content) = peer.delivery(1);
    assert_eq!(content.deaths()[0].told(), ("rejected", queue.as_str(), 1));
}

/// What a settled delivery leaves in the queue is not counted; other messages start at nothing.
#[test]
fn every_message_is_counted_alone() {
    let mut peer = Peer::with_channel();
    let queue = peer.quorum_queue(1, TableBuf::new());
    peer.publish(1, "", &queue, "a");
    fail(&mut peer, &queue);
    peer.consume(1, &queue, "c");
    let (deliver, content) = peer.delivery(1);
    assert_eq!((content.text().as_str(), count(&content)), ("a", Some(1)));
    peer.ack(1, deliver.delivery_tag);
    peer.publish(1, "", &queue, "b");
    let (deliver, content) = peer.delivery(1);
    assert_eq!((content.text().as_str(), count(&content), deliver.redelivered), ("b", None, false));
}

/// A quorum queue is durable, for all and for ever.
#[test]
fn a_quorum_queue_lasts() {
    let mut peer = Peer::with_channel();
    let name = unique("quorum");
    let arguments = table([("x-queue-type", "quorum".into())]);
    let arguments = arguments.as_table();
    let lasting = queue::Declare { queue: short(&name), durable: true, arguments, ..default() };
    let place = texts::queue(&name);
    for (declare, property) in [
        (queue::Declare { durable: false, ..lasting }, "non-durable"),
        (queue::Declare { exclusive: true, ..lasting }, "exclusive-owner"),
        (queue::Declare { auto_delete: true, ..lasting }, "auto-delete"),
    ] {
        peer.refused(1, &declare, 406, &format!("invalid property '{property}' for {place}"));
    }
}

/// A quorum queue has the name that its client gives it.
#[test]
fn a_quorum_queue_is_named() {
    let mut peer = Peer::with_channel();
    let arguments = table([("x-queue-type", "quorum".into())]);
    let declare = queue::Declare { durable: true, arguments: arguments.as_table(), ..default() };
    let text = "Cannot declare a server-named queue for type rabbit_quorum_queue";
    peer.refused(1, &declare, 406, text);
}

/// The type is part of what a declaration has to repeat, and has to be known.
#[test]
fn the_type_is_compared() {
    let mut peer = Peer::with_channel();
    let quorum = peer.quorum_queue(1, TableBuf::new());
    let declare = queue::Declare { queue: short(&quorum), durable: true, ..default() };
    let classic = table([("x-queue-type", "classic".into())]);
    let text = texts::inequivalent("x-queue-type", &texts::queue(&quorum), "'classic'", "'quorum'");
    peer.refused(1, &queue::Declare { arguments: classic.as_table(), ..declare }, 406, &text);
    // No type is the default type, where there is no other default.
    let same = table([("x-queue-type", "quorum".into())]);
    peer.declare(1, &queue::Declare { arguments: same.as_table(), ..declare });
}

/// A quorum queue has its own arguments.
#[test]
fn arguments_of_other_types_are_refused() {
    let mut peer = Peer::with_channel();
    let name = unique("quorum");
    for (argument, value) in [("x-max-priority", Value::I32(5)), ("x-queue-mode", "lazy".into())] {
        let arguments = table([("x-queue-type", "quorum".into()), (argument, value)]);
        let arguments = arguments.as_table();
        let declare = queue::Declare { queue: short(&name), durable: true, arguments, ..default() };
        let text = format!("invalid arg '{argument}' for {} of queue type rabbit_quorum_queue", texts::queue(&name));
        peer.refused(1, &declare, 406, &text);
    }
}

/// With one active consumer only that gets messages: basic.get is refused.
#[test]
fn get_gets_around_no_active_consumer() {
    let mut peer = Peer::with_channel();
    let queue = peer.quorum_queue(1, table([("x-single-active-consumer", true.into())]));
    peer.refused(1, &basic::Get { queue: short(&queue), ..default() }, 405, &texts::active_consumer(&queue));
}

/// A quorum queue is a queue: order, counts, time to live and length as in any other.
#[test]
fn a_quorum_queue_is_a_queue() {
    let mut peer = Peer::with_channel();
    let queue = peer.quorum_queue(1, table([("x-max-length", 3i32.into())]));
    for n in 0..6 {
        peer.publish(1, "", &queue, n.to_string());
    }
    peer.expect_counts(1, &queue, 3, 0);
    let (got, content) = peer.get(1, &queue).unwrap();
    assert_eq!((content.text().as_str(), got.message_count), ("3", 2));
    peer.ack(1, got.delivery_tag);
    assert_eq!(peer.purge(1, &queue), 2);
    peer.publish(1, "", &queue, "last");
    peer.expect_counts(1, &queue, 1, 0);
    assert_eq!(peer.delete_queue(1, &queue), 1);
    peer.expect_no_queue(1, &queue);
}
