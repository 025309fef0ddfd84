//! What a broker can be told: the values here, the keys and flags that set them in `settings`, the file in `file`.

#[cfg(feature = "server")]
mod file;
#[cfg(feature = "server")]
mod program;
#[cfg(feature = "server")]
mod settings;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "server")]
mod values;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use crate::auth::Secret;
#[cfg(feature = "server")]
pub use program::{LogFormat, Program, UsageError};
#[cfg(feature = "server")]
pub use settings::{SETTINGS, Setting};
#[cfg(feature = "tls")]
pub use tls::Tls;

/// Everything that a broker is told at its start.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Where AMQP clients connect. Port 0 takes a free one. Empty: only from within the process.
    pub amqp: Vec<SocketAddr>,
    /// Where AMQP clients connect that speak TLS. Port 0 takes a free one.
    #[cfg(feature = "tls")]
    pub amqps: Vec<SocketAddr>,
    /// The certificate for them.
    #[cfg(feature = "tls")]
    pub tls: Tls,
    /// Where the HTTP management API listens. Port 0 takes a free one.
    #[cfg(feature = "management")]
    pub http: Option<SocketAddr>,
    /// A file of definitions to take in at the start, or a folder of them: users, virtual hosts, permissions, policies,
    /// exchanges, queues, bindings, in the format of RabbitMQ's exports. Then there is no first user or virtual host but
    /// what stands there.
    #[cfg(feature = "management")]
    pub definitions: Option<PathBuf>,
    /// The directory where everything durable stays; it is made if need be. None keeps everything in memory.
    pub data_dir: Option<PathBuf>,
    /// What clients are told about the server.
    pub identity: Identity,
    /// Bounds for what peers may ask.
    pub limits: Limits,
    /// The first user. He, his password and the first virtual host count at the first start in a directory only.
    pub default_user: String,
    /// The first user's password.
    pub default_password: Secret,
    /// The first virtual host.
    pub default_vhost: String,
    /// Users that are let in from this machine only.
    pub loopback_users: Vec<String>,
    /// The memory that the process may use before publishers have to wait. Linux only.
    pub memory_limit: MemoryLimit,
    /// Starts although messages on the disk are damaged, without those: what is lost is logged, with file and offset. Not
    /// what a crash has left half written: that does no harm.
    pub accept_data_loss: bool,
    /// The room that the data directory's file system must have, or publishers have to wait. Nothing for a broker in memory.
    pub disk_free_limit: DiskFreeLimit,
    /// How the broker's time goes.
    pub clock: Clock,
}

/// How a broker's time goes: what lets messages and queues expire, and consumers time out. Heartbeats, handshakes and other
/// things between the broker and a socket always go by the system's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Clock {
    /// As the system's, and ahead of it by what [`Broker::advance`](crate::Broker::advance) adds.
    #[default]
    System,
    /// It stands still but for [`Broker::advance`](crate::Broker::advance): nothing expires because a test is slow.
    Paused,
}

/// When publishers have to wait for memory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MemoryLimit {
    /// Never.
    None,
    /// Above this many bytes.
    Bytes(u64),
    /// Above this share (0 to 1) of the memory of the machine, or of the process's control group.
    Share(f64),
}

/// When publishers have to wait for room on the disk.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum DiskFreeLimit {
    /// Below this many bytes.
    Bytes(u64),
    /// Below this many times the memory of the machine, or of the process's control group.
    OfMemory(f64),
}

impl Default for DiskFreeLimit {
    /// RabbitMQ's.
    fn default() -> Self {
        DiskFreeLimit::Bytes(50_000_000)
    }
}

/// Product and version in the server properties. Some clients behave differently for RabbitMQ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The product, `Leveret` unless told otherwise.
    pub product: String,
    /// Its version.
    pub version: String,
}

/// Bounds for what peers may ask. The defaults are RabbitMQ's where it has them.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// The largest frame, in bytes; 0 is no limit.
    pub frame_max: u32,
    /// The largest frame before the limits are negotiated, in bytes: a login has to fit into it.
    pub initial_frame_max: u32,
    /// Connections open at a time.
    pub connection_max: Option<usize>,
    /// Channels of a connection; 0 is no limit.
    pub channel_max: u16,
    /// Channels of all connections together.
    pub channels_max: Option<usize>,
    /// Virtual hosts. The first one is there in any case.
    pub vhosts_max: Option<usize>,
    /// Queues of all virtual hosts together.
    pub queues_max: Option<usize>,
    /// Exchanges of all virtual hosts together, the predeclared ones among them.
    pub exchanges_max: Option<usize>,
    /// The heartbeat that clients are asked for, in seconds; 0 is none.
    pub heartbeat_s: u16,
    /// How long a peer may take from connecting to connection.open.
    pub handshake_timeout: Duration,
    /// How long a consumer may keep a delivery unsettled, unless its queue says otherwise: then it is cancelled, and what it
    /// holds goes back to the queue. None is for ever.
    pub consumer_timeout: Option<Duration>,
    /// The largest message, in bytes.
    pub message_bytes_max: u64,
    /// Consumers of a channel.
    pub consumers_per_channel_max: Option<usize>,
    /// Publishes that a channel holds back for its transaction.
    pub transaction_publishes_max: Option<usize>,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            frame_max: 131_072,
            initial_frame_max: 4096,
            connection_max: None,
            channel_max: 2047,
            channels_max: None,
            vhosts_max: None,
            queues_max: None,
            exchanges_max: None,
            heartbeat_s: 60,
            handshake_timeout: Duration::from_secs(10),
            consumer_timeout: None,
            message_bytes_max: 128 << 20,
            consumers_per_channel_max: Some(10_000),
            transaction_publishes_max: Some(10_000),
        }
    }
}

impl Default for Identity {
    fn default() -> Self {
        Identity { product: "Leveret".into(), version: env!("CARGO_PKG_VERSION").into() }
    }
}

impl Config {
    /// A broker that keeps everything in memory and listens nowhere: for embedding. The user is guest/guest, the virtual host
    /// `/`.
    pub fn in_memory() -> Self {
        Config {
            amqp: vec![],
            #[cfg(feature = "tls")]
            amqps: vec![],
            #[cfg(feature = "tls")]
            tls: Tls::default(),
            #[cfg(feature = "management")]
            http: None,
            #[cfg(feature = "management")]
            definitions: None,
            data_dir: None,
            identity: Identity::default(),
            limits: Limits::default(),
            default_user: "guest".into(),
            default_password: Secret::new("guest"),
            default_vhost: "/".into(),
            loopback_users: vec!["guest".into()],
            memory_limit: MemoryLimit::None,
            accept_data_loss: false,
            disk_free_limit: DiskFreeLimit::default(),
            clock: Clock::default(),
        }
    }

    /// A broker that keeps what is declared durable in a directory, and is otherwise as `in_memory` says. Nobody else can have
    /// the directory at the same time, and what is in it belongs to the owner of the process alone.
    ///
    /// ```
    /// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = std::env::temp_dir().join(format!("leveret-example-{}", std::process::id()));
    /// # #[cfg(feature = "management")] {
    /// use leveret::{Broker, Config};
    ///
    /// let policies = r#"{"policies": [{"vhost": "/", "name": "short", "pattern": "^tmp", "definition": {"expires": 60000}}]}"#;
    /// let broker = Broker::start(Config::durable(&directory)).await?;
    /// broker.import_definitions(policies)?;
    /// broker.shutdown().await?;
    ///
    /// let again = Broker::start(Config::durable(&directory)).await?; // the policy is there
    /// again.shutdown().await?;
    /// # }
    /// # std::fs::remove_dir_all(directory)?;
    /// # Ok(()) }
    /// ```
    pub fn durable(directory: impl Into<PathBuf>) -> Self {
        Config { data_dir: Some(directory.into()), ..Config::in_memory() }
    }

    /// The same, listening for AMQP clients at `address`; port 0 takes a free one.
    #[must_use]
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.amqp.push(address);
        self
    }

    /// The same, listening for AMQP clients that speak TLS at `address`; port 0 takes a free one.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn listen_tls(mut self, address: SocketAddr, tls: Tls) -> Self {
        self.amqps.push(address);
        self.tls = tls;
        self
    }

    /// The same, with time that stands still but for [`Broker::advance`](crate::Broker::advance): for tests.
    #[must_use]
    pub fn paused_clock(mut self) -> Self {
        self.clock = Clock::Paused;
        self
    }

    /// The same, with the HTTP management API at `address`; port 0 takes a free one.
    #[cfg(feature = "management")]
    #[must_use]
    pub fn http(mut self, address: SocketAddr) -> Self {
        self.http = Some(address);
        self
    }
}
