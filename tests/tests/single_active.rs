//! RabbitMQ's x-single-active-consumer, and exclusive consumers.

use leveret_spec::{Value, basic, queue};
use leveret_tests::{Difference, Peer, default, short, table, texts, unique};

fn single_active(peer: &mut Peer) -> String {
    peer.queue_with(1, &table([("x-single-active-consumer", true.into())]))
}

/// The consumer that came first gets everything, however many wait behind it.
#[test]
fn one_consumer_is_active() {
    let mut peer = Peer::with_channel();
    let queue = single_active(&mut peer);
    for channel in [2, 3] {
        peer.open_channel(channel);
        peer.consume_settled(channel, &queue, "c");
    }
    for n in 0..6 {
        peer.publish(1, "", &queue, n.to_string());
    }
    assert_eq!(peer.bodies(2, 6), ["0", "1", "2", "3", "4", "5"]);
    peer.expect_counts(1, &queue, 0, 2);
    peer.expect_no_delivery(3, &queue);
}

/// When it goes, the next in line follows: by cancel, with its channel, with its connection.
#[test]
fn the_next_in_line_follows() {
    let mut peer = Peer::with_channel();
    let queue = peer.shared_queue(1);
    peer.delete_queue(1, &queue);
    let arguments = table([("x-single-active-consumer", true.into())]);
    let arguments = arguments.as_table();
    peer.declare(1, &queue::Declare { queue: short(&queue), durable: true, arguments, ..default() });
    let mut others = [Peer::with_channel(), Peer::with_channel(), Peer::with_channel()];
    for other in &mut others {
        other.consume(1, &queue, "c");
    }
    peer.consume(1, &queue, "last");
    let [mut cancels, mut closes, mut breaks] = others;
    for (n, other) in [&mut cancels, &mut closes, &mut breaks].into_iter().enumerate() {
        peer.publish(1, "", &queue, n.to_string());
        assert_eq!(other.bodies(1, 1), [n.to_string()]);
        other.ack(1, 1);
        other.expect_nothing(1);
        match n {
            0 => other.cancel(1, "c"),
            1 => other.close_channel(1),
            _ => other.finish_sending(),
        }
    }
    peer.publish(1, "", &queue, "3");
    assert_eq!(peer.bodies(1, 1), ["3"]);
}

/// An active consumer without credit is active still: nobody steps in.
#[test]
fn a_busy_consumer_is_active() {
    let mut peer = Peer::with_channel();
    let queue = single_active(&mut peer);
    for channel in [2, 3] {
        peer.open_channel(channel);
        peer.prefetch(channel, 1);
        peer.consume(channel, &queue, "c");
    }
    for n in 0..3 {
        peer.publish(1, "", &queue, n.to_string());
    }
    assert_eq!(peer.bodies(2, 1), ["0"]);
    peer.expect_counts(1, &queue, 2, 2);
    peer.expect_no_delivery(3, &queue);
    peer.ack(2, 1);
    assert_eq!(peer.bodies(2, 1), ["1"]);
    peer.expect_no_delivery(3, &queue);
}

/// Whoever was active keeps what it was given, and can settle it, while the next goes on.
#[test]
fn whoever_was_active_keeps_its_messages() {
    let mut peer = Peer::with_channel();
    let queue = single_active(&mut peer);
    for channel in [2, 3] {
        peer.open_channel(channel);
        peer.prefetch(channel, 1);
        peer.consume(channel, &queue, "c");
    }
    for n in 0..2 {
        peer.publish(1, "", &queue, n.to_string());
    }
    assert_eq!(peer.bodies(2, 1), ["0"]);
    if !Difference::ActiveMayCancel.holds() {
        return;
    }
    peer.cancel(2, "c");
    peer.publish(1, "", &queue, "2");
    assert_eq!(peer.bodies(3, 1), ["1"]);
    peer.ack(2, 1);
    peer.ack(3, 1);
    assert_eq!(peer.bodies(3, 1), ["2"]);
    peer.ack(3, 2);
    for channel in [2, 3] {
        peer.close_channel(channel);
    }
    peer.expect_counts(1, &queue, 0, 0);
}

/// What a broken consumer leaves unsettled goes to the next one in its order.
#[test]
fn the_next_begins_where_the_last_stopped() {
    let mut peer = Peer::with_channel();
    let queue = single_active(&mut peer);
    for channel in [2, 3] {
        peer.open_channel(channel);
        peer.consume(channel, &queue, "c");
    }
    for n in 0..4 {
        peer.publish(1, "", &queue, n.to_string());
    }
    peer.bodies(2, 4);
    peer.ack(2, 1);
    peer.close_channel(2);
    assert_eq!(peer.bodies(3, 3), ["1", "2", "3"]);
}

/// An exclusive consumer and a single active one are two ways that do not go together.
#[test]
fn an_active_consumer_is_not_exclusive() {
    let mut peer = Peer::with_channel();
    let queue = single_active(&mut peer);
    let consume = basic::Consume { queue: short(&queue), exclusive: true, ..default() };
    peer.refused(1, &consume, 403, &format!("{} in exclusive use", texts::queue(&queue)));
}

/// basic.get has nothing to do with consumers, active or not.
#[test]
fn get_is_open_to_all() {
    let mut peer = Peer::with_channel();
    let queue = single_active(&mut peer);
    peer.publish(1, "", &queue, "m");
    assert_eq!(peer.drain(1, &queue), ["m"]);
}

/// The argument is a boolean, and part of what a declaration has to repeat.
#[test]
fn the_argument_is_checked() {
    let mut peer = Peer::with_channel();
    let name = unique("single-active");
    let arguments = table([("x-single-active-consumer", Value::I32(1))]);
    let arguments = arguments.as_table();
    let declare = queue::Declare { queue: short(&name), exclusive: true, arguments, ..default() };
    let why = "{unacceptable_type,signedint}";
    let text = format!("invalid arg 'x-single-active-consumer' for {}: {why}", texts::queue(&name));
    peer.refused(1, &declare, 406, &text);
    let name = single_active(&mut peer);
    let text = texts::inequivalent(
        "x-single-active-consumer",
        &texts::queue(&name),
        "none",
        "the value 'true' of type 'bool'",
    );
    peer.refused(1, &queue::Declare { queue: short(&name), exclusive: true, ..default() }, 406, &text);
}

/// Section 1.8.3.3: an exclusive consumer that ends with its connection leaves the queue to others.
#[test]
fn exclusive_use_ends_with_the_connection() {
    let mut peer = Peer::with_channel();
    let queue = peer.shared_queue(1);
    let mut other = Peer::with_channel();
    other.consume_as(1, &basic::Consume { queue: short(&queue), exclusive: true, ..default() });
    let text = format!("{} in exclusive use", texts::queue(&queue));
    peer.refused(1, &basic::Consume { queue: short(&queue), ..default() }, 403, &text);
    other.close();
    peer.expect_counts(1, &queue, 0, 0);
    peer.consume(1, &queue, "c");
}

/// Section 1.8.3.3: exclusive use is about consumers: others publish, get and count.
#[test]
fn exclusive_use_keeps_only_consumers_out() {
    let mut peer = Peer::with_channel();
    let queue = peer.shared_queue(1);
    let mut other = Peer::with_channel();
    other.prefetch(1, 1);
    other.consume_as(1, &basic::Consume { queue: short(&queue), exclusive: true, ..default() });
    for n in 0..2 {
        peer.publish(1, "", &queue, n.to_string());
    }
    assert_eq!(other.bodies(1, 1), ["0"]);
    peer.expect_counts(1, &queue, 1, 1);
    assert_eq!(peer.drain(1, &queue), ["1"]);
}
