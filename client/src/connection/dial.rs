//! From a host to a session: connect, TLS, login, within the time limit of the options.

use leveret_spec::TableBuf;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::driver::Session;
use super::handshake;
use super::input::Input;
use super::wire::Wire;
use crate::error::{Error, Result};
use crate::options::Options;
use crate::uri::{Host, Target};

/// A session, and what the broker says of itself.
pub(super) type Opened<S> = (Session<S>, TableBuf);

/// Connects to each host once, in their order, until one lets this client in. The last one's error counts.
pub(super) async fn first(target: &Target) -> Result<(usize, Opened<Wire>)> {
    let mut last = Error::InvalidUri(String::from("it names no host"));
    for (index, host) in target.hosts.iter().enumerate() {
        match dial(target, host).await {
            Ok(opened) => return Ok((index, opened)),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Connects to one host.
pub(super) async fn dial(target: &Target, host: &Host) -> Result<Opened<Wire>> {
    let limit = target.options.timeout;
    timeout(limit, connect(target, host)).await.unwrap_or(Err(Error::Timeout("connection")))
}

async fn connect(target: &Target, host: &Host) -> Result<Opened<Wire>> {
    let stream = TcpStream::connect((host.name.as_str(), host.port)).await?;
    stream.set_nodelay(true)?;
    #[cfg(feature = "tls")]
    if target.secure {
        let opened = async {
            let stream = crate::tls::connect(&target.options.tls, &host.name, stream).await?;
            log_in(Wire::Secure(Box::new(stream)), &target.options).await
        };
        // Also during the login: with TLS 1.3 the broker refuses a certificate after its own part is done.
        return opened.await.map_err(crate::tls::blame);
    }
    log_in(Wire::Plain(stream), &target.options).await
}

/// Logs in over a stream.
pub(super) async fn log_in<S>(mut stream: S, options: &Options) -> Result<Opened<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut input = Input::new();
    let greeting = handshake::open(&mut stream, &mut input, options).await?;
    let session = Session { stream, input, negotiated: greeting.negotiated };
    Ok((session, greeting.server_properties))
}
