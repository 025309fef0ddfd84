//! Class basic: publishing, and what comes back.

use leveret_spec::method::MethodFrame;
use leveret_spec::table::ArrayBuf;
use leveret_spec::{Properties, Table, Value, basic, frame};
use leveret_tests::{Content, Difference, Peer, Visit, default, octets, short, table, target, texts, unique};

/// Section 1.8.3.7: an exchange that does not exist closes the channel, in the name of basic.publish.
#[test]
fn a_missing_exchange_is_an_error() {
    let mut peer = Peer::with_channel();
    let exchange = unique("missing");
    peer.publish(1, &exchange, "k", "m");
    peer.expect_refusal(1, basic::Publish::ROW, 404, &texts::no_exchange(&exchange));
}

/// Section 1.8.3.7: the default exchange has a route for every queue; a name that is none leads nowhere.
#[test]
fn a_missing_queue_is_no_error() {
    let mut peer = Peer::with_channel();
    peer.publish(1, "", &unique("missing"), "m");
    peer.expect_nothing(1);
}

/// Section 4.9: an error comes when it comes; what is published behind it is dropped.
#[test]
fn what_follows_an_error_is_dropped() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    peer.open_channel(2);
    let exchange = unique("missing");
    peer.publish(2, "", &queue, "before");
    peer.publish(2, &exchange, "", "error");
    for _ in 0..10 {
        peer.publish(2, "", &queue, "behind");
    }
    peer.expect_refusal(2, basic::Publish::ROW, 404, &texts::no_exchange(&exchange));
    assert_eq!(peer.drain(1, &queue), ["before"]);
}

/// RabbitMQ has given up `immediate`.
#[test]
fn immediate_is_not_implemented() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    let publish = basic::Publish { routing_key: octets(&queue), immediate: true, ..default() };
    peer.publish_method(1, &publish, &default(), b"m");
    peer.expect_hard_refusal(basic::Publish::ROW, 540, "immediate=true");
}

/// RabbitMQ: who says who he is has to be it; an empty name is a name.
#[test]
fn the_user_id_has_to_be_true() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    let user_id = Some(octets(target().user()));
    peer.publish_as(1, "", &queue, &Properties { user_id, ..default() }, "m");
    assert_eq!(peer.drain(1, &queue), ["m"]);
    for wrong in ["somebody", ""] {
        peer.publish_as(1, "", &queue, &Properties { user_id: Some(octets(wrong)), ..default() }, "m");
        let text = format!("user_id property set to '{wrong}' but authenticated user was '{}'", target().user());
        peer.expect_refusal(1, basic::Publish::ROW, 406, &text);
    }
}

/// Section 1.8.3.9: a mandatory message comes back as it was, with the bare name of the reason.
#[test]
fn a_return_is_the_message_itself() {
    let mut peer = Peer::with_channel();
    let headers = table([("h", 1i32.into()), ("CC", Value::Array(ArrayBuf::new().as_array()))]);
    let properties = Properties {
        content_type: Some(octets("text/plain")),
        headers: Some(headers.as_table()),
        message_id: Some(octets("id")),
        ..default()
    };
    let key = unique("nowhere");
    let publish =
        basic::Publish { exchange: octets("amq.direct"), routing_key: octets(&key), mandatory: true, ..default() };
    let body = vec![1; 300_000];
    peer.publish_method(1, &publish, &properties, &body);
    let (returned, content) = peer.expect_content::<basic::Return>(1);
    assert_eq!((returned.reply_code, &*returned.reply_text), (312, "NO_ROUTE"));
    assert_eq!((returned.exchange, returned.routing_key), (publish.exchange, publish.routing_key));
    assert_same(&content.properties(), &properties);
    assert!(content.body == body, "{} bytes of {}", content.body.len(), body.len());
    peer.expect_nothing(1);
}

/// Section 1.8.3.7: without `mandatory` nothing comes back.
#[test]
fn the_unroutable_disappears() {
    let mut peer = Peer::with_channel();
    for exchange in ["", "amq.direct", "amq.topic", "amq.headers"] {
        peer.publish(1, exchange, &unique("nowhere"), "m");
    }
    peer.expect_nothing(1);
}

/// Section 1.8.3.7: a mandatory message that reaches a queue does not come back.
#[test]
fn a_mandatory_message_that_is_routed_stays() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    peer.publish_mandatory(1, "", &queue, "m");
    peer.expect_nothing(1);
    assert_eq!(peer.drain(1, &queue), ["m"]);
}

/// Section 4.7: what one channel sends to one queue arrives in this order.
#[test]
fn messages_keep_their_order() {
    let mut peer = Peer::with_channel();
    let (exchange, queue) = (peer.exchange(1, "direct"), peer.queue(1));
    peer.bind(1, &queue, &exchange, "k");
    let sent: Vec<String> = (0..200).map(|n| n.to_string()).collect();
    for (n, body) in sent.iter().enumerate() {
        let (exchange, key) = if n % 3 == 0 { ("", queue.as_str()) } else { (exchange.as_str(), "k") };
        peer.publish(1, exchange, key, body);
    }
    assert_eq!(peer.drain(1, &queue), sent);
}

/// Section 2.3.5.2: a message without body is complete with its header, in both directions.
#[test]
fn an_empty_body_has_no_frame() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    peer.publish(1, "", &queue, "");
    let (_, content) = peer.get(1, &queue).unwrap();
    assert_eq!(content, Content { raw: vec![0, 0], body: vec![], frames: vec![] });
    // A body frame would be out of turn here.
    peer.expect_nothing(1);
}

/// Section 2.3.5.2: a body may come in pieces of any size.
#[test]
fn a_body_may_come_in_any_pieces() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    let body: Vec<u8> = (0..=255).collect();
    let publish = basic::Publish { routing_key: octets(&queue), ..default() };
    for size in [1, 2, 100] {
        peer.send(1, &publish);
        let mut header = vec![];
        leveret_spec::content::encode_header(&mut header, body.len() as u64, &default());
        peer.send_frame(2, 1, &header);
        for piece in body.chunks(size) {
            peer.send_frame(3, 1, piece);
        }
    }
    for _ in 0..3 {
        assert_eq!(peer.get(1, &queue).unwrap().1.body, body);
    }
}

/// Section 2.3.5: a large body goes out in as few frames as frame_max allows.
#[test]
fn a_large_body_arrives_whole() {
    let mut peer = Peer::visit(&Visit { frame_max: 8192, ..default() });
    peer.open_channel(1);
    let queue = peer.queue(1);
    let body: Vec<u8> = (0..1_000_000u32).map(|n| (n % 251) as u8).collect();
    peer.publish(1, "", &queue, &body);
    let (_, content) = peer.get(1, &queue).unwrap();
    assert!(content.body == body, "{} bytes of {}", content.body.len(), body.len());
    assert!(content.frames.iter().all(|&size| size <= 8192 - frame::FRAME_OVERHEAD));
}

/// Section 1.8.1: the broker does not look at properties that are none of its business, and hands them on as they are.
#[test]
fn properties_survive() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    let headers = table([("z", 1i32.into()), ("a", "text".into())]);
    let some = |text| Some(octets(text));
    let properties = Properties {
        content_type: some("no/such"),
        content_encoding: some("rot13"),
        headers: Some(headers.as_table()),
        delivery_mode: Some(1),
        priority: Some(255),
        correlation_id: some("c"),
        reply_to: some("nobody"),
        expiration: None,
        message_id: some("\u{fffd}"),
        timestamp: Some(u64::MAX >> 1),
        message_type: some("t"),
        user_id: None,
        app_id: some("a"),
        cluster_id: some("x"),
    };
    peer.publish_as(1, "", &queue, &properties, "m");
    let (_, content) = peer.get(1, &queue).unwrap();
    assert_same(&content.properties(), &properties);
    peer.publish_as(1, "", &queue, &Properties { delivery_mode: Some(2), ..default() }, "m");
    assert_eq!(peer.get(1, &queue).unwrap().1.properties().delivery_mode, Some(2));
}

/// All properties are the same; the order of the headers does not count.
#[track_caller]
fn assert_same(received: &Properties<'_>, sent: &Properties<'_>) {
    assert_eq!(Properties { headers: None, ..*received }, Properties { headers: None, ..*sent });
    assert_eq!(received.headers.map(sorted), sent.headers.map(sorted));
}

fn sorted(table: Table<'_>) -> Vec<(String, Value<'_>)> {
    let mut entries: Vec<_> = table.iter().map(|(key, value)| (key.to_string(), value)).collect();
    entries.sort_by(|(one, _), (other, _)| one.cmp(other));
    entries
}

/// Section 1.8.1: a delivery mode is 1 or 2; any other number is as good as none.
#[test]
fn a_delivery_mode_may_be_any_number() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    peer.publish_as(1, "", &queue, &Properties { delivery_mode: Some(7), ..default() }, "m");
    if Difference::AnyDeliveryMode.holds() {
        assert_eq!(peer.drain(1, &queue), ["m"]);
    } else {
        peer.expect_refusal(1, basic::Publish::ROW, 406, "invalid message: {delivery_mode_unknown,7}");
    }
}

/// RabbitMQ's field types (its table differs from section 4.2.5.5): every one arrives as it was sent.
#[test]
fn header_values_of_every_type_survive() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    let mut array = ArrayBuf::new();
    array.push(1i32).push("two").push(Value::Void).push(true);
    let inner = table([("inner", Value::I64(i64::MIN))]);
    let headers = table([
        ("A", array.as_array().into()),
        ("B", Value::U8(200)),
        ("D", Value::Decimal { scale: 2, value: 314 }),
        ("F", inner.as_table().into()),
        ("I", Value::I32(-2)),
        ("S", Value::LongStr(b"\xff\xfe")),
        ("T", Value::Timestamp(1_700_000_000)),
        ("V", Value::Void),
        ("b", Value::I8(-100)),
        ("d", Value::F64(-1.5)),
        ("f", Value::F32(0.25)),
        ("i", Value::U32(u32::MAX)),
        ("l", Value::I64(i64::MAX)),
        ("s", Value::I16(-300)),
        ("t", true.into()),
        ("u", Value::U16(60_000)),
        ("x", Value::Bytes(b"\x00\x01")),
    ]);
    peer.publish_as(1, "", &queue, &Properties { headers: Some(headers.as_table()), ..default() }, "m");
    let (_, content) = peer.get(1, &queue).unwrap();
    assert_eq!(sorted(content.properties().headers.unwrap()), sorted(headers.as_table()));
}

/// RabbitMQ rewrites the tag `L`, which py-amqp writes and Java refuses, into its equal `l`.
#[test]
fn the_tag_of_long_integers_is_the_one_that_all_clients_know() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    peer.publish_method(1, &basic::Publish { routing_key: octets(&queue), ..default() }, &default(), b"");
    let entry = |tag| [&[1, b'n', tag], &7i64.to_be_bytes()[..]].concat();
    publish_raw_headers(&mut peer, &queue, &entry(b'L'));
    peer.get_settled(1, &queue).unwrap();
    let (_, content) = peer.get(1, &queue).unwrap();
    let tag = if Difference::RewritesTagL.holds() { b'l' } else { b'L' };
    assert_eq!(content.properties().headers.unwrap().as_bytes(), entry(tag));
}

/// Section 4.2.5.5: the tag `U` is a 16-bit integer.
#[test]
fn the_tag_u_is_a_short_integer() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    publish_raw_headers(&mut peer, &queue, &[1, b'n', b'U', 0, 7]);
    if Difference::ReadsTagU.holds() {
        let (_, content) = peer.get(1, &queue).unwrap();
        assert_eq!(content.properties().headers.unwrap().lookup("n").and_then(Value::as_i64), Some(7));
    }
}

/// Publishes a message whose only property is a table of these bytes.
fn publish_raw_headers(peer: &mut Peer, queue: &str, entries: &[u8]) {
    let mut header = vec![0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x20, 0];
    header.extend((entries.len() as u32).to_be_bytes());
    header.extend(entries);
    peer.send(1, &basic::Publish { routing_key: octets(queue), ..default() });
    peer.send_frame(2, 1, &header);
}

/// RabbitMQ: a message above max_message_size is read to its end and then refused; the connection goes on.
#[test]
fn a_message_that_is_too_large_costs_its_channel() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    peer.open_channel(2);
    let most = target().message_bytes_max();
    let body = vec![0; most as usize + 1];
    peer.publish(2, "", &queue, &body);
    let text = format!("message size {} is larger than configured max size {most}", body.len());
    peer.expect_refusal(2, basic::Publish::ROW, 406, &text);
    peer.expect_counts(1, &queue, 0, 0);
}

/// Section 4.2.5.3: names in basic.publish are bytes; what they are makes no difference to the routing.
#[test]
fn a_routing_key_may_be_any_bytes() {
    let mut peer = Peer::with_channel();
    let (exchange, queue) = (peer.exchange(1, "fanout"), peer.queue(1));
    peer.bind(1, &queue, &exchange, "");
    let longest = [0xFF; 255];
    let publish = basic::Publish { exchange: octets(&exchange), routing_key: octets(&longest), ..default() };
    peer.publish_method(1, &publish, &default(), b"m");
    let (got, _) = peer.get(1, &queue).unwrap();
    assert_eq!(got.routing_key.as_bytes(), longest);
    assert_eq!(got.exchange.as_bytes(), exchange.as_bytes());
}

/// Section 4.7: a consumer sees the exchange and the routing key that the publisher has used.
#[test]
fn a_delivery_carries_its_address() {
    let mut peer = Peer::with_channel();
    let (exchange, queue) = (peer.exchange(1, "topic"), peer.queue(1));
    peer.bind(1, &queue, &exchange, "a.#");
    peer.consume(1, &queue, "tag");
    peer.publish(1, &exchange, "a.b.c", "m");
    let (deliver, _) = peer.delivery(1);
    let expected = basic::Deliver {
        consumer_tag: short("tag"),
        delivery_tag: 1,
        redelivered: false,
        exchange: octets(&exchange),
        routing_key: octets("a.b.c"),
    };
    assert_eq!(deliver, expected);
}
