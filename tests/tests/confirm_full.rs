//! Class confirm: what publishers hear of queues that are full, and of messages that do not stay.

use leveret_spec::{Method, Properties, TableBuf, basic};
use leveret_tests::{Peer, default, octets, table};

/// A queue for `length` messages that refuses more.
fn refusing(peer: &mut Peer, length: i32) -> String {
    peer.queue_with(1, &table([("x-max-length", length.into()), ("x-overflow", "reject-publish".into())]))
}

/// What became of the publishes from 1 to `up_to`: true is confirmed, false is refused.
#[track_caller]
fn verdicts(peer: &mut Peer, up_to: u64) -> Vec<bool> {
    let mut verdicts = vec![None; up_to as usize];
    while verdicts.contains(&None) {
        let received = peer.expect_any(1, "basic.Ack or basic.Nack");
        let (tag, multiple, verdict) = match received.method {
            Method::Basic(basic::Method::Ack(ack)) => (ack.delivery_tag, ack.multiple, true),
            Method::Basic(basic::Method::Nack(nack)) => (nack.delivery_tag, nack.multiple, false),
            _ => (0, false, false),
        };
        assert!(tag > 0, "{received:?} is no verdict");
        let last = tag as usize;
        let first = if multiple { 1 } else { last };
        let open = verdicts[first - 1..last].iter_mut().filter(|verdict| verdict.is_none());
        assert!(open.map(|open| *open = Some(verdict)).count() > 0, "{tag} was judged before");
    }
    verdicts.into_iter().flatten().collect()
}

/// RabbitMQ's reject-publish: the publisher gets basic.nack, each message its own verdict.
#[test]
fn a_full_queue_refuses() {
    let mut peer = Peer::with_channel();
    let queue = refusing(&mut peer, 3);
    peer.select_confirms(1);
    for _ in 0..5 {
        peer.publish(1, "", &queue, "m");
    }
    assert_eq!(verdicts(&mut peer, 5), [true, true, true, false, false]);
    peer.expect_counts(1, &queue, 3, 0);
}

/// RabbitMQ asks for room before it asks for consumers: one that waits does not make a message smaller.
#[test]
fn a_message_that_is_too_much_is_refused_though_a_consumer_waits() {
    let mut peer = Peer::with_channel();
    let arguments = table([("x-max-length-bytes", 1i32.into()), ("x-overflow", "reject-publish".into())]);
    let queue = peer.queue_with(1, &arguments);
    peer.consume(1, &queue, "c");
    peer.open_channel(2);
    peer.select_confirms(2);
    peer.publish(2, "", &queue, "17");
    let method = peer.expect_any(2, "basic.Nack").method;
    assert!(matches!(method, Method::Basic(basic::Method::Nack(_))), "{method:?}");
    peer.expect_no_delivery(1, &queue);
}

/// RabbitMQ's reject-publish-dlx: the same, though a dead letter was made of the message.
#[test]
fn a_refusal_is_one_though_there_is_a_dead_letter() {
    let mut peer = Peer::with_channel();
    let arguments = table([("x-max-length", 1i32.into()), ("x-overflow", "reject-publish-dlx".into())]);
    let (queue, dead) = peer.queue_with_dead_letters(1, arguments);
    peer.select_confirms(1);
    for _ in 0..2 {
        peer.publish(1, "", &queue, "m");
    }
    assert_eq!(verdicts(&mut peer, 2), [true, false]);
    peer.expect_counts(1, &dead, 1, 0);
}

/// RabbitMQ: of several queues one that refuses is enough; the others have the message nevertheless.
#[test]
fn one_queue_that_refuses_is_enough() {
    let mut peer = Peer::with_channel();
    let (full, other, exchange) = (refusing(&mut peer, 1), peer.queue(1), peer.exchange(1, "fanout"));
    for queue in [&full, &other] {
        peer.bind(1, queue, &exchange, "");
    }
    peer.select_confirms(1);
    for _ in 0..3 {
        peer.publish(1, &exchange, "", "m");
    }
    assert_eq!(verdicts(&mut peer, 3), [true, false, false]);
    peer.expect_counts(1, &full, 1, 0);
    peer.expect_counts(1, &other, 3, 0);
}

/// RabbitMQ: a mandatory message that is refused was routed: it is refused, and not returned.
#[test]
fn a_refused_message_is_not_returned() {
    let mut peer = Peer::with_channel();
    let queue = refusing(&mut peer, 0);
    peer.select_confirms(1);
    peer.publish_mandatory(1, "", &queue, "m");
    let nack = peer.expect::<basic::Nack>(1);
    // RabbitMQ leaves the bit at its default.
    assert_eq!((nack.delivery_tag, nack.requeue), (1, true));
    peer.expect_nothing(1);
}

/// RabbitMQ: what a full queue drops for new messages was confirmed, and the new ones are.
#[test]
fn a_queue_that_drops_its_oldest_confirms() {
    let mut peer = Peer::with_channel();
    for length in [0i32, 2] {
        let queue = peer.queue_with(1, &table([("x-max-length", length.into())]));
        peer.open_channel(2);
        peer.select_confirms(2);
        for _ in 0..10 {
            peer.publish(2, "", &queue, "m");
        }
        peer.expect_confirms(2, 10);
        peer.close_channel(2);
        peer.expect_counts(1, &queue, length as u32, 0);
    }
}

/// RabbitMQ: a message that expires at once is confirmed, with dead-lettering and without.
#[test]
fn what_expires_at_once_is_confirmed() {
    let mut peer = Peer::with_channel();
    let (with, _) = peer.queue_with_dead_letters(1, table([("x-message-ttl", 0i32.into())]));
    let without = peer.queue_with(1, &table([("x-message-ttl", 0i32.into())]));
    peer.select_confirms(1);
    for queue in [&with, &without] {
        peer.publish_as(1, "", queue, &Properties { delivery_mode: Some(2), ..default() }, "m");
    }
    peer.expect_confirms(1, 2);
}

/// RabbitMQ: a message with a consumer that refuses it at once is confirmed all the same.
#[test]
fn what_a_consumer_refuses_is_confirmed() {
    let mut peer = Peer::with_channel();
    let queue = peer.shared_queue(1);
    peer.open_channel(2);
    peer.consume(2, &queue, "c");
    peer.select_confirms(1);
    for n in 1..=20 {
        peer.publish_as(1, "", &queue, &Properties { delivery_mode: Some(2), ..default() }, "m");
        peer.delivery(2);
        peer.reject(2, n);
    }
    peer.expect_confirms(1, 20);
}

/// RabbitMQ: what an error has dropped is neither confirmed nor refused; the channel is gone, and its number starts anew.
#[test]
fn an_error_is_no_verdict() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    peer.select_confirms(1);
    let properties = Properties { expiration: Some(octets("nonsense")), ..default() };
    peer.publish_as(1, "", &queue, &properties, "m");
    peer.publish(1, "", &queue, "dropped");
    let close = peer.expect::<leveret_spec::channel::Close>(1);
    assert_eq!(close.reply_code, 406);
    peer.send(1, &leveret_spec::channel::CloseOk {});
    peer.open_channel(1);
    peer.expect_counts(1, &queue, 0, 0);
    peer.select_confirms(1);
    peer.publish(1, "", &queue, "m");
    assert_eq!(peer.expect::<basic::Ack>(1).delivery_tag, 1);
}

/// RabbitMQ: confirmed, refused, returned: in a mixture every message has its own verdict.
#[test]
fn verdicts_are_not_mixed_up() {
    let mut peer = Peer::with_channel();
    let (full, roomy) = (refusing(&mut peer, 0), peer.queue(1));
    peer.select_confirms(1);
    let mut expected = vec![];
    for n in 0..60 {
        let queue = if n % 3 == 0 { &full } else { &roomy };
        peer.publish(1, "", queue, "m");
        expected.push(n % 3 != 0);
    }
    assert_eq!(verdicts(&mut peer, 60), expected);
}

/// RabbitMQ: a quorum queue confirms and refuses too.
#[test]
fn a_quorum_queue_confirms() {
    let mut peer = Peer::with_channel();
    let queue = peer.quorum_queue(1, TableBuf::new());
    peer.select_confirms(1);
    for _ in 0..20 {
        peer.publish(1, "", &queue, "m");
    }
    peer.expect_confirms(1, 20);
    peer.expect_counts(1, &queue, 20, 0);
}
