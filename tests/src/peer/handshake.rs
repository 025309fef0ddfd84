//! From the protocol header to connection.open-ok, as a whole and in steps.

use std::net::SocketAddr;

use leveret_spec::{PROTOCOL_HEADER, TableBuf, Value, connection};

use super::Peer;
use crate::target::target;
use crate::{default, short, table};

/// What a client says of itself in the handshake.
#[derive(Clone, Debug)]
pub struct Visit {
    /// The client properties.
    pub properties: TableBuf,
    /// In bytes.
    pub frame_max: u32,
    /// Highest number of channels.
    pub channel_max: u16,
    /// In seconds.
    pub heartbeat_s: u16,
    /// Which broker.
    pub address: SocketAddr,
    /// Who.
    pub user: String,
    /// The user's password.
    pub password: String,
    /// Where to.
    pub vhost: String,
}

/// A client with every capability, the server's own limits, and no heartbeat.
impl Default for Visit {
    fn default() -> Self {
        Visit {
            properties: Visit::able(&[
                "consumer_cancel_notify",
                "connection.blocked",
                "authentication_failure_close",
                "basic.nack",
                "publisher_confirms",
            ]),
            frame_max: 131_072,
            channel_max: 2047,
            heartbeat_s: 0,
            address: target().address(),
            user: target().user().to_owned(),
            password: target().password().to_owned(),
            vhost: target().vhost().to_owned(),
        }
    }
}

impl Visit {
    /// Client properties with these capabilities.
    pub fn able(capabilities: &[&str]) -> TableBuf {
        let able = capabilities.iter().fold(TableBuf::new(), |able, name| able.with(name, true).expect("a short name"));
        table([("product", "leveret-tests".into()), ("capabilities", Value::Table(able.as_table()))])
    }
}

impl Peer {
    /// A connection that is open.
    #[track_caller]
    pub fn handshake() -> Peer {
        Peer::visit(&Visit::default())
    }

    /// A connection that is open, with channel 1 open on it.
    #[track_caller]
    pub fn with_channel() -> Peer {
        let mut peer = Peer::handshake();
        peer.open_channel(1);
        peer
    }

    /// A connection that is opened in this way.
    #[track_caller]
    pub fn visit(visit: &Visit) -> Peer {
        let mut peer = Peer::ask_to_visit(visit);
        peer.expect::<connection::OpenOk>(0);
        peer.vhost.clone_from(&visit.vhost);
        peer
    }

    /// A connection as far as its connection.open, which is not answered yet.
    #[track_caller]
    pub fn ask_to_visit(visit: &Visit) -> Peer {
        let mut peer = Peer::connect_to(visit.address);
        peer.greet();
        peer.start_ok(&visit.properties, "PLAIN", &Peer::plain(&visit.user, &visit.password));
        peer.expect::<connection::Tune>(0);
        peer.tune_ok(visit.channel_max, visit.frame_max, visit.heartbeat_s);
        peer.open(&visit.vhost);
        peer
    }

    /// A connection as far as the server's connection.tune.
    #[track_caller]
    pub fn log_in(properties: &TableBuf) -> Peer {
        let mut peer = Peer::connect();
        peer.greet();
        peer.start_ok(properties, "PLAIN", &Peer::plain(target().user(), target().password()));
        peer.expect::<connection::Tune>(0);
        peer
    }

    /// Says hello and takes the server's answer.
    #[track_caller]
    pub fn greet(&mut self) -> connection::Start<'static> {
        self.send_bytes(&PROTOCOL_HEADER);
        self.expect::<connection::Start>(0)
    }

    /// The response of SASL's mechanism PLAIN (RFC 4616).
    pub fn plain(user: &str, password: &str) -> Vec<u8> {
        [b"\0", user.as_bytes(), b"\0", password.as_bytes()].concat()
    }

    /// Sends connection.start-ok.
    pub fn start_ok(&mut self, properties: &TableBuf, mechanism: &str, response: &[u8]) {
        let client_properties = properties.as_table();
        let (mechanism, locale) = (short(mechanism), short("en_US"));
        self.send(0, &connection::StartOk { client_properties, mechanism, response, locale });
    }

    /// Sends connection.tune-ok. From then on no frame is longer than agreed, if the server can agree.
    pub fn tune_ok(&mut self, channel_max: u16, frame_max: u32, heartbeat: u16) {
        self.frame_max = if frame_max < 4096 { 0 } else { frame_max };
        self.send(0, &connection::TuneOk { channel_max, frame_max, heartbeat });
    }

    /// Sends connection.open.
    pub fn open(&mut self, vhost: &str) {
        self.send(0, &connection::Open { virtual_host: short(vhost), ..default() });
    }
}
