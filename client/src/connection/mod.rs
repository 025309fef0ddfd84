//! A connection: handles that are cheap to clone over one I/O task.

mod content;
mod dispatch;
mod driver;
#[cfg(test)]
mod garbage_tests;
mod handshake;
mod input;
#[cfg(test)]
mod login_tests;
mod pulse;
mod shared;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use leveret_spec::{ShortStr, Table, connection};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tracing::Instrument;

use crate::channel::Channel;
use crate::error::{Error, Result};
use crate::options::Options;
use crate::uri;

pub(crate) use shared::Shared;

/// A connection to a broker. Clones are handles to the same connection, and so is every `Channel`: when the last of
/// them is dropped, the connection is closed in the background.
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
    let driver = shared.append(|outbox| {
        let text = ShortStr::cut("closed");
        let close = connection::Close { reply_code: 200, reply_text: text, class_id: 0, method_id: 0 };
        leveret_spec::frame::put_method(&mut outbox.bytes, 0, &close);
        outbox.closing = true;
        outbox.end = Some(Error::closed_here(crate::error::Scope::Connection));
        Ok(outbox.closer.take())
    })?;
    if let Some(driver) = driver {
        driver.wake();
    }
    Ok(())
}

impl Connection {
    /// Connects over TCP, for `amqps://` with TLS, and logs in.
    ///
    /// The URI is RabbitMQ's `amqp://user:password@host:port/vhost`, with percent-encoding in each part; what is left
    /// out is guest, guest, localhost, 5672 (5671 with TLS) and `/` (`%2f`). Parameters: `heartbeat` (seconds),
    /// `channel_max`, `frame_max` (bytes), `connection_timeout` (milliseconds), `auth_mechanism` (`plain`, `external`),
    /// `name`; for TLS `cacertfile`, `certfile`, `keyfile`, `server_name_indication` and `verify`: see `Tls`.
    ///
    /// # Errors
    /// `InvalidUri`, `Io` if nobody answers, `Timeout`, `Auth` for wrong credentials, and `Refused` with code 530 for a
    /// vhost that does not exist or that the user may not open.
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
        #[cfg(feature = "tls")]
        target.options.tls.check()?;
        let connect = async {
            let stream = TcpStream::connect((target.host.as_str(), target.port)).await?;
            stream.set_nodelay(true)?;
            #[cfg(feature = "tls")]
            if target.secure {
                let opened = async {
                    let stream = crate::tls::connect(&target.options.tls, &target.host, stream).await?;
                    Connection::handshake(stream, &target.options).await
                };
                // Also during the login: with TLS 1.3 the broker refuses a certificate after its own part is done.
                return opened.await.map_err(crate::tls::blame);
            }
            Connection::handshake(stream, &target.options).await
        };
        timeout(target.options.timeout, connect).await.unwrap_or(Err(Error::Timeout("connection")))
    }

    /// Logs in over a stream that exists: TLS, a Unix socket, or an embedded broker's pipe.
    ///
    /// # Errors
    /// As `open`.
    pub async fn over<S>(stream: S, options: Options) -> Result<Connection>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let handshake = Connection::handshake(stream, &options);
        timeout(options.timeout, handshake).await.unwrap_or(Err(Error::Timeout("login")))
    }

    async fn handshake<S>(mut stream: S, options: &Options) -> Result<Connection>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut input = input::Input::new();
        let greeting = handshake::open(&mut stream, &mut input, options).await?;
        let shared = Arc::new(Shared::new(greeting.limits, greeting.server_properties));
        let name = options.connection_name.as_deref();
        // It lives longer than what goes on here.
        let span = tracing::info_span!(parent: None, "connection", name, user = options.user, vhost = options.vhost);
        tokio::spawn(driver::Driver::new(stream, input, shared.clone()).instrument(span));
        Ok(Connection { handle: Arc::new(Handle { shared }) })
    }

    /// Opens a channel.
    ///
    /// # Errors
    /// `Closed` if the connection is, `Usage` if all channels that were negotiated are open.
    pub async fn open_channel(&self) -> Result<Channel> {
        Channel::open(self.clone()).await
    }

    /// Closes the connection with all its channels, and waits for the broker to agree. What was published before is
    /// sent first; confirms that are waited for end with an error.
    ///
    /// # Errors
    /// The error that ended the connection, if that was not this call or another one like it.
    pub async fn close(&self) -> Result<()> {
        // If something else ended it, its error comes out below.
        let _ = start_close(self.shared());
        let error = self.closed().await;
        if error.is_closed_here() { Ok(()) } else { Err(error) }
    }

    /// Waits until the connection is over, and says why. Code 200 means that this program closed it.
    pub async fn closed(&self) -> Error {
        self.shared().stopped().await
    }

    /// True until the connection is closed by either side, or lost.
    pub fn is_open(&self) -> bool {
        self.shared().outbox().end.is_none()
    }

    /// The broker's reason, while it has stopped publishers with connection.blocked: low memory or disk. `publish`
    /// waits meanwhile.
    pub fn blocked(&self) -> Option<String> {
        self.shared().outbox().blocked.clone()
    }

    /// What the broker says of itself: `product`, `version`, `capabilities`.
    pub fn server_properties(&self) -> Table<'_> {
        self.shared().server_properties.as_table()
    }

    /// The largest frame that was negotiated, in bytes.
    pub fn frame_max(&self) -> usize {
        self.shared().limits.frame_max
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
