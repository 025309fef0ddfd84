//! The catalog: what a broker knows for good. Virtual hosts, users, policies, durable exchanges, queues and bindings, in one
//! file of the data directory.
//!
//! It holds keys and AMQP tables and does not know what they mean; those who change something encode it, so that arguments
//! stay as they were declared. `key` has the names, `file` the layout.
//!
//! # How to use it
//!
//! - [`Catalog::open`] gives the catalog and its [`Contents`].
//! - [`Catalog::submit`] takes changes and never waits. What was handed in while the last group was synced is the next
//!   group: one transaction, one sync, and of each key the last change only. It stays once [`Catalog::durable`] has reached
//!   its [`Ticket`]; [`Catalog::wake_when_durable`] says when.
//! - When [`Catalog::failed`] says something, nothing becomes durable any more, and everybody who waits is woken.
//! - [`Catalog::new_queue_id`] never gives a number twice, whatever happens in between. Numbers are set aside before they are
//!   given out, since the message store may have written of a queue that the catalog has not written yet.

mod file;
mod inbox;
mod key;
#[cfg(test)]
mod tests;
mod thread;

use std::fmt;
use std::io;
use std::path::PathBuf;

use leveret_spec::TableBuf;

pub(crate) use file::FILE;
pub(crate) use inbox::{Change, Ticket};
pub(crate) use key::{Key, Kind};
pub(crate) use thread::Catalog;

/// What there was when the catalog was opened.
#[derive(Debug)]
pub(crate) struct Contents {
    /// No start has come to its end yet.
    pub(crate) is_new: bool,
    pub(crate) entries: Vec<Entry>,
}

/// One thing that is kept.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: Key,
    pub(crate) value: TableBuf,
}

impl Contents {
    /// The entries of a kind, in the order of their keys.
    pub(crate) fn of(&self, kind: Kind) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |entry| entry.key.kind() == kind)
    }
}

/// Why a catalog cannot be opened.
#[derive(Debug)]
pub(crate) enum OpenError {
    /// Another broker has the directory.
    InUse(PathBuf),
    /// A newer broker has written it.
    Newer {
        path: PathBuf,
        version: u64,
    },
    Corrupt {
        path: PathBuf,
        why: String,
    },
    Io {
        path: PathBuf,
        error: io::Error,
    },
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::InUse(directory) => write!(f, "another broker has {}", directory.display()),
            OpenError::Newer { path, version } => {
                write!(f, "{} has version {version}, which is newer than this broker's", path.display())
            }
            OpenError::Corrupt { path, why } => write!(f, "{} is corrupt: {why}", path.display()),
            OpenError::Io { path, error } => write!(f, "{}: {error}", path.display()),
        }
    }
}

impl std::error::Error for OpenError {}
