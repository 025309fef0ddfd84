//! RabbitMQ's priority queues (x-max-priority).

use leveret_spec::Properties;
use leveret_tests::{Difference, Peer, default, octets, table};

fn publish(peer: &mut Peer, queue: &str, priority: Option<u8>, body: &str) {
    peer.publish_as(1, "", queue, &Properties { priority, ..default() }, body);
}

/// RabbitMQ: the highest first, and in order within each.
#[test]
fn the_highest_priority_comes_first() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue_with(1, &table([("x-max-priority", 10i32.into())]));
    for (priority, body) in [(1, "low 1"), (9, "high 1"), (5, "middle"), (9, "high 2"), (1, "low 2")] {
        publish(&mut peer, &queue, Some(priority), body);
    }
    assert_eq!(peer.drain(1, &queue), ["high 1", "high 2", "middle", "low 1", "low 2"]);
}

/// RabbitMQ: what exceeds the queue's highest priority has that; without one it is 0.
#[test]
fn priorities_are_capped() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue_with(1, &table([("x-max-priority", 3i32.into())]));
    let sent = [(None, "none"), (Some(0), "0"), (Some(3), "3"), (Some(255), "255"), (Some(4), "4"), (Some(1), "1")];
    for (priority, body) in sent {
        publish(&mut peer, &queue, priority, body);
    }
    assert_eq!(peer.drain(1, &queue), ["3", "255", "4", "1", "none", "0"]);
}

/// RabbitMQ: without x-max-priority a queue does not look at priorities.
#[test]
fn an_ordinary_queue_knows_no_priorities() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    for (priority, body) in [(0, "a"), (9, "b"), (5, "c")] {
        publish(&mut peer, &queue, Some(priority), body);
    }
    assert_eq!(peer.drain(1, &queue), ["a", "b", "c"]);
}

/// RabbitMQ: a message that is returned has its priority and its place within.
#[test]
fn a_requeued_message_keeps_its_priority() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue_with(1, &table([("x-max-priority", 10i32.into())]));
    for (priority, body) in [(1, "low 1"), (5, "high 1"), (5, "high 2"), (1, "low 2")] {
        publish(&mut peer, &queue, Some(priority), body);
    }
    for _ in 0..3 {
        peer.get(1, &queue).unwrap();
    }
    peer.requeue(1, 3);
    peer.requeue(1, 1);
    assert_eq!(peer.drain(1, &queue), ["high 1", "low 1", "low 2"]);
}

/// RabbitMQ: the counts are of all priorities together.
#[test]
fn counts_are_over_all_priorities() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue_with(1, &table([("x-max-priority", 255i32.into())]));
    for priority in [0, 7, 100, 255] {
        publish(&mut peer, &queue, Some(priority), "m");
    }
    assert_eq!(peer.get(1, &queue).unwrap().0.message_count, 3);
    assert_eq!(peer.purge(1, &queue), 3);
}

/// RabbitMQ: what has expired behind a live message of higher priority waits, and is counted, until that one is gone.
#[test]
fn what_expires_behind_a_higher_priority_stays() {
    let mut peer = Peer::with_channel();
    let (queue, dead) = peer.queue_with_dead_letters(1, table([("x-max-priority", 10i32.into())]));
    publish(&mut peer, &queue, Some(5), "high");
    peer.publish_expiring(1, &queue, "0", "low");
    peer.expect_counts(1, &queue, 2, 0);
    peer.consume_settled(1, &dead, "c");
    assert_eq!(peer.get_settled(1, &queue).unwrap().1.text(), "high");
    assert_eq!(peer.bodies(1, 1), ["low"]);
    peer.expect_counts(1, &queue, 0, 0);
}

/// RabbitMQ, "messages that have expired are not delivered": though they come to stand in front of others.
#[test]
fn what_expires_in_front_of_a_lower_priority_is_gone() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue_with(1, &table([("x-max-priority", 10i32.into())]));
    publish(&mut peer, &queue, None, "low");
    let expired = Properties { priority: Some(5), expiration: Some(octets("0")), ..Properties::default() };
    peer.publish_as(1, "", &queue, &expired, "high");
    let expected = if Difference::ExpiredIsNotGivenOut.holds() { &["low"][..] } else { &["high", "low"] };
    assert_eq!(peer.drain(1, &queue), expected);
}
