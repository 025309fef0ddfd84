//! Why a service ends before it is told to.

use std::fmt;
use std::io;
use std::net::SocketAddr;

/// Something that ends a service. What is wrong with a single file or message never does.
#[derive(Debug)]
pub enum Error {
    /// The broker refused or was lost.
    Broker(leveret_client::Error),
    /// No conversation with the broker came about.
    Connect {
        /// The address, without user and password.
        address: String,
        /// What was tried last.
        source: leveret_client::Error,
    },
    /// The broker did not take a message.
    NotTaken(String),
    /// A file or folder of this program's own cannot be used.
    File {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// The page cannot be served there.
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The arguments make no sense together.
    Usage(String),
    /// The embedded broker did not start or end properly.
    Embedded(String),
    /// `up --once` could not finish.
    Unfinished(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Broker(source) => source.fmt(f),
            Error::Connect { address, source } => write!(f, "no broker at {address}: {source}"),
            Error::NotTaken(what) => write!(f, "the broker did not take {what}"),
            Error::File { what, source } => write!(f, "cannot {what}: {source}"),
            Error::Listen { address, source } => write!(f, "cannot listen at {address}: {source} (--listen)"),
            Error::Usage(text) => f.write_str(text),
            Error::Embedded(text) => write!(f, "embedded broker: {text}"),
            Error::Unfinished(text) => write!(f, "not finished: {text}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Broker(source) | Error::Connect { source, .. } => Some(source),
            Error::File { source, .. } | Error::Listen { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl From<leveret_client::Error> for Error {
    fn from(error: leveret_client::Error) -> Error {
        Error::Broker(error)
    }
}
