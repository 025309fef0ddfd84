//! Who makes two mistakes at once hears of one: which, is RabbitMQ's custom.

use leveret_spec::method::MethodFrame;
use leveret_spec::{Properties, basic, exchange, queue};
use leveret_tests::{Difference, Peer, default, octets, short, table, target, texts, unique};

/// The exchange is looked at before the message.
#[test]
fn the_exchange_comes_before_the_message() {
    let mut peer = Peer::with_channel();
    let (missing, internal) = (unique("missing"), unique("internal"));
    let (exchange, kind) = (short(&internal), short("fanout"));
    peer.declare_exchange(1, &exchange::Declare { exchange, kind, internal: true, ..default() });
    let headers = table([("CC", "no list".into())]);
    let wrong = [
        Properties { expiration: Some(octets("never")), ..default() },
        Properties { user_id: Some(octets("somebody")), ..default() },
        Properties { headers: Some(headers.as_table()), ..default() },
    ];
    for properties in wrong {
        peer.publish_as(1, &missing, "k", &properties, "m");
        peer.expect_refusal(1, basic::Publish::ROW, 404, &texts::no_exchange(&missing));
        peer.publish_as(1, &internal, "k", &properties, "m");
        let text = format!("cannot publish to internal {}", texts::exchange(&internal));
        peer.expect_refusal(1, basic::Publish::ROW, 403, &text);
    }
}

/// Of a message the expiration comes before the copies; the user comes before both, or behind them.
#[test]
fn a_message_is_read_in_order() {
    let mut peer = Peer::with_channel();
    let headers = table([("CC", "no list".into())]);
    let all = Properties {
        user_id: Some(octets("somebody")),
        expiration: Some(octets("never")),
        headers: Some(headers.as_table()),
        ..default()
    };
    let (user, expiration, copies) = (
        format!("user_id property set to 'somebody' but authenticated user was '{}'", target().user()),
        "invalid expiration 'never': no_integer",
        "invalid message: {unacceptable_type_in_header,\"CC\",longstr}",
    );
    peer.publish_as(1, "", "k", &Properties { user_id: None, ..all }, "m");
    peer.expect_refusal(1, basic::Publish::ROW, 406, expiration);
    let users_first = Difference::UsersFirst.holds();
    peer.publish_as(1, "", "k", &all, "m");
    peer.expect_refusal(1, basic::Publish::ROW, 406, if users_first { &user } else { expiration });
    peer.publish_as(1, "", "k", &Properties { expiration: None, ..all }, "m");
    peer.expect_refusal(1, basic::Publish::ROW, 406, if users_first { &user } else { copies });
}

/// A tag in use is noticed before the queue.
#[test]
fn the_tag_comes_before_the_queue() {
    let mut peer = Peer::with_channel();
    let name = peer.queue(1);
    peer.consume(1, &name, "c");
    let missing = unique("missing");
    let consume = basic::Consume { queue: short(&missing), consumer_tag: short("c"), ..default() };
    peer.refused_hard(1, &consume, 530, "attempt to reuse consumer tag 'c'");
}

/// A queue of another connection is locked, whatever else is wrong with the declaration.
#[test]
fn the_owner_comes_before_the_arguments() {
    let mut owner = Peer::with_channel();
    let name = owner.queue_with(1, &table([("x-max-length", 5i32.into())]));
    let mut other = Peer::with_channel();
    let arguments = table([("x-max-length", 6i32.into())]);
    let declare = queue::Declare { queue: short(&name), durable: true, arguments: arguments.as_table(), ..default() };
    other.refused(1, &declare, 405, &texts::locked(&name));
    other.refused(1, &queue::Declare { exclusive: true, ..declare }, 405, &texts::locked(&name));
}

/// An argument that cannot be is noticed before a difference.
#[test]
fn a_bad_argument_comes_before_a_difference() {
    let mut peer = Peer::with_channel();
    let name = peer.queue_with(1, &table([("x-max-length", 5i32.into())]));
    let arguments = table([("x-max-length", (-1i32).into())]);
    let declare = queue::Declare { queue: short(&name), exclusive: true, arguments: arguments.as_table(), ..default() };
    let text = texts::inequivalent("x-max-length", &texts::queue(&name), "'-1'", "'5'");
    peer.refused(1, &declare, 406, &text);
}

/// Durability is compared before auto-delete, and both before arguments.
#[test]
fn differences_have_an_order() {
    let mut peer = Peer::with_channel();
    let name = unique("q");
    let declare = queue::Declare { queue: short(&name), durable: true, ..default() };
    peer.declare(1, &declare);
    let arguments = table([("x-max-length", 6i32.into())]);
    let other = queue::Declare { durable: false, auto_delete: true, arguments: arguments.as_table(), ..declare };
    let place = texts::queue(&name);
    peer.refused(1, &other, 406, &texts::inequivalent("durable", &place, "'false'", "'true'"));
    let other = queue::Declare { durable: true, ..other };
    peer.refused(1, &other, 406, &texts::inequivalent("auto_delete", &place, "'true'", "'false'"));
    // The same for exchanges: the type first.
    let name = unique("x");
    let (exchange, kind) = (short(&name), short("direct"));
    let declare = exchange::Declare { exchange, kind, durable: true, ..default() };
    peer.declare_exchange(1, &declare);
    let place = texts::exchange(&name);
    let other =
        exchange::Declare { kind: short("fanout"), durable: false, auto_delete: true, internal: true, ..declare };
    peer.refused(1, &other, 406, &texts::inequivalent("type", &place, "'fanout'", "'direct'"));
    let other = exchange::Declare { kind, ..other };
    peer.refused(1, &other, 406, &texts::inequivalent("durable", &place, "'false'", "'true'"));
    let other = exchange::Declare { durable: true, ..other };
    peer.refused(1, &other, 406, &texts::inequivalent("auto_delete", &place, "'true'", "'false'"));
    let other = exchange::Declare { auto_delete: false, ..other };
    peer.refused(1, &other, 406, &texts::inequivalent("internal", &place, "'true'", "'false'"));
}

/// A type that nobody knows is one for an exchange that exists, too.
#[test]
fn the_type_is_known_or_not() {
    let mut peer = Peer::with_channel();
    let name = peer.exchange(1, "direct");
    let declare = exchange::Declare { exchange: short(&name), kind: short("x-unknown"), ..default() };
    if Difference::UnknownTypeIsSoft.holds() {
        peer.refused(1, &declare, 406, "unknown exchange type 'x-unknown'");
    } else {
        peer.refused_hard(1, &declare, 503, "unknown exchange type 'x-unknown'");
    }
}

/// What is in a queue is noticed before who uses it.
#[test]
fn content_comes_before_use() {
    let mut peer = Peer::with_channel();
    let name = peer.queue(1);
    peer.prefetch(1, 1);
    peer.consume(1, &name, "c");
    for _ in 0..2 {
        peer.publish(1, "", &name, "m");
    }
    peer.delivery(1);
    peer.expect_counts(1, &name, 1, 1);
    peer.open_channel(2);
    let delete = queue::Delete { queue: short(&name), if_unused: true, if_empty: true, ..default() };
    peer.refused(2, &delete, 406, &format!("{} not empty", texts::queue(&name)));
}

/// Where both ends of a binding are missing, one of them is named.
#[test]
fn a_missing_end_is_named() {
    let mut peer = Peer::with_channel();
    let (no_queue, no_exchange) = (unique("no-queue"), unique("no-exchange"));
    let bind = queue::Bind { queue: short(&no_queue), exchange: short(&no_exchange), ..default() };
    peer.refused(1, &bind, 404, &texts::no_exchange(&no_exchange));
    let (destination, source) = (short(&no_queue), short(&no_exchange));
    let bind = exchange::Bind { destination, source, ..default() };
    peer.refused(1, &bind, 404, &texts::no_exchange(&no_exchange));
}

/// A consumer of another channel cannot be cancelled; the answer is the same.
#[test]
fn cancelling_is_for_the_own_channel() {
    let mut peer = Peer::with_channel();
    let name = peer.queue(1);
    peer.consume_settled(1, &name, "c");
    peer.open_channel(2);
    peer.cancel(2, "c");
    peer.publish(2, "", &name, "m");
    assert_eq!(peer.bodies(1, 1), ["m"]);
}

/// Section 1.8.3.3: without an answer the server's own tag is known from the first delivery.
#[test]
fn a_consumer_may_have_a_tag_nobody_was_told() {
    let mut peer = Peer::with_channel();
    let name = peer.queue(1);
    peer.send(1, &basic::Consume { queue: short(&name), no_ack: true, no_wait: true, ..default() });
    peer.publish(1, "", &name, "m");
    let (deliver, _) = peer.delivery(1);
    assert!(deliver.consumer_tag.starts_with("amq.ctag-"), "{deliver:?}");
    peer.cancel(1, &deliver.consumer_tag);
}
