//! Class basic: ack, nack, reject, recover.
#![expect(clippy::unwrap_used, reason = "a check that fails panics")]

use leveret_spec::basic;
use leveret_tests::{Peer, default, texts};

/// A peer that has these bodies unsettled on channel 1, as deliveries 1, 2, 3 ..., and no consumer any more.
fn with_unsettled(bodies: &[&str]) -> (Peer, String) {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    for body in bodies {
        peer.publish(1, "", &queue, body);
    }
    for body in bodies {
        assert_eq!(peer.get(1, &queue).unwrap().1.text(), *body);
    }
    (peer, queue)
}

/// This comes back to the queue when the channel ends: all that was not settled.
#[track_caller]
fn expect_unsettled(mut peer: Peer, queue: &str, bodies: &[&str]) {
    peer.close_channel(1);
    peer.open_channel(1);
    expect_ready(&mut peer, queue, bodies);
}

/// The queue has these.
#[track_caller]
fn expect_ready(peer: &mut Peer, queue: &str, bodies: &[&str]) {
    peer.expect_counts(1, queue, bodies.len() as u32, 0);
    assert_eq!(peer.drain(1, queue), bodies);
}

/// Section 1.8.3.13: an ack is for one delivery, in any order.
#[test]
fn deliveries_are_settled_one_by_one() {
    let (mut peer, queue) = with_unsettled(&["1", "2", "3", "4"]);
    peer.ack(1, 3);
    peer.ack(1, 1);
    expect_unsettled(peer, &queue, &["2", "4"]);
}

/// Section 1.8.3.13: with `multiple` it is for all up to that one, and 0 is for all that there are.
#[test]
fn many_deliveries_are_settled_at_once() {
    let (mut peer, queue) = with_unsettled(&["1", "2", "3", "4"]);
    peer.ack_up_to(1, 2);
    expect_unsettled(peer, &queue, &["3", "4"]);
    let (mut peer, queue) = with_unsettled(&["1", "2", "3", "4"]);
    peer.ack_up_to(1, 0);
    expect_unsettled(peer, &queue, &[]);
}

/// RabbitMQ: settling all is no error when there is nothing.
#[test]
fn settling_nothing_at_all_is_no_error() {
    let mut peer = Peer::with_channel();
    peer.ack_up_to(1, 0);
    peer.requeue_up_to(1, 0);
    peer.expect_nothing(1);
}

/// Section 1.8.3.13: a tag that is not outstanding is an error. Clients parse its text.
#[test]
fn an_unknown_tag_is_refused() {
    let mut peer = Peer::with_channel();
    for (delivery_tag, multiple) in [(0, false), (1, false), (77, false), (77, true), (u64::MAX, false)] {
        let text = texts::unknown_tag(delivery_tag);
        peer.refused(1, &basic::Ack { delivery_tag, multiple }, 406, &text);
        peer.refused(1, &basic::Nack { delivery_tag, multiple, requeue: true }, 406, &text);
        peer.refused(1, &basic::Reject { delivery_tag, requeue: true }, 406, &text);
    }
}

/// Section 1.8.3.13: a delivery is settled once.
#[test]
fn settling_twice_is_refused() {
    let (mut peer, queue) = with_unsettled(&["1", "2"]);
    peer.ack(1, 1);
    peer.refused(1, &basic::Ack { delivery_tag: 1, multiple: false }, 406, &texts::unknown_tag(1));
    expect_ready(&mut peer, &queue, &["2"]);
    let (mut peer, _) = with_unsettled(&["1"]);
    peer.requeue(1, 1);
    peer.refused(1, &basic::Reject { delivery_tag: 1, requeue: true }, 406, &texts::unknown_tag(1));
}

/// RabbitMQ: an ack of many with a tag that is not outstanding settles nothing.
#[test]
fn an_unknown_tag_settles_nothing_below_it() {
    let (mut peer, queue) = with_unsettled(&["1", "2"]);
    peer.refused(1, &basic::Ack { delivery_tag: 9, multiple: true }, 406, &texts::unknown_tag(9));
    expect_ready(&mut peer, &queue, &["1", "2"]);
}

/// Section 1.8.3.13: tags are a channel's own.
#[test]
fn a_tag_of_another_channel_is_unknown() {
    let (mut peer, queue) = with_unsettled(&["1"]);
    peer.open_channel(2);
    peer.refused(2, &basic::Ack { delivery_tag: 1, multiple: false }, 406, &texts::unknown_tag(1));
    peer.ack(1, 1);
    expect_unsettled(peer, &queue, &[]);
}

/// Section 1.8.3.14: what is rejected comes back, or it does not.
#[test]
fn a_rejected_message_comes_back_if_asked() {
    let (mut peer, queue) = with_unsettled(&["1", "2"]);
    peer.send(1, &basic::Reject { delivery_tag: 1, requeue: true });
    peer.send(1, &basic::Reject { delivery_tag: 2, requeue: false });
    let (got, content) = peer.get(1, &queue).unwrap();
    assert_eq!((content.text().as_str(), got.redelivered, got.message_count), ("1", true, 0));
}

/// RabbitMQ's basic.nack: like reject, for one or many; 0 is for all.
#[test]
fn a_nack_may_be_for_many() {
    let (mut peer, queue) = with_unsettled(&["1", "2", "3"]);
    peer.requeue_up_to(1, 2);
    expect_ready(&mut peer, &queue, &["1", "2"]);
    peer.requeue_up_to(1, 0);
    expect_ready(&mut peer, &queue, &["3"]);
    let (mut peer, queue) = with_unsettled(&["1", "2", "3"]);
    peer.send(1, &basic::Nack { delivery_tag: 2, multiple: true, requeue: false });
    expect_unsettled(peer, &queue, &["3"]);
}

/// RabbitMQ: a message goes back to where it was, before what came later.
#[test]
fn a_requeued_message_returns_to_its_place() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    for body in ["1", "2", "3", "4", "5"] {
        peer.publish(1, "", &queue, body);
    }
    for _ in 0..4 {
        peer.get(1, &queue).unwrap();
    }
    // Neither the order of returning nor of taking matters.
    peer.requeue(1, 3);
    peer.requeue(1, 1);
    peer.requeue(1, 4);
    let order: Vec<_> = std::iter::from_fn(|| peer.get_settled(1, &queue))
        .map(|(got, content)| (content.text(), got.redelivered))
        .collect();
    let expected = [("1", true), ("3", true), ("4", true), ("5", false)].map(|(body, again)| (body.to_owned(), again));
    assert_eq!(order, expected);
}

/// RabbitMQ: a consumer that returns a message gets it again, marked.
#[test]
fn a_requeued_message_is_delivered_again() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    peer.consume(1, &queue, "c");
    peer.publish(1, "", &queue, "m");
    for tag in 1..=10 {
        let (deliver, content) = peer.delivery(1);
        assert_eq!((deliver.delivery_tag, deliver.redelivered), (tag, tag > 1));
        assert_eq!(content.text(), "m");
        peer.requeue(1, tag);
    }
}

/// Section 1.8.3.16: recover returns all that is unsettled, marked, and its answer comes.
#[test]
fn recover_returns_everything() {
    let (mut peer, queue) = with_unsettled(&["1", "2", "3"]);
    peer.ack(1, 2);
    peer.call::<basic::RecoverOk>(1, &basic::Recover { requeue: true });
    let (got, content) = peer.get(1, &queue).unwrap();
    assert_eq!((content.text().as_str(), got.redelivered, got.message_count), ("1", true, 1));
    peer.refused(1, &basic::Ack { delivery_tag: 3, multiple: false }, 406, &texts::unknown_tag(3));
}

/// Section 1.8.3.15: the old form has no answer.
#[test]
fn recover_async_returns_everything_silently() {
    let (mut peer, queue) = with_unsettled(&["1", "2"]);
    peer.send(1, &basic::RecoverAsync { requeue: true });
    peer.expect_nothing(1);
    expect_ready(&mut peer, &queue, &["1", "2"]);
}

/// Section 1.8.3.16: with a consumer there, what is recovered is delivered again.
#[test]
fn recovered_messages_are_delivered_again() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    peer.consume(1, &queue, "c");
    peer.publish(1, "", &queue, "1");
    peer.publish(1, "", &queue, "2");
    peer.bodies(1, 2);
    peer.send(1, &basic::Recover { requeue: true });
    let mut bodies = vec![];
    let mut answered = false;
    while !answered || bodies.len() < 2 {
        let received = peer.expect_any(1, "a delivery or basic.RecoverOk");
        match received.content {
            Some(content) => bodies.push(content.text()),
            None => answered = true,
        }
    }
    assert_eq!(bodies, ["1", "2"]);
}

/// RabbitMQ does not send anything to the same consumer again.
#[test]
fn recover_without_requeue_is_not_implemented() {
    let mut peer = Peer::with_channel();
    peer.refused_hard(1, &basic::Recover { requeue: false }, 540, "requeue=false");
    let mut peer = Peer::with_channel();
    peer.refused_hard(1, &basic::RecoverAsync { requeue: false }, 540, "requeue=false");
}

/// RabbitMQ: what a closed channel had unsettled is ahead of what came later, for whoever comes next.
#[test]
fn a_closed_channel_gives_back_in_order() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    peer.open_channel(2);
    peer.consume(2, &queue, "c");
    for body in ["1", "2", "3"] {
        peer.publish(1, "", &queue, body);
    }
    peer.bodies(2, 3);
    peer.ack(2, 2);
    peer.close_channel(2);
    peer.publish(1, "", &queue, "4");
    expect_ready(&mut peer, &queue, &["1", "3", "4"]);
}

/// RabbitMQ: a message is gone once it is settled, though its consumer fails right after.
#[test]
fn a_settled_message_is_gone() {
    let mut peer = Peer::with_channel();
    let queue = peer.shared_queue(1);
    let mut consumer = Peer::with_channel();
    consumer.consume(1, &queue, "c");
    peer.publish(1, "", &queue, "m");
    consumer.bodies(1, 1);
    consumer.ack(1, 1);
    consumer.expect_nothing(1);
    drop(consumer);
    peer.publish(1, "", &queue, "next");
    peer.consume_as(1, &basic::Consume { queue: leveret_tests::short(&queue), ..default() });
    assert_eq!(peer.bodies(1, 1), ["next"]);
}
