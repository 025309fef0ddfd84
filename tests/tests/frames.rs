//! Frames: their layout, their order, and what is made of those that are wrong.

use leveret_spec::method::MethodFrame;
use leveret_spec::{basic, channel, connection, content, queue};
use leveret_tests::{Difference, Peer, Visit, default, octets, short};

const METHOD: u8 = 1;
const HEADER: u8 = 2;
const BODY: u8 = 3;
const HEARTBEAT: u8 = 8;

/// A content header's payload, for a body of that size, without properties.
fn header(class: u16, body_size: u64) -> Vec<u8> {
    [&class.to_be_bytes()[..], &[0, 0], &body_size.to_be_bytes(), &[0, 0]].concat()
}

/// Section 2.3.5: a frame that is longer than agreed is refused by its first seven bytes.
#[test]
fn a_frame_above_frame_max_is_refused_before_it_has_come() {
    let mut peer = Peer::visit(&Visit { frame_max: 8192, ..default() });
    peer.open_channel(1);
    peer.send_bytes(&[BODY, 0, 1, 0, 0, 0x20, 1]);
    peer.expect_connection_close(501, "type 3, all octets = <<>>: {frame_too_large,8193,8184}");
}

/// RabbitMQ lets payloads be as long as whole frames may be.
#[test]
fn eight_bytes_too_many_are_forgiven() {
    let mut peer = Peer::visit(&Visit { frame_max: 8192, ..default() });
    peer.open_channel(1);
    let queue = peer.queue(1);
    peer.send(1, &basic::Publish { routing_key: octets(&queue), ..default() });
    peer.send_frame(HEADER, 1, &header(60, 8192));
    peer.send_frame(BODY, 1, &[7; 8192]);
    assert_eq!(peer.get(1, &queue).unwrap().1.body.len(), 8192);
}

/// Section 2.3.5: the last octet of a frame is 0xCE.
#[test]
fn a_frame_without_its_end_is_refused() {
    let mut peer = Peer::with_channel();
    peer.send_bytes(&[HEARTBEAT, 0, 0, 0, 0, 0, 0, 0xCD]);
    peer.expect_connection_close(501, "type 8, all octets = <<>>: {invalid_frame_end_marker,205}");
}

/// Section 2.3.5: there are four types of frames.
#[test]
fn an_unknown_type_is_refused() {
    for (channel, kind) in [(0, 4), (1, 5), (1, 200)] {
        let mut peer = Peer::with_channel();
        peer.send_frame(kind, channel, b"");
        peer.expect_connection_close(501, &format!("type {kind}, all octets = <<>>: unknown_frame"));
    }
}

/// Section 4.2.7: heartbeats are on channel 0.
#[test]
fn a_heartbeat_on_a_channel_is_out_of_place() {
    let mut peer = Peer::with_channel();
    peer.send_frame(HEARTBEAT, 1, b"");
    peer.expect_connection_close(505, "type 8, all octets = <<>>");
}

/// Section 4.2.7: a heartbeat is empty.
#[test]
fn a_heartbeat_with_a_payload_is_none() {
    let mut peer = Peer::with_channel();
    peer.send_frame(HEARTBEAT, 0, b"boo");
    peer.expect_connection_close(501, "type 8, all octets = <<\"boo\">>: unknown_frame");
}

/// Section 2.3.5.2: a message is no matter of the connection as a whole.
#[test]
fn content_on_channel_0_is_out_of_place() {
    let mut peer = Peer::with_channel();
    peer.send_frame(HEADER, 0, &header(60, 1));
    peer.expect_connection_close(505, "type 2, all octets = <<0,60,0,0,0,0,0,0,0,0,0,1,0,0>>");
    let mut peer = Peer::with_channel();
    peer.send_frame(BODY, 0, b"x");
    peer.expect_connection_close(505, "type 3, all octets = <<\"x\">>");
}

/// Section 2.2.4: channel 0 is for class connection.
#[test]
fn other_classes_on_channel_0_are_out_of_place() {
    let mut peer = Peer::with_channel();
    peer.refused_hard(0, &channel::Open::default(), 504, "unexpected method in connection state running");
    let mut peer = Peer::with_channel();
    peer.refused_hard(0, &basic::Qos::default(), 504, "unexpected method in connection state running");
}

/// Section 2.2.4: class connection is for channel 0.
#[test]
fn class_connection_on_a_channel_is_out_of_place() {
    let mut peer = Peer::with_channel();
    peer.send(1, &connection::CloseOk {});
    let close = peer.expect::<connection::Close>(0);
    assert_eq!((close.reply_code, &*close.reply_text), (503, "COMMAND_INVALID - unimplemented method"));
}

/// Section 2.3.5.2: content follows a method that has content.
#[test]
fn content_needs_a_method_before_it() {
    for (kind, payload) in [(HEADER, header(60, 0)), (BODY, b"x".to_vec())] {
        let mut peer = Peer::with_channel();
        peer.send_frame(kind, 1, &payload);
        let close = peer.expect_connection_close(505, "expected method frame, got non method frame instead");
        assert_eq!((close.class_id, close.method_id), (0, 0));
    }
}

/// Section 2.3.5.2: a method that has content is followed by the header, of its own class.
#[test]
fn a_publish_needs_its_header() {
    let text = "expected content header for class 60, got non content header frame instead";
    let mut peer = Peer::with_channel();
    peer.send(1, &basic::Publish::default());
    peer.refused_hard(1, &basic::Publish::default(), 505, text);

    let mut peer = Peer::with_channel();
    peer.send(1, &basic::Publish::default());
    peer.send_frame(BODY, 1, b"x");
    peer.expect_hard_refusal(basic::Publish::ROW, 505, text);

    let mut peer = Peer::with_channel();
    peer.send(1, &basic::Publish::default());
    peer.send_frame(HEADER, 1, &header(85, 1));
    let text = "expected content header for class 60, got one for class 85 instead";
    peer.expect_hard_refusal(basic::Publish::ROW, 505, text);
}

/// Section 2.3.5.2: a header is followed by as much body as it has announced.
#[test]
fn a_header_needs_its_body() {
    let text = "expected content body, got non content body frame instead";
    let mut peer = Peer::with_channel();
    peer.send(1, &basic::Publish::default());
    peer.send_frame(HEADER, 1, &header(60, 2));
    peer.send_frame(BODY, 1, b"x");
    peer.send(1, &basic::Qos::default());
    peer.expect_hard_refusal(basic::Publish::ROW, 505, text);

    let mut peer = Peer::with_channel();
    peer.send(1, &basic::Publish::default());
    peer.send_frame(HEADER, 1, &header(60, 2));
    peer.send_frame(HEADER, 1, &header(60, 2));
    peer.expect_hard_refusal(basic::Publish::ROW, 505, text);
}

/// Section 2.3.5.2: content may not be interrupted on its channel, and may on others.
#[test]
fn content_of_different_channels_may_interleave() {
    let mut peer = Peer::with_channel();
    peer.open_channel(2);
    let queue = peer.queue(1);
    let publish = basic::Publish { routing_key: octets(&queue), ..default() };
    for channel in [1, 2] {
        peer.send(channel, &publish);
    }
    for channel in [2, 1] {
        peer.send_frame(HEADER, channel, &header(60, 4));
        peer.send_frame(HEARTBEAT, 0, b"");
    }
    for (channel, piece) in [(1, b"on"), (2, b"tw"), (2, b"o."), (1, b"e.")] {
        peer.send_frame(BODY, channel, piece);
    }
    peer.expect_nothing(1);
    peer.expect_nothing(2);
    peer.expect_counts(1, &queue, 2, 0);
    let mut bodies = peer.drain(1, &queue);
    bodies.sort();
    assert_eq!(bodies, ["one.", "two."]);
}

/// Section 2.3.5.2: an empty body frame is a strange piece of a body, but one.
#[test]
fn an_empty_body_frame_is_a_piece_too() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    peer.send(1, &basic::Publish { routing_key: octets(&queue), ..default() });
    peer.send_frame(HEADER, 1, &header(60, 2));
    for piece in [b"".as_slice(), b"a", b"", b"b"] {
        peer.send_frame(BODY, 1, piece);
    }
    assert_eq!(peer.drain(1, &queue), ["ab"]);
}

/// Section 2.3.5.2: a body is no longer than its header says.
#[test]
fn a_body_that_is_too_long_is_refused() {
    if !Difference::BodiesMeasured.holds() {
        return;
    }
    let mut peer = Peer::with_channel();
    peer.send(1, &basic::Publish::default());
    peer.send_frame(HEADER, 1, &header(60, 3));
    peer.send_frame(BODY, 1, b"12345");
    let close = peer.expect_connection_close(501, "content body frame exceeds remaining content size");
    assert_eq!((close.class_id, close.method_id), (60, 40));
}

/// RabbitMQ: a body of a size that nobody has memory for is refused by its header.
#[test]
fn a_body_of_a_tebibyte_is_refused_before_it_has_come() {
    if !Difference::BodiesMeasured.holds() {
        return;
    }
    let mut peer = Peer::with_channel();
    peer.send(1, &basic::Publish::default());
    peer.send_frame(HEADER, 1, &header(60, 1 << 40));
    let text = format!("content body size {} exceeds maximum allowed size 536870912", 1u64 << 40);
    let close = peer.expect_connection_close(501, &text);
    assert_eq!((close.class_id, close.method_id), (60, 40));
}

/// Section 4.2.5: arguments that end too early cannot be decoded.
#[test]
fn arguments_that_are_cut_off_are_refused() {
    let mut whole = vec![];
    queue::Declare { queue: short("name"), exclusive: true, ..default() }.encode(&mut whole);
    for cut in 4..whole.len() {
        let mut peer = Peer::with_channel();
        peer.send_frame(METHOD, 1, &whole[..cut]);
        let close = peer.expect::<connection::Close>(0);
        assert_eq!(close.reply_code, 501, "cut at {cut}: {close:?}");
        let octets: Vec<String> = whole[4..cut].iter().map(u8::to_string).collect();
        let text = format!("FRAME_ERROR - cannot decode <<{}>>", octets.join(","));
        assert_eq!(&*close.reply_text, text, "cut at {cut}");
        assert_eq!((close.class_id, close.method_id), (50, 10));
    }
}

/// Section 4.2.5.3: names are UTF-8.
#[test]
fn a_name_that_is_no_text_is_refused() {
    let mut payload = vec![];
    queue::Declare { queue: short("????"), exclusive: true, ..default() }.encode(&mut payload);
    for octet in &mut payload {
        *octet = if *octet == b'?' { 0xFF } else { *octet };
    }
    let mut peer = Peer::with_channel();
    peer.send_frame(METHOD, 1, &payload);
    let close = peer.expect_connection_close(501, "Malformed UTF-8 in shortstr");
    assert_eq!((close.class_id, close.method_id), (0, 0));
}

/// Section 2.3.5.1: ids that no method has. RabbitMQ drops the socket without a word.
#[test]
fn unknown_methods_are_refused() {
    for (class, method) in [(50, 99), (77, 10), (0, 0), (65_535, 65_535)] {
        for channel in [0, 1] {
            let mut peer = Peer::with_channel();
            let payload = [u16::to_be_bytes(class), u16::to_be_bytes(method)].concat();
            peer.send_frame(METHOD, channel, &payload);
            if Difference::UnknownMethodsAnswered.holds() {
                let close = peer.expect_connection_close(503, "unimplemented method");
                assert_eq!((close.class_id, close.method_id), (class, method));
            }
            peer.expect_eof();
        }
    }
}

/// Section 2.2.4: what the server sends is not for clients to send.
#[test]
fn the_servers_own_methods_are_refused() {
    let mut peer = Peer::with_channel();
    peer.refused_hard(1, &queue::DeclareOk::default(), 503, "unimplemented method");
    let mut peer = Peer::with_channel();
    peer.refused_hard(1, &basic::GetEmpty::default(), 503, "unimplemented method");
    let mut peer = Peer::with_channel();
    peer.publish_method(1, &basic::Deliver::default(), &default(), b"m");
    peer.expect_hard_refusal(basic::Deliver::ROW, 503, "unimplemented method");
}

/// Section 2.3.5.2: the property flags say what follows; what does not follow cannot be decoded.
#[test]
fn properties_that_are_cut_off_are_refused() {
    let mut whole = vec![];
    let properties = leveret_spec::Properties { content_type: Some(octets("text/plain")), ..default() };
    content::encode_header(&mut whole, 0, &properties);
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    peer.send(1, &basic::Publish { routing_key: octets(&queue), ..default() });
    peer.send_frame(HEADER, 1, &whole[..whole.len() - 3]);
    peer.send(1, &channel::Flow { active: true });
    let close = peer.expect::<connection::Close>(0);
    assert!([501, 541].contains(&close.reply_code), "{close:?}");
}
