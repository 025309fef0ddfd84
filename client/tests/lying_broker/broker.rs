//! The broker's end of the pipe: what it should say, and what it says instead.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use leveret_spec::frame::{self, FRAME_OVERHEAD, FrameKind};
use leveret_spec::method::MethodFrame;
use leveret_spec::{
    ContentHeader, Method, PROTOCOL_HEADER, Properties, RawProperties, ShortBytes, ShortStr, TableBuf, basic, channel,
    confirm, connection, exchange, queue, tx,
};
use proptest::prelude::*;
use proptest::sample::select;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::timeout;

use crate::lies::{self, Lie};

const REPLY_TO: &[u8] = b"amq.rabbitmq.reply-to";

/// How the login goes.
#[derive(Clone, Debug)]
pub(crate) struct Login {
    tune: (u16, u32, u16),
    /// Said before one of the three steps.
    lie: Option<(u8, Lie)>,
}

pub(crate) fn login() -> impl Strategy<Value = Login> {
    let limits = prop_oneof![
        4 => Just((10, 4096, 10)),
        1 => (
            select(&[0, 1, 2, 2047, u16::MAX][..]),
            select(&[0, 1, 4095, 4096, 131_072, u32::MAX][..]),
            select(&[0, 1, 5, u16::MAX][..]),
        ),
    ];
    let lie = prop_oneof![6 => Just(None), 1 => (0u8..3, lies::lie()).prop_map(Some)];
    (limits, lie).prop_map(|(tune, lie)| Login { tune, lie })
}

impl Login {
    pub(crate) fn honest() -> Login {
        Login { tune: (10, 4096, 0), lie: None }
    }
}

/// What the broker remembers of a channel.
#[derive(Default)]
struct Seen {
    consumers: Vec<String>,
    delivered: u64,
    /// The number of the last publish, in confirm mode.
    confirmed: Option<u64>,
    /// What is missing of a publish, and the correlation id if it asks for an answer.
    publish: Option<(u64, Option<Vec<u8>>)>,
}

/// See the file's head.
pub(crate) struct Broker {
    stream: DuplexStream,
    unread: Vec<u8>,
    unsent: Vec<u8>,
    channels: HashMap<u16, Seen>,
    /// Closed by the broker, and not yet by the client.
    closed: HashSet<u16>,
    frame_max: usize,
}

/// A frame of the client's.
struct Got {
    kind: FrameKind,
    channel: u16,
    payload: Vec<u8>,
}

/// The two ends of a pipe.
pub(crate) fn pipe() -> (DuplexStream, Broker) {
    let (ours, stream) = duplex(64 << 10);
    let broker = Broker {
        stream,
        unread: vec![],
        unsent: vec![],
        channels: HashMap::new(),
        closed: HashSet::new(),
        frame_max: 128 << 10,
    };
    (ours, broker)
}

impl Broker {
    /// Lets the client in; false if it did not come.
    pub(crate) async fn welcome(&mut self, login: &Login) -> bool {
        let mut header = [0; 8];
        if self.stream.read_exact(&mut header).await.is_err() {
            return false;
        }
        assert_eq!(header, PROTOCOL_HEADER);
        let properties = TableBuf::new().with("product", "Liar").unwrap();
        self.lie_in_step(login, 0);
        self.put(
            0,
            &connection::Start {
                version_major: 0,
                version_minor: 9,
                server_properties: properties.as_table(),
                mechanisms: b"PLAIN",
                locales: b"en_US",
            },
        );
        if !self.flush().await || self.next().await.is_none() {
            return false;
        }
        let (channel_max, frame_max, heartbeat) = login.tune;
        self.lie_in_step(login, 1);
        self.put(0, &connection::Tune { channel_max, frame_max, heartbeat });
        if !self.flush().await || !self.tuned().await || self.next().await.is_none() {
            return false;
        }
        self.lie_in_step(login, 2);
        self.put(0, &connection::OpenOk::default());
        self.flush().await
    }

    /// Takes the client's word for the limits, since it may have believed a lie.
    async fn tuned(&mut self) -> bool {
        let Some(got) = self.next().await else { return false };
        let Ok(Method::Connection(connection::Method::TuneOk(ok))) = Method::decode(&got.payload) else { return false };
        assert!(ok.frame_max >= 4096, "{ok:?}");
        self.frame_max = ok.frame_max as usize;
        true
    }

    fn lie_in_step(&mut self, login: &Login, step: u8) {
        if let Some((_, lie)) = login.lie.as_ref().filter(|(at, _)| *at == step) {
            lie.put(&mut self.unsent);
        }
    }

    pub(crate) async fn lie(&mut self, lie: &Lie) {
        lie.put(&mut self.unsent);
        self.flush().await;
    }

    /// Answers the next frames; a client that says nothing is not waited for.
    pub(crate) async fn answer(&mut self, frames: u8) {
        for _ in 0..frames {
            let Ok(Some(got)) = timeout(Duration::from_secs(1), self.next()).await else { return };
            self.answer_to(&got);
            self.flush().await;
        }
    }

    pub(crate) async fn answer_until_the_end(&mut self) {
        // Its own heartbeats, too, or the client would go away.
        loop {
            match timeout(Duration::from_secs(2), self.next()).await {
                Ok(None) => return,
                Ok(Some(got)) => self.answer_to(&got),
                Err(_) => frame::put_heartbeat(&mut self.unsent),
            }
            self.flush().await;
        }
    }

    /// Closes the connection; what the client says until it hears of that is read and not answered.
    pub(crate) async fn close(&mut self) {
        let reply_text = ShortStr::cut("CONNECTION_FORCED - liar");
        self.put(0, &connection::Close { reply_code: 320, reply_text, class_id: 0, method_id: 0 });
        self.flush().await;
        while self.next().await.is_some() {}
    }

    /// False when the client is gone. A client that does not read cannot be told anything.
    async fn flush(&mut self) -> bool {
        let bytes = std::mem::take(&mut self.unsent);
        matches!(timeout(Duration::from_secs(30), self.stream.write_all(&bytes)).await, Ok(Ok(())))
    }

    /// Any bytes; false as for `flush`.
    pub(crate) async fn say(&mut self, bytes: &[u8]) -> bool {
        self.unsent.extend_from_slice(bytes);
        self.flush().await
    }

    fn put(&mut self, channel: u16, method: &impl MethodFrame) {
        frame::put_method(&mut self.unsent, channel, method);
    }

    /// A frame of the client's, which keeps the protocol. `None` at its end.
    async fn next(&mut self) -> Option<Got> {
        loop {
            let parsed = frame::parse(&self.unread, self.frame_max - FRAME_OVERHEAD);
            if let Some((frame, length)) = parsed.expect("the client writes frames") {
                let got = Got { kind: frame.kind, channel: frame.channel, payload: frame.payload.to_vec() };
                self.unread.drain(..length);
                return Some(got);
            }
            if self.stream.read_buf(&mut self.unread).await.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    /// A channel that was closed: what the client says on it until it knows is not answered.
    pub(crate) fn forget(&mut self, channel: u16) {
        self.closed.insert(channel);
        self.channels.remove(&channel);
    }

    fn answer_to(&mut self, got: &Got) {
        let id = got.channel;
        if self.closed.contains(&id) {
            self.answer_on_closed(got);
            return;
        }
        match got.kind {
            FrameKind::Heartbeat => {}
            FrameKind::Method => self.answer_method(id, &Method::decode(&got.payload).expect("the client's method")),
            FrameKind::Header => {
                let header = ContentHeader::decode(&got.payload).expect("the client's header");
                let wanted = header.properties.reply_to().is_some_and(|to| to.as_bytes() == REPLY_TO);
                let call = header.properties.correlation_id().filter(|_| wanted);
                let call = call.map(|id| id.as_bytes().to_vec());
                self.seen(id).publish = Some((header.body_size, call));
                self.finish_publish(id);
            }
            FrameKind::Body => {
                let missing = self.seen(id).publish.as_mut().expect("the client's header comes first");
                missing.0 = missing.0.checked_sub(got.payload.len() as u64).expect("the client's body is not too long");
                self.finish_publish(id);
            }
        }
    }

    fn answer_on_closed(&mut self, got: &Got) {
        if got.kind != FrameKind::Method {
            return;
        }
        match Method::decode(&got.payload).expect("the client's method") {
            Method::Channel(channel::Method::CloseOk(_)) => drop(self.closed.remove(&got.channel)),
            Method::Channel(channel::Method::Close(_)) => self.put(got.channel, &channel::CloseOk {}),
            _ => {}
        }
    }

    fn seen(&mut self, channel: u16) -> &mut Seen {
        self.channels.entry(channel).or_default()
    }

    fn finish_publish(&mut self, id: u16) {
        let seen = self.seen(id);
        let Some((_, call)) = seen.publish.take_if(|(missing, _)| *missing == 0) else { return };
        let confirmed = seen.confirmed.as_mut().map(|count| {
            *count += 1;
            *count
        });
        if let Some(delivery_tag) = confirmed {
            self.put(id, &basic::Ack { delivery_tag, multiple: false });
        }
        if let (Some(call), Some(consumer)) = (call, self.seen(id).consumers.first().cloned()) {
            let properties = Properties { correlation_id: ShortBytes::new(&call).ok(), ..Default::default() };
            self.deliver(id, &consumer, &properties, b"answer");
        }
    }

    fn deliver(&mut self, id: u16, consumer: &str, properties: &Properties<'_>, body: &[u8]) {
        let seen = self.seen(id);
        seen.delivered += 1;
        let delivery_tag = seen.delivered;
        let consumer_tag = ShortStr::cut(consumer);
        self.put(id, &basic::Deliver { consumer_tag, delivery_tag, ..Default::default() });
        self.put_content(id, properties, body);
    }

    fn put_content(&mut self, id: u16, properties: &Properties<'_>, body: &[u8]) {
        let mut bytes = vec![];
        properties.encode(&mut bytes);
        let properties = RawProperties::of(&bytes).unwrap();
        let header = ContentHeader { class: basic::CLASS, body_size: body.len() as u64, properties };
        frame::put_header(&mut self.unsent, id, &header);
        frame::put_body(&mut self.unsent, id, body, 4096);
    }

    fn answer_method(&mut self, id: u16, method: &Method<'_>) {
        match method {
            Method::Basic(method) => self.answer_basic(id, method),
            Method::Connection(connection::Method::Close(_)) => self.put(0, &connection::CloseOk {}),
            Method::Channel(channel::Method::Open(_)) => self.put(id, &channel::OpenOk::default()),
            Method::Channel(channel::Method::Close(_)) => {
                self.channels.remove(&id);
                self.put(id, &channel::CloseOk {});
            }
            Method::Exchange(exchange::Method::Declare(_)) => self.put(id, &exchange::DeclareOk {}),
            Method::Queue(queue::Method::Declare(declare)) => {
                self.put(id, &queue::DeclareOk { queue: declare.queue, message_count: 1, consumer_count: 1 });
            }
            Method::Queue(queue::Method::Bind(_)) => self.put(id, &queue::BindOk {}),
            Method::Queue(queue::Method::Purge(_)) => self.put(id, &queue::PurgeOk { message_count: 1 }),
            Method::Queue(queue::Method::Delete(_)) => self.put(id, &queue::DeleteOk { message_count: 1 }),
            Method::Confirm(confirm::Method::Select(select)) => {
                self.seen(id).confirmed.get_or_insert(0);
                if !select.no_wait {
                    self.put(id, &confirm::SelectOk {});
                }
            }
            Method::Tx(tx::Method::Select(_)) => self.put(id, &tx::SelectOk {}),
            Method::Tx(tx::Method::Commit(_)) => self.put(id, &tx::CommitOk {}),
            _ => {}
        }
    }

    fn answer_basic(&mut self, id: u16, method: &basic::Method<'_>) {
        match method {
            basic::Method::Qos(_) => self.put(id, &basic::QosOk {}),
            basic::Method::Consume(consume) => {
                let tag = consume.consumer_tag.as_str().to_owned();
                self.put(id, &basic::ConsumeOk { consumer_tag: consume.consumer_tag });
                self.seen(id).consumers.push(tag.clone());
                if consume.queue.as_str() == "q" {
                    (0..3).for_each(|_| self.deliver(id, &tag, &Properties::default(), b"work"));
                }
            }
            basic::Method::Cancel(cancel) => {
                self.seen(id).consumers.retain(|tag| tag != cancel.consumer_tag.as_str());
                self.put(id, &basic::CancelOk { consumer_tag: cancel.consumer_tag });
            }
            basic::Method::Get(_) => {
                self.seen(id).delivered += 1;
                let delivery_tag = self.seen(id).delivered;
                self.put(id, &basic::GetOk { delivery_tag, ..Default::default() });
                self.put_content(id, &Properties::default(), b"got");
            }
            basic::Method::Recover(_) => self.put(id, &basic::RecoverOk {}),
            _ => {}
        }
    }
}
