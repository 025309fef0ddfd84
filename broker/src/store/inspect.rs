//! Looking at a store that nobody has open, without changing it.

use std::io;
use std::path::Path;

use super::disk::Disk;
use super::disk::real::RealDisk;
use super::format::{self, FORMAT};
use super::{Damage, OpenError, Options, QueueId, replay, spares};

/// What is in a store.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) uuid: u128,
    pub(crate) segments: usize,
    pub(crate) spares: usize,
    /// Length of the segments, with their room to come.
    pub(crate) log_bytes: u64,
    /// Live messages, each counted for each of its queues, and what they take in the log. Messages of queues that the
    /// metadata does not know any more count too.
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    /// The queues that have messages, and how many.
    pub(crate) queues: Vec<(QueueId, u64)>,
    /// What is not as it was written. The torn end of a crash is no damage.
    pub(crate) damage: Vec<Damage>,
}

/// Reads all of a store in a directory and checks it.
///
/// # Errors
/// It says why it cannot be read. Damage to segments is no error, but in the report.
pub(crate) fn inspect(path: &Path) -> Result<Report, OpenError> {
    if !path.join(FORMAT).exists() {
        return Err(OpenError::io("be found there", io::ErrorKind::NotFound.into()));
    }
    inspect_disk(&RealDisk::open(path).map_err(|error| OpenError::io("open the directory", error))?)
}

pub(super) fn inspect_disk(disk: &dyn Disk) -> Result<Report, OpenError> {
    disk.lock().map_err(OpenError::from_lock)?;
    let mut names = disk.list().map_err(|error| OpenError::io("list the directory", error))?;
    names.sort();
    let numbers: Vec<u32> = names.iter().filter_map(|name| spares::segment_number(name)).collect();
    let uuid = format::read(disk)?;
    let options = Options { accept_data_loss: true, ..Options::new(uuid) };
    let reader = replay::read(disk, uuid, &numbers, &options, &|_| true)?;
    let (messages, bytes) = reader.ledger.live();
    let mut queues: Vec<_> = reader.ledger.index.iter().map(|(id, queue)| (*id, queue.live)).collect();
    queues.retain(|(_, live)| *live > 0);
    queues.sort_unstable();
    let empty: u64 = reader.empty.iter().map(|(_, bytes)| bytes).sum();
    let log_bytes = empty + reader.ledger.segments.values().map(|segment| segment.bytes).sum::<u64>();
    let spares = names.iter().filter(|name| spares::spare_number(name).is_some()).count();
    Ok(Report { uuid, segments: numbers.len(), spares, log_bytes, messages, bytes, queues, damage: reader.damage })
}
