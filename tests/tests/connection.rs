//! Class connection: the handshake, its limits, and the end in both directions.

use leveret_spec::method::MethodFrame;
use leveret_spec::table::ArrayBuf;
use leveret_spec::{PROTOCOL_HEADER, PROTOCOL_HEADER_0_9, TableBuf, Value, basic, channel, connection, frame, queue};
use leveret_tests::{Difference, Peer, Visit, default, short, table, target, texts, unique};

const HEARTBEAT: &[u8] = b"\x08\x00\x00\x00\x00\x00\x00\xce";
/// AMQP 1.0's header with its SASL layer: what RabbitMQ 4 offers to strangers.
const HEADER_1_0: [u8; 8] = *b"AMQP\x03\x01\x00\x00";

/// connection.start (section 1.4.2.1): version 0-9, and the properties that clients read.
#[test]
fn the_server_introduces_itself() {
    let start = Peer::connect().greet();
    assert_eq!((start.version_major, start.version_minor), (0, 9));
    for property in ["cluster_name", "copyright", "information", "platform", "product", "version"] {
        let value = start.server_properties.lookup(property).and_then(Value::as_str);
        assert!(value.is_some_and(|v| !v.is_empty()), "{property}: {value:?}");
    }
    let mechanisms = String::from_utf8_lossy(start.mechanisms).into_owned();
    assert!(["PLAIN", "AMQPLAIN"].iter().all(|m| mechanisms.split(' ').any(|offered| offered == *m)), "{mechanisms}");
    assert_eq!(start.locales, b"en_US");
}

/// RabbitMQ's capabilities: a server that has an extension says so.
#[test]
fn the_server_announces_its_nine_capabilities() {
    let start = Peer::connect().greet();
    let Some(Value::Table(able)) = start.server_properties.lookup("capabilities") else { panic!("{start:?}") };
    let nine = [
        "publisher_confirms",
        "exchange_exchange_bindings",
        "basic.nack",
        "consumer_cancel_notify",
        "connection.blocked",
        "consumer_priorities",
        "authentication_failure_close",
        "per_consumer_qos",
        "direct_reply_to",
    ];
    for capability in nine {
        assert_eq!(able.lookup(capability), Some(Value::Bool(true)), "{capability}");
    }
}

/// RabbitMQ serves the header of AMQP 0-9 as 0-9-1.
#[test]
fn the_header_of_0_9_is_welcome() {
    let mut peer = Peer::connect();
    peer.send_bytes(&PROTOCOL_HEADER_0_9);
    let start = peer.expect::<connection::Start>(0);
    assert_eq!((start.version_major, start.version_minor), (0, 9));
}

/// Section 4.2.2: a header of another version gets the server's own, and the socket is closed.
#[test]
fn another_version_of_amqp_is_answered_with_ours() {
    for header in [b"AMQP\x00\x00\x09\x02", b"AMQP\x00\x00\x0A\x00"] {
        let mut peer = Peer::connect();
        peer.send_bytes(header);
        peer.expect_bytes(&PROTOCOL_HEADER);
        peer.expect_eof();
    }
}

/// Section 4.2.2: whoever speaks another protocol gets exactly eight bytes, and the socket is closed.
#[test]
fn another_protocol_is_answered_with_a_header() {
    let hello =
        [b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".as_slice(), b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00"];
    for bytes in hello {
        let mut peer = Peer::connect();
        peer.send_bytes(bytes);
        peer.expect_bytes(if Difference::AnswersWith091.holds() { &PROTOCOL_HEADER } else { &HEADER_1_0 });
        peer.expect_eof();
    }
}

/// A header that does not come whole is no reason to answer.
#[test]
fn half_a_header_gets_no_answer() {
    let mut peer = Peer::connect();
    peer.send_bytes(&PROTOCOL_HEADER[..5]);
    peer.finish_sending();
    peer.expect_eof();
}

/// connection.tune: RabbitMQ's defaults, which client libraries take over.
#[test]
fn the_server_proposes_its_limits() {
    let mut peer = Peer::connect();
    peer.greet();
    peer.start_ok(&TableBuf::new(), "PLAIN", &Peer::plain(target().user(), target().password()));
    let tune = peer.expect::<connection::Tune>(0);
    assert_eq!(tune, connection::Tune { channel_max: 2047, frame_max: 131_072, heartbeat: 60 });
}

/// SASL PLAIN (RFC 4616): an authorization id in front of the user is allowed.
#[test]
fn plain_may_name_whom_to_act_for() {
    let mut peer = Peer::connect();
    peer.greet();
    let response = [target().user().as_bytes(), &Peer::plain(target().user(), target().password())].concat();
    peer.start_ok(&TableBuf::new(), "PLAIN", &response);
    match Difference::PlainAuthorizationId.holds() {
        true => drop(peer.expect::<connection::Tune>(0)),
        false => peer.expect_eof(),
    }
}

/// AMQPLAIN: a table without its length, with LOGIN and PASSWORD.
#[test]
fn amqplain_lets_in() {
    let mut peer = Peer::connect();
    peer.greet();
    let login = table([("LOGIN", target().user().into()), ("PASSWORD", target().password().into())]);
    peer.start_ok(&TableBuf::new(), "AMQPLAIN", login.as_table().as_bytes());
    peer.expect::<connection::Tune>(0);
}

/// RabbitMQ's capability authentication_failure_close: the client hears why it is not let in.
#[test]
fn a_wrong_password_is_explained_to_who_can_hear_it() {
    let refusals = [
        ("PLAIN", Peer::plain(target().user(), "wrong")),
        ("PLAIN", Peer::plain("no-such-user", "wrong")),
        (
            "AMQPLAIN",
            table([("LOGIN", "no-such-user".into()), ("PASSWORD", "x".into())]).as_table().as_bytes().to_vec(),
        ),
    ];
    for (mechanism, response) in refusals {
        let mut peer = Peer::connect();
        peer.greet();
        peer.start_ok(&Visit::able(&["authentication_failure_close"]), mechanism, &response);
        let text = format!(
            "Login was refused using authentication mechanism {mechanism}. For details see the broker logfile."
        );
        let close = peer.expect_connection_close(403, &text);
        assert_eq!((close.class_id, close.method_id), (0, 0));
        peer.expect_eof();
    }
}

/// Section 4.2.2 of old: without that capability the socket is closed and nothing said.
#[test]
fn a_wrong_password_ends_an_old_client_silently() {
    let mut peer = Peer::connect();
    peer.greet();
    peer.start_ok(&TableBuf::new(), "PLAIN", &Peer::plain(target().user(), "wrong"));
    peer.expect_eof();
}

/// A mechanism that was not offered: RabbitMQ says nothing before the client is known.
#[test]
fn an_unknown_mechanism_ends_the_conversation_silently() {
    let mut peer = Peer::connect();
    peer.greet();
    peer.start_ok(&Visit::able(&["authentication_failure_close"]), "ROT13", b"guest");
    peer.expect_eof();
}

/// Client properties may be anything that parses; those that nobody knows are passed over.
#[test]
fn unknown_client_properties_are_welcome() {
    let mut array = ArrayBuf::new();
    array.push(1u8).push("two").push(Value::Void);
    let inner = table([("f", Value::F64(1.5)), ("t", Value::Timestamp(1))]);
    let properties = table([
        ("bool", true.into()),
        ("i8", Value::I8(-1)),
        ("u8", Value::U8(1)),
        ("i16", Value::I16(-1)),
        ("u16", Value::U16(1)),
        ("i32", Value::I32(-1)),
        ("u32", Value::U32(1)),
        ("i64", Value::I64(-1)),
        ("f32", Value::F32(0.5)),
        ("decimal", Value::Decimal { scale: 2, value: 314 }),
        ("bytes", Value::Bytes(b"\xff\x00")),
        ("text", Value::LongStr(b"\xff\x00")),
        ("array", array.as_array().into()),
        ("table", inner.as_table().into()),
        ("void", Value::Void),
        ("capabilities", "not even a table".into()),
    ]);
    Peer::log_in(&properties);
}

/// connection.open (section 1.4.2.7): the virtual host has to exist. The text is parsed by clients.
#[test]
fn an_unknown_virtual_host_is_refused() {
    let mut peer = Peer::log_in(&TableBuf::new());
    peer.tune_ok(2047, 131_072, 0);
    let open = connection::Open { virtual_host: short("no-such-vhost"), ..default() };
    peer.refused_hard(0, &open, 530, "vhost no-such-vhost not found");
}

/// A URI with an empty path means the virtual host with the empty name, which does not exist.
#[test]
fn the_empty_virtual_host_does_not_exist() {
    let mut peer = Peer::log_in(&TableBuf::new());
    peer.tune_ok(2047, 131_072, 0);
    peer.refused_hard(0, &connection::Open::default(), 530, "vhost  not found");
}

/// connection.tune-ok: a frame_max below the floor is refused, not corrected.
#[test]
fn a_frame_max_below_the_floor_is_refused() {
    let floor = if Difference::SmallFrames.holds() { 4096 } else { 8192 };
    for wanted in [1, 4095] {
        let text = format!("negotiated frame_max = {wanted} is lower than the minimum allowed value ({floor})");
        tune_is_refused(2047, wanted, &text);
    }
}

/// The specification's smallest frame_max works, where RabbitMQ still allows it.
#[test]
fn the_smallest_frame_max_is_kept() {
    let floor = if Difference::SmallFrames.holds() { 4096 } else { 8192 };
    let mut peer = Peer::visit(&Visit { frame_max: floor, ..default() });
    peer.open_channel(1);
    let queue = peer.queue(1);
    let body = vec![7; 20_000];
    peer.publish(1, "", &queue, &body);
    let (_, content) = peer.get(1, &queue).unwrap();
    assert_eq!(content.body, body);
    // The harness refuses any longer frame itself; how the pieces are cut is the broker's choice.
    assert!(content.frames.len() >= 3, "{:?}", content.frames);
}

/// connection.tune-ok: neither limit may exceed the server's, and 0, no limit, exceeds any.
#[test]
fn limits_above_the_servers_are_refused() {
    let above = "is higher than the maximum allowed value";
    tune_is_refused(2047, 131_073, &format!("negotiated frame_max = 131073 {above} (131072)"));
    tune_is_refused(2047, 0, &format!("negotiated frame_max = 0 (no limit) {above} (131072)"));
    tune_is_refused(2048, 131_072, &format!("negotiated channel_max = 2048 {above} (2047)"));
    tune_is_refused(0, 131_072, &format!("negotiated channel_max = 0 (no limit) {above} (2047)"));
}

#[track_caller]
fn tune_is_refused(channel_max: u16, frame_max: u32, text: &str) {
    let mut peer = Peer::log_in(&Visit::default().properties);
    peer.tune_ok(channel_max, frame_max, 0);
    if Difference::RefusedLimitsExplained.holds() {
        peer.expect_hard_refusal(connection::TuneOk::ROW, 530, text);
    } else {
        peer.expect_eof();
    }
}

/// Section 4.2.7: a heartbeat that the client asks for is sent, without anything else going on.
#[test]
fn heartbeats_come_at_the_interval_that_the_client_chose() {
    let mut peer = Peer::visit(&Visit { heartbeat_s: 1, ..default() });
    peer.expect_bytes(HEARTBEAT);
}

/// Section 4.2.7: a client may send heartbeats whenever it likes, even without having asked for any.
#[test]
fn heartbeats_of_the_client_need_no_answer() {
    let mut peer = Peer::with_channel();
    for _ in 0..3 {
        peer.send_bytes(HEARTBEAT);
    }
    peer.expect_nothing(1);
}

/// Section 4.2.7: a peer that said it would send heartbeats and sends nothing is dropped, without a word.
#[test]
fn a_peer_that_falls_silent_is_dropped() {
    let mut peer = Peer::visit(&Visit { heartbeat_s: 1, ..default() });
    peer.open_channel(1);
    peer.expect_eof();
}

/// Section 4.2.7: any octet that comes is a sign of life, though it is no whole frame.
#[test]
fn any_octet_keeps_a_peer_alive() {
    let mut peer = Peer::visit(&Visit { heartbeat_s: 1, ..default() });
    let mut open = vec![];
    frame::put_method(&mut open, 1, &channel::Open::default());
    // The broker's heartbeats, which come every half second or second, tell the time.
    for octet in &open[..8] {
        peer.expect_bytes(HEARTBEAT);
        peer.send_bytes(&[*octet]);
    }
    peer.send_bytes(&open[8..]);
    peer.expect::<channel::OpenOk>(1);
}

/// RabbitMQ's handshake timeout: whoever does not say who he is has to go, without a word.
#[test]
fn a_peer_that_never_says_who_it_is_is_dropped() {
    let mut silent = Peer::connect();
    let mut halting = Peer::connect();
    halting.send_bytes(&PROTOCOL_HEADER[..5]);
    let mut greeted = Peer::connect();
    greeted.greet();
    let mut tuned = Peer::log_in(&TableBuf::new());
    tuned.tune_ok(2047, 131_072, 0);
    for peer in [&mut silent, &mut halting, &mut greeted, &mut tuned] {
        peer.expect_eof();
    }
}

/// Section 1.4.2.9: close-ok is the last frame.
#[test]
fn close_ok_is_the_last_word() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    peer.consume_settled(1, &queue, "c");
    peer.close();
}

/// RabbitMQ: exclusive queues are gone when close-ok is sent, so that the next connection can have the name.
#[test]
fn an_exclusive_name_is_free_once_close_ok_has_come() {
    if !Difference::ExclusiveNamesFreeAtClose.holds() {
        return;
    }
    let name = unique("exclusive");
    for _ in 0..20 {
        let mut peer = Peer::with_channel();
        let declare = queue::Declare { queue: short(&name), exclusive: true, ..default() };
        peer.declare(1, &declare);
        peer.close();
    }
}

/// Section 1.4.2.9: after the server's close everything but close and close-ok is dropped.
#[test]
fn nothing_is_answered_after_the_servers_close() {
    let mut peer = Peer::with_channel();
    let name = unique("late");
    peer.send(0, &connection::TuneOk::default());
    peer.send(1, &queue::Declare { queue: short(&name), exclusive: true, ..default() });
    peer.send(8, &channel::Open::default());
    peer.expect_connection_close(504, "unexpected method in connection state running");
    peer.expect_eof();
}

/// RabbitMQ: the server waits for close-ok no longer than a heartbeat's interval.
#[test]
fn a_close_that_is_not_answered_ends_all_the_same() {
    let mut peer = Peer::visit(&Visit { heartbeat_s: 1, ..default() });
    peer.send(0, &connection::TuneOk::default());
    let close = peer.expect::<connection::Close>(0);
    assert_eq!(&*close.reply_text, texts::reply(504, "unexpected method in connection state running"));
    peer.expect_eof();
}

/// Section 1.4.2.9: when both sides close at once, each gets its close-ok.
#[test]
fn both_sides_may_close_at_once() {
    let mut peer = Peer::with_channel();
    peer.send(0, &connection::TuneOk::default());
    peer.send(0, &connection::Close { reply_code: 200, ..default() });
    let close = peer.expect::<connection::Close>(0);
    assert_eq!(&*close.reply_text, texts::reply(504, "unexpected method in connection state running"));
    peer.expect::<connection::CloseOk>(0);
    peer.send(0, &connection::CloseOk {});
    peer.expect_eof();
}

/// RabbitMQ: a socket that breaks is a close; what it had unsettled goes back, as redelivered, before anything newer.
#[test]
fn a_broken_socket_returns_what_was_unsettled() {
    let mut owner = Peer::with_channel();
    let queue = owner.shared_queue(1);
    let mut consumer = Peer::with_channel();
    consumer.consume(1, &queue, "c");
    for body in ["1", "2", "3"] {
        owner.publish(1, "", &queue, body);
    }
    assert_eq!(consumer.bodies(1, 3), ["1", "2", "3"]);
    drop(consumer);
    owner.open_channel(2);
    owner.consume(2, &queue, "next");
    for body in ["1", "2", "3"] {
        let (deliver, content) = owner.delivery(2);
        assert_eq!((content.text().as_str(), deliver.redelivered), (body, true));
    }
}

/// Section 1.4: what belongs to the handshake is out of place after it.
#[test]
fn the_handshake_is_not_repeated() {
    let mut peer = Peer::handshake();
    let tune = connection::TuneOk { channel_max: 10, frame_max: 8192, heartbeat: 0 };
    peer.refused_hard(0, &tune, 504, "unexpected method in connection state running");
    let mut peer = Peer::handshake();
    let open = connection::Open { virtual_host: short(target().vhost()), ..default() };
    peer.refused_hard(0, &open, 504, "unexpected method in connection state running");
}

/// RabbitMQ's update-secret: clients that renew their credentials get their answer, even with nothing to do.
#[test]
fn a_new_secret_is_taken() {
    let mut peer = Peer::handshake();
    let update = connection::UpdateSecret { new_secret: target().password().as_bytes(), reason: short("renewed") };
    peer.call::<connection::UpdateSecretOk>(0, &update);
}

/// Section 4.9: an error in one connection is nothing to the others.
#[test]
fn a_hard_error_ends_only_its_own_connection() {
    let mut other = Peer::with_channel();
    let mut peer = Peer::with_channel();
    peer.refused_hard(1, &basic::Qos { prefetch_size: 1, ..default() }, 540, "prefetch_size!=0 (1)");
    other.expect_nothing(1);
}
