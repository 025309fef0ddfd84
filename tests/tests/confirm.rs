//! Class confirm: RabbitMQ's publisher confirms.

use leveret_spec::{Properties, basic, confirm};
use leveret_tests::{Peer, default, octets, texts, unique};

/// RabbitMQ: publishes are numbered from 1, beginning with the first after confirm.select.
#[test]
fn numbers_start_at_one_behind_select() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    for _ in 0..3 {
        peer.publish(1, "", &queue, "not counted");
    }
    peer.select_confirms(1);
    peer.publish(1, "", &queue, "first");
    let ack = peer.expect::<basic::Ack>(1);
    assert_eq!(ack.delivery_tag, 1);
    peer.expect_counts(1, &queue, 4, 0);
}

/// RabbitMQ: selecting twice changes nothing.
#[test]
fn selecting_again_does_not_start_anew() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    peer.select_confirms(1);
    peer.publish(1, "", &queue, "m");
    peer.expect_confirms(1, 1);
    peer.select_confirms(1);
    peer.publish(1, "", &queue, "m");
    assert_eq!(peer.expect::<basic::Ack>(1).delivery_tag, 2);
}

/// RabbitMQ: every publish is confirmed once, in order, alone or with those before it.
#[test]
fn every_publish_is_confirmed() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    peer.select_confirms(1);
    for number in 1..=500 {
        peer.publish(1, "", &queue, number.to_string());
    }
    peer.expect_confirms(1, 500);
    peer.expect_nothing(1);
    peer.expect_counts(1, &queue, 500, 0);
}

/// RabbitMQ: persistent messages of a durable queue are confirmed too, as are transient ones.
#[test]
fn a_durable_queue_confirms_every_delivery_mode() {
    let mut peer = Peer::with_channel();
    let queue = peer.shared_queue(1);
    peer.select_confirms(1);
    for delivery_mode in [None, Some(1), Some(2)] {
        peer.publish_as(1, "", &queue, &Properties { delivery_mode, ..default() }, "m");
    }
    peer.expect_confirms(1, 3);
}

/// RabbitMQ: what reaches no queue is confirmed: the broker has done all it can.
#[test]
fn the_unroutable_is_confirmed() {
    let mut peer = Peer::with_channel();
    peer.select_confirms(1);
    peer.publish(1, "", &unique("nowhere"), "m");
    peer.publish(1, "amq.topic", &unique("nowhere"), "m");
    peer.expect_confirms(1, 2);
}

/// RabbitMQ: a mandatory message that reaches no queue is returned first and confirmed, not refused, afterwards.
#[test]
fn a_return_comes_before_its_confirm() {
    let mut peer = Peer::with_channel();
    peer.select_confirms(1);
    let key = unique("nowhere");
    peer.publish_mandatory(1, "", &key, "m");
    let (returned, content) = peer.expect_content::<basic::Return>(1);
    assert_eq!((returned.reply_code, returned.routing_key.as_bytes()), (312, key.as_bytes()));
    assert_eq!(content.text(), "m");
    peer.expect_confirms(1, 1);
    peer.expect_nothing(1);
}

/// RabbitMQ: with returns in between, every message still has its return and its confirm, in this order.
#[test]
fn returns_and_confirms_keep_their_order() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    peer.select_confirms(1);
    for number in 1..=20u64 {
        let key = if number % 2 == 0 { queue.clone() } else { unique("nowhere") };
        peer.publish_mandatory(1, "", &key, number.to_string());
    }
    let (mut returned, mut confirmed) = (vec![], 0);
    while confirmed < 20 {
        let received = peer.expect_any(1, "a return or a confirm");
        match (received.content, received.method) {
            (Some(content), _) => returned.push(content.text().parse::<u64>().unwrap()),
            (None, leveret_spec::Method::Basic(basic::Method::Ack(ack))) => {
                let owed = (confirmed + 1..=ack.delivery_tag).filter(|n| n % 2 == 1);
                assert!(owed.into_iter().all(|n| returned.contains(&n)), "{ack:?} before the returns of its messages");
                confirmed = confirmed.max(ack.delivery_tag);
            }
            (_, other) => panic!("{other:?}"),
        }
    }
    assert_eq!(returned, (1..=20).step_by(2).collect::<Vec<u64>>());
}

/// RabbitMQ: what goes to several queues is confirmed once.
#[test]
fn a_message_for_many_queues_is_confirmed_once() {
    let mut peer = Peer::with_channel();
    let exchange = peer.exchange(1, "fanout");
    let queues = [peer.queue(1), peer.queue(1), peer.queue(1)];
    for queue in &queues {
        peer.bind(1, queue, &exchange, "");
    }
    peer.select_confirms(1);
    peer.publish(1, &exchange, "", "m");
    peer.expect_confirms(1, 1);
    peer.expect_nothing(1);
    for queue in &queues {
        peer.expect_counts(1, queue, 1, 0);
    }
}

/// RabbitMQ: publishing to an exchange that does not exist closes the channel; nothing is confirmed behind that.
#[test]
fn a_missing_exchange_is_an_error_and_no_refusal() {
    let mut peer = Peer::with_channel();
    peer.select_confirms(1);
    let exchange = unique("missing");
    let publish = basic::Publish { exchange: octets(exchange.as_str()), ..default() };
    peer.publish_method(1, &publish, &default(), b"m");
    peer.publish(1, "", "nowhere", "never looked at");
    let close = peer.expect_channel_close(1, 404, &texts::no_exchange(&exchange));
    assert_eq!((close.class_id, close.method_id), (60, 40));
    peer.open_channel(1);
    peer.expect_nothing(1);
}

/// RabbitMQ: the mode ends with the channel, though its number is used again.
#[test]
fn confirms_end_with_their_channel() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    peer.select_confirms(1);
    peer.close_channel(1);
    peer.open_channel(1);
    peer.publish(1, "", &queue, "m");
    peer.expect_nothing(1);
}

/// RabbitMQ: with nowait there is no select-ok, but there are confirms.
#[test]
fn select_without_answer_selects() {
    let mut peer = Peer::with_channel();
    peer.send(1, &confirm::Select { no_wait: true });
    peer.publish(1, "", "nowhere", "m");
    peer.expect_confirms(1, 1);
}

/// RabbitMQ: channels count for themselves.
#[test]
fn every_channel_has_its_own_numbers() {
    let mut peer = Peer::with_channel();
    peer.open_channel(2);
    for channel in [1, 2] {
        peer.select_confirms(channel);
        peer.publish(channel, "", "nowhere", "m");
    }
    for channel in [1, 2] {
        peer.expect_confirms(channel, 1);
    }
}

/// RabbitMQ: a queue that is deleted does not leave its messages' publishers waiting.
#[test]
fn deleting_the_queue_does_not_lose_confirms() {
    let mut peer = Peer::with_channel();
    let queue = peer.shared_queue(1);
    peer.open_channel(2);
    peer.select_confirms(2);
    for _ in 0..50 {
        peer.publish_as(2, "", &queue, &Properties { delivery_mode: Some(2), ..default() }, "m");
    }
    peer.delete_queue(1, &queue);
    peer.expect_confirms(2, 50);
}
