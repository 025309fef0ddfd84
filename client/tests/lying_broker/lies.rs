//! What a lying broker says: any method with any arguments anywhere, contents that do not fit together, frames that are
//! none.

use std::fmt;

use leveret_spec::frame::{self, FRAME_END, Frame, FrameKind};
use leveret_spec::{
    ContentHeader, Method, Properties, RawProperties, ShortBytes, ShortStr, basic, channel, confirm, connection,
    exchange, queue, tx,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// One thing that a broker should not say.
#[derive(Clone, Debug)]
pub(crate) enum Lie {
    Said(u16, Said),
    /// A method that content follows, and that content.
    Content(u16, Said, Content),
    /// Content without its method.
    Stray(u16, Content),
    Heartbeats(u8),
    /// Type, channel, announced size, payload, last octet.
    Frame(u8, u16, u32, Vec<u8>, u8),
    /// A frame of which the end is missing.
    Cut(u16, Said, u8),
    Garbage(Vec<u8>),
}

/// A method of the table below, with arguments from which it takes what it needs.
#[derive(Clone)]
pub(crate) struct Said {
    method: Sayable,
    tag: u64,
    name: &'static str,
    flag: bool,
    number: u16,
}

#[derive(Clone, Debug)]
pub(crate) struct Content {
    class: u16,
    announced: Announced,
    properties: Odd,
    bodies: Vec<u16>,
}

#[derive(Clone, Copy, Debug)]
enum Announced {
    /// As many bytes as follow.
    Right,
    OneLess,
    OneMore,
    Bytes(u64),
    /// There is no header.
    Nothing,
}

/// Properties of a content header.
#[derive(Clone, Debug)]
enum Odd {
    None,
    Call(&'static str),
    /// Headers in headers.
    Nested(u8),
    /// Every flag, and nothing behind them.
    Missing,
    Bytes(Vec<u8>),
}

type Sayable = for<'s> fn(&'s Said) -> Method<'s>;

/// Everything that a broker may say in its place, and some that it may not.
const SAYABLE: &[Sayable] = &[
    |_| connection::Start::default().into(),
    |_| connection::Secure { challenge: b"who?" }.into(),
    |s| connection::Tune { channel_max: s.number, frame_max: s.tag as u32, heartbeat: s.number }.into(),
    |_| connection::OpenOk::default().into(),
    |s| connection::Close { reply_code: s.number, reply_text: s.text(), class_id: 0, method_id: 0 }.into(),
    |_| connection::CloseOk {}.into(),
    |s| connection::Blocked { reason: s.text() }.into(),
    |_| connection::Unblocked {}.into(),
    |_| connection::UpdateSecretOk {}.into(),
    |_| channel::OpenOk::default().into(),
    |s| channel::Flow { active: s.flag }.into(),
    |s| channel::FlowOk { active: s.flag }.into(),
    |s| channel::Close { reply_code: s.number, reply_text: s.text(), class_id: 0, method_id: 0 }.into(),
    |_| channel::CloseOk {}.into(),
    |_| exchange::DeclareOk {}.into(),
    |_| exchange::DeleteOk {}.into(),
    |s| queue::DeclareOk { queue: s.text(), message_count: s.tag as u32, consumer_count: u32::MAX }.into(),
    |_| queue::BindOk {}.into(),
    |s| queue::PurgeOk { message_count: s.tag as u32 }.into(),
    |s| queue::DeleteOk { message_count: s.tag as u32 }.into(),
    |_| basic::QosOk {}.into(),
    |s| basic::ConsumeOk { consumer_tag: s.text() }.into(),
    |s| basic::Cancel { consumer_tag: s.text(), no_wait: s.flag }.into(),
    |s| basic::CancelOk { consumer_tag: s.text() }.into(),
    |_| basic::GetEmpty::default().into(),
    |s| basic::Ack { delivery_tag: s.tag, multiple: s.flag }.into(),
    |s| basic::Nack { delivery_tag: s.tag, multiple: s.flag, requeue: s.flag }.into(),
    |_| basic::RecoverOk {}.into(),
    |_| confirm::SelectOk {}.into(),
    |_| tx::SelectOk {}.into(),
    |_| tx::CommitOk {}.into(),
    // The client's.
    |_| connection::Open::default().into(),
    |s| basic::Publish { exchange: s.bytes(), routing_key: s.bytes(), ..Default::default() }.into(),
    |s| basic::Reject { delivery_tag: s.tag, requeue: s.flag }.into(),
    |s| queue::Declare { queue: s.text(), ..Default::default() }.into(),
    |_| confirm::Select { no_wait: false }.into(),
];

/// The methods that content follows.
const WITH_CONTENT: &[Sayable] = &[deliver, returned, got];

fn deliver(s: &Said) -> Method<'_> {
    let consumer_tag = s.text();
    basic::Deliver { consumer_tag, delivery_tag: s.tag, redelivered: s.flag, ..Default::default() }.into()
}

fn returned(s: &Said) -> Method<'_> {
    let routing_key = s.bytes();
    basic::Return { reply_code: s.number, reply_text: s.text(), routing_key, ..Default::default() }.into()
}

fn got(s: &Said) -> Method<'_> {
    basic::GetOk { delivery_tag: s.tag, message_count: u32::MAX, ..Default::default() }.into()
}

/// Names of the program's, and others.
const NAMES: &[&str] = &["t", "leveret-1", "leveret-2", "q", "", "nobody", LONG];
const LONG: &str = match std::str::from_utf8(&[b'x'; 255]) {
    Ok(text) => text,
    Err(_) => "",
};
const TAGS: &[u64] = &[0, 1, 2, 3, 4, 50, 1 << 31, 1 << 32, 1 << 63, u64::MAX];
const SIZES: &[u64] = &[0, 1, 4096, 1 << 20, (1 << 20) + 1, 1 << 32, 1 << 63, u64::MAX];

fn on() -> impl Strategy<Value = u16> {
    prop_oneof![6 => 1u16..4, 1 => select(&[0, 4, 9, 10, 11, u16::MAX][..])]
}

fn said(methods: &'static [Sayable]) -> impl Strategy<Value = Said> {
    let codes = select(&[0, 1, 200, 311, 312, 320, 404, 406, 504, 541, u16::MAX][..]);
    (select(methods), select(TAGS), select(NAMES), any::<bool>(), codes)
        .prop_map(|(method, tag, name, flag, number)| Said { method, tag, name, flag, number })
}

fn content() -> impl Strategy<Value = Content> {
    let announced = prop_oneof![
        4 => Just(Announced::Right),
        1 => select(&[Announced::OneLess, Announced::OneMore, Announced::Nothing][..]),
        1 => select(SIZES).prop_map(Announced::Bytes),
    ];
    let odd = prop_oneof![
        4 => Just(Odd::None),
        2 => select(&["1", "2", "0", "-1", "", "99999999999999999999"][..]).prop_map(Odd::Call),
        1 => (1u8..80).prop_map(Odd::Nested),
        1 => Just(Odd::Missing),
        1 => vec(any::<u8>(), 2..60).prop_map(Odd::Bytes),
    ];
    let class = prop_oneof![12 => Just(basic::CLASS), 1 => any::<u16>()];
    let bodies = vec(prop_oneof![4 => 0u16..40, 1 => select(&[4088, 4089, 20_000][..])], 0..4);
    (class, announced, odd, bodies).prop_map(|(class, announced, properties, bodies)| Content {
        class,
        announced,
        properties,
        bodies,
    })
}

pub(crate) fn lie() -> impl Strategy<Value = Lie> {
    let size = select(&[0, 1, 7, 4088, 4089, 131_064, 131_065, u32::MAX][..]);
    let end = prop_oneof![2 => Just(FRAME_END), 1 => any::<u8>()];
    prop_oneof![
        10 => (on(), said(SAYABLE)).prop_map(|(on, said)| Lie::Said(on, said)),
        3 => said(SAYABLE).prop_map(|said| Lie::Said(0, said)),
        8 => (on(), said(WITH_CONTENT), content()).prop_map(|(on, said, content)| Lie::Content(on, said, content)),
        1 => (on(), content()).prop_map(|(on, content)| Lie::Stray(on, content)),
        1 => (1u8..).prop_map(Lie::Heartbeats),
        1 => (0u8..10, on(), size, vec(any::<u8>(), 0..20), end).prop_map(|(k, c, s, p, e)| Lie::Frame(k, c, s, p, e)),
        1 => (on(), said(SAYABLE), 1u8..20).prop_map(|(on, said, missing)| Lie::Cut(on, said, missing)),
        1 => vec(any::<u8>(), 1..40).prop_map(Lie::Garbage),
    ]
}

/// What the protocol allows a broker to say on an open channel without being asked, whether or not it is true.
pub(crate) fn allowed() -> impl Strategy<Value = Said> {
    said(&[
        |s| channel::Flow { active: s.flag }.into(),
        |s| channel::Close { reply_code: s.number, reply_text: s.text(), class_id: 0, method_id: 0 }.into(),
        |s| basic::Cancel { consumer_tag: s.text(), no_wait: s.flag }.into(),
        |s| basic::Ack { delivery_tag: s.tag, multiple: s.flag }.into(),
        |s| basic::Nack { delivery_tag: s.tag, multiple: s.flag, requeue: s.flag }.into(),
        returned,
    ])
}

impl Lie {
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        match self {
            Lie::Said(on, said) => said.put(*on, out),
            Lie::Content(on, said, content) => {
                said.put(*on, out);
                content.put(*on, out);
            }
            Lie::Stray(on, content) => content.put(*on, out),
            Lie::Heartbeats(times) => (0..*times).for_each(|_| frame::put_heartbeat(out)),
            Lie::Frame(kind, on, size, payload, end) => {
                out.push(*kind);
                out.extend(on.to_be_bytes());
                out.extend(size.to_be_bytes());
                out.extend(payload);
                out.push(*end);
            }
            Lie::Cut(on, said, missing) => {
                let mut whole = vec![];
                said.put(*on, &mut whole);
                whole.truncate(whole.len().saturating_sub((*missing).into()));
                out.extend(whole);
            }
            Lie::Garbage(bytes) => out.extend(bytes),
        }
    }
}

impl Said {
    pub(crate) fn method(&self) -> Method<'_> {
        (self.method)(self)
    }

    fn text(&self) -> ShortStr<'_> {
        ShortStr::cut(self.name)
    }

    fn bytes(&self) -> ShortBytes<'_> {
        ShortBytes::from(self.text())
    }

    pub(crate) fn put(&self, channel: u16, out: &mut Vec<u8>) {
        let mut payload = vec![];
        self.method().encode(&mut payload);
        Frame { kind: FrameKind::Method, channel, payload: &payload }.encode(out);
    }
}

impl fmt::Debug for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.method().fmt(f)
    }
}

impl Content {
    pub(crate) fn of(body: u16) -> Content {
        Content { class: basic::CLASS, announced: Announced::Right, properties: Odd::None, bodies: vec![body] }
    }

    pub(crate) fn put(&self, channel: u16, out: &mut Vec<u8>) {
        let following: u64 = self.bodies.iter().map(|&length| u64::from(length)).sum();
        let body_size = match self.announced {
            Announced::Right => Some(following),
            Announced::OneLess => Some(following.saturating_sub(1)),
            Announced::OneMore => Some(following + 1),
            Announced::Bytes(bytes) => Some(bytes),
            Announced::Nothing => None,
        };
        if let Some(body_size) = body_size {
            let bytes = self.properties.bytes();
            let properties = RawProperties::of(&bytes).unwrap();
            frame::put_header(out, channel, &ContentHeader { class: self.class, body_size, properties });
        }
        for length in &self.bodies {
            let payload = vec![b'b'; usize::from(*length)];
            Frame { kind: FrameKind::Body, channel, payload: &payload }.encode(out);
        }
    }
}

impl Odd {
    fn bytes(&self) -> Vec<u8> {
        let mut out = vec![];
        match self {
            Odd::None => Properties::default().encode(&mut out),
            Odd::Call(id) => {
                let correlation_id = ShortBytes::new(id.as_bytes()).ok();
                Properties { correlation_id, ..Default::default() }.encode(&mut out);
            }
            Odd::Nested(depth) => {
                let mut inner: Vec<u8> = vec![];
                for _ in 0..*depth {
                    let length = inner.len() as u32;
                    inner.splice(0..0, [&b"\x01nF"[..], &length.to_be_bytes()].concat());
                }
                out.extend((1u16 << 13).to_be_bytes());
                out.extend((inner.len() as u32).to_be_bytes());
                out.extend(inner);
            }
            Odd::Missing => out.extend([0xFF; 2]),
            Odd::Bytes(bytes) => out.extend(bytes),
        }
        out
    }
}
