//! Conversations without sockets: frames in, frames out, and time that the test makes up.

use leveret_spec::frame::{self, FrameKind};
use leveret_spec::method::MethodFrame;
use leveret_spec::{
    Method, PROTOCOL_HEADER, Properties, ShortBytes, ShortStr, TableBuf, Value, basic, channel, confirm, connection,
    content, queue,
};

use super::*;
use crate::alarms::Resource;
use crate::config::Config;

/// A client without a socket.
struct Client {
    connection: Connection,
    now: Moment,
    /// Bytes that the connection has not used yet.
    unused: Vec<u8>,
}

fn node() -> Arc<Node> {
    Arc::new(Node::new(&Config::in_memory(), 0))
}

fn short(text: &str) -> ShortStr<'_> {
    ShortStr::new(text).unwrap()
}

fn bytes(text: &str) -> ShortBytes<'_> {
    ShortBytes::new(text.as_bytes()).unwrap()
}

impl Client {
    fn connect(node: &Arc<Node>) -> Self {
        let peer = Peer::in_process("test");
        Client {
            connection: Connection::new(node.clone(), peer, Moment::default()),
            now: Moment::default(),
            unused: vec![],
        }
    }

    /// As far as connection.open-ok, with channel 1 open.
    fn open(node: &Arc<Node>) -> Self {
        let mut client = Client::connect(node);
        client.send_bytes(&PROTOCOL_HEADER);
        client.log_in(b"\0guest\0guest", true);
        client.send(0, &connection::TuneOk { channel_max: 2047, frame_max: 131_072, heartbeat: 10 });
        client.send(0, &connection::Open { virtual_host: short("/"), ..Default::default() });
        client.send(1, &channel::Open::default());
        assert_eq!(client.names(), ["connection.Start", "connection.Tune", "connection.OpenOk", "channel.OpenOk"]);
        client
    }

    fn log_in(&mut self, response: &[u8], capable: bool) {
        let capabilities = TableBuf::new().with("authentication_failure_close", capable).unwrap();
        let properties = TableBuf::new().with("capabilities", capabilities.as_table()).unwrap();
        let (mechanism, locale) = (short("PLAIN"), short("en_US"));
        self.send(0, &connection::StartOk { client_properties: properties.as_table(), mechanism, response, locale });
    }

    fn send_bytes(&mut self, input: &[u8]) {
        self.unused.extend_from_slice(input);
        while self.connection.wants_input() {
            let used = self.connection.handle_bytes(&self.unused, self.now);
            self.unused.drain(..used);
            if used == 0 {
                break;
            }
        }
        self.connection.end_turn(self.now);
    }

    fn send(&mut self, channel: u16, method: &impl MethodFrame) {
        let mut out = vec![];
        frame::put_method(&mut out, channel, method);
        self.send_bytes(&out);
    }

    fn publish(&mut self, key: &str, body: &[u8]) {
        self.send_bytes(&publish(key, body));
    }

    fn advance(&mut self, seconds: u64) {
        self.now = self.now + Duration::from_secs(seconds);
        self.connection.handle_timeout(self.now);
    }

    /// Everything that has come since the last look.
    fn output(&mut self) -> Vec<u8> {
        self.connection.handle_mailbox(self.now);
        let output = self.connection.outbox().to_vec();
        self.connection.handle_written(output.len(), self.now);
        output
    }

    /// The names of the methods in it; bodies as text, heartbeats as `heartbeat`.
    fn names(&mut self) -> Vec<String> {
        let output = self.output();
        let mut rest = &output[..];
        let mut names = vec![];
        while let Some((frame, length)) = frame::parse(rest, usize::MAX).unwrap() {
            match frame.kind {
                FrameKind::Method => names.push(Method::decode(frame.payload).unwrap().row().name.into()),
                FrameKind::Body => names.push(String::from_utf8_lossy(frame.payload).into_owned()),
                FrameKind::Heartbeat => names.push("heartbeat".into()),
                FrameKind::Header => {}
            }
            rest = &rest[length..];
        }
        assert!(rest.is_empty(), "half a frame was written");
        names
    }

    /// The close that is in the output, as `code text`.
    fn close(&mut self) -> String {
        let output = self.output();
        let mut rest = &output[..];
        while let Some((frame, length)) = frame::parse(rest, usize::MAX).unwrap() {
            rest = &rest[length..];
            if frame.kind != FrameKind::Method {
                continue;
            }
            match Method::decode(frame.payload).unwrap() {
                Method::Connection(connection::Method::Close(m)) => {
                    return format!("{} {}", m.reply_code, m.reply_text);
                }
                Method::Channel(channel::Method::Close(m)) => {
                    return format!("channel {} {}", m.reply_code, m.reply_text);
                }
                _ => {}
            }
        }
        "no close".into()
    }

    fn declare(&mut self, name: &str) {
        self.send(1, &queue::Declare { queue: short(name), ..Default::default() });
        assert_eq!(self.names(), ["queue.DeclareOk"]);
    }

    fn consume(&mut self, queue: &str) {
        self.send(1, &basic::Consume { queue: short(queue), consumer_tag: short("t"), ..Default::default() });
        assert_eq!(self.names()[0], "basic.ConsumeOk");
    }
}

fn publish(key: &str, body: &[u8]) -> Vec<u8> {
    publish_with(key, &Properties::default(), body)
}

fn publish_with(key: &str, properties: &Properties<'_>, body: &[u8]) -> Vec<u8> {
    let mut out = vec![];
    frame::put_method(&mut out, 1, &basic::Publish { routing_key: bytes(key), ..Default::default() });
    let mut header = vec![];
    content::encode_header(&mut header, body.len() as u64, properties);
    frame::put_head(&mut out, FrameKind::Header, 1, header.len() as u32);
    out.extend(header);
    out.push(frame::FRAME_END);
    frame::put_body(&mut out, 1, body, 131_072);
    out
}

#[test]
fn any_other_protocol_is_answered_with_ours_and_dropped() {
    for hello in [&b"AMQP\x01\x01\x00\x0a"[..], b"GET / HTTP/1.1\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01", b"x"] {
        let mut client = Client::connect(&node());
        client.send_bytes(hello);
        assert_eq!(client.output(), PROTOCOL_HEADER, "{hello:?}");
        assert!(client.connection.is_closed());
    }
    let mut client = Client::connect(&node());
    client.send_bytes(b"AMQP");
    assert!(client.output().is_empty() && !client.connection.is_closed(), "it may still become ours");
}

#[test]
fn a_wrong_password_is_told_only_to_those_who_can_hear_it() {
    let mut client = Client::connect(&node());
    client.send_bytes(&PROTOCOL_HEADER);
    client.output();
    client.log_in(b"\0guest\0wrong", true);
    let text = "Login was refused using authentication mechanism PLAIN. For details see the broker logfile.";
    assert_eq!(client.close(), format!("403 ACCESS_REFUSED - {text}"));

    let mut client = Client::connect(&node());
    client.send_bytes(&PROTOCOL_HEADER);
    client.output();
    client.log_in(b"\0guest\0wrong", false);
    assert!(client.output().is_empty() && !client.connection.is_closed());
    client.advance(3);
    assert!(client.connection.is_closed());
}

#[test]
fn a_peer_that_does_not_finish_the_handshake_is_dropped_after_ten_seconds() {
    let mut client = Client::connect(&node());
    client.send_bytes(&PROTOCOL_HEADER);
    client.output();
    client.advance(9);
    assert!(!client.connection.is_closed());
    client.advance(1);
    assert!(client.connection.is_closed() && client.output().is_empty());
}

#[test]
fn limits_outside_the_brokers_are_refused() {
    for (channel_max, frame_max, text) in [
        (0, 131_072, "negotiated channel_max = 0 (no limit) is higher than the maximum allowed value (2047)"),
        (2047, 0, "negotiated frame_max = 0 (no limit) is higher than the maximum allowed value (131072)"),
        (2047, 4095, "negotiated frame_max = 4095 is lower than the minimum allowed value (4096)"),
    ] {
        let mut client = Client::connect(&node());
        client.send_bytes(&PROTOCOL_HEADER);
        client.log_in(b"\0guest\0guest", true);
        client.send(0, &connection::TuneOk { channel_max, frame_max, heartbeat: 0 });
        assert_eq!(client.close(), format!("530 NOT_ALLOWED - {text}"));
    }
}

#[test]
fn heartbeats_go_out_when_nothing_else_does_and_silence_ends_the_connection() {
    let mut client = Client::open(&node());
    client.advance(5);
    assert_eq!(client.names(), ["heartbeat"]);
    client.advance(14);
    assert!(!client.connection.is_closed());
    client.send_bytes(&[8, 0, 0]);
    client.advance(19);
    assert!(!client.connection.is_closed(), "any octet counts");
    client.advance(1);
    assert!(client.connection.is_closed());
}

#[test]
fn a_conversation_means_the_same_however_it_is_cut() {
    let mut whole = vec![];
    frame::put_method(&mut whole, 1, &confirm::Select { no_wait: false });
    whole.extend(publish("q", b"one"));
    whole.extend(publish("q", b""));
    whole.extend(publish("nowhere", b"lost"));
    whole.extend(publish("q", &vec![b'z'; 200_000]));
    frame::put_method(&mut whole, 1, &basic::Get { queue: short("q"), no_ack: true, ..Default::default() });
    for cut in (1..whole.len()).filter(|cut| cut % 997 == 0 || *cut < 300) {
        let node = node();
        let mut client = Client::open(&node);
        client.declare("q");
        client.send_bytes(&whole[..cut]);
        client.send_bytes(&whole[cut..]);
        let names = client.names();
        let without_acks: Vec<_> = names.iter().filter(|n| *n != "basic.Ack").collect();
        assert_eq!(without_acks, ["confirm.SelectOk", "basic.GetOk", "one"], "cut at {cut}");
        client.send(1, &queue::Purge { queue: short("q"), ..Default::default() });
        assert_eq!(client.connection.handle_bytes(&[], client.now), 0);
        assert_eq!(client.names().last().map(String::as_str), Some("queue.PurgeOk"));
    }
}

#[test]
fn unsettled_messages_come_back_first_when_their_consumer_vanishes() {
    let node = node();
    let (mut publisher, mut worker, mut other) = (Client::open(&node), Client::open(&node), Client::open(&node));
    publisher.declare("q");
    worker.send(1, &basic::Qos { prefetch_count: 2, ..Default::default() });
    worker.names();
    worker.consume("q");
    for body in ["1", "2", "3"] {
        publisher.publish("q", body.as_bytes());
    }
    assert_eq!(worker.names(), ["basic.Deliver", "1", "basic.Deliver", "2"]);
    worker.connection.handle_eof(worker.now);
    other.send(1, &basic::Consume { queue: short("q"), consumer_tag: short("t"), ..Default::default() });
    let expected = ["basic.ConsumeOk", "basic.Deliver", "1", "basic.Deliver", "2", "basic.Deliver", "3"];
    assert_eq!(other.names(), expected);
}

#[test]
fn nothing_is_delivered_after_cancel_ok_or_channel_close() {
    let node = node();
    let (mut publisher, mut worker) = (Client::open(&node), Client::open(&node));
    publisher.declare("q");
    worker.consume("q");
    publisher.publish("q", b"1");
    worker.send(1, &basic::Cancel { consumer_tag: short("t"), no_wait: false });
    assert_eq!(worker.names(), ["basic.Deliver", "1", "basic.CancelOk"]);
    worker.consume("q");
    publisher.publish("q", b"2");
    worker.send(1, &queue::Declare { queue: short("missing"), passive: true, ..Default::default() });
    publisher.publish("q", b"3");
    assert_eq!(worker.close(), "channel 404 NOT_FOUND - no queue 'missing' in vhost '/'");
    assert!(worker.names().is_empty());
    worker.send(1, &channel::CloseOk {});
    worker.send(1, &channel::Open::default());
    worker.send(1, &basic::Get { queue: short("q"), no_ack: true, ..Default::default() });
    assert_eq!(worker.names(), ["channel.OpenOk", "basic.GetOk", "1"]);
}

#[test]
fn a_failed_publish_is_not_confirmed_and_those_before_it_are() {
    let mut client = Client::open(&node());
    client.declare("q");
    client.send(1, &confirm::Select { no_wait: true });
    let mut burst = publish("q", b"1");
    frame::put_method(&mut burst, 1, &basic::Publish { exchange: bytes("no such"), ..Default::default() });
    let header = publish("q", b"");
    burst.extend_from_slice(&header[header.len() - 22..]);
    client.send_bytes(&burst);
    assert_eq!(client.names(), ["basic.Ack", "channel.Close"]);
}

#[test]
fn exclusive_queues_are_gone_before_close_ok() {
    let node = node();
    let mut owner = Client::open(&node);
    owner.send(1, &queue::Declare { queue: short("mine"), exclusive: true, ..Default::default() });
    let mut other = Client::open(&node);
    other.send(1, &queue::Declare { queue: short("mine"), exclusive: true, ..Default::default() });
    assert!(other.close().starts_with("channel 405 RESOURCE_LOCKED"));
    owner.send(0, &connection::Close { reply_code: 200, ..Default::default() });
    assert_eq!(owner.names(), ["queue.DeclareOk", "connection.CloseOk"]);
    assert!(node.vhost("/").unwrap().queue("mine").is_err());
}

#[test]
fn a_publisher_far_ahead_is_not_read_from_until_time_or_consumers_say_so() {
    let node = node();
    let (mut publisher, mut worker) = (Client::open(&node), Client::open(&node));
    publisher.declare("q");
    worker.send(1, &basic::Qos { prefetch_count: 1, ..Default::default() });
    worker.names();
    worker.consume("q");
    for _ in 0..7 {
        publisher.publish("q", &vec![0; 100_000]);
    }
    assert!(!publisher.connection.wants_input());
    publisher.now = publisher.now + Duration::from_millis(2);
    publisher.connection.handle_timeout(publisher.now);
    assert!(publisher.connection.wants_input());
}

#[test]
fn a_peer_that_does_not_read_is_bounded_and_in_the_end_closed() {
    let node = node();
    let mut client = Client::open(&node);
    client.declare("q");
    client.publish("q", &vec![0; 100_000]);
    let mut gets = vec![];
    for _ in 0..1000 {
        frame::put_method(&mut gets, 1, &basic::Get { queue: short("q"), no_ack: false, ..Default::default() });
        frame::put_method(&mut gets, 1, &basic::Recover { requeue: true });
    }
    client.send_bytes(&gets);
    let waiting = client.connection.outbox().len();
    assert!((1 << 20..2 << 20).contains(&waiting), "{waiting} bytes");
    client.connection.handle_written(0, client.now);
    client.advance(19);
    client.send_bytes(&[]);
    assert!(!client.connection.is_closed());
    client.advance(1);
    assert!(client.connection.is_closed());
    // Nothing keeps its task any more.
    assert!(client.connection.outbox().is_empty() && client.connection.deadline().is_none());
}

#[test]
fn a_bad_frame_closes_the_connection_and_nothing_more_is_heard() {
    for (input, text) in [
        (&[1, 0, 1, 0, 2, 0, 1][..], "501 FRAME_ERROR - type 1, all octets = <<>>: {frame_too_large,131073,131064}"),
        (&[8, 0, 0, 0, 0, 0, 0, 0], "501 FRAME_ERROR - type 8, all octets = <<>>: {invalid_frame_end_marker,0}"),
        (&[5, 0, 0, 0, 0, 0, 0, 0xCE], "501 FRAME_ERROR - type 5, all octets = <<>>: unknown_frame"),
        (&[8, 0, 1, 0, 0, 0, 0, 0xCE], "505 UNEXPECTED_FRAME - type 8, all octets = <<>>"),
        (&[1, 0, 1, 0, 0, 0, 4, 0, 60, 0, 99, 0xCE], "503 COMMAND_INVALID - unimplemented method"),
        (&[1, 0, 1, 0, 0, 0, 5, 0, 60, 0, 20, 0, 0xCE], "501 FRAME_ERROR - cannot decode <<0>>"),
    ] {
        let mut client = Client::open(&node());
        client.send_bytes(input);
        assert_eq!(client.close(), text);
        client.send(0, &connection::Open::default());
        assert!(client.output().is_empty());
        client.advance(10);
        assert!(client.connection.is_closed());
    }
}

#[test]
fn a_connection_that_is_told_to_close_says_why_and_waits_for_the_answer() {
    let mut client = Client::open(&node());
    close(client.connection.mailbox(), Hard::connection_forced("maintenance"));
    assert_eq!(client.close(), "320 CONNECTION_FORCED - maintenance");
    assert!(!client.connection.is_closed());
    client.send(0, &connection::CloseOk {});
    assert!(client.connection.is_closed());
}

#[test]
fn headers_keep_their_order_and_lose_only_the_tag_that_clients_refuse() {
    let mut client = Client::open(&node());
    client.declare("q");
    let mut headers = TableBuf::new();
    headers.insert("z", Value::I64(1)).unwrap().insert("a", "text").unwrap();
    let mut out = vec![];
    frame::put_method(&mut out, 1, &basic::Publish { routing_key: bytes("q"), ..Default::default() });
    let properties = Properties { headers: Some(headers.as_table()), ..Properties::default() };
    let mut header = vec![];
    content::encode_header(&mut header, 0, &properties);
    let expected = header.clone();
    let tag = header.windows(2).position(|w| w == b"zl").unwrap() + 1;
    header[tag] = b'L';
    frame::put_head(&mut out, FrameKind::Header, 1, header.len() as u32);
    out.extend(header);
    out.push(frame::FRAME_END);
    client.send_bytes(&out);
    client.send(1, &basic::Get { queue: short("q"), no_ack: true, ..Default::default() });
    let output = client.output();
    assert!(output.windows(expected.len()).any(|w| w == expected));
}

#[test]
fn a_request_is_answered_without_a_queue() {
    let node = node();
    let (mut asker, mut answerer) = (Client::open(&node), Client::open(&node));
    answerer.declare("requests");
    asker.send(
        1,
        &basic::Consume {
            queue: short("amq.rabbitmq.reply-to"),
            consumer_tag: short("r"),
            no_ack: true,
            ..Default::default()
        },
    );
    assert_eq!(asker.names(), ["basic.ConsumeOk"]);
    let reply_to = Some(bytes("amq.rabbitmq.reply-to"));
    let properties = Properties { reply_to, ..Properties::default() };
    asker.send_bytes(&publish_with("requests", &properties, b"?"));
    answerer.send(1, &basic::Get { queue: short("requests"), no_ack: true, ..Default::default() });
    let output = answerer.output();
    let prefix = b"amq.rabbitmq.reply-to.";
    let at = output.windows(prefix.len()).position(|w| w == prefix).unwrap();
    let name = String::from_utf8(output[at..at + prefix.len() + 22].to_vec()).unwrap();
    answerer.publish(&name, b"!");
    assert_eq!(asker.names(), ["basic.Deliver", "!"]);
    answerer.send(1, &queue::Declare { queue: short(&name), passive: true, ..Default::default() });
    assert_eq!(answerer.names(), ["queue.DeclareOk"]);
    asker.send(1, &basic::Cancel { consumer_tag: short("r"), no_wait: false });
    answerer.publish(&name, b"too late");
    answerer.send(1, &queue::Declare { queue: short(&name), passive: true, ..Default::default() });
    assert!(answerer.close().starts_with("channel 404 NOT_FOUND"));
}

#[test]
fn without_permission_there_is_a_refusal_and_a_change_counts_at_once() {
    use crate::auth::{Pattern, Permission};
    let node = node();
    let mut client = Client::open(&node);
    client.declare("q");
    client.publish("q", b"1");
    node.change_user("guest", |user| {
        let only = |text| Pattern::new(text).unwrap();
        let permission = Permission { configure: only("^$"), write: only("^$"), read: only(".*") };
        user.permissions.insert("/".into(), permission);
    });
    client.publish("q", b"2");
    let refused = "write access to exchange 'amq.default' in vhost '/' refused for user 'guest'";
    assert_eq!(client.close(), format!("channel 403 ACCESS_REFUSED - {refused}"));
    client.send(1, &channel::CloseOk {});
    client.send(1, &channel::Open::default());
    client.send(1, &queue::Declare { queue: short("other"), ..Default::default() });
    let refused = "configure access to queue 'other' in vhost '/' refused for user 'guest'";
    assert_eq!(client.close(), format!("channel 403 ACCESS_REFUSED - {refused}"));
}

#[test]
fn the_firehose_shows_what_is_published_and_delivered() {
    let node = node();
    let mut client = Client::open(&node);
    client.declare("q");
    client.declare("taps");
    let exchange = short("amq.rabbitmq.trace");
    client.send(1, &queue::Bind { queue: short("taps"), exchange, routing_key: short("#"), ..Default::default() });
    client.names();
    client.publish("q", b"unseen");
    node.vhost("/").unwrap().set_traced(true);
    client.publish("q", b"seen");
    client.send(1, &basic::Get { queue: short("q"), no_ack: true, ..Default::default() });
    client.names();
    node.vhost("/").unwrap().set_traced(false);
    let mut taps = vec![];
    for _ in 0..3 {
        client.send(1, &basic::Get { queue: short("taps"), no_ack: true, ..Default::default() });
        taps.push(client.names().last().cloned().unwrap_or_default());
    }
    assert_eq!(taps, ["seen", "unseen", "basic.GetEmpty"], "published, delivered, nothing more");
}

#[test]
fn an_alarm_stops_those_who_publish_and_tells_them() {
    let node = node();
    let mut publisher = Client::connect(&node);
    publisher.send_bytes(&PROTOCOL_HEADER);
    let capabilities = TableBuf::new().with("connection.blocked", true).unwrap();
    let properties = TableBuf::new().with("capabilities", capabilities.as_table()).unwrap();
    let (mechanism, locale) = (short("PLAIN"), short("en_US"));
    let response = b"\0guest\0guest";
    publisher.send(0, &connection::StartOk { client_properties: properties.as_table(), mechanism, response, locale });
    publisher.send(0, &connection::TuneOk { channel_max: 1, frame_max: 131_072, heartbeat: 10 });
    publisher.send(0, &connection::Open { virtual_host: short("/"), ..Default::default() });
    publisher.send(1, &channel::Open::default());
    publisher.names();
    publisher.declare("q");
    node.alarms.set(Resource::Memory, true);
    assert!(publisher.names().is_empty(), "who does not publish is not stopped");
    publisher.publish("q", b"1");
    assert_eq!(publisher.names(), ["connection.Blocked"]);
    publisher.publish("q", b"2");
    publisher.advance(100);
    assert_eq!(publisher.names(), ["heartbeat"], "it cannot be heard, so it cannot be silent");
    node.alarms.set(Resource::Memory, false);
    assert_eq!(publisher.names(), ["connection.Unblocked"]);
    publisher.send(1, &queue::Purge { queue: short("q"), ..Default::default() });
    assert_eq!(publisher.names(), ["queue.PurgeOk"]);
}

#[test]
fn bytes_behind_the_arguments_of_a_publish_harm_nobody() {
    let mut client = Client::open(&node());
    client.declare("q");
    let mut whole = publish("q", b"hello");
    // Fifty octets more before the method frame's end; the specification says nothing of them, RabbitMQ ignores them.
    let size = u32::from_be_bytes([whole[3], whole[4], whole[5], whole[6]]);
    let end = frame::FRAME_HEADER + size as usize;
    whole.splice(end..end, [0xFF; 50]);
    whole[3..7].copy_from_slice(&(size + 50).to_be_bytes());
    client.send_bytes(&whole);
    client.send(1, &basic::Get { queue: short("q"), no_ack: true, ..Default::default() });
    assert_eq!(client.names(), ["basic.GetOk", "hello"]);
}

#[test]
fn whoever_closes_twice_is_answered_twice_and_the_socket_is_the_clients_to_close() {
    let node = node();
    let mut client = Client::open(&node);
    let mut closes = vec![];
    for _ in 0..2 {
        frame::put_method(&mut closes, 0, &connection::Close { reply_code: 200, ..Default::default() });
    }
    client.send_bytes(&closes);
    assert_eq!(client.names(), ["connection.CloseOk", "connection.CloseOk"]);
    assert!(!client.connection.is_closed());
    client.advance(30);
    assert!(client.connection.is_closed());

    let mut client = Client::open(&node);
    client.send(0, &connection::Close { reply_code: 200, ..Default::default() });
    close(client.connection.mailbox(), Hard::connection_forced("shutdown"));
    assert_eq!(client.names(), ["connection.CloseOk"]);
    assert!(client.connection.is_closed(), "the broker's end does not wait for it");
}

#[test]
fn what_is_left_in_the_mailbox_of_a_closing_connection_is_taken() {
    let node = node();
    let (mut publisher, mut worker) = (Client::open(&node), Client::open(&node));
    publisher.declare("q");
    worker.consume("q");
    publisher.publish("q", b"1");
    worker.send_bytes(&[5, 0, 0, 0, 0, 0, 0, 0xCE]);
    assert!(worker.close().starts_with("501 FRAME_ERROR"));
    close(worker.connection.mailbox(), Hard::connection_forced("shutdown"));
    worker.connection.handle_mailbox(worker.now);
    assert!(!worker.connection.mailbox().is_waiting(), "or its task would be woken again and again");
}
