//! Looking at a data directory that no broker has open.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;

use crate::catalog::{self, Catalog, Kind};
use crate::storage;
use crate::store;

/// What is in a data directory.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DataReport {
    /// Virtual hosts.
    pub vhosts: usize,
    /// Users.
    pub users: usize,
    /// Policies and operator policies.
    pub policies: usize,
    /// Durable exchanges besides the predeclared ones.
    pub exchanges: usize,
    /// Durable bindings.
    pub bindings: usize,
    /// Durable queues, in the order of their names.
    pub queues: Vec<QueueReport>,
    /// Messages of queues that were deleted, which the next start forgets.
    pub forgotten: u64,
    /// Segments of the log that have blocks, and prepared ones.
    pub segments: (usize, usize),
    /// What the segments with blocks take, in bytes.
    pub log_bytes: u64,
    /// What of it is messages that are there, in bytes.
    pub message_bytes: u64,
    /// What is not as it was written: file, offset, what. A broker does not start with it. What a crash has left half written
    /// at the end of the log is no damage: nobody was promised that.
    pub damage: Vec<String>,
}

/// A durable queue in a data directory.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct QueueReport {
    /// Its virtual host.
    pub vhost: String,
    /// Its name.
    pub name: String,
    /// The persistent messages in it, those that consumers held included.
    pub messages: u64,
}

/// Why a data directory cannot be looked at, in one sentence.
#[derive(Debug)]
pub struct InspectionError(String);

impl fmt::Display for InspectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InspectionError {}

/// Reads all of a data directory, checks every checksum and counts. It changes nothing but what a start would change too: what
/// a crash has left half written in the catalog is rolled back.
///
/// # Errors
/// If there is none, if a broker has it, or if it cannot be read at all.
pub fn inspect(directory: impl AsRef<Path>) -> Result<DataReport, InspectionError> {
    look(directory.as_ref()).map_err(InspectionError)
}

fn look(directory: &Path) -> Result<DataReport, String> {
    let (file, log) = (directory.join(catalog::FILE), directory.join(storage::LOG));
    if !file.exists() {
        return Err(format!("{} is no data directory: there is no {}", directory.display(), catalog::FILE));
    }
    let (catalog, contents) = Catalog::open(directory).map_err(|error| error.to_string())?;
    let log = store::inspect(&log).map_err(|error| format!("{}: {error}", log.display()))?;
    catalog.close();
    let mut messages: HashMap<store::QueueId, u64> = log.queues.into_iter().collect();
    let queues = contents.of(Kind::Queue).map(|entry| QueueReport {
        vhost: entry.key.text(0).into(),
        name: entry.key.text(1).into(),
        messages: storage::queue_id(entry).and_then(|id| messages.remove(&id)).unwrap_or(0),
    });
    let queues = queues.collect();
    let count = |kind| contents.of(kind).count();
    Ok(DataReport {
        vhosts: count(Kind::Vhost),
        users: count(Kind::User),
        policies: count(Kind::Policy) + count(Kind::OperatorPolicy),
        exchanges: count(Kind::Exchange),
        bindings: count(Kind::Binding),
        queues,
        forgotten: messages.values().sum(),
        segments: (log.segments, log.spares),
        log_bytes: log.log_bytes,
        message_bytes: log.bytes,
        damage: log.damage.iter().map(ToString::to_string).collect(),
    })
}
