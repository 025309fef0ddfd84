//! Class channel: opening, closing in both directions, flow.

use leveret_spec::method::MethodFrame;
use leveret_spec::{Properties, basic, channel, queue};
use leveret_tests::{Peer, Received, Visit, default, short, texts, unique};

/// Section 1.5.2.1: nothing goes before channel.open. The error is the connection's.
#[test]
fn a_method_before_channel_open_ends_the_connection() {
    let mut peer = Peer::handshake();
    peer.refused_hard(1, &channel::Flow { active: true }, 504, "expected 'channel.open'");
    let mut peer = Peer::handshake();
    peer.refused_hard(1, &queue::Declare { exclusive: true, ..default() }, 504, "expected 'channel.open'");
}

/// Section 1.5.2.1: a channel is opened once.
#[test]
fn a_channel_that_is_open_cannot_be_opened() {
    let mut peer = Peer::with_channel();
    peer.refused_hard(1, &channel::Open::default(), 504, "second 'channel.open' seen");
}

/// Section 1.5.2.2: open-ok has a place for a channel's id, of old: a long string, which is empty.
#[test]
fn open_ok_has_an_empty_id() {
    let mut peer = Peer::handshake();
    peer.send(1, &channel::Open::default());
    peer.expect_bytes(b"\x01\x00\x01\x00\x00\x00\x08\x00\x14\x00\x0b\x00\x00\x00\x00\xce");
}

/// RabbitMQ counts open channels against channel_max; their numbers may be any.
#[test]
fn channel_max_is_a_count_and_no_highest_number() {
    let mut peer = Peer::visit(&Visit { channel_max: 3, ..default() });
    for number in [7, 65_535, 2] {
        peer.open_channel(number);
    }
    peer.close_channel(7);
    peer.open_channel(300);
    peer.send(1, &channel::Open::default());
    peer.expect_connection_close(530, "number of channels opened (3) has reached the negotiated channel_max (3)");
    peer.expect_eof();
}

/// Section 1.5.2.5: the number can be used again as soon as close-ok has come, and what was unsettled goes back.
#[test]
fn a_closed_channel_lets_go_of_everything() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    peer.publish(1, "", &queue, "m");
    for round in 0..20 {
        peer.consume(1, &queue, "c");
        let (deliver, content) = peer.delivery(1);
        assert_eq!((deliver.redelivered, content.text().as_str()), (round > 0, "m"), "round {round}");
        peer.close_channel(1);
        peer.open_channel(1);
    }
}

/// Section 1.5.2.5: consumers end with their channel.
#[test]
fn a_closed_channel_has_no_consumers() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    peer.open_channel(2);
    peer.consume(2, &queue, "c");
    peer.expect_counts(1, &queue, 0, 1);
    peer.close_channel(2);
    peer.expect_counts(1, &queue, 0, 0);
}

/// Section 4.9: after the server's close a channel hears nothing but close-ok, whole messages included.
#[test]
fn a_channel_that_is_being_closed_drops_what_comes() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    peer.open_channel(2);
    let missing = unique("missing");
    peer.send(2, &queue::Purge { queue: short(&missing), ..default() });
    peer.publish(2, "", &queue, "dropped");
    peer.ack(2, 77);
    peer.send(2, &basic::Reject { delivery_tag: 5, requeue: true });
    peer.send(2, &queue::Purge { queue: short("another"), ..default() });
    peer.expect_channel_close(2, 404, &texts::no_queue(&missing));
    peer.open_channel(2);
    peer.expect_nothing(2);
    peer.expect_counts(1, &queue, 0, 0);
}

/// Section 1.5.2.1: a number that the server has closed is taken until close-ok.
#[test]
fn a_number_is_taken_until_close_ok() {
    let mut peer = Peer::with_channel();
    let missing = unique("missing");
    peer.send(1, &queue::Purge { queue: short(&missing), ..default() });
    assert_eq!(peer.expect::<channel::Close>(1).reply_code, 404);
    peer.refused_hard(1, &channel::Open::default(), 504, "second 'channel.open' seen");
}

/// Section 4.9: half a message is dropped with its channel as well, and its other half too.
#[test]
fn a_message_that_straddles_the_close_is_dropped() {
    let mut peer = Peer::with_channel();
    peer.open_channel(2);
    let exchange = unique("missing");
    peer.publish(2, &exchange, "", "lost");
    let publish = basic::Publish::default();
    peer.publish_method(2, &publish, &Properties::default(), b"also lost");
    peer.expect_channel_close(2, 404, &texts::no_exchange(&exchange));
    peer.open_channel(2);
    peer.expect_nothing(2);
    peer.expect_nothing(1);
}

/// Section 1.5.2.5: a client's close that crosses the server's is answered.
#[test]
fn a_close_that_crosses_the_servers_is_answered() {
    let mut peer = Peer::with_channel();
    peer.open_channel(2);
    let missing = unique("missing");
    peer.send(2, &queue::Purge { queue: short(&missing), ..default() });
    peer.send(2, &channel::Close { reply_code: 200, ..default() });
    let close = peer.expect::<channel::Close>(2);
    assert_eq!(&*close.reply_text, texts::reply(404, &texts::no_queue(&missing)));
    peer.expect::<channel::CloseOk>(2);
    peer.expect_nothing(1);
}

/// Section 4.9: channels do not share their misfortunes.
#[test]
fn a_soft_error_leaves_the_other_channels_alone() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    peer.consume(1, &queue, "c");
    peer.open_channel(2);
    let missing = unique("missing");
    peer.refused(2, &queue::Purge { queue: short(&missing), ..default() }, 404, &texts::no_queue(&missing));
    peer.publish(2, "", &queue, "m");
    assert_eq!(peer.bodies(1, 1), ["m"]);
}

/// Section 1.5.2.5: the close names the method that failed, and not the one that came last.
#[test]
fn a_close_names_its_cause() {
    let mut peer = Peer::with_channel();
    let missing = unique("missing");
    peer.publish(1, &missing, "", "m");
    peer.send(1, &queue::Purge { queue: short(&missing), ..default() });
    peer.send(1, &channel::Flow { active: true });
    peer.expect_refusal(1, basic::Publish::ROW, 404, &texts::no_exchange(&missing));
}

/// RabbitMQ: a close-ok that nobody has asked for is no method to be sent.
#[test]
fn a_close_ok_out_of_nowhere_ends_the_connection() {
    let mut peer = Peer::with_channel();
    peer.refused_hard(1, &channel::CloseOk {}, 503, "unimplemented method");
    let mut peer = Peer::handshake();
    peer.refused_hard(1, &channel::CloseOk {}, 504, "expected 'channel.open'");
}

/// Section 1.5.2.3: a channel that flows already says so.
#[test]
fn flow_that_is_on_can_be_switched_on() {
    let mut peer = Peer::with_channel();
    for _ in 0..3 {
        assert!(peer.call::<channel::FlowOk>(1, &channel::Flow { active: true }).active);
    }
}

/// RabbitMQ does not let a client stop a channel: basic.qos is there for that.
#[test]
fn flow_cannot_be_switched_off() {
    let mut peer = Peer::with_channel();
    peer.refused_hard(1, &channel::Flow { active: false }, 540, "active=false");
}

/// Section 4.9: what was delivered to a channel that ended does not reach the next one of its number.
#[test]
fn deliveries_end_with_their_channel() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    peer.open_channel(2);
    peer.consume_settled(2, &queue, "c");
    let missing = unique("missing");
    for _ in 0..50 {
        peer.publish(1, "", &queue, "m");
    }
    peer.send(2, &queue::Purge { queue: short(&missing), ..default() });
    for _ in 0..50 {
        peer.publish(1, "", &queue, "m");
    }
    let is_delivery = |received: &Received| received.content.is_some();
    while is_delivery(&peer.expect_any(2, "the close")) {}
    peer.send(2, &channel::CloseOk {});
    peer.send(2, &channel::Open::default());
    while is_delivery(&peer.expect_any(2, "channel.OpenOk")) {}
    peer.expect_nothing(2);
}

/// Section 1.4: a connection closes with all of its channels.
#[test]
fn a_connection_may_close_with_channels_open() {
    let mut peer = Peer::with_channel();
    for number in 2..50 {
        peer.open_channel(number);
    }
    peer.close();
}
