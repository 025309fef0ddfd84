//! What can go wrong, told apart by what a program may do about it.

use std::fmt;
use std::io;
use std::sync::Arc;

use leveret_spec::{FrameError, MethodError, ReplyCode, TooLong};

use crate::confirm::Returned;

/// The result of everything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// How much was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// The whole connection, with every channel on it.
    Connection,
    /// One channel, with its consumers and unconfirmed publishes.
    Channel,
}

/// Why something failed. Cheap to clone, because one cause ends many waiting calls.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Error {
    /// The network failed, or the broker went away without a word.
    Io(Arc<io::Error>),
    /// The text is no AMQP URI that this client can use.
    InvalidUri(String),
    /// The broker did not accept user and password, or offers no mechanism that this client knows.
    Auth(String),
    /// The broker did not open the connection: code 530 for a virtual host that does not exist or that the user may not
    /// open, or that has as many connections as it may have.
    Refused {
        /// The broker's reply code.
        code: u16,
        /// The broker's explanation.
        text: String,
    },
    /// The connection or channel is closed. Code 200 means that this program closed it.
    Closed {
        /// What is closed.
        scope: Scope,
        /// The broker's reply code, such as 404.
        code: u16,
        /// The broker's explanation.
        text: String,
        /// The class of the method that caused it, or 0.
        class_id: u16,
        /// The method that caused it, or 0.
        method_id: u16,
    },
    /// The broker cancelled the consumer: its queue was deleted or moved away.
    Cancelled {
        /// The consumer's tag.
        consumer_tag: String,
    },
    /// A mandatory message reached no queue and came back.
    Returned(Box<Returned>),
    /// The broker refused a message, for example because a queue with `reject-publish` is full.
    Nacked,
    /// The connection was lost before the broker's word on a message came: it may have arrived or not. It is not sent
    /// again, and whoever publishes it again may double it.
    Unconfirmed,
    /// TLS could not be set up: a certificate that is not trusted, expired or of another name, or a file that cannot be
    /// used; the text says which.
    Tls(String),
    /// A JSON body could not be written or read; the text says why.
    Json(String),
    /// Something did not happen in time; the text says what.
    Timeout(&'static str),
    /// A name, key or table is too long for its place in the protocol; the text says which.
    TooLong(&'static str),
    /// The broker announced a message above the limit in `Options`.
    MessageTooLarge {
        /// What it announced.
        body_bytes: u64,
        /// The limit.
        body_bytes_max: u64,
    },
    /// The broker sent what the protocol does not allow.
    Protocol(String),
    /// The call cannot work as it was made; the text says why.
    Usage(&'static str),
}

/// Tells a close by this program from one by a broker that gives the same code.
const CLOSED_HERE: &str = "closed by this client";

impl Error {
    /// True if the same call may work later: the network failed, the broker was shut down or short of resources, a queue
    /// is locked by a connection that may be on its way out or is full, or a queue moved. False if it will fail again until
    /// someone changes something.
    ///
    /// A connection that ends with a retryable error comes back by itself (see the front page of this crate), and the call
    /// can be made again on the same channel. Without recovery a new connection has to be made first, and after an error
    /// that closed the channel a new channel. What was under way may have been carried out: publishing again may double a
    /// message.
    pub fn is_retryable(&self) -> bool {
        match self {
            Error::Io(_) | Error::Timeout(_) | Error::Cancelled { .. } | Error::Nacked | Error::Unconfirmed => true,
            Error::Closed { code, .. } | Error::Refused { code, .. } => matches!(
                ReplyCode::of(*code),
                Some(
                    ReplyCode::ConnectionForced
                        | ReplyCode::ResourceLocked
                        | ReplyCode::ResourceError
                        | ReplyCode::InternalError
                )
            ),
            _ => false,
        }
    }

    /// The broker's reply code, if it gave one.
    pub fn code(&self) -> Option<u16> {
        match self {
            Error::Closed { code, .. } | Error::Refused { code, .. } => Some(*code),
            Error::Returned(returned) => Some(returned.code),
            _ => None,
        }
    }

    /// For what ended because this program ended it.
    pub(crate) fn closed_here(scope: Scope) -> Error {
        let text = String::from(CLOSED_HERE);
        Error::Closed { scope, code: ReplyCode::Success.code(), text, class_id: 0, method_id: 0 }
    }

    /// True for what `closed_here` makes.
    pub(crate) fn is_closed_here(&self) -> bool {
        matches!(self, Error::Closed { code: 200, text, .. } if text == CLOSED_HERE)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Io(error) => write!(f, "connection to the broker failed: {error}"),
            Error::InvalidUri(why) => write!(f, "invalid AMQP URI: {why}"),
            Error::Auth(text) => write!(f, "login refused: {text}"),
            Error::Closed { scope, code, text, .. } => {
                let scope = if *scope == Scope::Channel { "channel" } else { "connection" };
                write!(f, "{scope} closed: {code} {text}")
            }
            Error::Cancelled { consumer_tag } => write!(f, "the broker cancelled consumer '{consumer_tag}'"),
            Error::Refused { code, text } => write!(f, "connection refused: {code} {text}"),
            Error::Returned(returned) => write!(f, "message returned: {} {}", returned.code, returned.text),
            Error::Nacked => f.write_str("the broker refused the message"),
            Error::Unconfirmed => f.write_str("the connection was lost before the broker confirmed the message"),
            Error::Tls(why) => write!(f, "TLS failed: {why}"),
            Error::Json(why) => write!(f, "JSON: {why}"),
            Error::Timeout(what) => write!(f, "no {what} in time"),
            Error::TooLong(what) => write!(f, "{what} is too long"),
            Error::MessageTooLarge { body_bytes, body_bytes_max } => {
                write!(f, "a message of {body_bytes} bytes is above the limit of {body_bytes_max}")
            }
            Error::Protocol(what) => write!(f, "the broker broke the protocol: {what}"),
            Error::Usage(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Io(error) => Some(&**error),
            _ => None,
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Error::Io(Arc::new(error))
    }
}

impl From<TooLong> for Error {
    fn from(_: TooLong) -> Self {
        Error::TooLong("a name or key")
    }
}

impl From<FrameError> for Error {
    fn from(error: FrameError) -> Self {
        Error::Protocol(match error {
            FrameError::TooLarge { size, .. } => format!("a frame of {size} bytes is above the negotiated size"),
            FrameError::UnknownKind { kind, .. } => format!("unknown frame type {kind}"),
            FrameError::BadEnd { end, .. } => format!("a frame ends with {end:#04x}"),
        })
    }
}

impl From<MethodError> for Error {
    fn from(error: MethodError) -> Self {
        Error::Protocol(match error {
            MethodError::Unknown { class, method } => format!("unknown method {class}.{method}"),
            MethodError::Malformed { class, method, why } => format!("method {class}.{method}: {why}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed(code: u16) -> Error {
        let text = String::from("NOT_FOUND - no queue 'x' in vhost '/'");
        Error::Closed { scope: Scope::Channel, code, text, class_id: 50, method_id: 10 }
    }

    #[test]
    fn an_error_shows_the_brokers_code_and_text() {
        assert_eq!(closed(404).to_string(), "channel closed: 404 NOT_FOUND - no queue 'x' in vhost '/'");
    }

    #[test]
    fn only_what_may_pass_is_retryable() {
        assert!(closed(320).is_retryable() && closed(405).is_retryable());
        assert!(!closed(404).is_retryable() && !closed(406).is_retryable() && !closed(200).is_retryable());
        assert!(Error::from(io::Error::from(io::ErrorKind::ConnectionRefused)).is_retryable());
        assert!(!Error::Auth(String::new()).is_retryable());
        let refused = |code| Error::Refused { code, text: String::new() };
        assert!(refused(320).is_retryable() && !refused(530).is_retryable());
        assert!(Error::Nacked.is_retryable() && !Error::Tls(String::new()).is_retryable());
    }
}
