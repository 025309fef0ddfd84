//! Time to live, of messages and of queues. Nothing here waits for a time to pass: it waits for what has to come then.

use leveret_spec::method::MethodFrame;
use leveret_spec::{Properties, Value, basic, queue};
use leveret_tests::{Peer, default, octets, short, table, texts, unique};

/// RabbitMQ's x-message-ttl: what is older is dead-lettered, in the queue's order, and with this reason.
#[test]
fn a_queue_lets_its_messages_expire() {
    let mut peer = Peer::with_channel();
    let (queue, dead) = peer.queue_with_dead_letters(1, table([("x-message-ttl", 30i32.into())]));
    for n in 0..5 {
        peer.publish(1, "", &queue, n.to_string());
    }
    peer.consume_settled(1, &dead, "c");
    for n in 0..5 {
        let (_, content) = peer.delivery(1);
        assert_eq!(content.text(), n.to_string());
        assert_eq!(content.deaths()[0].told(), ("expired", queue.as_str(), 1));
    }
    peer.expect_counts(1, &queue, 0, 0);
}

/// Section 1.8 (expiration), RabbitMQ's meaning: milliseconds in the queue.
#[test]
fn a_message_expires() {
    let mut peer = Peer::with_channel();
    let (queue, dead) = peer.queue_with_dead_letters(1, default());
    peer.publish_expiring(1, &queue, "30", "m");
    peer.consume_settled(1, &dead, "c");
    assert_eq!(peer.bodies(1, 1), ["m"]);
    peer.expect_counts(1, &queue, 0, 0);
}

/// RabbitMQ: of the queue's and the message's time the shorter counts.
#[test]
fn the_shorter_time_counts() {
    let mut peer = Peer::with_channel();
    let (long, dead) = peer.queue_with_dead_letters(1, table([("x-message-ttl", 3_600_000i32.into())]));
    let arguments = table([
        ("x-message-ttl", 30i32.into()),
        ("x-dead-letter-exchange", "".into()),
        ("x-dead-letter-routing-key", dead.as_str().into()),
    ]);
    let brief = peer.queue_with(1, &arguments);
    peer.consume_settled(1, &dead, "c");
    peer.publish_expiring(1, &long, "30", "its own time");
    assert_eq!(peer.bodies(1, 1), ["its own time"]);
    peer.publish_expiring(1, &brief, "3600000", "the queue's time");
    assert_eq!(peer.bodies(1, 1), ["the queue's time"]);
}

/// RabbitMQ: a time of 0 is enough for a consumer that is ready, and for nobody else.
#[test]
fn a_message_without_time_is_for_who_waits() {
    let mut peer = Peer::with_channel();
    let (by_queue, dead_by_queue) = peer.queue_with_dead_letters(1, table([("x-message-ttl", 0i32.into())]));
    let (by_message, dead_by_message) = peer.queue_with_dead_letters(1, default());
    for (queue, dead) in [(&by_queue, &dead_by_queue), (&by_message, &dead_by_message)] {
        peer.consume_settled(1, dead, dead);
        peer.publish_expiring(1, queue, "0", "too late");
        assert_eq!(&*peer.delivery(1).0.consumer_tag, dead);
        peer.expect_counts(1, queue, 0, 0);
        peer.consume_settled(1, queue, queue);
        peer.publish_expiring(1, queue, "0", "in time");
        assert_eq!(&*peer.delivery(1).0.consumer_tag, queue);
    }
    peer.expect_nothing(1);
}

/// RabbitMQ: a message that has expired is never delivered, whoever asks, though it waited behind others.
#[test]
fn an_expired_message_is_never_delivered() {
    let mut peer = Peer::with_channel();
    let (queue, dead) = peer.queue_with_dead_letters(1, default());
    peer.publish(1, "", &queue, "first");
    peer.publish_expiring(1, &queue, "1", "expired");
    peer.publish(1, "", &queue, "last");
    // When the other queue's message has had its longer time, that one's is over too.
    let (clock, rung) = peer.queue_with_dead_letters(1, default());
    peer.publish_expiring(1, &clock, "50", "ding");
    peer.consume_settled(1, &rung, "clock");
    assert_eq!(peer.bodies(1, 1), ["ding"]);
    peer.cancel(1, "clock");
    assert_eq!(peer.drain(1, &queue), ["first", "last"]);
    peer.consume_settled(1, &dead, "c");
    assert_eq!(peer.bodies(1, 1), ["expired"]);
}

/// RabbitMQ: a requeued message's time goes on where it was.
#[test]
fn requeueing_gives_no_new_time() {
    let mut peer = Peer::with_channel();
    let (queue, dead) = peer.queue_with_dead_letters(1, table([("x-message-ttl", 100i32.into())]));
    peer.publish(1, "", &queue, "m");
    // Got and given back again and again, the message would live for ever if that gave it new time.
    while let Some((got, _)) = peer.get(1, &queue) {
        peer.requeue(1, got.delivery_tag);
    }
    peer.consume_settled(1, &dead, "dead");
    assert_eq!(peer.bodies(1, 1), ["m"]);
}

/// RabbitMQ: what was delivered does not expire; given back too late, it does.
#[test]
fn a_delivered_message_expires_when_it_comes_back() {
    let mut peer = Peer::with_channel();
    let (queue, dead) = peer.queue_with_dead_letters(1, default());
    peer.publish_expiring(1, &queue, "500", "delivered");
    let (got, _) = peer.get(1, &queue).unwrap();
    peer.publish_expiring(1, &queue, "500", "ready");
    peer.open_channel(2);
    peer.consume_settled(2, &dead, "dead");
    assert_eq!(peer.bodies(2, 1), ["ready"]);
    peer.expect_no_delivery(2, &dead);
    peer.requeue(1, got.delivery_tag);
    assert_eq!(peer.bodies(2, 1), ["delivered"]);
}

/// RabbitMQ: an expiration is a number of milliseconds, ten years at most, written in digits.
#[test]
fn a_time_that_is_none_is_refused() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    for (wrong, why) in [
        ("", "no_integer"),
        ("abc", "no_integer"),
        ("-1", "{value_negative,-1}"),
        ("315360000001", "{value_too_large,315360000001}"),
        ("1.5", "{leftover_string,\".5\"}"),
        ("10s", "{leftover_string,\"s\"}"),
    ] {
        peer.publish_expiring(1, &queue, wrong, "m");
        peer.expect_refusal(1, basic::Publish::ROW, 406, &format!("invalid expiration '{wrong}': {why}"));
    }
    peer.publish_expiring(1, &queue, "315360000000", "ten years");
    peer.publish_expiring(1, &queue, "007", "seven or more");
    peer.purge(1, &queue);
}

/// RabbitMQ: a message keeps its expiration for whoever gets it.
#[test]
fn the_expiration_is_delivered_as_it_was() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    peer.publish_expiring(1, &queue, "3600000", "m");
    let (_, content) = peer.get_settled(1, &queue).unwrap();
    assert_eq!(content.properties().expiration, Some(octets("3600000")));
}

/// RabbitMQ: times of queues are integers of any width, not negative, ten years at most.
#[test]
fn times_of_queues_are_checked() {
    let mut peer = Peer::with_channel();
    let name = unique("times");
    let cases: [(&str, Value<'_>, &str); 8] = [
        ("x-message-ttl", Value::I32(-1), "{value_negative,-1}"),
        ("x-message-ttl", "1000".into(), "\"expected integer, got longstr\""),
        ("x-message-ttl", Value::I64(315_360_000_001), "{value_too_large,315360000001}"),
        ("x-message-ttl", Value::F64(1.0), "\"expected integer, got double\""),
        ("x-expires", Value::I32(0), "{value_zero,0}"),
        ("x-expires", Value::I32(-7), "{value_negative,-7}"),
        ("x-expires", "1000".into(), "\"expected integer, got longstr\""),
        ("x-expires", Value::I64(315_360_000_001), "{value_too_large,315360000001}"),
    ];
    for (argument, value, why) in cases {
        let arguments = table([(argument, value)]);
        let arguments = arguments.as_table();
        let declare = queue::Declare { queue: short(&name), exclusive: true, arguments, ..default() };
        let text = format!("invalid arg '{argument}' for {}: {why}", texts::queue(&name));
        peer.refused(1, &declare, 406, &text);
    }
    for value in [Value::I8(100), Value::I16(1000), Value::I32(100_000), Value::I64(315_360_000_000)] {
        peer.queue_with(1, &table([("x-message-ttl", value), ("x-expires", value)]));
    }
}

/// RabbitMQ: times are part of what a declaration has to repeat.
#[test]
fn times_are_compared() {
    let mut peer = Peer::with_channel();
    let name = peer.queue_with(1, &table([("x-message-ttl", 3_600_000i32.into()), ("x-expires", 3_600_000i32.into())]));
    let place = texts::queue(&name);
    let other = table([("x-message-ttl", 7_200_000i32.into()), ("x-expires", 3_600_000i32.into())]);
    let (queue, exclusive) = (short(&name), true);
    let declare = queue::Declare { queue, exclusive, arguments: other.as_table(), ..default() };
    let text = texts::inequivalent("x-message-ttl", &place, "'7200000'", "'3600000'");
    peer.refused(1, &declare, 406, &text);
    let missing = table([("x-message-ttl", 3_600_000i64.into())]);
    let text = texts::inequivalent("x-expires", &place, "none", "the value '3600000' of type 'signedint'");
    peer.refused(1, &queue::Declare { arguments: missing.as_table(), ..declare }, 406, &text);
}

/// RabbitMQ's x-expires: a queue that nobody uses goes, without dead-lettering what is in it.
#[test]
fn an_unused_queue_expires() {
    let mut peer = Peer::with_channel();
    let (queue, dead) = peer.queue_with_dead_letters(1, table([("x-expires", 100i32.into())]));
    peer.publish(1, "", &queue, "m");
    // A queue is unroutable when it is gone.
    loop {
        peer.publish_mandatory(1, "", &queue, "again");
        peer.send(1, &leveret_spec::channel::Flow { active: true });
        let received = peer.expect_any(1, "a return or flow-ok");
        if received.content.is_some() {
            break;
        }
    }
    peer.expect::<leveret_spec::channel::FlowOk>(1);
    peer.expect_no_queue(1, &queue);
    peer.expect_counts(1, &dead, 0, 0);
}

/// RabbitMQ's x-expires: a queue with a consumer is in use; its time begins when the last has gone.
#[test]
fn a_queue_with_a_consumer_does_not_expire() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue_with(1, &table([("x-expires", 100i32.into())]));
    peer.consume_settled(1, &queue, "c");
    // Something that takes longer than the queue's time.
    let (clock, rung) = peer.queue_with_dead_letters(1, default());
    peer.consume_settled(1, &rung, "clock");
    peer.publish_expiring(1, &clock, "300", "ding");
    assert_eq!(peer.bodies(1, 1), ["ding"]);
    peer.publish(1, "", &queue, "still there");
    assert_eq!(peer.bodies(1, 1), ["still there"]);
    peer.cancel(1, "c");
    peer.publish_expiring(1, &clock, "1000", "ding");
    assert_eq!(peer.bodies(1, 1), ["ding"]);
    peer.expect_no_queue(1, &queue);
}

/// RabbitMQ's x-expires: declaring the queue again, passively too, and basic.get are uses, which renew its time.
#[test]
fn use_renews_a_queues_time() {
    let mut peer = Peer::with_channel();
    let (clock, rung) = peer.queue_with_dead_letters(1, default());
    peer.consume_settled(1, &rung, "clock");
    let arguments = table([("x-expires", 3000i32.into())]);
    let (declared, got) = (peer.queue_with(1, &arguments), peer.queue_with(1, &arguments));
    peer.open_channel(2);
    for _ in 0..7 {
        peer.publish_expiring(1, &clock, "500", "ding");
        assert_eq!(peer.bodies(1, 1), ["ding"]);
        peer.counts(2, &declared);
        assert!(peer.get_settled(2, &got).is_none());
    }
}

/// RabbitMQ's x-expires: a queue that expires is deleted as if somebody had done it: an auto-delete exchange goes with it.
#[test]
fn an_expired_queue_takes_its_bindings_along() {
    let mut peer = Peer::with_channel();
    let exchange = unique("auto-delete");
    let (name, kind) = (short(&exchange), short("fanout"));
    let declare = leveret_spec::exchange::Declare { exchange: name, kind, auto_delete: true, ..default() };
    peer.declare_exchange(1, &declare);
    let queue = peer.queue_with(1, &table([("x-expires", 100i32.into())]));
    peer.bind(1, &queue, &exchange, "");
    let publish = basic::Publish { exchange: octets(exchange.as_str()), mandatory: true, ..default() };
    // The exchange is gone when publishing to it is an error.
    loop {
        peer.publish_method(1, &publish, &Properties::default(), b"m");
        peer.send(1, &leveret_spec::channel::Flow { active: true });
        let received = peer.expect_any(1, "an answer");
        if received.method.row().name == "channel.Close" {
            break;
        }
    }
    peer.send(1, &leveret_spec::channel::CloseOk {});
    peer.open_channel(1);
    peer.expect_no_exchange(1, &exchange);
}
