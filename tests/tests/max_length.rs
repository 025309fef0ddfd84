//! RabbitMQ's x-max-length, x-max-length-bytes and x-overflow: what a full queue does. What publishers hear is in
//! confirm_full.rs.

use leveret_spec::{Value, basic, queue};
use leveret_tests::{Peer, default, short, table, texts, unique};

fn numbers(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

/// A full queue drops its oldest messages, unless it was told otherwise.
#[test]
fn a_full_queue_drops_its_oldest() {
    let mut peer = Peer::with_channel();
    let by_default = table([("x-max-length", 3i32.into())]);
    let by_name = table([("x-max-length", 3i32.into()), ("x-overflow", "drop-head".into())]);
    for arguments in [by_default, by_name] {
        let queue = peer.queue_with(1, &arguments);
        for n in 0..10 {
            peer.publish(1, "", &queue, n.to_string());
        }
        assert_eq!(peer.drain(1, &queue), numbers(7..10));
    }
}

/// A limit in bytes is over the bodies, and counts nothing else.
#[test]
fn a_limit_may_be_in_bytes() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue_with(1, &table([("x-max-length-bytes", 10i32.into())]));
    let headers = table([("padding", "much longer than ten bytes".into())]);
    for body in ["aaaa", "bbbb", "cc", ""] {
        peer.publish_headed(1, "", &queue, &headers, body);
    }
    peer.expect_counts(1, &queue, 4, 0);
    peer.publish(1, "", &queue, "d");
    assert_eq!(peer.drain(1, &queue), ["bbbb", "cc", "", "d"]);
    // A message that is too large for the queue alone is not in it either.
    peer.publish(1, "", &queue, "small");
    peer.publish(1, "", &queue, "larger than ten");
    assert_eq!(peer.drain(1, &queue), [""; 0]);
}

/// With both limits the one that is reached counts.
#[test]
fn both_limits_count() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue_with(1, &table([("x-max-length", 2i32.into()), ("x-max-length-bytes", 5i32.into())]));
    for body in ["1", "2", "3"] {
        peer.publish(1, "", &queue, body);
    }
    peer.expect_counts(1, &queue, 2, 0);
    peer.publish(1, "", &queue, "12345");
    assert_eq!(peer.drain(1, &queue), ["12345"]);
}

/// A queue of length 0 is for consumers that wait.
#[test]
fn a_queue_without_room_serves_who_waits() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue_with(1, &table([("x-max-length", 0i32.into())]));
    peer.publish(1, "", &queue, "nobody waits");
    peer.expect_counts(1, &queue, 0, 0);
    peer.consume_settled(1, &queue, "c");
    peer.publish(1, "", &queue, "somebody waits");
    assert_eq!(peer.bodies(1, 1), ["somebody waits"]);
}

/// Only what is ready counts: what consumers hold takes no room.
#[test]
fn unsettled_messages_take_no_room() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue_with(1, &table([("x-max-length", 2i32.into()), ("x-overflow", "reject-publish".into())]));
    peer.prefetch(1, 3);
    peer.consume(1, &queue, "c");
    peer.open_channel(2);
    peer.select_confirms(2);
    for n in 0..5 {
        peer.publish(2, "", &queue, n.to_string());
        let ack = peer.expect::<basic::Ack>(2);
        assert_eq!(ack.delivery_tag, n + 1);
    }
    assert_eq!(peer.bodies(1, 3), ["0", "1", "2"]);
    peer.expect_counts(1, &queue, 2, 1);
}

/// What comes back to a full queue comes back to its place, and the oldest make room for it.
#[test]
fn what_comes_back_to_a_full_queue_drops_its_oldest() {
    let mut peer = Peer::with_channel();
    let (queue, dead) = peer.queue_with_dead_letters(1, table([("x-max-length", 2i32.into())]));
    for n in 0..2 {
        peer.publish(1, "", &queue, n.to_string());
    }
    let (got, _) = peer.get(1, &queue).unwrap();
    peer.publish(1, "", &queue, "2");
    peer.expect_counts(1, &queue, 2, 0);
    peer.requeue(1, got.delivery_tag);
    // RabbitMQ looks at the limit when something is published.
    peer.publish(1, "", &queue, "3");
    peer.consume_settled(1, &dead, "dead");
    assert_eq!(peer.bodies(1, 2), ["0", "1"]);
    assert_eq!(peer.drain(1, &queue), ["2", "3"]);
}

/// A queue that rejects keeps what it has; to whoever does not ask for confirms the new ones are lost in silence.
#[test]
fn a_queue_may_keep_what_it_has() {
    let mut peer = Peer::with_channel();
    for overflow in ["reject-publish", "reject-publish-dlx"] {
        let queue = peer.queue_with(1, &table([("x-max-length", 3i32.into()), ("x-overflow", overflow.into())]));
        for n in 0..10 {
            peer.publish(1, "", &queue, n.to_string());
        }
        assert_eq!(peer.drain(1, &queue), numbers(0..3), "{overflow}");
        peer.publish(1, "", &queue, "room again");
        assert_eq!(peer.drain(1, &queue), ["room again"]);
    }
}

/// A mandatory message that a full queue refuses was routed: it is not returned.
#[test]
fn a_refused_message_is_not_returned() {
    let mut peer = Peer::with_channel();
    for overflow in ["reject-publish", "drop-head"] {
        let queue = peer.queue_with(1, &table([("x-max-length", 0i32.into()), ("x-overflow", overflow.into())]));
        peer.publish_mandatory(1, "", &queue, "m");
        peer.expect_counts(1, &queue, 0, 0);
        peer.expect_nothing(1);
    }
}

/// reject-publish keeps no record of what it refused; reject-publish-dlx makes dead letters of it.
#[test]
fn the_refused_may_be_dead_letters() {
    let mut peer = Peer::with_channel();
    let limited = |overflow: &str| table([("x-max-length", 1i32.into()), ("x-overflow", overflow.into())]);
    let (plain, dead_of_plain) = peer.queue_with_dead_letters(1, limited("reject-publish"));
    let (dlx, dead_of_dlx) = peer.queue_with_dead_letters(1, limited("reject-publish-dlx"));
    for queue in [&plain, &dlx] {
        for body in ["kept", "refused"] {
            peer.publish(1, "", queue, body);
        }
    }
    peer.consume_settled(1, &dead_of_dlx, "dead");
    let (_, content) = peer.delivery(1);
    assert_eq!(content.text(), "refused");
    assert_eq!(content.deaths()[0].told(), ("maxlen", dlx.as_str(), 1));
    assert_eq!(peer.drain(1, &plain), ["kept"]);
    assert_eq!(peer.drain(1, &dlx), ["kept"]);
    peer.expect_counts(1, &dead_of_plain, 0, 0);
}

/// A queue with priorities drops what is first, whatever its priority.
#[test]
fn a_queue_with_priorities_drops_its_first() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue_with(1, &table([("x-max-length", 2i32.into()), ("x-max-priority", 5i32.into())]));
    for priority in [1, 5, 3] {
        let properties = leveret_spec::Properties { priority: Some(priority), ..default() };
        peer.publish_as(1, "", &queue, &properties, priority.to_string());
    }
    assert_eq!(peer.drain(1, &queue), ["3", "1"]);
}

/// The limits are integers, not negative; the ways to overflow have names.
#[test]
fn limits_are_checked() {
    let mut peer = Peer::with_channel();
    let name = unique("limits");
    let cases: [(&str, Value<'_>, &str); 6] = [
        ("x-max-length", Value::I32(-1), "{value_negative,-1}"),
        ("x-max-length", "10".into(), "\"expected integer, got longstr\""),
        ("x-max-length-bytes", Value::I64(-5), "{value_negative,-5}"),
        ("x-max-length-bytes", Value::Bool(true), "\"expected integer, got bool\""),
        ("x-overflow", "spill".into(), "invalid_overflow"),
        ("x-overflow", "".into(), "invalid_overflow"),
    ];
    for (argument, value, why) in cases {
        let arguments = table([(argument, value)]);
        let arguments = arguments.as_table();
        let declare = queue::Declare { queue: short(&name), exclusive: true, arguments, ..default() };
        peer.refused(1, &declare, 406, &format!("invalid arg '{argument}' for {}: {why}", texts::queue(&name)));
    }
}

/// The limits are part of what a declaration has to repeat.
#[test]
fn limits_are_compared() {
    let mut peer = Peer::with_channel();
    let arguments = table([("x-max-length", 10i32.into()), ("x-overflow", "reject-publish".into())]);
    let name = peer.queue_with(1, &arguments);
    let place = texts::queue(&name);
    let declare = queue::Declare { queue: short(&name), exclusive: true, ..default() };
    for (arguments, text) in [
        (
            table([("x-max-length", 11i32.into()), ("x-overflow", "reject-publish".into())]),
            texts::inequivalent("x-max-length", &place, "'11'", "'10'"),
        ),
        (
            table([("x-max-length", 10i32.into()), ("x-overflow", "drop-head".into())]),
            texts::inequivalent("x-overflow", &place, "'drop-head'", "'reject-publish'"),
        ),
        (
            table([("x-max-length", 10i32.into())]),
            texts::inequivalent("x-overflow", &place, "none", "the value 'reject-publish' of type 'longstr'"),
        ),
        (
            arguments.clone().with("x-max-length-bytes", 5i32).unwrap(),
            texts::inequivalent("x-max-length-bytes", &place, "the value '5' of type 'signedint'", "none"),
        ),
    ] {
        peer.refused(1, &queue::Declare { arguments: arguments.as_table(), ..declare }, 406, &text);
    }
}

/// RabbitMQ: what comes back to a queue has to fit into it before anybody gets it again: the oldest is dropped.
#[test]
fn what_comes_back_has_to_fit() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue_with(1, &table([("x-max-length", 1i32.into())]));
    peer.consume(1, &queue, "c");
    for body in ["1", "2"] {
        peer.publish(1, "", &queue, body);
    }
    assert_eq!(peer.bodies(1, 2), ["1", "2"]);
    peer.send(1, &basic::RecoverAsync { requeue: true });
    assert_eq!(peer.bodies(1, 1), ["2"]);
    peer.expect_no_delivery(1, &queue);
}
