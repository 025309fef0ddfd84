//! The shell around the core: sockets, tasks, the clock, the end.

mod advance;
mod clock;
mod control;
mod disk;
mod driver;
mod faults;
#[cfg(feature = "management")]
mod http;
mod listener;
mod memory;
mod recording;
mod source;
mod space;
mod timers;
#[cfg(feature = "tls")]
mod tls;
mod views;
mod waiting;

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncWrite, DuplexStream};
use tokio::sync::{Notify, mpsc, watch};

use crate::config::{Config, MemoryLimit};
use crate::connection::{self, Connection, Peer};
use crate::failure::Hard;
use crate::node::Node;
use crate::queue::Mailbox;
use crate::time::Moment;

use clock::Clock;
use driver::Driver;
pub use faults::Faults;
#[cfg(feature = "management")]
pub use http::DefinitionsError;
use listener::Listening;
pub use recording::{RecordedPublish, Recording};
use source::{ReadAhead, Source};
pub use views::{BindingView, ConnectionView, DestinationKind, ExchangeView, MessageView, QueueFigures, QueueView};
pub use waiting::TimedOut;

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
    listening: Listening,
    url: Option<String>,
    #[cfg(feature = "management")]
    http: Option<SocketAddr>,
    /// Set to true when the broker ends.
    stop: watch::Sender<bool>,
    /// Why nothing becomes durable any more.
    failed: watch::Receiver<Option<Fault>>,
    /// Closes when the last task has ended.
    ended: mpsc::Receiver<()>,
}

/// What the tasks of one broker share.
struct Shared {
    node: Arc<Node>,
    clock: Clock,
    data_dir: Option<PathBuf>,
    connections: Mutex<HashMap<u64, Arc<Mailbox>>>,
    numbers: AtomicU64,
    /// Tells that a connection is out of the list.
    left: Notify,
    /// Time is advanced by one at a time.
    advancing: tokio::sync::Mutex<()>,
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

/// Why there is no copy of a broker's data, in one sentence.
#[derive(Debug)]
pub struct BackupError(String);

impl fmt::Display for BackupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BackupError {}

/// Why a broker could not go on, in one sentence.
#[derive(Clone, Debug)]
pub struct Fault(String);

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Fault {}

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
    /// If it cannot listen where it should, or not have its directory.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let (alive, ended) = mpsc::channel(1);
        let (stop, stopped) = watch::channel(false);
        #[cfg(feature = "management")]
        let with_defaults = config.definitions.is_none();
        #[cfg(not(feature = "management"))]
        let with_defaults = true;
        // Before anything is read: what has a time to live goes on to age meanwhile.
        let (clock, epoch_ms) = (Clock::start(), clock::epoch_ms());
        let node = disk::node(&config, epoch_ms, with_defaults).await?;
        let shared = Arc::new(Shared {
            node: Arc::new(node),
            clock,
            data_dir: config.data_dir.as_deref().map(disk::absolute),
            connections: Mutex::default(),
            numbers: AtomicU64::new(0),
            left: Notify::new(),
            advancing: tokio::sync::Mutex::default(),
            alive: Mutex::new(Some(alive)),
        });
        memory::set_limit(config.memory_limit, &shared.node.alarms);
        shared.spawn(memory::run(shared.node.clone(), stopped.clone()));
        shared.spawn(timers::run(shared.node.clone(), shared.clock, stopped.clone()));
        let (fail, failed) = watch::channel(None);
        if let (Some(storage), Some(directory)) = (shared.node.storage.clone(), shared.data_dir.clone()) {
            let (node, store, mut stopped) = (shared.node.clone(), storage.store.clone(), stopped.clone());
            node.alarms.set_disk_limit(space::limit(config.disk_free_limit));
            // Before anybody can publish.
            space::look(&node, &store, &directory);
            let commands = control::listen(&directory).map(|listener| control::serve(listener, storage.clone()));
            let commands = async {
                match commands {
                    Ok(commands) => commands.await,
                    Err(error) => {
                        tracing::warn!(%error, "no commands from this machine: {} cannot be made", control::SOCKET);
                        std::future::pending().await
                    }
                }
            };
            let watched = disk::watch(shared.clone(), storage, fail);
            shared.spawn(async move {
                tokio::select! {
                    () = watched => {}
                    () = space::watch(node, store, &directory) => {}
                    () = commands => {}
                    _ = stopped.wait_for(|&stopped| stopped) => {}
                }
            });
        }
        #[cfg(feature = "management")]
        shared.load_definitions(&config)?;
        shared.node.has_begun();
        let listening = shared.listen(&config, &stopped).await?;
        let url = listening.amqp.first().map(|address| url_of(*address, &config));
        #[cfg(feature = "management")]
        let http = match config.http {
            Some(address) => Some(shared.serve_http(address, &listening, stopped).await?),
            None => None,
        };
        Ok(Broker {
            shared,
            listening,
            url,
            #[cfg(feature = "management")]
            http,
            stop,
            failed,
            ended,
        })
    }

    /// Where AMQP clients connect, with the real ports.
    pub fn amqp_addresses(&self) -> &[SocketAddr] {
        &self.listening.amqp
    }

    /// Where AMQP clients connect that speak TLS, with the real ports.
    #[cfg(feature = "tls")]
    pub fn amqps_addresses(&self) -> &[SocketAddr] {
        &self.listening.amqps
    }

    /// The URL for clients, with the default user and virtual host; none if the broker listens nowhere, or
    /// for TLS alone.
    pub fn amqp_url(&self) -> Option<&str> {
        self.url.as_deref()
    }

    /// The directory where everything durable stays; none if the broker keeps everything in memory.
    pub fn data_dir(&self) -> Option<&Path> {
        self.shared.data_dir.as_deref()
    }

    /// Resolves when the broker cannot go on, because its disk has failed: what was published and not confirmed by then is
    /// refused (basic.nack), connections are closed (541), and nothing but [`Broker::shutdown`] is left to do. What was
    /// confirmed is there when a broker is started on the directory again. Never resolves for a broker in memory.
    pub async fn failed(&self) -> Fault {
        let mut failed = self.failed.clone();
        match failed.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(fault)) => fault.clone(),
            _ => std::future::pending().await,
        }
    }

    /// Copies all that is durable by now to a directory that is not there yet, or has nothing of the kind in it, while the
    /// broker goes on. A broker that is started there has what this one has now. On the same file system the copy takes
    /// little room and time, since the log's segments are shared.
    ///
    /// # Errors
    /// For a broker in memory; if there is something already, or the disk refuses. What there is then is of no use.
    pub async fn backup(&self, target: impl AsRef<Path>) -> Result<(), BackupError> {
        let in_memory = || BackupError("a broker in memory has nothing to copy".into());
        let storage = self.shared.node.storage.as_ref().ok_or_else(in_memory)?;
        disk::backup(storage, disk::absolute(target.as_ref())).await.map_err(BackupError)
    }

    /// A connection without a socket, within the process: the client's end of a stream that speaks AMQP.
    pub fn connect(&self) -> DuplexStream {
        let (client, server) = tokio::io::duplex(IN_PROCESS_BYTES);
        let number = self.shared.numbers.fetch_add(1, Ordering::Relaxed);
        let peer = Peer::in_process(&format!("in process {number}"));
        let (source, sink) = tokio::io::split(server);
        self.shared.serve(ReadAhead::new(source), sink, peer, self.shared.clock.now());
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
        let farewell = tokio::time::timeout(FAREWELL_MAX, self.ended.recv()).await;
        if let Some(storage) = &self.shared.node.storage {
            disk::close(storage).await;
        }
        match farewell {
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
        f.debug_struct("Broker").field("amqp", &self.listening.amqp).finish_non_exhaustive()
    }
}

impl Shared {
    /// Runs a task that the broker's end waits for.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let alive = self.alive.lock().clone();
        tokio::spawn(async move {
            task.await;
            drop(alive);
        });
    }

    /// Serves a connection in a task of its own; it counts from `begin` on.
    fn serve(
        self: &Arc<Self>,
        source: impl Source,
        sink: impl AsyncWrite + Unpin + Send + 'static,
        peer: Peer,
        begin: Moment,
    ) {
        // Nobody is let in any more once the broker ends.
        let Some(alive) = self.alive.lock().clone() else { return };
        let connection = Connection::new(self.node.clone(), peer, begin);
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        {
            let mut connections = self.connections.lock();
            // Whoever refuses connections and then cuts those that there are has all of them.
            if self.node.switches.refuses_connections() {
                return;
            }
            connections.insert(number, connection.mailbox().clone());
        }
        let shared = self.clone();
        let driver = Driver::new(sink, connection, self.clock);
        tokio::spawn(async move {
            driver::drive(source, driver).await;
            shared.connections.lock().remove(&number);
            shared.left.notify_waiters();
            // Nothing of the broker is left when its end is told.
            drop(shared);
            drop(alive);
        });
    }

    /// Closes all connections because the broker ends.
    fn close_all(&self) {
        self.send_away(&Hard::connection_forced("broker forced connection closure with reason 'shutdown'"));
    }

    /// Closes all connections.
    fn send_away(&self, reason: &Hard) {
        self.mailboxes().iter().for_each(|mailbox| connection::close(mailbox, reason.clone()));
    }

    fn mailboxes(&self) -> Vec<Arc<Mailbox>> {
        self.connections.lock().values().cloned().collect()
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
