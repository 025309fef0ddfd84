//! Leveret's consumer timeouts: the queue's x-consumer-timeout, RabbitMQ's policy of that name, and consumer_timeout of the
//! whole broker. RabbitMQ 3.10 knows the last alone, looks once a minute, and closes the channel.

use std::time::Duration;

use leveret::Config;
use leveret_spec::basic;
use leveret_tests::{Difference, Own, Peer, Policy, default, short, table, unique};

/// Expects the cancellation of the consumer, and its two messages back in the queue, where they were.
fn expect_taken_back(peer: &mut Peer, queue: &str) {
    assert_eq!(peer.bodies(1, 2), ["1", "2"]);
    assert_eq!(&*peer.expect::<basic::Cancel>(1).consumer_tag, "slow");
    peer.expect_counts(1, queue, 3, 0);
    for (body, redelivered) in [("1", true), ("2", true), ("3", false)] {
        let (got, content) = peer.get_settled(1, queue).expect("a message is ready");
        assert_eq!((content.text().as_str(), got.redelivered), (body, redelivered));
    }
}

/// Publishes three messages, of which a consumer gets two.
fn publish(peer: &mut Peer, queue: &str) {
    peer.prefetch(1, 2);
    peer.consume(1, queue, "slow");
    for body in ["1", "2", "3"] {
        peer.publish(1, "", queue, body);
    }
}

/// Leveret: who keeps a delivery too long is cancelled, and what he settles later does no harm.
#[test]
fn a_consumer_that_is_too_slow_is_cancelled() {
    if !Difference::OverdueConsumersAreCancelled.holds() {
        return;
    }
    for late in [false, true] {
        let mut peer = Peer::with_channel();
        let queue = peer.queue_with(1, &table([("x-consumer-timeout", 80i32.into())]));
        publish(&mut peer, &queue);
        expect_taken_back(&mut peer, &queue);
        peer.publish(1, "", &queue, "4");
        let (next, _) = peer.get(1, &queue).unwrap();
        if late {
            peer.ack(1, 1);
            peer.ack_up_to(1, 2);
            peer.expect_nothing(1);
            peer.ack_up_to(1, next.delivery_tag);
            peer.expect_nothing(1);
            peer.send(1, &basic::Ack { delivery_tag: 2, multiple: false });
            peer.expect_channel_close(1, 406, "unknown delivery tag 2");
        } else {
            // What was got and not consumed is no consumer's.
            peer.requeue(1, next.delivery_tag);
            assert_eq!(peer.drain(1, &queue), ["4"]);
        }
    }
}

/// Leveret: time passes for nobody who settles, or has nothing to settle.
#[test]
fn others_stay() {
    if !Difference::OverdueConsumersAreCancelled.holds() {
        return;
    }
    let mut peer = Peer::with_channel();
    let arguments = table([("x-consumer-timeout", 80i32.into())]);
    let (slow, quick, idle) =
        (peer.queue_with(1, &arguments), peer.queue_with(1, &arguments), peer.queue_with(1, &arguments));
    peer.open_channel(2);
    peer.consume(2, &quick, "quick");
    peer.consume(2, &idle, "idle");
    peer.consume_settled(2, &slow, "settled");
    peer.publish(2, "", &slow, "0");
    peer.publish(2, "", &quick, "1");
    assert_eq!(peer.bodies(2, 2).len(), 2);
    peer.ack_up_to(2, 0);
    peer.cancel(2, "settled");
    publish(&mut peer, &slow);
    expect_taken_back(&mut peer, &slow);
    for queue in [&quick, &idle] {
        peer.publish(2, "", queue, "still there");
        assert_eq!(peer.bodies(2, 1), ["still there"]);
    }
}

/// RabbitMQ's policy consumer-timeout, and its setting consumer_timeout.
#[test]
fn policies_and_the_broker_may_set_the_time() {
    if !Difference::OverdueConsumersAreCancelled.holds() {
        return;
    }
    let mut peer = Peer::with_channel();
    let name = unique("q");
    let _policy = Policy::new(&format!("^{name}$"), "queues", r#""consumer-timeout":80"#);
    peer.declare(1, &leveret_spec::queue::Declare { queue: short(&name), exclusive: true, ..default() });
    publish(&mut peer, &name);
    expect_taken_back(&mut peer, &name);

    let mut config = Config::in_memory();
    config.limits.consumer_timeout = Some(Duration::from_millis(80));
    let broker = Own::start(config);
    let mut peer = broker.with_channel();
    let queue = peer.queue(1);
    publish(&mut peer, &queue);
    expect_taken_back(&mut peer, &queue);
}
