//! A broker that says the same without end, to a client that is not there to read it: the client's memory stays as it is,
//! or the connection ends.

use leveret_client::{Channel, Confirm, Connection, Consume, Consumer, Options, Publish, Qos, Result, Returns};
use leveret_spec::frame::{self, Frame, FrameKind};
use leveret_spec::method::MethodFrame;
use leveret_spec::{ContentHeader, ShortBytes, ShortStr, basic, channel, connection};
use tokio::task::yield_now;

use crate::broker::{self, Broker, Login};
use crate::{heap, paused, watch};

/// What is said at a time.
const BURST_BYTES: usize = 32 << 10;

/// A flood: its name, what begins it, and what is repeated.
type Flood = (&'static str, fn(&mut Vec<u8>), fn(&mut Vec<u8>));

/// How much is said in all, and how much may be held of it.
#[derive(Clone, Copy)]
struct Sizes {
    said_bytes: usize,
    held_bytes_max: usize,
}

/// What the client keeps nothing of, but for what is read at a time, and answers up to a limit.
const EMPTY: Sizes = Sizes { said_bytes: 4 << 20, held_bytes_max: 5 << 19 };
const EMPTY_FLOODS: &[Flood] = &[
    ("heartbeats", |_| {}, frame::put_heartbeat),
    ("flow", |_| {}, |out| put(out, 1, &channel::Flow { active: false })),
    ("cancel", |_| {}, |out| put(out, 1, &basic::Cancel { consumer_tag: ShortStr::cut("nobody"), no_wait: false })),
    ("close of a channel that is being closed", |_| {}, |out| put(out, 2, &channel::Close::default())),
    ("acks", |_| {}, |out| put(out, 1, &basic::Ack { delivery_tag: 1 << 40, multiple: false })),
    ("nacks", |_| {}, |out| put(out, 1, &basic::Nack { delivery_tag: 0, ..Default::default() })),
    (
        "blocked",
        |_| {},
        |out| {
            put(out, 0, &connection::Blocked { reason: ShortStr::cut("why") });
            put(out, 0, &connection::Unblocked {});
        },
    ),
    ("deliveries to a consumer that is gone", |_| {}, |out| delivered(out, "gone", 1)),
    ("pieces of a body that are empty", body_begins, |out| put_body(out, &[])),
    ("a body above the limit", |out| body_announced(out, u64::MAX), |out| put_body(out, &[0; 4000])),
    ("a body that was not announced", body_begins, |out| put_body(out, &[0; 4000])),
    ("answers that nobody waits for", |_| {}, |out| put(out, 1, &basic::GetEmpty::default())),
];

/// What it keeps for who may read it, up to limits.
const MESSAGES: Sizes = Sizes { said_bytes: 48 << 20, held_bytes_max: 24 << 20 };
const MESSAGE_FLOODS: &[Flood] = &[
    ("returns", |_| {}, |out| returned(out, "q", 4000)),
    ("returns of nothing that was published", |_| {}, |out| returned(out, "elsewhere", 4000)),
    ("deliveries beyond the prefetch", |_| {}, |out| delivered(out, "t", 4000)),
];

fn put(out: &mut Vec<u8>, channel: u16, method: &impl MethodFrame) {
    frame::put_method(out, channel, method);
}

fn put_body(out: &mut Vec<u8>, payload: &[u8]) {
    Frame { kind: FrameKind::Body, channel: 1, payload }.encode(out);
}

fn body_announced(out: &mut Vec<u8>, body_size: u64) {
    put(out, 1, &basic::Return::default());
    frame::put_header(out, 1, &ContentHeader { class: basic::CLASS, body_size, properties: Default::default() });
}

fn body_begins(out: &mut Vec<u8>) {
    body_announced(out, 1);
}

fn content(out: &mut Vec<u8>, length: usize) {
    let header = ContentHeader { class: basic::CLASS, body_size: length as u64, properties: Default::default() };
    frame::put_header(out, 1, &header);
    put_body(out, &vec![b'x'; length]);
}

fn returned(out: &mut Vec<u8>, key: &str, length: usize) {
    let routing_key = ShortBytes::try_from(key).unwrap();
    put(out, 1, &basic::Return { reply_code: 312, routing_key, ..Default::default() });
    content(out, length);
}

fn delivered(out: &mut Vec<u8>, consumer: &str, length: usize) {
    let consumer_tag = ShortStr::cut(consumer);
    put(out, 1, &basic::Deliver { consumer_tag, delivery_tag: 1, ..Default::default() });
    content(out, length);
}

/// A client that holds something of everything, and reads none of it.
struct Idle {
    connection: Connection,
    _channels: [Channel; 2],
    _consumer: Consumer,
    _returns: Returns,
    _unconfirmed: Vec<Confirm>,
}

async fn idle(connection: Connection) -> Result<Idle> {
    let (channel, closing) = (connection.open_channel().await?, connection.open_channel().await?);
    channel.qos(Qos::per_consumer(10)).await?;
    let consumer = channel.consume(Consume::new("empty").tag("t")).await?;
    drop(channel.consume(Consume::new("empty").tag("gone")).await?);
    let returns = channel.returns();
    let mut unconfirmed = vec![];
    for _ in 0..20 {
        unconfirmed.push(channel.publish_watched(Publish::to_queue("q").mandatory().body("x")).await?);
    }
    let handle = closing.clone();
    tokio::spawn(async move { handle.close().await });
    yield_now().await;
    Ok(Idle {
        connection,
        _channels: [channel, closing],
        _consumer: consumer,
        _returns: returns,
        _unconfirmed: unconfirmed,
    })
}

/// Floods the client; the most that it held.
async fn flood(broker: &mut Broker, (_, begin, again): Flood, said_bytes: usize) -> usize {
    let before = heap::live();
    let (mut once, mut burst, mut most) = (vec![], vec![], 0);
    begin(&mut once);
    while burst.len() < BURST_BYTES {
        again(&mut burst);
    }
    let mut going = broker.say(&once).await;
    for _ in 0..said_bytes / BURST_BYTES {
        going = going && broker.say(&burst).await;
        if !going {
            break;
        }
        most = most.max(heap::live().saturating_sub(before));
    }
    most
}

/// A broker that reads nothing meanwhile, since the client may have something to say to each.
async fn bounded(of: Flood, sizes: Sizes) {
    let (ours, mut broker) = broker::pipe();
    let opened = async { idle(Connection::over(ours, Options::default().unconfirmed_max(100)).await?).await };
    let prepared = async {
        assert!(broker.welcome(&Login::honest()).await);
        // Two channels, prefetch, two consumers.
        broker.answer(5).await;
    };
    let (idle, ()) = tokio::join!(opened, prepared);
    let idle = idle.unwrap();
    let most = flood(&mut broker, of, sizes.said_bytes).await;
    assert!(most < sizes.held_bytes_max, "{}: {most} bytes were held", of.0);
    if !idle.connection.is_open() {
        watch::not_by_a_panic(&idle.connection.closed().await).unwrap();
    }
}

fn all_bounded(floods: &[Flood], sizes: Sizes) {
    let _alone = heap::alone();
    let panics = watch::panics();
    for (number, of) in floods.iter().enumerate() {
        watch::begin(number as u64);
        paused().block_on(bounded(*of, sizes));
    }
    assert_eq!(watch::panics(), panics);
}

#[test]
fn what_a_broker_repeats_without_end_does_not_add_up() {
    all_bounded(EMPTY_FLOODS, EMPTY);
}

#[test]
fn messages_that_nobody_asked_for_add_up_to_a_limit() {
    all_bounded(MESSAGE_FLOODS, MESSAGES);
}
