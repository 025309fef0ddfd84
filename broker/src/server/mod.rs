//! The shell around the core: sockets, tasks, the clock, the end.

mod clock;
mod driver;
#[cfg(feature = "management")]
mod http;
mod listener;
mod memory;
mod timers;

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::sync::{mpsc, watch};

use crate::config::{Config, MemoryLimit};
use crate::connection::{self, Connection, Peer};
use crate::failure::Hard;
use crate::node::Node;
use crate::queue::Mailbox;

use clock::Clock;
#[cfg(feature = "management")]
pub use http::DefinitionsError;

/// How long clients have to say goodbye when the broker ends.
const FAREWELL_MAX: Duration = Duration::from_secs(5);
/// The buffer of a connection within the process, in bytes each way.
const IN_PROCESS_BYTES: usize = 256 << 10;

/// A running broker. It ends with `shutdown`; dropping it ends it too, without waiting for anybody.
///
/// Any number of brokers can live in one process: nothing is shared between them.
///
/// ```
/// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let broker = leveret::Broker::start(leveret::Config::in_memory()).await?;
/// let _stream = broker.connect(); // speaks AMQP, like a socket
/// broker.shutdown().await?;
/// # Ok(()) }
/// ```
pub struct Broker {
    shared: Arc<Shared>,
    addresses: Vec<SocketAddr>,
    url: Option<String>,
    #[cfg(feature = "management")]
    http: Option<SocketAddr>,
    /// Set to true when the broker ends.
    stop: watch::Sender<bool>,
    /// Closes when the last task has ended.
    ended: mpsc::Receiver<()>,
}

/// What the tasks of one broker share.
struct Shared {
    node: Arc<Node>,
    clock: Clock,
    connections: Mutex<HashMap<u64, Arc<Mailbox>>>,
    numbers: AtomicU64,
    /// Every task holds a clone; `Broker::ended` tells when the last is gone.
    alive: Mutex<Option<mpsc::Sender<()>>>,
}

/// Why a broker does not start, in one sentence.
#[derive(Debug)]
pub struct StartError(String);

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StartError {}

/// Why a broker did not end in order.
#[derive(Debug)]
pub struct ShutdownError(String);

impl fmt::Display for ShutdownError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ShutdownError {}

impl Broker {
    /// Starts a broker in the current tokio runtime. When this returns, clients can connect.
    ///
    /// # Errors
    /// If it cannot listen where it should.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let (alive, ended) = mpsc::channel(1);
        let (stop, stopped) = watch::channel(false);
        #[cfg(feature = "management")]
        let is_blank = config.definitions.is_some();
        #[cfg(not(feature = "management"))]
        let is_blank = false;
        let node = if is_blank { Node::blank } else { Node::new };
        let shared = Arc::new(Shared {
            node: Arc::new(node(&config, clock::epoch_s())),
            clock: Clock::start(),
            connections: Mutex::default(),
            numbers: AtomicU64::new(0),
            alive: Mutex::new(Some(alive)),
        });
        memory::set_limit(config.memory_limit, &shared.node.alarms);
        tokio::spawn(memory::run(shared.node.clone(), stopped.clone()));
        tokio::spawn(timers::run(shared.node.clone(), shared.clock, stopped.clone()));
        #[cfg(feature = "management")]
        shared.load_definitions(&config)?;
        let mut addresses = vec![];
        for address in &config.amqp {
            let listener = listener::bind(*address, "listen").await?;
            addresses.push(listener.local_addr().map_err(|e| StartError(e.to_string()))?);
            tokio::spawn(listener::accept(listener, shared.clone(), stopped.clone()));
        }
        let url = addresses.first().map(|address| url_of(*address, &config));
        #[cfg(feature = "management")]
        let http = match config.http {
            Some(address) => Some(shared.serve_http(address, &addresses, stopped).await?),
            None => None,
        };
        Ok(Broker {
            shared,
            addresses,
            url,
            #[cfg(feature = "management")]
            http,
            stop,
            ended,
        })
    }

    /// Where AMQP clients connect, with the real ports.
    pub fn amqp_addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The URL for clients, with the default user and virtual host; none if the broker listens nowhere.
    pub fn amqp_url(&self) -> Option<&str> {
        self.url.as_deref()
    }

    /// A connection without a socket, within the process: the client's end of a stream that speaks AMQP.
    pub fn connect(&self) -> DuplexStream {
        let (client, server) = tokio::io::duplex(IN_PROCESS_BYTES);
        let number = self.shared.numbers.fetch_add(1, Ordering::Relaxed);
        let peer = Peer { name: format!("in process {number}"), loopback: true, addresses: None };
        self.shared.serve(server, peer);
        client
    }

    /// Sets another memory limit. When this returns, publishers are stopped or may go on, as the memory in use wants it now.
    pub fn set_memory_limit(&self, limit: MemoryLimit) {
        memory::set_limit(limit, &self.shared.node.alarms);
    }

    /// Ends the broker: clients are told (connection.close 320), what is under way is finished, and everything is released
    /// when this returns.
    ///
    /// # Errors
    /// If clients did not let go in time; they were cut off then.
    pub async fn shutdown(mut self) -> Result<(), ShutdownError> {
        self.stop.send_replace(true);
        self.shared.alive.lock().take();
        self.shared.close_all();
        let farewell = tokio::time::timeout(FAREWELL_MAX, self.ended.recv());
        match farewell.await {
            Ok(_) => Ok(()),
            Err(_) => {
                let left = self.shared.connections.lock().len();
                Err(ShutdownError(format!("{left} connections did not close within {FAREWELL_MAX:?}")))
            }
        }
    }
}

/// A broker that is dropped tells its clients and does not wait for them.
impl Drop for Broker {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        self.shared.close_all();
    }
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broker").field("amqp", &self.addresses).finish_non_exhaustive()
    }
}

impl Shared {
    /// Serves a connection in a task of its own.
    fn serve(self: &Arc<Self>, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, peer: Peer) {
        // Nobody is let in any more once the broker ends.
        let Some(alive) = self.alive.lock().clone() else { return };
        let connection = Connection::new(self.node.clone(), peer, self.clock.now());
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        self.connections.lock().insert(number, connection.mailbox().clone());
        let shared = self.clone();
        tokio::spawn(async move {
            driver::drive(stream, connection, shared.clock).await;
            shared.connections.lock().remove(&number);
            drop(alive);
        });
    }

    fn close_all(&self) {
        let mailboxes: Vec<_> = self.connections.lock().values().cloned().collect();
        for mailbox in mailboxes {
            let text = "broker forced connection closure with reason 'shutdown'";
            connection::close(&mailbox, Hard::connection_forced(text));
        }
    }
}

/// Where to connect to reach a listener on this machine.
fn reachable(address: SocketAddr) -> SocketAddr {
    let host = if address.ip().is_unspecified() { [127, 0, 0, 1].into() } else { address.ip() };
    SocketAddr::new(host, address.port())
}

fn url_of(address: SocketAddr, config: &Config) -> String {
    let authority = reachable(address);
    let (user, password) = (escape(&config.default_user), escape(config.default_password.reveal()));
    format!("amqp://{user}:{password}@{authority}/{}", escape(&config.default_vhost))
}

/// Percent-encodes everything but unreserved characters (RFC 3986).
fn escape(text: &str) -> String {
    let unreserved = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    text.bytes().map(|b| if unreserved(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}
