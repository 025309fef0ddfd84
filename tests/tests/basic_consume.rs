//! Class basic: consumers, from consume-ok to cancel.

use leveret_spec::{Value, basic};
use leveret_tests::{Difference, Peer, Visit, default, short, table, texts, unique};

/// Section 1.8.3.3: consume-ok comes before the first delivery, however much is waiting.
#[test]
fn the_answer_comes_before_the_first_delivery() {
    let mut peer = Peer::with_channel();
    for round in 0..20 {
        let queue = peer.queue(1);
        for _ in 0..3 {
            peer.publish(1, "", &queue, "m");
        }
        let tag = format!("c{round}");
        assert_eq!(peer.consume_settled(1, &queue, &tag), tag);
        assert_eq!(peer.bodies(1, 3), ["m", "m", "m"]);
    }
}

/// Section 1.8.3.3: without a tag the server makes one up, `amq.ctag-` and something new each time.
#[test]
fn the_server_names_consumers() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    let (one, two) = (peer.consume(1, &queue, ""), peer.consume(1, &queue, ""));
    assert!(one != two && [&one, &two].iter().all(|tag| tag.starts_with("amq.ctag-")), "{one} {two}");
    peer.cancel(1, &one);
    peer.publish(1, "", &queue, "m");
    assert_eq!(*peer.delivery(1).0.consumer_tag, *two);
}

/// Section 1.8.3.3: a tag is a consumer's own, on its channel; RabbitMQ closes the connection.
#[test]
fn a_tag_in_use_is_refused() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    peer.consume(1, &queue, "c");
    peer.open_channel(2);
    assert_eq!(peer.consume(2, &queue, "c"), "c");
    let consume = basic::Consume { queue: short(&queue), consumer_tag: short("c"), ..default() };
    peer.refused_hard(1, &consume, 530, "attempt to reuse consumer tag 'c'");
}

/// Section 1.8.3.5: a tag is free again once cancel-ok has come.
#[test]
fn a_tag_can_be_used_again_after_cancel() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    for _ in 0..10 {
        peer.consume(1, &queue, "c");
        peer.cancel(1, "c");
    }
    peer.expect_counts(1, &queue, 0, 0);
}

/// RabbitMQ: cancelling what is not there succeeds.
#[test]
fn an_unknown_tag_can_be_cancelled() {
    let mut peer = Peer::with_channel();
    peer.cancel(1, "never-there");
    peer.send(1, &basic::Cancel { consumer_tag: short("never-there"), no_wait: true });
    peer.expect_nothing(1);
}

/// Section 1.8.3.5: nothing is delivered behind cancel-ok.
#[test]
fn deliveries_end_with_cancel_ok() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    peer.open_channel(2);
    for _ in 0..10 {
        peer.consume_settled(1, &queue, "c");
        for _ in 0..20 {
            peer.publish(2, "", &queue, "m");
        }
        peer.send(1, &basic::Cancel { consumer_tag: short("c"), no_wait: false });
        while peer.expect_any(1, "basic.CancelOk").content.is_some() {}
        for _ in 0..5 {
            peer.publish(2, "", &queue, "m");
        }
        peer.expect_nothing(2);
        peer.expect_nothing(1);
        peer.purge(2, &queue);
    }
}

/// RabbitMQ: what a cancelled consumer has not settled is still there to be settled.
#[test]
fn unsettled_deliveries_outlive_their_consumer() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    peer.consume(1, &queue, "c");
    peer.publish(1, "", &queue, "a");
    peer.publish(1, "", &queue, "b");
    assert_eq!(peer.bodies(1, 2), ["a", "b"]);
    peer.cancel(1, "c");
    assert_eq!(peer.counts(1, &queue), (0, 0));
    peer.ack(1, 1);
    peer.requeue(1, 2);
    let (got, content) = peer.get(1, &queue).unwrap();
    assert_eq!((content.text().as_str(), got.redelivered, got.message_count), ("b", true, 0));
}

/// Section 1.8.3.3: with no-wait there is no answer, and there are deliveries.
#[test]
fn consuming_without_answer_works() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    let (name, consumer_tag) = (short(&queue), short("c"));
    peer.send(1, &basic::Consume { queue: name, consumer_tag, no_ack: true, no_wait: true, ..default() });
    peer.publish(1, "", &queue, "m");
    assert_eq!(peer.bodies(1, 1), ["m"]);
    peer.send(1, &basic::Cancel { consumer_tag, no_wait: true });
    peer.expect_nothing(1);
    peer.expect_counts(1, &queue, 0, 0);
    let missing = unique("missing");
    let consume = basic::Consume { queue: short(&missing), no_wait: true, ..default() };
    peer.refused(1, &consume, 404, &texts::no_queue(&missing));
}

/// Section 1.8.3.3: an exclusive consumer is alone, or it is refused; the queue takes no harm.
#[test]
fn an_exclusive_consumer_is_alone() {
    let mut peer = Peer::with_channel();
    let queue = peer.shared_queue(1);
    let mut other = Peer::with_channel();
    let text = format!("{} in exclusive use", texts::queue(&queue));
    let plain = basic::Consume { queue: short(&queue), consumer_tag: short("c"), ..default() };
    let exclusive = basic::Consume { exclusive: true, ..plain };
    peer.consume_as(1, &plain);
    other.refused(1, &exclusive, 403, &text);
    peer.cancel(1, "c");
    other.consume_as(1, &exclusive);
    peer.refused(1, &plain, 403, &text);
    peer.refused(1, &exclusive, 403, &text);
    other.cancel(1, "c");
    peer.consume_as(1, &plain);
    peer.publish(1, "", &queue, "m");
    assert_eq!(peer.bodies(1, 1), ["m"]);
}

/// RabbitMQ: consumers with credit take turns.
#[test]
fn equal_consumers_take_turns() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    for channel in [2, 3] {
        peer.open_channel(channel);
        peer.consume(channel, &queue, "c");
    }
    for n in 0..10 {
        peer.publish(1, "", &queue, n.to_string());
        // One at a time, so that both consumers are idle for each.
        peer.expect_nothing(1);
        peer.expect_counts(1, &queue, 0, 2);
    }
    let (two, three) = (peer.bodies(2, 5), peer.bodies(3, 5));
    let even = ["0", "2", "4", "6", "8"];
    let odd = ["1", "3", "5", "7", "9"];
    assert!((two == even && three == odd) || (two == odd && three == even), "{two:?} {three:?}");
}

/// RabbitMQ's x-priority: the highest gets everything while it has credit, then the next.
#[test]
fn the_highest_priority_is_served_first() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    for (channel, priority) in [(2, -1i32), (3, 10), (4, 0)] {
        peer.open_channel(channel);
        peer.prefetch(channel, 2);
        let arguments = table([("x-priority", priority.into())]);
        peer.consume_as(
            channel,
            &basic::Consume { queue: short(&queue), arguments: arguments.as_table(), ..default() },
        );
    }
    for n in 0..6 {
        peer.publish(1, "", &queue, n.to_string());
    }
    assert_eq!(peer.bodies(3, 2), ["0", "1"]);
    assert_eq!(peer.bodies(4, 2), ["2", "3"]);
    assert_eq!(peer.bodies(2, 2), ["4", "5"]);
}

/// RabbitMQ's x-priority is an integer of any width.
#[test]
fn a_priority_is_an_integer() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    for value in [Value::I8(1), Value::I16(1), Value::I32(1), Value::I64(1)] {
        let arguments = table([("x-priority", value)]);
        peer.consume_as(1, &basic::Consume { queue: short(&queue), arguments: arguments.as_table(), ..default() });
    }
    let arguments = table([("x-priority", "high".into())]);
    let consume = basic::Consume { queue: short(&queue), arguments: arguments.as_table(), ..default() };
    let text = format!("invalid arg 'x-priority' for {}: \"expected integer, got longstr\"", texts::queue(&queue));
    peer.refused(1, &consume, 406, &text);
}

/// Section 1.8.3.3: RabbitMQ does not look at no-local.
#[test]
fn no_local_is_ignored() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    peer.consume_as(1, &basic::Consume { queue: short(&queue), no_local: true, ..default() });
    peer.publish(1, "", &queue, "m");
    assert_eq!(peer.bodies(1, 1), ["m"]);
}

/// Section 1.8.3.13: delivery tags count from 1 on each channel, for deliveries and gets, settled or not.
#[test]
fn delivery_tags_are_one_sequence_per_channel() {
    let mut peer = Peer::with_channel();
    let (settled, unsettled) = (peer.queue(1), peer.queue(1));
    peer.consume_settled(1, &settled, "a");
    peer.consume(1, &unsettled, "b");
    for tag in 1..=4 {
        peer.publish(1, "", if tag % 2 == 0 { &settled } else { &unsettled }, "m");
        assert_eq!(peer.delivery(1).0.delivery_tag, tag);
    }
    peer.cancel(1, "b");
    peer.publish(1, "", &unsettled, "m");
    assert_eq!(peer.get(1, &unsettled).unwrap().0.delivery_tag, 5);
    peer.publish(1, "", &unsettled, "m");
    assert_eq!(peer.get_settled(1, &unsettled).unwrap().0.delivery_tag, 6);
    peer.open_channel(2);
    peer.publish(1, "", &unsettled, "m");
    peer.expect_nothing(1);
    peer.expect_counts(1, &unsettled, 1, 0);
    assert_eq!(peer.get(2, &unsettled).unwrap().0.delivery_tag, 1);
}

/// RabbitMQ's consumer_cancel_notify: whoever can hear it is told that the queue is gone, on every channel.
#[test]
fn consumers_hear_that_their_queue_is_gone() {
    let mut peer = Peer::with_channel();
    let mut other = Peer::with_channel();
    let queue = peer.shared_queue(1);
    peer.open_channel(2);
    peer.consume(2, &queue, "one");
    other.consume(1, &queue, "two");
    peer.delete_queue(1, &queue);
    for (peer, channel, tag) in [(&mut peer, 2, "one"), (&mut other, 1, "two")] {
        let cancel = peer.expect::<basic::Cancel>(channel);
        assert_eq!((&*cancel.consumer_tag, cancel.no_wait), (tag, true));
        // Some clients answer.
        if Difference::CancelOkWelcome.holds() {
            peer.send(channel, &basic::CancelOk { consumer_tag: cancel.consumer_tag });
        }
        let queue = peer.queue(channel);
        assert_eq!(peer.consume(channel, &queue, tag), tag);
    }
}

/// RabbitMQ's consumer_cancel_notify: the channel that deletes its own consumer's queue is told as well.
#[test]
fn the_deleting_channel_hears_it_too() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    peer.consume(1, &queue, "c");
    peer.send(1, &leveret_spec::queue::Delete { queue: short(&queue), ..default() });
    let mut heard = [peer.expect_any(1, "an answer"), peer.expect_any(1, "an answer")].map(|r| r.method.row().name);
    heard.sort();
    assert_eq!(heard, ["basic.Cancel", "queue.DeleteOk"]);
}

/// RabbitMQ's consumer_cancel_notify: whoever has not announced it hears nothing.
#[test]
fn old_clients_are_not_told() {
    let mut peer = Peer::visit(&Visit { properties: Visit::able(&["basic.nack"]), ..default() });
    peer.open_channel(1);
    let queue = peer.queue(1);
    peer.open_channel(2);
    peer.consume(2, &queue, "c");
    peer.delete_queue(1, &queue);
    peer.expect_nothing(2);
}

/// RabbitMQ: a consumer's queue that is gone takes nothing from what was delivered: it can be settled still.
#[test]
fn deliveries_of_a_deleted_queue_can_be_settled() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    peer.consume(1, &queue, "c");
    for _ in 0..3 {
        peer.publish(1, "", &queue, "m");
    }
    peer.bodies(1, 3);
    peer.open_channel(2);
    peer.delete_queue(2, &queue);
    peer.expect::<basic::Cancel>(1);
    peer.ack(1, 1);
    peer.requeue(1, 2);
    peer.send(1, &basic::Reject { delivery_tag: 3, requeue: false });
    peer.expect_nothing(1);
}

/// Section 1.8.3.3: each consumer gets its own copy of nothing: a message goes to one of them.
#[test]
fn a_message_goes_to_one_consumer() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    for tag in ["a", "b", "c"] {
        peer.consume_settled(1, &queue, tag);
    }
    for n in 0..9 {
        peer.publish(1, "", &queue, n.to_string());
    }
    let mut bodies = peer.bodies(1, 9);
    bodies.sort();
    assert_eq!(bodies, ["0", "1", "2", "3", "4", "5", "6", "7", "8"]);
    peer.expect_no_delivery(1, &queue);
}
