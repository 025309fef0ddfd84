//! Login and limits (section 2.2.4): protocol header, start, tune, open.

use std::future::poll_fn;
use std::io;
use std::time::Duration;

use leveret_spec::frame::{self, FrameKind};
use leveret_spec::method::MethodFrame;
use leveret_spec::{Method, PROTOCOL_HEADER, ShortStr, TableBuf, connection};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::input::Input;
use super::shared::Negotiated;
use crate::error::{Error, Result, Scope};
use crate::options::{Mechanism, Options};

/// Frames before tune-ok may be as large as this; brokers send 4096 at most.
const EARLY_FRAME_MAX: usize = 128 << 10;
/// What this client offers to understand.
const CAPABILITIES: [&str; 6] = [
    "publisher_confirms",
    "consumer_cancel_notify",
    "basic.nack",
    "connection.blocked",
    "authentication_failure_close",
    "exchange_exchange_bindings",
];

/// What a finished handshake leaves behind.
#[derive(Debug)]
pub(super) struct Greeting {
    pub(super) negotiated: Negotiated,
    pub(super) server_properties: TableBuf,
}

/// The limits that the broker proposes.
struct Proposal {
    channel_max: u16,
    frame_max: u32,
    heartbeat_s: u16,
}

/// A connection that is being opened.
struct Opening<'a, S> {
    stream: &'a mut S,
    input: &'a mut Input,
}

/// Opens a connection on a fresh stream. Bytes after open-ok stay in `input`.
pub(super) async fn open<S>(stream: &mut S, input: &mut Input, options: &Options) -> Result<Greeting>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let vhost = ShortStr::new(&options.vhost).map_err(|_| Error::TooLong("the vhost's name"))?;
    let mut opening = Opening { stream, input };
    opening.send(&PROTOCOL_HEADER).await?;
    let server_properties =
        opening.expect("connection.start", |method| started(method, options.mechanism.name())).await?;
    opening.send(&method(&start_ok(options)?.as_method())).await?;
    let proposal = opening.tuned().await?;
    let negotiated = negotiate(&proposal, options)?;
    let tune_ok = connection::TuneOk {
        channel_max: negotiated.channel_max,
        frame_max: u32::try_from(negotiated.frame_max).unwrap_or(u32::MAX),
        heartbeat: negotiated.heartbeat.map_or(0, |t| u16::try_from(t.as_secs()).unwrap_or(u16::MAX)),
    };
    let mut bytes = method(&tune_ok);
    bytes.extend(method(&connection::Open { virtual_host: vhost, ..Default::default() }));
    opening.send(&bytes).await?;
    opening.expect("connection.open-ok", opened).await?;
    Ok(Greeting { negotiated, server_properties })
}

fn method(method: &impl MethodFrame) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::put_method(&mut bytes, 0, method);
    bytes
}

fn started(method: &connection::Method<'_>, mechanism: &str) -> Option<Result<TableBuf>> {
    let connection::Method::Start(start) = method else { return None };
    let offered = start.mechanisms.split(|&b| b == b' ').any(|m| m == mechanism.as_bytes());
    Some(if offered {
        Ok(TableBuf::from(start.server_properties))
    } else {
        Err(Error::Auth(format!("the broker does not offer {mechanism}")))
    })
}

fn opened(method: &connection::Method<'_>) -> Option<Result<()>> {
    matches!(method, connection::Method::OpenOk(_)).then_some(Ok(()))
}

/// The parts that `connection.StartOk` borrows.
struct StartOk {
    properties: TableBuf,
    mechanism: Mechanism,
    response: Vec<u8>,
}

impl StartOk {
    fn as_method(&self) -> connection::StartOk<'_> {
        connection::StartOk {
            client_properties: self.properties.as_table(),
            mechanism: ShortStr::cut(self.mechanism.name()),
            response: &self.response,
            locale: ShortStr::cut("en_US"),
        }
    }
}

fn start_ok(options: &Options) -> Result<StartOk> {
    let mut capabilities = TableBuf::new();
    for name in CAPABILITIES {
        capabilities.insert(name, true)?;
    }
    let mut properties = TableBuf::new()
        .with("product", "leveret-client")?
        .with("version", env!("CARGO_PKG_VERSION"))?
        .with("platform", "Rust")?
        .with("capabilities", capabilities.as_table())?;
    if let Some(name) = &options.connection_name {
        properties.insert("connection_name", name.as_str())?;
    }
    // RFC 4616: authorization id (none), user and password, with a NUL in front of each of the latter.
    let response = match options.mechanism {
        Mechanism::Plain => format!("\0{}\0{}", options.user, options.password).into_bytes(),
        Mechanism::External => Vec::new(),
    };
    Ok(StartOk { properties, mechanism: options.mechanism, response })
}

/// Settles each limit: the smaller of two wishes, where 0 is no wish. The heartbeat is off if this side says so; a
/// broker may not insist.
fn negotiate(proposal: &Proposal, options: &Options) -> Result<Negotiated> {
    fn smaller(a: u32, b: u32, neither: u32) -> u32 {
        match (a, b) {
            (0, 0) => neither,
            (0, n) | (n, 0) => n,
            (a, b) => a.min(b),
        }
    }
    let least = frame::FRAME_MIN_SIZE as u32;
    if (1..least).contains(&proposal.frame_max) {
        return Err(Error::Protocol(format!("frame_max {} is below {least}", proposal.frame_max)));
    }
    let wish = if options.frame_max == 0 { 0 } else { options.frame_max.max(least) };
    let frame_max = smaller(proposal.frame_max, wish, EARLY_FRAME_MAX as u32);
    let channels = smaller(proposal.channel_max.into(), options.channel_max.into(), u16::MAX.into());
    let heartbeat_s = match options.heartbeat_s {
        0 => 0,
        wish => smaller(proposal.heartbeat_s.into(), wish.into(), 0),
    };
    Ok(Negotiated {
        frame_max: frame_max as usize,
        channel_max: u16::try_from(channels).unwrap_or(u16::MAX),
        heartbeat: (heartbeat_s > 0).then(|| Duration::from_secs(heartbeat_s.into())),
    })
}

impl<S: AsyncRead + AsyncWrite + Unpin> Opening<'_, S> {
    async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await?;
        Ok(())
    }

    /// The answer to start-ok. A broker that hangs up instead did not like the credentials (RabbitMQ before 3.2 and
    /// others that do not know authentication_failure_close).
    async fn tuned(&mut self) -> Result<Proposal> {
        let tune = |method: &connection::Method<'_>| match method {
            connection::Method::Tune(t) => {
                let connection::Tune { channel_max, frame_max, heartbeat } = *t;
                Some(Ok(Proposal { channel_max, frame_max, heartbeat_s: heartbeat }))
            }
            connection::Method::Secure(_) => {
                Some(Err(Error::Auth(String::from("the broker asks for more than the mechanism has to say"))))
            }
            _ => None,
        };
        self.expect("connection.tune", tune).await.map_err(|error| match error {
            Error::Refused { code: 403, text } => Error::Auth(text),
            Error::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Error::Auth(String::from("the broker hung up on user and password"))
            }
            other => other,
        })
    }

    /// Reads the next method and takes from it what `wanted` finds.
    async fn expect<T>(
        &mut self,
        name: &'static str,
        wanted: impl Fn(&connection::Method<'_>) -> Option<Result<T>>,
    ) -> Result<T> {
        loop {
            let unread = self.input.unread();
            if unread.starts_with(b"AMQP") {
                return Err(Error::Protocol(String::from("it speaks another version of AMQP")));
            }
            let Some((frame, length)) = frame::parse(unread, EARLY_FRAME_MAX)? else {
                self.read().await?;
                continue;
            };
            if frame.kind == FrameKind::Heartbeat {
                self.input.consume(length);
                continue;
            }
            let found = match Method::decode(frame.payload)? {
                Method::Connection(connection::Method::Close(close)) => {
                    Err(Error::Refused { code: close.reply_code, text: close.reply_text.as_str().to_owned() })
                }
                Method::Connection(method) => {
                    wanted(&method).unwrap_or_else(|| Err(Error::Protocol(format!("{name} expected"))))
                }
                _ => Err(Error::Protocol(format!("{name} expected"))),
            };
            self.input.consume(length);
            if let Err(Error::Refused { .. }) = found {
                // The broker waits for it, but its verdict counts whether or not this still reaches it.
                let _ = self.send(&method(&connection::CloseOk {})).await;
            }
            return found;
        }
    }

    async fn read(&mut self) -> Result<()> {
        match poll_fn(|cx| self.input.poll_fill(self.stream, cx)).await? {
            0 => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            _ => Ok(()),
        }
    }
}

/// A connection.close as an error.
pub(super) fn refusal(close: &connection::Close<'_>) -> Error {
    Error::Closed {
        scope: Scope::Connection,
        code: close.reply_code,
        text: close.reply_text.as_str().to_owned(),
        class_id: close.class_id,
        method_id: close.method_id,
    }
}
