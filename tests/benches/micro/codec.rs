//! The wire: frames, methods, content headers, tables.

use std::hint::black_box;

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use leveret_spec::method::MethodFrame;
use leveret_spec::{ContentHeader, Method, Properties, RawProperties, Table, TableBuf, Value, basic, frame, queue};
use leveret_tests::in_process::put_publish;
use leveret_tests::{default, octets, short, table, texts_of};

/// Messages in a piece of input.
const MESSAGES: usize = 1000;

fn headers() -> TableBuf {
    let list = texts_of(["one", "two", "three"]);
    table([
        ("x-retries", Value::I64(3)),
        ("tenant", "acme".into()),
        ("trace-id", "4bf92f3577b34da6a3ce929d0e0e4736".into()),
        ("important", true.into()),
        ("path", Value::Array(list.as_array())),
    ])
}

/// What a task queue's client fills in.
fn properties(headers: &TableBuf) -> Properties<'_> {
    Properties {
        content_type: Some(octets("application/json")),
        content_encoding: Some(octets("utf-8")),
        headers: Some(headers.as_table()),
        delivery_mode: Some(2),
        priority: Some(0),
        correlation_id: Some(octets("6a0ee1c8-1f9a-4a2b-9d0e-0d6f6f2b7f51")),
        reply_to: Some(octets("replies")),
        ..default()
    }
}

/// Frames of published messages, three for each.
#[divan::bench(args = [16, 1024, 16384])]
fn frames_in(bencher: Bencher<'_, '_>, body_bytes: usize) {
    let mut input = vec![];
    for _ in 0..MESSAGES {
        put_publish(&mut input, "", "queue", &default(), &vec![b'.'; body_bytes]);
    }
    bencher.counter(ItemsCount::new(3 * MESSAGES)).bench(|| {
        let mut rest = black_box(&input[..]);
        while let Ok(Some((frame, length))) = frame::parse(rest, usize::MAX) {
            black_box(frame);
            rest = &rest[length..];
        }
    });
}

/// The same the other way: content frames as a client or the broker writes them.
#[divan::bench(args = [16, 1024, 16384])]
fn content_out(bencher: Bencher<'_, '_>, body_bytes: usize) {
    let body = vec![b'.'; body_bytes];
    let mut output = vec![];
    bencher.counter(BytesCount::new(body_bytes)).bench_local(|| {
        output.clear();
        put_publish(&mut output, "", "queue", &default(), black_box(&body));
    });
}

fn decode(bencher: Bencher<'_, '_>, method: &impl MethodFrame) {
    let mut payload = vec![];
    method.encode(&mut payload);
    bencher.bench(|| black_box(Method::decode(black_box(&payload))).is_ok());
}

fn encode(bencher: Bencher<'_, '_>, method: &(impl MethodFrame + Sync)) {
    let mut output = vec![];
    bencher.bench_local(|| {
        output.clear();
        frame::put_method(&mut output, 1, black_box(method));
    });
}

fn publish() -> basic::Publish<'static> {
    basic::Publish { exchange: octets("exchange"), routing_key: octets("routing.key"), ..default() }
}

fn deliver() -> basic::Deliver<'static> {
    let (exchange, routing_key) = (octets("exchange"), octets("routing.key"));
    basic::Deliver { consumer_tag: short("ctag1.0"), delivery_tag: 1, exchange, routing_key, ..default() }
}

#[divan::bench]
fn publish_in(bencher: Bencher<'_, '_>) {
    decode(bencher, &publish());
}

#[divan::bench]
fn publish_out(bencher: Bencher<'_, '_>) {
    encode(bencher, &publish());
}

#[divan::bench]
fn deliver_in(bencher: Bencher<'_, '_>) {
    decode(bencher, &deliver());
}

#[divan::bench]
fn deliver_out(bencher: Bencher<'_, '_>) {
    encode(bencher, &deliver());
}

#[divan::bench]
fn ack_in(bencher: Bencher<'_, '_>) {
    decode(bencher, &basic::Ack { delivery_tag: 1, multiple: true });
}

#[divan::bench]
fn ack_out(bencher: Bencher<'_, '_>) {
    encode(bencher, &basic::Ack { delivery_tag: 1, multiple: true });
}

#[divan::bench]
fn queue_declare_in(bencher: Bencher<'_, '_>) {
    let arguments = table([("x-max-length", Value::I64(1000)), ("x-dead-letter-exchange", "dead".into())]);
    decode(bencher, &queue::Declare { queue: short("queue"), arguments: arguments.as_table(), ..default() });
}

#[divan::bench]
fn table_validate(bencher: Bencher<'_, '_>) {
    let headers = headers();
    let bytes = headers.as_table().as_bytes();
    bencher.bench(|| Table::validate(black_box(bytes)).is_ok());
}

/// The last of its fields.
#[divan::bench]
fn table_lookup(bencher: Bencher<'_, '_>) {
    let headers = headers();
    bencher.bench(|| black_box(headers.as_table()).lookup("path").is_some());
}

#[divan::bench]
fn table_build() -> TableBuf {
    headers()
}

#[divan::bench]
fn header_in(bencher: Bencher<'_, '_>) {
    let (headers, mut payload) = (headers(), vec![]);
    leveret_spec::content::encode_header(&mut payload, 1024, &properties(&headers));
    bencher.bench(|| ContentHeader::decode(black_box(&payload)).map(|header| header.body_size).ok());
}

#[divan::bench]
fn header_out(bencher: Bencher<'_, '_>) {
    let (headers, mut output) = (headers(), vec![]);
    let properties = properties(&headers);
    bencher.bench_local(|| {
        output.clear();
        leveret_spec::content::encode_header(&mut output, 1024, black_box(&properties));
    });
}

/// What the broker does with properties of every publish that has some.
#[divan::bench]
fn properties_validate(bencher: Bencher<'_, '_>) {
    let (headers, mut bytes) = (headers(), vec![]);
    properties(&headers).encode(&mut bytes);
    bencher.bench(|| RawProperties::of(black_box(&bytes)).and_then(RawProperties::validate).is_ok());
}

#[divan::bench]
fn properties_decode(bencher: Bencher<'_, '_>) {
    let (headers, mut bytes) = (headers(), vec![]);
    properties(&headers).encode(&mut bytes);
    bencher.bench(|| RawProperties::of(black_box(&bytes)).map(RawProperties::decode).is_ok());
}
