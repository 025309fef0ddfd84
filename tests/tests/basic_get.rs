//! Class basic: one message at a time.

use leveret_spec::{basic, queue};
use leveret_tests::{Peer, default, octets, short};

/// Section 1.8.3.10: an empty queue says so; the reserved name in it is empty.
#[test]
fn an_empty_queue_says_so() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    let empty = peer.call::<basic::GetEmpty>(1, &basic::Get { queue: short(&queue), ..default() });
    assert!(empty.reserved.is_empty());
}

/// Section 1.8.3.11: get-ok counts what is ready after it.
#[test]
fn get_tells_what_is_left() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    for body in ["a", "b", "c"] {
        peer.publish(1, "", &queue, body);
    }
    for (n, body) in ["a", "b", "c"].iter().enumerate() {
        let (got, content) = peer.get(1, &queue).unwrap();
        let expected = basic::GetOk {
            delivery_tag: n as u64 + 1,
            redelivered: false,
            exchange: octets(""),
            routing_key: octets(&queue),
            message_count: 2 - n as u32,
        };
        assert_eq!((got, content.text().as_str()), (expected, *body));
    }
    assert!(peer.get(1, &queue).is_none());
}

/// Section 1.8.3.10: with no-ack there is nothing left to settle.
#[test]
fn a_settled_get_is_final() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    peer.publish(1, "", &queue, "m");
    assert_eq!(peer.get_settled(1, &queue).unwrap().0.delivery_tag, 1);
    peer.refused(1, &basic::Ack { delivery_tag: 1, multiple: false }, 406, "unknown delivery tag 1");
    assert!(peer.get(1, &queue).is_none());
}

/// RabbitMQ: a prefetch is for consumers; gets are not bound by it.
#[test]
fn get_does_not_care_for_prefetch() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    peer.prefetch(1, 1);
    for _ in 0..3 {
        peer.publish(1, "", &queue, "m");
    }
    for tag in 1..=3 {
        assert_eq!(peer.get(1, &queue).unwrap().0.delivery_tag, tag);
    }
}

/// RabbitMQ: a consumer does not get what basic.get has taken, until that is returned.
#[test]
fn what_was_got_is_out_of_the_queue() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    peer.publish(1, "", &queue, "m");
    let (got, _) = peer.get(1, &queue).unwrap();
    peer.open_channel(2);
    peer.consume(2, &queue, "c");
    peer.expect_no_delivery(2, &queue);
    peer.requeue(1, got.delivery_tag);
    let (deliver, content) = peer.delivery(2);
    assert_eq!((deliver.redelivered, content.text().as_str()), (true, "m"));
}

/// RabbitMQ: basic.get is no use that if-unused sees.
#[test]
fn get_is_no_consumer() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    peer.publish(1, "", &queue, "m");
    peer.get(1, &queue).unwrap();
    peer.expect_counts(1, &queue, 0, 0);
    peer.call::<queue::DeleteOk>(1, &queue::Delete { queue: short(&queue), if_unused: true, ..default() });
}
