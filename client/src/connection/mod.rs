//! A connection: handles that are cheap to clone over one I/O task.

mod channels;
mod content;
mod dial;
mod dispatch;
mod driver;
#[cfg(test)]
mod garbage_tests;
mod handshake;
mod input;
#[cfg(test)]
mod lies_tests;
#[cfg(test)]
mod login_tests;
mod outbox;
mod pulse;
mod shared;
mod supervisor;
#[cfg(test)]
mod tests;
mod wire;

use std::fmt;
use std::sync::Arc;

use leveret_spec::{ShortStr, Table, connection};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tracing::Instrument;

use crate::channel::Channel;
use crate::error::{Error, Result};
use crate::events::Events;
use crate::options::Options;
use crate::uri;

use dial::Opened;
use outbox::Link;
use shared::Limits;
use supervisor::Supervisor;

pub(crate) use shared::Shared;

/// A connection to a broker. Clones are handles to the same connection, and so is every `Channel`: when the last of
/// them is dropped, the connection is closed in the background.
///
/// When it is lost it comes back by itself, with everything that was on it: see the front page of this crate.
#[derive(Clone)]
pub struct Connection {
    handle: Arc<Handle>,
}

/// Closes the connection with the last handle.
struct Handle {
    shared: Arc<Shared>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        // It may be closed already.
        let _ = start_close(&self.shared);
    }
}

/// The I/O task must hear of it even if the socket takes nothing, so that it can give up in time.
fn start_close(shared: &Shared) -> Result<()> {
    let mut outbox = shared.outbox();
    if let Some(error) = &outbox.end {
        return Err(error.clone());
    }
    outbox.end = Some(Error::closed_here(crate::error::Scope::Connection));
    if outbox.link == Link::Down {
        drop(outbox);
        shared.given_up.notify_one();
        return Ok(());
    }
    let text = ShortStr::cut("closed");
    let close = connection::Close { reply_code: 200, reply_text: text, class_id: 0, method_id: 0 };
    leveret_spec::frame::put_method(&mut outbox.bytes, 0, &close);
    outbox.closing = true;
    let drivers = [outbox.driver.take(), outbox.closer.take()];
    drop(outbox);
    drivers.into_iter().flatten().for_each(std::task::Waker::wake);
    Ok(())
}

impl Connection {
    /// Connects over TCP, for `amqps://` with TLS, and logs in.
    ///
    /// The URI is RabbitMQ's `amqp://user:password@host:port/vhost`, with percent-encoding in each part; what is left
    /// out is guest, guest, localhost, 5672 (5671 with TLS) and `/` (`%2f`). Several brokers that will do stand one behind
    /// the other, `amqp://user:password@host:port,other:port/vhost`: each is tried once, in their order, and all of them
    /// again, for as long as `Recovery` says, when the connection is lost later. Parameters: `heartbeat` (seconds),
    /// `channel_max`, `frame_max` (bytes), `connection_timeout` (milliseconds), `auth_mechanism` (`plain`, `external`),
    /// `name`; for TLS `cacertfile`, `certfile`, `keyfile`, `server_name_indication` and `verify`: see `Tls`.
    ///
    /// # Errors
    /// `InvalidUri`, `Io` if nobody answers, `Timeout`, `Auth` for wrong credentials, and `Refused` with code 530 for a
    /// vhost that does not exist or that the user may not open. With several hosts, the last one's error.
    pub async fn open(uri: &str) -> Result<Connection> {
        Connection::open_with(uri, |options| options).await
    }

    /// `open`, for options that a URI cannot say: `adjust` gets what the URI says and returns what is to hold.
    ///
    /// # Errors
    /// As `open`.
    pub async fn open_with(uri: &str, adjust: impl FnOnce(Options) -> Options) -> Result<Connection> {
        let mut target = uri::parse(uri)?;
        target.options = adjust(target.options);
        target.add_hosts()?;
        #[cfg(feature = "tls")]
        target.options.tls.check()?;
        let (host, opened) = dial::first(&target).await?;
        let options = target.options.clone();
        Ok(match options.recovery {
            Some(recovery) => Connection::spawn(opened, &options, |session, shared| {
                Supervisor { shared, target, recovery, host }.run(session)
            }),
            None => Connection::spawn(opened, &options, supervisor::once),
        })
    }

    /// Logs in over a stream that exists: TLS, a Unix socket, or an embedded broker's pipe. Such a connection cannot be
    /// made again: when it breaks, it is over, whatever `Options::recovery` says.
    ///
    /// # Errors
    /// As `open`.
    pub async fn over<S>(stream: S, options: Options) -> Result<Connection>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let options = options.without_recovery();
        let logged_in = timeout(options.timeout, dial::log_in(stream, &options));
        let opened = logged_in.await.unwrap_or(Err(Error::Timeout("login")))?;
        Ok(Connection::spawn(opened, &options, supervisor::once))
    }

    /// Starts the I/O task.
    fn spawn<S, Task>(
        opened: Opened<S>,
        options: &Options,
        task: impl FnOnce(driver::Session<S>, Arc<Shared>) -> Task,
    ) -> Connection
    where
        Task: Future<Output = ()> + Send + 'static,
    {
        let (session, server_properties) = opened;
        let limits = Limits {
            message_bytes_max: options.message_bytes_max,
            unconfirmed_max: options.unconfirmed_max.max(1),
            timeout: options.timeout,
            recovers: options.recovery.is_some(),
        };
        let shared = Arc::new(Shared::new(limits, &session.negotiated, server_properties));
        let name = options.connection_name.as_deref();
        // It lives longer than what goes on here.
        let span = tracing::info_span!(parent: None, "connection", name, user = options.user, vhost = options.vhost);
        tokio::spawn(task(session, shared.clone()).instrument(span));
        Connection { handle: Arc::new(Handle { shared }) }
    }

    /// Opens a channel.
    ///
    /// # Errors
    /// `Closed` if the connection is, `Usage` if all channels that were negotiated are open, `Timeout` if the connection
    /// is lost and does not come back in time.
    pub async fn open_channel(&self) -> Result<Channel> {
        Channel::open(self.clone()).await
    }

    /// Closes the connection with all its channels, and waits for the broker to agree. What was published before is
    /// sent first; confirms that are waited for end with an error. While the connection is lost it is over at once.
    ///
    /// # Errors
    /// The error that ended the connection, if that was not this call or another one like it.
    pub async fn close(&self) -> Result<()> {
        // If something else ended it, its error comes out below.
        let _ = start_close(self.shared());
        let error = self.closed().await;
        if error.is_closed_here() { Ok(()) } else { Err(error) }
    }

    /// Waits until the connection is over for good, and says why. Code 200 means that this program closed it. That it is
    /// lost and comes back is told by `events`.
    pub async fn closed(&self) -> Error {
        self.shared().stopped().await
    }

    /// True until the connection is closed by either side, or lost; true again when it is back.
    pub fn is_open(&self) -> bool {
        let outbox = self.shared().outbox();
        outbox.end.is_none() && outbox.link == Link::Up
    }

    /// What happens to the connection from now on: that it is lost, that it is back, what could not be restored. Each
    /// call begins a stream of its own. There is an example on the front page of this crate.
    pub fn events(&self) -> Events {
        self.shared().events.join()
    }

    /// The broker's reason, while it has stopped publishers with connection.blocked: low memory or disk. `publish`
    /// waits meanwhile. It does not hold for the next connection when this one is lost.
    pub fn blocked(&self) -> Option<String> {
        self.shared().outbox().blocked.clone()
    }

    /// What the broker says of itself: `product`, `version`, `capabilities`; of several, the one that was there first.
    pub fn server_properties(&self) -> Table<'_> {
        self.shared().server_properties.as_table()
    }

    /// The largest frame that was negotiated, in bytes, also anew when the connection comes back.
    pub fn frame_max(&self) -> usize {
        self.shared().outbox().frame_max
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.handle.shared
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("open", &self.is_open()).finish_non_exhaustive()
    }
}
