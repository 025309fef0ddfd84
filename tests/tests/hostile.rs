//! Peers that mean no good, or whose network does not: whatever they do, the broker goes on serving.
#![expect(clippy::unwrap_used, reason = "a check that fails panics")]

use leveret_spec::{PROTOCOL_HEADER, basic, channel, connection, content, frame, queue};
use leveret_tests::{Difference, Peer, default, octets, short, target, unique};

/// The broker does its work for others.
#[track_caller]
fn serves() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    peer.publish(1, "", &queue, "still here");
    assert_eq!(peer.drain(1, &queue), ["still here"]);
    peer.close();
}

/// A whole conversation, sent without waiting for any answer: from the header to connection.close.
fn conversation(queue: &str) -> Vec<u8> {
    let mut out = PROTOCOL_HEADER.to_vec();
    let response = Peer::plain(target().user(), target().password());
    let (mechanism, locale) = (short("PLAIN"), short("en_US"));
    let start_ok = connection::StartOk { mechanism, response: &response, locale, ..default() };
    frame::put_method(&mut out, 0, &start_ok);
    frame::put_method(&mut out, 0, &connection::TuneOk { channel_max: 100, frame_max: 8192, heartbeat: 0 });
    frame::put_method(&mut out, 0, &connection::Open { virtual_host: short(target().vhost()), ..default() });
    frame::put_method(&mut out, 1, &channel::Open::default());
    frame::put_method(&mut out, 1, &queue::Declare { queue: short(queue), exclusive: true, ..default() });
    frame::put_method(&mut out, 1, &basic::Publish { routing_key: octets(queue), ..default() });
    let mut header = vec![];
    let properties = leveret_spec::Properties { content_type: Some(octets("text/plain")), ..default() };
    content::encode_header(&mut header, 5, &properties);
    Peer::put_frame(&mut out, 2, 1, &header);
    Peer::put_frame(&mut out, 3, 1, b"he");
    Peer::put_frame(&mut out, 3, 1, b"llo");
    frame::put_method(&mut out, 1, &basic::Get { queue: short(queue), ..default() });
    frame::put_method(&mut out, 1, &basic::Ack { delivery_tag: 1, multiple: false });
    frame::put_method(&mut out, 0, &connection::Close { reply_code: 200, ..default() });
    out
}

/// The answers to `conversation`.
#[track_caller]
fn expect_answers(peer: &mut Peer, queue: &str) {
    peer.expect::<connection::Start>(0);
    peer.expect::<connection::Tune>(0);
    peer.expect::<connection::OpenOk>(0);
    peer.expect::<channel::OpenOk>(1);
    assert_eq!(&*peer.expect::<queue::DeclareOk>(1).queue, queue);
    assert_eq!(peer.expect_content::<basic::GetOk>(1).1.text(), "hello");
    peer.expect::<connection::CloseOk>(0);
}

/// Section 2.3: a protocol is bytes in order, however the network cuts them.
#[test]
fn a_conversation_may_come_byte_by_byte() {
    let queue = unique("bytes");
    let mut peer = Peer::connect();
    for byte in conversation(&queue) {
        peer.send_bytes(&[byte]);
    }
    expect_answers(&mut peer, &queue);
}

/// Section 2.3: nothing has to wait for its answer.
#[test]
fn a_conversation_may_come_in_one_piece() {
    let queue = unique("piece");
    let mut peer = Peer::connect();
    peer.send_bytes(&conversation(&queue));
    expect_answers(&mut peer, &queue);
}

/// A peer may be gone at any moment.
#[test]
fn a_conversation_may_break_off_anywhere() {
    let queue = unique("cut");
    let whole = conversation(&queue);
    for cut in 0..whole.len() {
        let mut peer = Peer::connect();
        peer.send_bytes(&whole[..cut]);
    }
    serves();
}

/// A peer may stop sending at any moment, and listen on: the broker ends it, with or without a word.
#[test]
fn half_a_conversation_comes_to_an_end() {
    let queue = unique("half");
    let whole = conversation(&queue);
    let cuts = (0..whole.len()).step_by(7);
    let mut peers: Vec<Peer> = cuts.clone().map(|_| Peer::connect()).collect();
    for (peer, cut) in peers.iter_mut().zip(cuts) {
        peer.send_bytes(&whole[..cut]);
        peer.finish_sending();
    }
    serves();
    for peer in &mut peers {
        peer.expect_end();
    }
}

/// Bytes of any kind in the place of any frame end the connection, and nothing else.
#[test]
fn garbage_ends_a_connection_and_nothing_else() {
    let mut state = 0x2545_F491_4F6C_DD1Du64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut peers: Vec<Peer> = (0..50).map(|_| Peer::with_channel()).collect();
    for peer in &mut peers {
        let garbage: Vec<u8> = (0..200).map(|_| random() as u8).collect();
        peer.send_bytes(&garbage);
        peer.finish_sending();
    }
    serves();
    for peer in &mut peers {
        peer.expect_end();
    }
}

/// Every byte of a conversation may be wrong; the broker has an answer to each or none, and goes on.
#[test]
fn a_conversation_may_be_wrong_in_any_byte() {
    let queue = unique("wrong");
    let whole = conversation(&queue);
    // What comes before tune-ok is cut short by a pause that slows down guessing.
    let first = whole.len() - conversation_after_tune(&whole).len();
    for at in first..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x55;
        let mut peer = Peer::connect();
        peer.send_bytes(&bytes);
    }
    serves();
}

fn conversation_after_tune(whole: &[u8]) -> &[u8] {
    let ids = [0, 10, 0, 31];
    let at = whole.windows(4).position(|bytes| bytes == ids).unwrap();
    &whole[at..]
}

/// Section 4.2.5.5 sets no limit to nesting; Leveret does, and RabbitMQ has the memory for it.
#[test]
fn deeply_nested_tables_do_no_harm() {
    // As deep as a frame of 128 KiB has room for.
    let table = nested_tables(18_000);
    let mut payload = vec![0, 50, 0, 10, 0, 0, 0, 0b0000_0100];
    payload.extend((table.len() as u32).to_be_bytes());
    payload.extend(table);
    let mut peer = Peer::with_channel();
    peer.send_frame(1, 1, &payload);
    if Difference::DepthLimited.holds() {
        let close = peer.expect::<connection::Close>(0);
        assert_eq!(close.reply_code, 501, "{close:?}");
    } else {
        peer.expect::<queue::DeclareOk>(1);
    }
    serves();
}

fn nested_tables(depth: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(depth * 7);
    for level in (0..depth).rev() {
        out.extend([1, b'k', b'F']);
        out.extend(((level * 7) as u32).to_be_bytes());
    }
    out
}

/// A peer that announces much and sends little costs little.
#[test]
fn announcing_is_not_having() {
    let announced = 100 << 20;
    let mut peers: Vec<Peer> = (0..20).map(|_| Peer::with_channel()).collect();
    for peer in &mut peers {
        peer.send(1, &basic::Publish::default());
        let mut header = vec![];
        content::encode_header(&mut header, announced, &default());
        peer.send_frame(2, 1, &header);
        peer.send_frame(3, 1, b"a little");
    }
    serves();
}

/// Frames for channels that are closed, or were never open, are the connection's error.
#[test]
fn frames_for_closed_channels_end_the_connection() {
    let mut peer = Peer::with_channel();
    peer.close_channel(1);
    peer.publish(1, "", "nowhere", "m");
    peer.expect_connection_close(504, "expected 'channel.open'");
    serves();
}

/// A peer that never reads holds up neither those who publish for it nor anybody else.
#[test]
fn a_peer_that_never_reads_is_its_own_problem() {
    let mut lazy = Peer::with_channel();
    let queue = lazy.shared_queue(1);
    lazy.consume_settled(1, &queue, "c");
    let mut publisher = Peer::with_channel();
    publisher.select_confirms(1);
    let body = vec![0; 1 << 20];
    for _ in 0..32 {
        publisher.publish(1, "", &queue, &body);
    }
    publisher.expect_confirms(1, 32);
    serves();
    // And when it reads in the end, nothing is lost.
    for tag in 1..=32 {
        let (deliver, content) = lazy.delivery(1);
        assert_eq!((deliver.delivery_tag, content.body.len()), (tag, body.len()));
    }
}
