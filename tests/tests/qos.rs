//! Class basic: prefetch, of consumers and of channels.

use leveret_spec::{Value, basic};
use leveret_tests::{Difference, Peer, Visit, default, table};

/// RabbitMQ has no limit in bytes.
#[test]
fn a_prefetch_size_is_not_implemented() {
    let mut peer = Peer::with_channel();
    peer.refused_hard(1, &basic::Qos { prefetch_size: 1000, ..default() }, 540, "prefetch_size!=0 (1000)");
}

/// Section 1.8.3.1: a consumer holds as many unsettled messages as its prefetch, and gets the next for each it settles.
#[test]
fn a_busy_consumer_gets_nothing_more() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    for n in 0..4 {
        peer.publish(1, "", &queue, n.to_string());
    }
    peer.prefetch(1, 1);
    peer.consume(1, &queue, "c");
    for n in 0..4 {
        assert_eq!(peer.bodies(1, 1), [n.to_string()]);
        peer.expect_no_delivery(1, &queue);
        peer.ack(1, n + 1);
    }
}

/// The tutorial on work queues: with prefetch 1, work goes to whoever is free.
#[test]
fn work_goes_to_the_free_worker() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    for channel in [2, 3] {
        peer.open_channel(channel);
        peer.prefetch(channel, 1);
        peer.consume(channel, &queue, "worker");
    }
    for n in 0..5 {
        peer.publish(1, "", &queue, n.to_string());
    }
    let (first, second) = (peer.bodies(2, 1), peer.bodies(3, 1));
    let mut begun = [first, second].concat();
    begun.sort();
    assert_eq!(begun, ["0", "1"]);
    for (tag, n) in [(1, "2"), (2, "3"), (3, "4")] {
        peer.ack(2, tag);
        assert_eq!(peer.bodies(2, 1), [n]);
    }
    peer.expect_no_delivery(3, &queue);
}

/// RabbitMQ: a prefetch is for consumers that start afterwards.
#[test]
fn a_prefetch_is_taken_when_consuming_starts() {
    let mut peer = Peer::with_channel();
    let (one, two) = (peer.queue(1), peer.queue(1));
    peer.prefetch(1, 1);
    peer.consume(1, &one, "one");
    peer.prefetch(1, 3);
    peer.consume(1, &two, "two");
    peer.open_channel(2);
    for _ in 0..4 {
        peer.publish(2, "", &one, "one");
    }
    assert_eq!(peer.bodies(1, 1), ["one"]);
    for _ in 0..4 {
        peer.publish(2, "", &two, "two");
    }
    assert_eq!(peer.bodies(1, 3), ["two", "two", "two"]);
    peer.expect_no_delivery(1, &one);
    peer.expect_no_delivery(1, &two);
}

/// kombu changes a running worker's prefetch by basic.qos; Leveret lets it, for clients that name themselves py-amqp.
#[test]
fn py_amqp_may_change_the_prefetch_of_running_consumers() {
    let properties = table([
        ("product", "py-amqp".into()),
        ("product_version", "5.3.1".into()),
        ("capabilities", Value::Table(table([("consumer_cancel_notify", true.into())]).as_table())),
    ]);
    let mut peer = Peer::visit(&Visit { properties, ..default() });
    peer.open_channel(1);
    let queue = peer.queue(1);
    for n in 0..6 {
        peer.publish(1, "", &queue, n.to_string());
    }
    peer.prefetch(1, 1);
    peer.consume(1, &queue, "c");
    assert_eq!(peer.bodies(1, 1), ["0"]);
    peer.prefetch(1, 3);
    if Difference::QosReachesPyAmqp.holds() {
        assert_eq!(peer.bodies(1, 2), ["1", "2"]);
        peer.prefetch(1, 2);
        peer.ack(1, 1);
        peer.expect_no_delivery(1, &queue);
        peer.ack(1, 2);
        assert_eq!(peer.bodies(1, 1), ["3"]);
    }
    peer.expect_no_delivery(1, &queue);
}

/// Section 1.8.3.1: 0 is no limit.
#[test]
fn no_prefetch_is_no_limit() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    peer.prefetch(1, 1);
    peer.prefetch(1, 0);
    peer.consume(1, &queue, "c");
    for _ in 0..300 {
        peer.publish(1, "", &queue, "m");
    }
    peer.bodies(1, 300);
}

/// Section 1.8.3.1: without acknowledgements there is nothing to count.
#[test]
fn a_prefetch_does_not_bind_consumers_that_settle_nothing() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    peer.prefetch(1, 1);
    peer.consume_settled(1, &queue, "c");
    for _ in 0..10 {
        peer.publish(1, "", &queue, "m");
    }
    peer.bodies(1, 10);
}

/// RabbitMQ's meaning of `global`: the channel's consumers share a limit, running ones too, besides their own.
#[test]
fn a_channel_may_have_a_limit_for_all_its_consumers() {
    if !Difference::GlobalPrefetch.holds() {
        return;
    }
    let mut peer = Peer::with_channel();
    let (one, two) = (peer.queue(1), peer.queue(1));
    peer.prefetch(1, 2);
    peer.consume(1, &one, "one");
    peer.consume(1, &two, "two");
    peer.prefetch_of_channel(1, 3);
    peer.open_channel(2);
    for _ in 0..3 {
        peer.publish(2, "", &one, "one");
    }
    assert_eq!(peer.bodies(1, 2), ["one", "one"]);
    for _ in 0..3 {
        peer.publish(2, "", &two, "two");
    }
    assert_eq!(peer.bodies(1, 1), ["two"]);
    peer.expect_no_delivery(1, &one);
    peer.expect_no_delivery(1, &two);
    peer.ack(1, 3);
    assert_eq!(peer.bodies(1, 1), ["two"]);
}

/// RabbitMQ: a channel's limit can be changed and lifted at any time.
#[test]
fn a_channels_limit_changes_at_once() {
    if !Difference::GlobalPrefetch.holds() {
        return;
    }
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    for n in 0..8 {
        peer.publish(1, "", &queue, n.to_string());
    }
    peer.prefetch_of_channel(1, 1);
    peer.consume(1, &queue, "c");
    assert_eq!(peer.bodies(1, 1), ["0"]);
    peer.expect_no_delivery(1, &queue);
    peer.prefetch_of_channel(1, 3);
    assert_eq!(peer.bodies(1, 2), ["1", "2"]);
    peer.expect_no_delivery(1, &queue);
    peer.prefetch_of_channel(1, 0);
    assert_eq!(peer.bodies(1, 5), ["3", "4", "5", "6", "7"]);
}

/// RabbitMQ: what basic.get has taken before counts towards a channel's limit.
#[test]
fn gets_count_towards_a_channels_limit() {
    if !Difference::GlobalPrefetch.holds() {
        return;
    }
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    for n in 0..3 {
        peer.publish(1, "", &queue, n.to_string());
    }
    peer.get(1, &queue).unwrap();
    peer.prefetch_of_channel(1, 1);
    peer.consume(1, &queue, "c");
    peer.expect_no_delivery(1, &queue);
    peer.prefetch_of_channel(1, 2);
    assert_eq!(peer.bodies(1, 1), ["1"]);
    peer.expect_no_delivery(1, &queue);
}

/// RabbitMQ: consumers that settle nothing do not fill a channel's limit, but stop while others do.
#[test]
fn a_full_channel_stops_every_consumer() {
    if !Difference::GlobalPrefetch.holds() {
        return;
    }
    let mut peer = Peer::with_channel();
    let (acked, unacked) = (peer.queue(1), peer.queue(1));
    peer.prefetch_of_channel(1, 1);
    peer.consume_settled(1, &unacked, "free");
    peer.open_channel(2);
    for _ in 0..5 {
        peer.publish(2, "", &unacked, "free");
    }
    peer.bodies(1, 5);
    peer.consume(1, &acked, "bound");
    peer.publish(2, "", &acked, "bound");
    assert_eq!(peer.bodies(1, 1), ["bound"]);
    peer.publish(2, "", &unacked, "late");
    peer.expect_nothing(2);
    peer.expect_no_delivery(1, &unacked);
    peer.ack_up_to(1, 0);
    assert_eq!(peer.bodies(1, 1), ["late"]);
}

/// RabbitMQ: the next message goes to a channel that has room, past one that has none.
#[test]
fn a_full_consumer_does_not_hold_up_others() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    for channel in [2, 3] {
        peer.open_channel(channel);
    }
    peer.prefetch(2, 1);
    peer.consume(2, &queue, "small");
    peer.publish(1, "", &queue, "0");
    assert_eq!(peer.bodies(2, 1), ["0"]);
    peer.consume(3, &queue, "large");
    for n in 1..20 {
        peer.publish(1, "", &queue, n.to_string());
    }
    assert_eq!(peer.bodies(3, 19), (1..20).map(|n| n.to_string()).collect::<Vec<_>>());
}

/// RabbitMQ: a channel's limit is shared by its queues: none of them starves.
#[test]
fn a_channels_limit_is_shared_fairly() {
    if !Difference::GlobalPrefetch.holds() {
        return;
    }
    let mut peer = Peer::with_channel();
    let (one, two) = (peer.queue(1), peer.queue(1));
    peer.prefetch_of_channel(1, 1);
    peer.consume(1, &one, "one");
    peer.consume(1, &two, "two");
    peer.open_channel(2);
    for _ in 0..20 {
        peer.publish(2, "", &one, "one");
        peer.publish(2, "", &two, "two");
    }
    let mut heard = vec![];
    for _ in 0..20 {
        let (deliver, content) = peer.delivery(1);
        heard.push(content.text());
        peer.ack(1, deliver.delivery_tag);
    }
    for queue in ["one", "two"] {
        assert!(heard.iter().filter(|body| *body == queue).count() >= 5, "{heard:?}");
    }
}
