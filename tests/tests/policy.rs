//! RabbitMQ's policies: settings for all queues and exchanges of a name. These tests need the management API.

use leveret_spec::queue;
use leveret_tests::{Peer, Policy, default, short, table, unique};

/// A pattern for the queue, or exchange, of a name, which can be made before it.
fn only(name: &str) -> String {
    format!("^{name}$")
}

/// Declares an exclusive queue.
fn declare(peer: &mut Peer, name: &str, arguments: &leveret_spec::TableBuf) {
    let arguments = arguments.as_table();
    peer.declare(1, &queue::Declare { queue: short(name), exclusive: true, arguments, ..default() });
}

/// Publishes until a queue holds what it should, at most so often as a test can wait.
#[track_caller]
fn publish_until(peer: &mut Peer, name: &str, held: impl Fn(u32) -> bool) {
    let mut publish_and_count = || {
        peer.publish(1, "", name, "m");
        peer.expect_nothing(1);
        peer.counts(1, name).0
    };
    assert!((0..10_000).any(|_| held(publish_and_count())), "{name} never holds what it should");
}

/// A policy that is there before the queue is the queue's from its beginning.
#[test]
fn a_policy_holds_for_new_queues() {
    let mut peer = Peer::with_channel();
    let (name, dead) = (unique("q"), peer.queue(1));
    let definition = format!(r#""max-length":2,"dead-letter-exchange":"","dead-letter-routing-key":"{dead}""#);
    let _policy = Policy::new(&only(&name), "queues", &definition);
    declare(&mut peer, &name, &default());
    for n in 0..5 {
        peer.publish(1, "", &name, n.to_string());
    }
    peer.consume_settled(1, &dead, "dead");
    assert_eq!(peer.bodies(1, 3), ["0", "1", "2"]);
    assert_eq!(peer.drain(1, &name), ["3", "4"]);
}

/// A policy reaches queues that are there.
#[test]
fn a_policy_reaches_old_queues() {
    let mut peer = Peer::with_channel();
    let name = peer.queue(1);
    publish_until(&mut peer, &name, |ready| ready == 10);
    let _policy = Policy::new(&only(&name), "queues", r#""max-length":2"#);
    publish_until(&mut peer, &name, |ready| ready == 2);
}

/// A policy that is gone holds no more.
#[test]
fn a_policy_ends() {
    let mut peer = Peer::with_channel();
    let name = unique("q");
    let policy = Policy::new(&only(&name), "queues", r#""max-length":1"#);
    declare(&mut peer, &name, &default());
    for _ in 0..3 {
        peer.publish(1, "", &name, "m");
    }
    peer.expect_counts(1, &name, 1, 0);
    policy.delete();
    publish_until(&mut peer, &name, |ready| ready > 1);
}

/// Of a policy's number and the declaration's the smaller holds.
#[test]
fn the_smaller_number_holds() {
    let mut peer = Peer::with_channel();
    let (small, large) = (unique("small"), unique("large"));
    let _policies = [&small, &large].map(|name| Policy::new(&only(name), "queues", r#""max-length":3"#));
    declare(&mut peer, &small, &table([("x-max-length", 2i32.into())]));
    declare(&mut peer, &large, &table([("x-max-length", 9i32.into())]));
    for name in [&small, &large] {
        for n in 0..12 {
            peer.publish(1, "", name, n.to_string());
        }
    }
    assert_eq!(peer.drain(1, &small), ["10", "11"]);
    assert_eq!(peer.drain(1, &large), ["9", "10", "11"]);
}

/// Of a policy's text and the declaration's, the declaration's holds.
#[test]
fn the_declarations_text_holds() {
    let mut peer = Peer::with_channel();
    let (name, own, others) = (unique("q"), peer.queue(1), peer.queue(1));
    let definition = format!(r#""dead-letter-exchange":"amq.fanout","dead-letter-routing-key":"{others}""#);
    let _policy = Policy::new(&only(&name), "queues", &definition);
    let arguments = table([("x-dead-letter-exchange", "".into()), ("x-dead-letter-routing-key", own.as_str().into())]);
    declare(&mut peer, &name, &arguments);
    peer.publish(1, "", &name, "m");
    let (got, _) = peer.get(1, &name).unwrap();
    peer.reject(1, got.delivery_tag);
    peer.consume_settled(1, &own, "own");
    assert_eq!(peer.bodies(1, 1), ["m"]);
    peer.expect_counts(1, &others, 0, 0);
}

/// Of several policies the one of the highest priority holds, alone.
#[test]
fn the_highest_priority_holds() {
    let mut peer = Peer::with_channel();
    let name = unique("q");
    let _policies = [
        Policy::ranked(1, &only(&name), "queues", r#""max-length":1"#),
        Policy::ranked(7, &only(&name), "queues", r#""max-length-bytes":1000"#),
        Policy::ranked(-3, &only(&name), "queues", r#""max-length":2"#),
    ];
    declare(&mut peer, &name, &default());
    for _ in 0..10 {
        peer.publish(1, "", &name, "m");
    }
    peer.expect_counts(1, &name, 10, 0);
    peer.publish(1, "", &name, vec![b'x'; 1000]);
    peer.expect_counts(1, &name, 1, 0);
}

/// An operator's policy is a bound for everything else.
#[test]
fn an_operators_policy_is_a_bound() {
    let mut peer = Peer::with_channel();
    let name = unique("q");
    let _policies = [
        Policy::new(&only(&name), "queues", r#""max-length":5"#),
        Policy::of_operator(&only(&name), "queues", r#""max-length":2"#),
    ];
    declare(&mut peer, &name, &table([("x-max-length", 9i32.into())]));
    for n in 0..10 {
        peer.publish(1, "", &name, n.to_string());
    }
    assert_eq!(peer.drain(1, &name), ["8", "9"]);
}

/// A policy may be for queues or for exchanges only.
#[test]
fn a_policy_is_for_what_it_says() {
    let mut peer = Peer::with_channel();
    let name = unique("q");
    let _policy = Policy::new(&only(&name), "exchanges", r#""alternate-exchange":"amq.fanout""#);
    let _other = Policy::ranked(-1, &only(&name), "queues", r#""max-length":1"#);
    declare(&mut peer, &name, &default());
    for _ in 0..3 {
        peer.publish(1, "", &name, "m");
    }
    peer.expect_counts(1, &name, 1, 0);
}

/// A policy gives exchanges their alternate exchange.
#[test]
fn a_policy_names_the_alternate_exchange() {
    let mut peer = Peer::with_channel();
    let (name, alternate, rest) = (unique("direct"), peer.exchange(1, "fanout"), peer.queue(1));
    peer.bind(1, &rest, &alternate, "");
    let definition = format!(r#""alternate-exchange":"{alternate}""#);
    let policy = Policy::new(&only(&name), "exchanges", &definition);
    let (exchange, kind) = (short(&name), short("direct"));
    peer.declare_exchange(1, &leveret_spec::exchange::Declare { exchange, kind, ..default() });
    peer.publish(1, &name, "nowhere", "m");
    peer.expect_counts(1, &rest, 1, 0);
    policy.delete();
    publish_until_returned(&mut peer, &name, "nowhere");
}

/// Publishes a mandatory message again and again until it comes back.
#[track_caller]
fn publish_until_returned(peer: &mut Peer, exchange: &str, routing_key: &str) {
    let mut returned = false;
    for _ in 0..10_000 {
        peer.publish_mandatory(1, exchange, routing_key, "m");
        peer.send(1, &leveret_spec::channel::Flow { active: true });
        returned = peer.expect_any(1, "basic.Return or channel.FlowOk").content.is_some();
        if returned {
            peer.expect::<leveret_spec::channel::FlowOk>(1);
            break;
        }
    }
    assert!(returned, "{exchange} has somewhere to go with {routing_key}");
}

/// A policy's way to overflow is the queue's, if that has none of its own.
#[test]
fn a_policy_says_how_to_overflow() {
    let mut peer = Peer::with_channel();
    let name = unique("q");
    let _policy = Policy::new(&only(&name), "queues", r#""max-length":1,"overflow":"reject-publish""#);
    declare(&mut peer, &name, &default());
    for n in 0..3 {
        peer.publish(1, "", &name, n.to_string());
    }
    assert_eq!(peer.drain(1, &name), ["0"]);
}

/// A policy lets queues expire.
#[test]
fn a_policy_lets_queues_expire() {
    let mut peer = Peer::with_channel();
    let name = unique("q");
    let _policy = Policy::new(&only(&name), "queues", r#""expires":50"#);
    declare(&mut peer, &name, &default());
    publish_until_returned(&mut peer, "", &name);
    peer.expect_no_queue(1, &name);
}

/// A policy is no argument: declaring the queue again needs to know nothing of it.
#[test]
fn a_policy_is_no_argument() {
    let mut peer = Peer::with_channel();
    let name = peer.queue(1);
    let _policy = Policy::new(&only(&name), "queues", r#""max-length":5,"message-ttl":3600000"#);
    declare(&mut peer, &name, &default());
}

/// A policy limits deliveries of quorum queues.
#[test]
fn a_policy_limits_deliveries() {
    let mut peer = Peer::with_channel();
    let (name, dead) = (unique("quorum"), peer.queue(1));
    let definition = format!(r#""delivery-limit":0,"dead-letter-exchange":"","dead-letter-routing-key":"{dead}""#);
    let _policy = Policy::new(&only(&name), "queues", &definition);
    let arguments = table([("x-queue-type", "quorum".into())]);
    let arguments = arguments.as_table();
    peer.declare(1, &queue::Declare { queue: short(&name), durable: true, arguments, ..default() });
    peer.publish(1, "", &name, "m");
    peer.open_channel(2);
    peer.consume(2, &name, "c");
    peer.delivery(2);
    peer.close_channel(2);
    peer.consume_settled(1, &dead, "dead");
    let (_, content) = peer.delivery(1);
    assert_eq!(content.deaths()[0].told(), ("delivery_limit", name.as_str(), 1));
}
