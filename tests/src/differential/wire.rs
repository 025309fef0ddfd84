//! One connection of a script to one broker: methods out, and what comes back as text.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use leveret_spec::frame::{self, FrameKind};
use leveret_spec::method::MethodFrame;
use leveret_spec::{ContentHeader, Method, PROTOCOL_HEADER, Properties, Table, Value, basic, channel, connection, tx};

use crate::{default, short, table};

/// A broker: where it listens and who logs in.
#[derive(Clone, Debug)]
pub struct Address {
    /// Where it listens.
    pub socket: SocketAddr,
    /// The user.
    pub user: String,
    /// The user's password.
    pub password: String,
}

/// How long an answer may take. Only a broker that hangs takes so long.
const PATIENCE: Duration = Duration::from_secs(20);
/// The channel on which queues are asked whether they are at rest.
const PROBE: u16 = 100;

/// The name that consumers of direct replies consume from, and that requests for them carry.
pub(super) const REPLIES: &str = "amq.rabbitmq.reply-to";

/// One connection.
pub(super) struct Wire {
    stream: TcpStream,
    input: Vec<u8>,
    /// What has come and was not collected, by channel.
    events: BTreeMap<u16, Vec<String>>,
    /// Deliveries that owe an answer, by channel.
    pub(super) outstanding: BTreeMap<u16, Vec<u64>>,
    /// Consumers (channel, tag) that owe none, and whether the next basic.get-ok does.
    pub(super) no_ack: BTreeSet<(u16, String)>,
    pub(super) get_no_ack: bool,
    /// Confirmed publishes by channel: acked and nacked numbers.
    pub(super) confirmed: BTreeMap<u16, BTreeMap<u64, bool>>,
    /// Channels with a consumer of direct replies. Versions of RabbitMQ number these differently, so that nothing is said
    /// about the delivery tags there.
    pub(super) replies: BTreeSet<u16>,
    /// The latest reply-to that came, and the queues that the broker has named.
    pub(super) reply_to: String,
    pub(super) generated: BTreeSet<String>,
    /// Channels that are open.
    pub(super) open: BTreeSet<u16>,
    pub(super) closed: bool,
    /// The first number of the version that the broker says it has.
    pub(super) major: u16,
    /// A method whose content has not come: its text, the rest of its body.
    partial: Option<(u16, String, u64)>,
    /// Answers to the questions whether a channel or queue is at rest.
    flow_oks: usize,
    probed: bool,
    /// True after tx.commit-ok.
    pub(super) committed: bool,
}

impl Wire {
    pub(super) fn connect(address: &Address) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address.socket)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut wire = Wire {
            stream,
            input: vec![],
            events: BTreeMap::new(),
            outstanding: BTreeMap::new(),
            no_ack: BTreeSet::new(),
            get_no_ack: false,
            confirmed: BTreeMap::new(),
            replies: BTreeSet::new(),
            reply_to: String::new(),
            generated: BTreeSet::new(),
            open: BTreeSet::new(),
            closed: false,
            major: 0,
            partial: None,
            flow_oks: 0,
            probed: false,
            committed: false,
        };
        wire.log_in(address)?;
        Ok(wire)
    }

    fn log_in(&mut self, address: &Address) -> std::io::Result<()> {
        self.stream.write_all(&PROTOCOL_HEADER)?;
        let able = table([("consumer_cancel_notify", true.into())]);
        let properties = table([("capabilities", able.as_table().into())]);
        let response = format!("\0{}\0{}", address.user, address.password);
        self.send(
            0,
            &connection::StartOk {
                client_properties: properties.as_table(),
                mechanism: short("PLAIN"),
                response: response.as_bytes(),
                locale: short("en_US"),
            },
        );
        self.send(0, &connection::TuneOk { channel_max: 2047, frame_max: 131_072, heartbeat: 0 });
        self.send(0, &connection::Open { virtual_host: short("/"), ..default() });
        self.open_channel(PROBE);
        self.receive_until(|wire| wire.open.contains(&PROBE));
        self.events.clear();
        Ok(())
    }

    pub(super) fn send(&mut self, channel: u16, method: &impl MethodFrame) {
        let mut out = vec![];
        frame::put_method(&mut out, channel, method);
        self.send_bytes(&out);
    }

    pub(super) fn send_bytes(&mut self, bytes: &[u8]) {
        // A connection that the broker has closed is noticed on reading.
        let _ = self.stream.write_all(bytes);
    }

    pub(super) fn open_channel(&mut self, channel: u16) {
        self.send(channel, &channel::Open::default());
    }

    /// Opens a channel unless it is open.
    pub(super) fn ensure_channel(&mut self, channel: u16) {
        if !self.open.contains(&channel) {
            self.open_channel(channel);
            self.receive_until(|wire| wire.open.contains(&channel));
        }
    }

    /// Waits until every queue named and every open channel has done what it has been told.
    pub(super) fn rest(&mut self, queues: &[String]) {
        for queue in queues {
            self.ensure_channel(PROBE);
            self.probed = false;
            self.send(PROBE, &leveret_spec::queue::Declare { queue: short(queue), passive: true, ..default() });
            self.receive_until(|wire| wire.probed);
        }
        for channel in self.open.clone() {
            if !self.open.contains(&channel) {
                continue;
            }
            let before = self.flow_oks;
            self.send(channel, &channel::Flow { active: true });
            self.receive_until(|wire| wire.flow_oks > before || !wire.open.contains(&channel));
        }
    }

    /// What has come since the last call, by channel. What came on the channels of a connection that was then closed came by
    /// chance.
    pub(super) fn collect(&mut self) -> BTreeMap<u16, Vec<String>> {
        let mut events = std::mem::take(&mut self.events);
        events.retain(|channel, _| *channel == 0 || !self.closed);
        for events in events.values_mut() {
            events.sort();
        }
        events.retain(|_, events| !events.is_empty());
        events
    }

    pub(super) fn receive_until(&mut self, done: impl Fn(&Wire) -> bool) {
        while !self.closed && !done(self) {
            let mut buffer = [0; 16 << 10];
            match self.stream.read(&mut buffer) {
                Ok(n) if n > 0 => self.input.extend_from_slice(&buffer[..n]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    self.note(0, "nothing came for a long time".into());
                    self.closed = true;
                }
                _ => {
                    self.note(0, "socket closed".into());
                    self.closed = true;
                }
            }
            let input = std::mem::take(&mut self.input);
            let mut rest = &input[..];
            while let Ok(Some((frame, length))) = frame::parse(rest, usize::MAX) {
                rest = &rest[length..];
                self.take(frame.kind, frame.channel, frame.payload);
            }
            self.input = rest.to_vec();
        }
    }

    fn note(&mut self, channel: u16, event: String) {
        self.events.entry(channel).or_default().push(without_chance(event));
    }

    fn take(&mut self, kind: FrameKind, channel: u16, payload: &[u8]) {
        match kind {
            FrameKind::Method => match Method::decode(payload) {
                Ok(method) => self.method(channel, method),
                Err(error) => self.note(channel, format!("{error:?}")),
            },
            FrameKind::Header => {
                if let (Some((_, text, missing)), Ok(header)) = (&mut self.partial, ContentHeader::decode(payload)) {
                    *missing = header.body_size;
                    let properties = header.properties.decode();
                    text.push_str(&show_properties(properties));
                    if let Some(name) = properties.reply_to {
                        self.reply_to = String::from_utf8_lossy(&name).into_owned();
                    }
                }
                self.finish_content(channel, 0);
            }
            FrameKind::Body => {
                if let Some((_, text, _)) = &mut self.partial {
                    text.push_str(&format!(" {}", String::from_utf8_lossy(payload)));
                }
                self.finish_content(channel, payload.len() as u64);
            }
            FrameKind::Heartbeat => {}
        }
    }

    fn finish_content(&mut self, channel: u16, more: u64) {
        if let Some((_, _, missing)) = &mut self.partial {
            *missing = missing.saturating_sub(more);
        }
        if self.partial.as_ref().is_some_and(|(_, _, missing)| *missing == 0)
            && let Some((_, text, _)) = self.partial.take()
        {
            self.note(channel, text);
        }
    }

    fn method(&mut self, number: u16, method: Method<'_>) {
        match method {
            Method::Channel(channel::Method::FlowOk(_)) => self.flow_oks += 1,
            Method::Queue(leveret_spec::queue::Method::DeclareOk(_)) if number == PROBE => self.probed = true,
            Method::Channel(channel::Method::OpenOk(_)) => drop(self.open.insert(number)),
            Method::Channel(channel::Method::Close(m)) => {
                if number == PROBE {
                    self.probed = true;
                } else {
                    self.note(
                        number,
                        format!("channel.close {} {} {}/{}", m.reply_code, m.reply_text, m.class_id, m.method_id),
                    );
                }
                self.forget(number);
                self.send(number, &channel::CloseOk {});
            }
            Method::Channel(channel::Method::CloseOk(_)) => {
                self.note(number, "channel.close-ok".into());
                self.forget(number);
            }
            Method::Connection(connection::Method::Close(m)) => {
                let text = format!("connection.close {} {} {}/{}", m.reply_code, m.reply_text, m.class_id, m.method_id);
                self.note(0, text);
                self.send(0, &connection::CloseOk {});
                self.closed = true;
            }
            Method::Connection(connection::Method::CloseOk(_)) => {
                self.note(0, "connection.close-ok".into());
                self.closed = true;
            }
            Method::Connection(connection::Method::Start(m)) => {
                let version = m.server_properties.lookup("version").and_then(Value::as_str).unwrap_or_default();
                self.major = version.split('.').next().and_then(|number| number.parse().ok()).unwrap_or_default();
            }
            Method::Connection(_) => {}
            Method::Basic(method) => self.basic(number, method),
            other => {
                if let Method::Queue(leveret_spec::queue::Method::DeclareOk(m)) = &other
                    && m.queue.starts_with(GENERATED)
                {
                    self.generated.insert(m.queue.to_string());
                }
                self.committed |= matches!(other, Method::Tx(tx::Method::CommitOk(_)));
                self.note(number, format!("{other:?}"));
            }
        }
    }

    fn basic(&mut self, number: u16, method: basic::Method<'_>) {
        match method {
            basic::Method::Deliver(m) => {
                if !self.no_ack.contains(&(number, m.consumer_tag.to_string())) {
                    self.outstanding.entry(number).or_default().push(m.delivery_tag);
                }
                let delivery_tag = if self.replies.contains(&number) { 0 } else { m.delivery_tag };
                self.partial = Some((number, format!("{:?}", basic::Deliver { delivery_tag, ..m }), 0));
            }
            basic::Method::GetOk(m) => {
                if !self.get_no_ack {
                    self.outstanding.entry(number).or_default().push(m.delivery_tag);
                }
                let delivery_tag = if self.replies.contains(&number) { 0 } else { m.delivery_tag };
                self.partial = Some((number, format!("{:?}", basic::GetOk { delivery_tag, ..m }), 0));
            }
            basic::Method::Return(m) => self.partial = Some((number, format!("{m:?}"), 0)),
            basic::Method::Ack(m) => self.confirm(number, m.delivery_tag, m.multiple, true),
            basic::Method::Nack(m) => self.confirm(number, m.delivery_tag, m.multiple, false),
            other => self.note(number, format!("{other:?}")),
        }
    }

    fn confirm(&mut self, number: u16, tag: u64, multiple: bool, good: bool) {
        let confirmed = self.confirmed.entry(number).or_default();
        let first = if multiple { 1 } else { tag };
        for tag in first..=tag {
            confirmed.entry(tag).or_insert(good);
        }
    }

    /// A channel is closed: what was its own is gone.
    fn forget(&mut self, number: u16) {
        self.open.remove(&number);
        self.outstanding.remove(&number);
        self.confirmed.remove(&number);
        self.replies.remove(&number);
        self.no_ack.retain(|(channel, _)| *channel != number);
    }
}

/// How names begin that the broker chooses.
const GENERATED: &str = "amq.gen-";

/// A text without what brokers have chosen by chance.
fn without_chance(mut text: String) -> String {
    for name in [GENERATED, "amq.rabbitmq.reply-to."] {
        let mut from = 0;
        while let Some(found) = text[from..].find(name) {
            from += found + name.len();
            let end = text[from..].find(['"', '\'', ' ', ',', '}', ']']).map_or(text.len(), |length| from + length);
            text.replace_range(from..end, "");
        }
    }
    text
}

/// Properties as text. What versions of RabbitMQ do not agree on, and the time, is left out.
fn show_properties(properties: Properties<'_>) -> String {
    let headers = properties.headers.map(show_table).unwrap_or_default();
    let others = Properties { headers: None, ..properties };
    let others = if others == Properties::default() { String::new() } else { format!(" {others:?}") };
    format!("{others} {headers}")
}

fn show_table(table: Table<'_>) -> String {
    let entries = table.iter().filter(|(key, _)| !key.starts_with(b"x-last-death-"));
    let mut entries: Vec<String> = entries.map(|(key, value)| format!("{key}: {}", show(value))).collect();
    entries.sort();
    format!("{{{}}}", entries.join(", "))
}

fn show(value: Value<'_>) -> String {
    match value {
        Value::Table(table) => show_table(table),
        Value::Array(array) => format!("[{}]", array.iter().map(show).collect::<Vec<_>>().join(", ")),
        Value::LongStr(text) => String::from_utf8_lossy(text).into_owned(),
        Value::Timestamp(_) => "a time".into(),
        other => format!("{other:?}"),
    }
}
