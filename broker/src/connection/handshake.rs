//! From the protocol header to connection.open-ok (section 2.2.4). Nothing is allocated for a peer here beyond its frames, and
//! all of it has to happen within the handshake's time.

use std::sync::Arc;
use std::time::Duration;

use leveret_spec::frame::{self, FRAME_MIN_SIZE, FrameKind};
use leveret_spec::{Method, PROTOCOL_HEADER, PROTOCOL_HEADER_0_9, Table, TableBuf, Value, connection};

use super::running::Running;
use super::{Next, Peer, Reason};
use crate::auth::{Credentials, Mechanism};
use crate::channel::{Client, Link, Outbox};
use crate::failure::Hard;
use crate::node::Node;
use crate::queue::Mailbox;
use crate::roster::{Bounds, Facts, Full, Presence};
use crate::time::Moment;
use crate::vhost::Vhost;

/// How long a peer that may not know why it is refused is kept waiting, which slows down guessing.
const REFUSAL_PAUSE: Duration = Duration::from_secs(3);
/// What RabbitMQ can do besides the specification, and so can this broker: the keys of `capabilities`.
const CAPABILITIES: [&str; 9] = [
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

pub(super) struct Handshake {
    pub(super) out: Outbox,
    node: Arc<Node>,
    peer: Peer,
    mailbox: Arc<Mailbox>,
    step: Step,
    deadline: Moment,
    /// How the client has logged in, and what it says of itself.
    mechanism: &'static str,
    client_properties: TableBuf,
}

/// What has to come next.
enum Step {
    Header,
    StartOk,
    TuneOk(Client),
    Open(Client, connection::TuneOk),
    /// Nothing: the connection is dropped at the deadline.
    Refused,
}

/// What a step leads to.
type Outcome = Result<Option<Next>, Reason>;

impl Handshake {
    pub(super) fn new(node: Arc<Node>, peer: Peer, mailbox: Arc<Mailbox>, now: Moment) -> Self {
        let deadline = now + node.limits.handshake_timeout;
        Handshake {
            out: Outbox::default(),
            node,
            peer,
            mailbox,
            step: Step::Header,
            deadline,
            mechanism: "",
            client_properties: TableBuf::new(),
        }
    }

    pub(super) fn deadline(&self) -> Moment {
        self.deadline
    }

    pub(super) fn delay(&self) -> Duration {
        self.node.switches.delay()
    }

    pub(super) fn handle_bytes(&mut self, input: &[u8], now: Moment) -> (usize, Option<Next>) {
        let mut used = 0;
        if let Step::Header = self.step {
            match self.header(input) {
                Ok(0) => return (0, None),
                Ok(taken) => used = taken,
                Err(()) => return (input.len(), Some(Next::End)),
            }
        }
        loop {
            if let Step::Refused = self.step {
                return (input.len(), None);
            }
            let (frame, length) = match frame::parse(&input[used..], self.payload_max()) {
                Ok(Some(found)) => found,
                Ok(None) => return (used, None),
                Err(error) => {
                    tracing::warn!(peer = &*self.peer.name, ?error, "bad frame during the handshake");
                    return (input.len(), Some(Next::End));
                }
            };
            used += length;
            let outcome = match frame.kind {
                FrameKind::Heartbeat => continue,
                FrameKind::Method if frame.channel == 0 => self.method(frame.payload, now),
                _ => Err(Reason::of(Hard::unexpected_frame("expected a method of class connection"))),
            };
            match outcome {
                Ok(None) => {}
                Ok(next) => return (used, next),
                // Who has not logged in yet learns nothing.
                Err(_) if matches!(self.step, Step::StartOk) => self.refuse(now),
                Err(reason) => return (used, Some(Next::Close(reason))),
            }
        }
    }

    fn payload_max(&self) -> usize {
        match &self.step {
            Step::Open(_, tuned) => frame::payload_max(tuned.frame_max as usize),
            _ => frame::payload_max(self.node.limits.initial_frame_max as usize),
        }
    }

    /// The protocol header: how many bytes it took, 0 if it is not there yet. Any other protocol is answered with ours.
    fn header(&mut self, input: &[u8]) -> Result<usize, ()> {
        let length = input.len().min(PROTOCOL_HEADER.len());
        let begins = |header: &[u8; 8]| input[..length] == header[..length];
        if !begins(&PROTOCOL_HEADER) && !begins(&PROTOCOL_HEADER_0_9) {
            let spoke = match input {
                [b'A', b'M', b'Q', b'P', ..] => "another version of AMQP",
                [0x16, 3, ..] => "TLS",
                [b'G', b'E', b'T', ..] | [b'P', b'O', b'S', b'T', ..] | [b'H', b'E', b'A', b'D', ..] => "HTTP",
                _ => "something else",
            };
            tracing::warn!(peer = &*self.peer.name, "peer spoke {spoke} on the AMQP port");
            self.out.put(|out| out.extend_from_slice(&PROTOCOL_HEADER));
            return Err(());
        }
        if length < PROTOCOL_HEADER.len() {
            return Ok(0);
        }
        self.put_start();
        self.step = Step::StartOk;
        Ok(length)
    }

    fn put_start(&mut self) {
        let properties = server_properties(&self.node);
        let start = connection::Start {
            version_major: 0,
            version_minor: 9,
            server_properties: properties.as_table(),
            mechanisms: Mechanism::OFFERED.as_bytes(),
            locales: b"en_US",
        };
        self.out.put_method(0, &start);
    }

    fn method(&mut self, payload: &[u8], now: Moment) -> Outcome {
        let method = match Method::decode(payload) {
            Ok(Method::Connection(method)) => method,
            _ => return Err(Reason::of(Hard::channel_error("unexpected method in connection state handshake"))),
        };
        let row = method.row();
        let caused = |failure| Reason { class: row.class, method: row.method, ..Reason::of(failure) };
        match (std::mem::replace(&mut self.step, Step::Refused), method) {
            (Step::StartOk, connection::Method::StartOk(m)) => self.start_ok(&m, now),
            (Step::TuneOk(client), connection::Method::TuneOk(m)) => {
                self.check_tuned(&m).map_err(caused)?;
                self.step = Step::Open(client, m);
                Ok(None)
            }
            (Step::Open(client, tuned), connection::Method::Open(m)) => {
                self.open(client, &tuned, &m, now).map_err(caused).map(Some)
            }
            (_, connection::Method::Close(_)) => {
                self.out.put_method(0, &connection::CloseOk {});
                Ok(Some(Next::End))
            }
            (step, _) => {
                let text = "unexpected method in connection state handshake";
                self.step = step;
                Err(caused(Hard::channel_error(text)))
            }
        }
    }

    fn start_ok(&mut self, m: &connection::StartOk<'_>, now: Moment) -> Outcome {
        let mechanism = Mechanism::of(&m.mechanism);
        let credentials = mechanism.and_then(|mechanism| mechanism.read(m.response));
        let (Some(mechanism), Some(credentials)) = (mechanism, credentials) else {
            tracing::warn!(peer = &*self.peer.name, mechanism = %m.mechanism, "unknown mechanism or malformed response");
            self.refuse(now);
            return Ok(None);
        };
        if !self.node.users.admit(&credentials, self.peer.loopback) {
            return self.login_failed(mechanism, &credentials, m.client_properties, now);
        }
        let consumer_cancel_notify = capable(m.client_properties, "consumer_cancel_notify");
        let hears_blocked = capable(m.client_properties, "connection.blocked");
        let limits = &self.node.limits;
        let tune = connection::Tune {
            channel_max: limits.channel_max,
            frame_max: limits.frame_max,
            heartbeat: limits.heartbeat_s,
        };
        self.out.put_method(0, &tune);
        self.mechanism = mechanism.name();
        self.client_properties = m.client_properties.into();
        let product = m.client_properties.lookup("product").and_then(Value::as_str);
        let changes_running_prefetch = matches!(product, Some("py-amqp" | "librabbitmq"));
        let (user, peer) = (credentials.user.into(), self.peer.name.clone());
        self.step =
            Step::TuneOk(Client { user, peer, consumer_cancel_notify, hears_blocked, changes_running_prefetch });
        Ok(None)
    }

    fn login_failed(&mut self, mechanism: Mechanism, who: &Credentials, properties: Table<'_>, now: Moment) -> Outcome {
        let mechanism = mechanism.name();
        tracing::warn!(peer = &*self.peer.name, user = ?who.user, mechanism, "login refused");
        if capable(properties, "authentication_failure_close") {
            self.step = Step::Refused;
            return Err(Reason::of(Hard::access_refused(format!(
                "Login was refused using authentication mechanism {mechanism}. For details see the broker logfile."
            ))));
        }
        self.refuse(now);
        Ok(None)
    }

    /// Says nothing and hears nothing until the peer is dropped.
    fn refuse(&mut self, now: Moment) {
        self.step = Step::Refused;
        self.deadline = self.deadline.min(now + REFUSAL_PAUSE);
    }

    fn check_tuned(&self, m: &connection::TuneOk) -> Result<(), Hard> {
        let limits = &self.node.limits;
        check_limit("channel_max", m.channel_max.into(), limits.channel_max.into(), 1)?;
        check_limit("frame_max", m.frame_max, limits.frame_max, FRAME_MIN_SIZE as u32)
    }

    fn open(
        &mut self,
        mut client: Client,
        tuned: &connection::TuneOk,
        m: &connection::Open<'_>,
        now: Moment,
    ) -> Result<Next, Hard> {
        let name = &*m.virtual_host;
        let vhost = self.node.vhost(name).ok_or_else(|| Hard::not_allowed(format!("vhost {name} not found")))?;
        let rights = self.node.users.rights(&client.user, name);
        if let Some(rights) = &rights {
            // All of a user's connections share his name.
            client.user = rights.user.clone();
        }
        let presence = self.enter(&client, &vhost, tuned, now)?;
        let rights = rights
            .ok_or_else(|| Hard::not_allowed(format!("access to vhost '{name}' refused for user '{}'", client.user)))?;
        tracing::info!(peer = &*self.peer.name, user = %client.user, vhost = name, "connection open");
        let id = presence.id();
        let (node, mailbox) = (self.node.clone(), self.mailbox.clone());
        let mut link = Link::new(id, node, vhost, client, rights, mailbox, tuned.frame_max as usize);
        link.out = std::mem::take(&mut self.out);
        link.out.put_method(0, &connection::OpenOk::default());
        let running = Running::new(link, presence, usize::from(tuned.channel_max));
        Ok(Next::Run(Box::new(running), Duration::from_secs(tuned.heartbeat.into())))
    }

    /// Takes the connection into the roster, unless its virtual host or its user has as many as it may have.
    fn enter(
        &mut self,
        client: &Client,
        vhost: &Vhost,
        tuned: &connection::TuneOk,
        now: Moment,
    ) -> Result<Presence, Hard> {
        let facts = Facts {
            id: self.node.next_connection(),
            name: client.peer.clone(),
            addresses: self.peer.addresses,
            tls: self.peer.tls,
            user: client.user.clone(),
            vhost: vhost.name.clone(),
            mechanism: self.mechanism,
            client_properties: std::mem::take(&mut self.client_properties),
            connected_at_ms: self.node.epoch_s * 1000 + now.since_start().as_millis() as u64,
            channel_max: tuned.channel_max,
            frame_max: tuned.frame_max,
            heartbeat_s: tuned.heartbeat,
            mailbox: self.mailbox.clone(),
        };
        let of_user = self.node.users.user(&client.user).and_then(|user| user.connections_max);
        let of_node = self.node.limits.connection_max;
        let bounds = Bounds { of_node, of_vhost: vhost.connections_max(), of_user };
        self.node.roster.enter(facts, bounds).map_err(|full| {
            let (user, vhost) = (&client.user, &vhost.name);
            Hard::not_allowed(match full {
                Full::Node(most) => format!("connection refused: node connection limit ({most}) is reached"),
                Full::Vhost(most) => {
                    format!("access to vhost '{vhost}' refused for user '{user}': connection limit ({most}) is reached")
                }
                Full::User(most) => {
                    format!("connection refused for user '{user}': user connection limit ({most}) is reached")
                }
            })
        })
    }
}

/// 0 stands for no limit, which is higher than any other; below the minimum only what is not 0 counts.
fn check_limit(name: &str, asked: u32, most: u32, least: u32) -> Result<(), Hard> {
    if asked != 0 && asked < least {
        let text = format!("negotiated {name} = {asked} is lower than the minimum allowed value ({least})");
        return Err(Hard::not_allowed(text));
    }
    if most != 0 && (asked == 0 || asked > most) {
        let unlimited = if asked == 0 { " (no limit)" } else { "" };
        let text = format!("negotiated {name} = {asked}{unlimited} is higher than the maximum allowed value ({most})");
        return Err(Hard::not_allowed(text));
    }
    Ok(())
}

fn capable(client_properties: Table<'_>, capability: &str) -> bool {
    match client_properties.lookup("capabilities") {
        Some(Value::Table(capabilities)) => capabilities.lookup(capability) == Some(Value::Bool(true)),
        _ => false,
    }
}

fn server_properties(node: &Node) -> TableBuf {
    let key = |text| leveret_spec::ShortBytes::try_from(text).unwrap_or_default();
    let mut capabilities = TableBuf::new();
    for capability in CAPABILITIES {
        capabilities.push(key(capability), Value::Bool(true));
    }
    let mut properties = TableBuf::new();
    properties.push(key("capabilities"), capabilities.as_table().into());
    let identity = &node.identity;
    for (name, text) in [
        ("cluster_name", crate::node::NAME),
        ("copyright", "Leveret contributors"),
        ("information", "Licensed under MIT OR Apache-2.0"),
        ("platform", "Rust"),
        ("product", identity.product.as_str()),
        ("version", identity.version.as_str()),
    ] {
        properties.push(key(name), text.into());
    }
    properties
}
