//! A few values that pika and RabbitMQ are known to have sent.

use leveret_spec::{
    Array, Method, Properties, ReplyCode, ShortBytes, Table, Value, basic, channel, connection, exchange, queue,
};

use crate::{FRAME_MAX, HARD_ERROR, MESSAGES, Peer, REFUSED_LOGIN, Recording, SOFT_ERROR, TOPOLOGY};

/// All methods of one variant, taken out of it.
macro_rules! only {
    ($methods:expr, $class:ident($($variant:tt)*)) => {
        $methods
            .filter_map(|method| match method {
                Method::$class($($variant)*(method)) => Some(method),
                _ => None,
            })
            .collect::<Vec<_>>()
    };
}

fn list(value: Option<Value<'_>>) -> Vec<Value<'_>> {
    let array = value.and_then(|value| if let Value::Array(array) = value { Some(array) } else { None });
    array.expect("an array").iter().collect()
}

fn inner(value: Option<Value<'_>>) -> Table<'_> {
    let table = value.and_then(|value| if let Value::Table(table) = value { Some(table) } else { None });
    table.expect("a table")
}

#[test]
fn the_handshake_says_who_the_peers_are() {
    let recording = Recording::of(TOPOLOGY);
    let server: Vec<_> = recording.methods(Peer::Server).take(3).collect();
    let [
        Method::Connection(connection::Method::Start(start)),
        Method::Connection(connection::Method::Tune(tune)),
        Method::Connection(connection::Method::OpenOk(_)),
    ] = server[..]
    else {
        panic!("{server:?}");
    };
    assert_eq!((start.version_major, start.version_minor), (0, 9));
    assert_eq!((start.mechanisms, start.locales), (&b"AMQPLAIN PLAIN"[..], &b"en_US"[..]));
    assert_eq!(start.server_properties.lookup("product"), Some("RabbitMQ".into()));
    assert_eq!(start.server_properties.lookup("version"), Some("3.10.8".into()));
    let capabilities = inner(start.server_properties.lookup("capabilities"));
    assert_eq!(capabilities.lookup("publisher_confirms"), Some(true.into()));
    assert_eq!(capabilities.iter().count(), 9);
    assert_eq!(tune, connection::Tune { channel_max: 2047, frame_max: 131_072, heartbeat: 60 });

    let client: Vec<_> = recording.methods(Peer::Client).take(3).collect();
    let [
        Method::Connection(connection::Method::StartOk(start_ok)),
        Method::Connection(connection::Method::TuneOk(tune_ok)),
        Method::Connection(connection::Method::Open(open)),
    ] = client[..]
    else {
        panic!("{client:?}");
    };
    assert_eq!(start_ok.client_properties.lookup("product"), Some("Pika Python Client Library".into()));
    assert_eq!((start_ok.mechanism.as_str(), start_ok.locale.as_str()), ("PLAIN", "en_US"));
    assert_eq!(start_ok.response, b"\0guest\0guest");
    assert_eq!(tune_ok, connection::TuneOk { channel_max: 2047, frame_max: FRAME_MAX as u32, heartbeat: 60 });
    assert_eq!((open.virtual_host.as_str(), open.reserved_2), ("/", true));
}

#[test]
fn declarations_carry_their_names_bits_and_arguments() {
    let recording = Recording::of(TOPOLOGY);
    let exchanges = only!(recording.methods(Peer::Client), Exchange(exchange::Method::Declare));
    let [durable, transient, passive] = exchanges[..] else { panic!("{exchanges:?}") };
    assert_eq!((durable.exchange.as_str(), durable.kind.as_str()), ("golden.direct", "direct"));
    assert_eq!(durable.arguments.lookup("alternate-exchange"), Some("amq.fanout".into()));
    let bits = |of: exchange::Declare<'_>| [of.passive, of.durable, of.auto_delete, of.internal, of.no_wait];
    assert_eq!(bits(durable), [false, true, false, false, false]);
    assert_eq!(bits(transient), [false, false, true, true, false]);
    assert_eq!(bits(passive), [true, false, false, false, false]);

    let queues = only!(recording.methods(Peer::Client), Queue(queue::Method::Declare));
    let numbers = ["x-max-length", "x-message-ttl"].map(|name| queues[0].arguments.lookup(name));
    assert_eq!(numbers, [Some(1000.into()), Some(3_600_000.into())]);
    let bits = |of: queue::Declare<'_>| [of.passive, of.durable, of.exclusive, of.auto_delete, of.no_wait];
    assert_eq!(bits(queues[0]), [false, true, false, false, false]);
    assert_eq!(bits(queues[1]), [false, false, true, true, false]);
    let declared = only!(recording.methods(Peer::Server), Queue(queue::Method::DeclareOk));
    assert_eq!((declared[0].queue.as_str(), declared[0].message_count), ("golden.queue", 0));
    assert!(declared[1].queue.starts_with("amq.gen-"), "{}", declared[1].queue);
}

#[test]
fn bindings_carry_both_ends_and_what_to_match() {
    let recording = Recording::of(TOPOLOGY);
    let [of_exchange] = only!(recording.methods(Peer::Client), Exchange(exchange::Method::Bind))[..] else { panic!() };
    assert_eq!((of_exchange.destination.as_str(), of_exchange.source.as_str()), ("golden.headers", "golden.direct"));
    assert_eq!(of_exchange.routing_key.as_str(), "errors");
    let [of_queue] = only!(recording.methods(Peer::Client), Queue(queue::Method::Bind))[..] else { panic!() };
    assert_eq!((of_queue.queue.as_str(), of_queue.exchange.as_str()), ("golden.queue", "golden.headers"));
    let matched: Vec<_> = of_queue.arguments.iter().map(|(name, value)| (name.to_string(), value)).collect();
    let expected: [(&str, Value<'_>); 4] =
        [("x-match", "all".into()), ("shape", "round".into()), ("size", 3.into()), ("heavy", false.into())];
    assert_eq!(matched, expected.map(|(name, value)| (name.to_string(), value)));
}

#[test]
fn the_14_properties_arrive_as_they_were_published() {
    let recording = Recording::of(MESSAGES);
    let (body_size, published) = recording.headers(Peer::Client).next().unwrap();
    let short = |text: &'static str| ShortBytes::try_from(text).ok();
    let expected = Properties {
        content_type: short("text/plain"),
        content_encoding: short("utf-8"),
        headers: published.headers,
        delivery_mode: Some(2),
        priority: Some(5),
        correlation_id: short("correlation"),
        reply_to: short("golden.replies"),
        expiration: short("60000"),
        message_id: short("message-1"),
        timestamp: Some(1_700_000_000),
        message_type: short("greeting"),
        user_id: short("guest"),
        app_id: short("golden"),
        cluster_id: short("cluster"),
    };
    assert_eq!((body_size, published), ("Grüße".len() as u64, expected));
    let arrived = recording.headers(Peer::Server).find(|(_, properties)| properties.message_id == short("message-1"));
    assert_eq!(arrived, Some((body_size, published)));
}

#[test]
fn every_type_of_field_has_the_value_that_was_given_to_pika() {
    let recording = Recording::of(MESSAGES);
    let headers = recording.headers(Peer::Client).next().unwrap().1.headers.unwrap();
    let flat = [
        ("bool", Value::Bool(true)),
        ("i8", Value::I8(-8)),
        ("u8", Value::U8(200)),
        ("i16", Value::I16(-1600)),
        ("u16", Value::U16(60_000)),
        ("i32", Value::I32(-320_000)),
        ("u32", Value::U32(4_000_000_000)),
        ("i64", Value::I64(-64_000_000_000)),
        ("f32", Value::F32(1.5)),
        ("f64", Value::F64(-2.25)),
        ("decimal", Value::Decimal { scale: 2, value: 12345 }),
        ("longstr", Value::LongStr("grüße".as_bytes())),
        ("bytes", Value::Bytes(b"\x00\xff")),
        ("timestamp", Value::Timestamp(1_709_208_000)),
        ("void", Value::Void),
    ];
    for (name, value) in flat {
        assert_eq!(headers.lookup(name), Some(value), "{name}");
    }
    assert_eq!(headers.iter().count(), flat.len() + 2);
    let array = list(headers.lookup("array"));
    assert_eq!(array[..2], [1.into(), "two".into()]);
    assert_eq!(list(Some(array[2])), [false.into(), Value::Void]);
    assert_eq!(inner(Some(array[3])).lookup("three"), Some(3.into()));
    let table = inner(headers.lookup("table"));
    assert_eq!(table.lookup("list"), Some(Array::default().into()));
    assert_eq!(inner(table.lookup("inner")).lookup("innermost"), Some(Table::default().into()));
}

#[test]
fn a_dead_letter_tells_how_the_message_died() {
    let recording = Recording::of(MESSAGES);
    let letter = recording.headers(Peer::Server).last().unwrap().1;
    assert_eq!(letter.expiration, None, "it must not expire a second time");
    let headers = letter.headers.unwrap();
    assert_eq!(headers.lookup("x-first-death-queue"), Some("golden.work".into()));
    let death = inner(list(headers.lookup("x-death")).first().copied());
    assert_eq!(death.lookup("count"), Some(Value::I64(1)));
    assert_eq!(death.lookup("reason"), Some("rejected".into()));
    assert_eq!(death.lookup("original-expiration"), Some("60000".into()));
    assert_eq!(list(death.lookup("routing-keys")), ["golden.work".into()]);
    assert!(matches!(death.lookup("time"), Some(Value::Timestamp(_))));
}

#[test]
fn messages_are_delivered_settled_and_refused() {
    let recording = Recording::of(MESSAGES);
    let delivered = only!(recording.methods(Peer::Server), Basic(basic::Method::Deliver));
    let tags: Vec<_> = delivered.iter().map(|of| (of.delivery_tag, of.redelivered)).collect();
    assert_eq!(tags, [(2, true), (3, false), (4, true), (5, true), (6, true), (7, true), (8, false)]);
    let consumes = only!(recording.methods(Peer::Client), Basic(basic::Method::Consume));
    let bits: Vec<_> = consumes.iter().map(|of| [of.no_local, of.no_ack, of.exclusive, of.no_wait]).collect();
    assert_eq!(bits, [[false; 4], [false, true, true, false]]);
    assert_eq!(delivered[0].consumer_tag.as_str(), "golden.consumer");
    assert_eq!(delivered[0].routing_key.as_bytes(), b"golden.work");
    let nacks = only!(recording.methods(Peer::Client), Basic(basic::Method::Nack));
    assert_eq!(nacks, [basic::Nack { delivery_tag: 6, multiple: true, requeue: false }]);
    let nacks = only!(recording.methods(Peer::Server), Basic(basic::Method::Nack));
    // What is requeued by a server means nothing; RabbitMQ leaves the bit at the specification's default.
    assert_eq!(nacks, [basic::Nack { delivery_tag: 5, multiple: true, requeue: true }]);
    let [got] = only!(recording.methods(Peer::Server), Basic(basic::Method::GetOk))[..] else { panic!() };
    assert_eq!((got.delivery_tag, got.redelivered, got.message_count), (1, false, 1));
    let [returned] = only!(recording.methods(Peer::Server), Basic(basic::Method::Return))[..] else { panic!() };
    assert_eq!((returned.reply_code, returned.reply_text.as_str()), (312, "NO_ROUTE"));
    let [cancelled] = only!(recording.methods(Peer::Server), Basic(basic::Method::Cancel))[..] else { panic!() };
    assert_eq!((cancelled.consumer_tag.as_str(), cancelled.no_wait), ("golden.undertaker", true));
}

#[test]
fn errors_name_their_cause_as_rabbitmq_does() {
    let recording = Recording::of(SOFT_ERROR);
    let [close] = only!(recording.methods(Peer::Server), Channel(channel::Method::Close))[..] else { panic!() };
    assert_eq!(close.reply_text.as_str(), "NOT_FOUND - no queue 'golden.missing' in vhost '/'");
    assert_eq!((close.reply_code, close.class_id, close.method_id), (ReplyCode::NotFound as u16, 50, 10));

    let recording = Recording::of(HARD_ERROR);
    let [close] = only!(recording.methods(Peer::Server), Connection(connection::Method::Close))[..] else { panic!() };
    assert_eq!(close.reply_text.as_str(), "NOT_IMPLEMENTED - active=false");
    assert_eq!((close.reply_code, close.class_id, close.method_id), (ReplyCode::NotImplemented as u16, 20, 20));

    let recording = Recording::of(REFUSED_LOGIN);
    let [close] = only!(recording.methods(Peer::Server), Connection(connection::Method::Close))[..] else { panic!() };
    assert!(close.reply_text.starts_with("ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN."));
    assert_eq!((close.reply_code, close.class_id, close.method_id), (ReplyCode::AccessRefused as u16, 0, 0));
}
