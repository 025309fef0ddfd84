//! Everything about a connection that may be chosen.

use std::time::Duration;

use crate::recovery::Recovery;

/// Who connects, where to, and within which limits. `Default` is guest/guest on vhost `/`.
#[derive(Clone)]
#[non_exhaustive]
pub struct Options {
    /// The user name, for SASL PLAIN.
    pub user: String,
    /// The password.
    pub password: String,
    /// The virtual host.
    pub vhost: String,
    /// The wish for heartbeats, in seconds; 0 switches them off. A broker that wants them more often gets its way.
    pub heartbeat_s: u16,
    /// The largest frame, in bytes; the broker may lower it. 0 leaves it to the broker.
    pub frame_max: u32,
    /// The number of channels; the broker may lower it. 0 leaves it to the broker.
    pub channel_max: u16,
    /// How long connecting to one host with login, and closing, may take, and how long a call or publish waits for a
    /// connection that was lost.
    pub timeout: Duration,
    /// What the broker shows the connection as. The program's name by default.
    pub connection_name: Option<String>,
    /// The largest message that is accepted from the broker, in bytes.
    pub message_bytes_max: u64,
    /// How many publishes may be unconfirmed on a channel before the next one waits.
    pub unconfirmed_max: usize,
    /// How to say who connects.
    pub mechanism: Mechanism,
    /// Further hosts, as `host:port`, which are tried after those in the URI.
    pub hosts: Vec<String>,
    /// When a connection that was lost is tried again; `None` if it is over then.
    pub recovery: Option<Recovery>,
    /// How `amqps://` is protected.
    #[cfg(feature = "tls")]
    pub tls: crate::Tls,
}

/// The SASL mechanism of the login.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mechanism {
    /// User and password.
    #[default]
    Plain,
    /// What the transport has shown, such as a client certificate; RabbitMQ has a plugin for it.
    External,
}

/// The default of `Options::message_bytes_max`, which is also RabbitMQ's.
const MESSAGE_BYTES_MAX: u64 = 128 << 20;
/// The default of `Options::unconfirmed_max`: what a broker that answers in time has under way, and what is uncertain
/// when the connection breaks. Those who want the last bit of throughput raise it to 10,000.
const UNCONFIRMED_MAX: usize = 1_000;

impl Default for Options {
    fn default() -> Self {
        Options {
            user: String::from("guest"),
            password: String::from("guest"),
            vhost: String::from("/"),
            heartbeat_s: 60,
            frame_max: 128 << 10,
            channel_max: 2047,
            timeout: Duration::from_secs(10),
            connection_name: program_name(),
            message_bytes_max: MESSAGE_BYTES_MAX,
            unconfirmed_max: UNCONFIRMED_MAX,
            mechanism: Mechanism::default(),
            hosts: Vec::new(),
            recovery: Some(Recovery::new()),
            #[cfg(feature = "tls")]
            tls: crate::Tls::default(),
        }
    }
}

impl Mechanism {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Mechanism::Plain => "PLAIN",
            Mechanism::External => "EXTERNAL",
        }
    }
}

fn program_name() -> Option<String> {
    let path = std::path::PathBuf::from(std::env::args_os().next()?);
    Some(path.file_name()?.to_string_lossy().into_owned())
}

impl Options {
    /// Logs in as this user.
    #[must_use]
    pub fn credentials(mut self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.user = user.into();
        self.password = password.into();
        self
    }

    /// Opens this virtual host.
    #[must_use]
    pub fn vhost(mut self, vhost: impl Into<String>) -> Self {
        self.vhost = vhost.into();
        self
    }

    /// Wishes for heartbeats every so many seconds; 0 for none.
    #[must_use]
    pub fn heartbeat_s(mut self, seconds: u16) -> Self {
        self.heartbeat_s = seconds;
        self
    }

    /// Wishes for frames of at most so many bytes. At least 4096 are used (section 4.2.3).
    #[must_use]
    pub fn frame_max(mut self, bytes: u32) -> Self {
        self.frame_max = bytes;
        self
    }

    /// Wishes for at most so many channels.
    #[must_use]
    pub fn channel_max(mut self, channels: u16) -> Self {
        self.channel_max = channels;
        self
    }

    /// Limits how long connecting to one host and closing may take, and how long a call waits for a lost connection.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Names the connection in the broker's listings and logs.
    #[must_use]
    pub fn connection_name(mut self, name: impl Into<String>) -> Self {
        self.connection_name = Some(name.into());
        self
    }

    /// Limits the messages that are accepted from the broker. A larger one ends the connection.
    #[must_use]
    pub fn message_bytes_max(mut self, bytes: u64) -> Self {
        self.message_bytes_max = bytes;
        self
    }

    /// Limits the unconfirmed publishes of a channel. At least one is allowed.
    #[must_use]
    pub fn unconfirmed_max(mut self, publishes: usize) -> Self {
        self.unconfirmed_max = publishes.max(1);
        self
    }

    /// Logs in with this mechanism.
    #[must_use]
    pub fn mechanism(mut self, mechanism: Mechanism) -> Self {
        self.mechanism = mechanism;
        self
    }

    /// Adds a host, `host:port`, to be tried after those in the URI.
    #[must_use]
    pub fn host(mut self, address: impl Into<String>) -> Self {
        self.hosts.push(address.into());
        self
    }

    /// Tries a connection that was lost again like this. `Recovery::new()` is the default.
    #[must_use]
    pub fn recovery(mut self, recovery: Recovery) -> Self {
        self.recovery = Some(recovery);
        self
    }

    /// A connection that is lost is over: for programs that make a new one themselves.
    #[must_use]
    pub fn without_recovery(mut self) -> Self {
        self.recovery = None;
        self
    }

    /// Protects `amqps://` like this. What the URI says of TLS is replaced, but for its refusal of `verify_none`.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, mut tls: crate::Tls) -> Self {
        tls.asked_not_to_verify |= self.tls.asked_not_to_verify;
        self.tls = tls;
        self
    }
}

/// The password stays out of logs.
impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("user", &self.user)
            .field("vhost", &self.vhost)
            .field("heartbeat_s", &self.heartbeat_s)
            .field("frame_max", &self.frame_max)
            .field("channel_max", &self.channel_max)
            .field("timeout", &self.timeout)
            .field("connection_name", &self.connection_name)
            .finish_non_exhaustive()
    }
}
