//! The message store: what durable queues hold, in a log that survives a crash.
//!
//! ```text
//! LOCK              held while the store is open
//! FORMAT            the version and the store's uuid                             format
//! 00000017.seg      segments: blocks one behind the other, then a seal           block, record
//! spare-00000003.seg  room for segments to come                                  spares
//! ```
//!
//! One writer makes a block of everything that was handed in while the last one was synced (`writer`), so that one sync
//! serves all queues. Acks are records in the same log. Memory knows for each live message where it is, in 16 bytes
//! (`index`), and for each segment what keeps it (`ledger`); a segment that nothing keeps is used again (`collect`). After a
//! crash the log is read from the oldest segment on (`replay`, `recovery`).
//!
//! # How to use it
//!
//! - [`Store::open`] gives the store and [`Recovered`]: for each known queue how many messages it has and its `next_seq`.
//!   **A queue must number its arrivals from `next_seq` on**: acks of older messages with the same number may still be in
//!   the log. Messages are read with [`Store::load`], from seq 0 on and then from behind the last.
//! - A turn fills a [`Batch`] and hands it in with [`MessageStore::submit`]. It stays once [`MessageStore::durable`] has
//!   reached its [`Ticket`]; [`MessageStore::wake_when_durable`] says when. All of a batch survives, or nothing.
//! - Each message that was published is acked once, by its seq; an ack may be handed in shortly before its message. Ranges
//!   may go over seqs that were never published, but not over messages that stay.
//! - When [`MessageStore::failed`] says something, nothing becomes durable any more, and everybody who waits is woken.
//! - [`Store::backup`] copies a store in use, [`inspect`] checks one that is not.
//! - A queue id is never used again. The queue's metadata is deleted before [`Batch::drop_queue`] is handed in.
//!
//! It reads no clock: expiry times are kept as they come.

mod backup;
mod batch;
mod block;
mod by_queue;
mod collect;
mod defect;
mod disk;
mod early;
mod format;
mod inbox;
mod index;
mod inspect;
mod ledger;
#[cfg(test)]
mod oracle;
mod reading;
mod record;
mod recovery;
mod replay;
mod scan;
mod seqs;
#[cfg(test)]
mod simulation;
mod spares;
#[cfg(test)]
mod tests;
mod thread;
mod varint;
mod writer;

#[cfg(test)]
pub(crate) use disk::simulated::SimulatedDisk;

use std::fmt;
use std::io;
use std::task::Waker;

pub(crate) use batch::Batch;
pub(crate) use inbox::Ticket;
pub(crate) use inspect::{Report, inspect};
pub(crate) use reading::{Outline, ReadError, Stored};
pub(crate) use record::{QueueId, Ref};
pub(crate) use seqs::Seqs;
pub(crate) use thread::Store;

/// What queues and connections ask of a store. [`Store`] is the one that the broker has.
pub(crate) trait MessageStore: Send + Sync {
    /// Hands in the records of a turn, which never waits for the disk.
    fn submit(&self, batch: Batch) -> Ticket;

    /// The last batch that stays, with all before it.
    fn durable(&self) -> Ticket;

    /// Wakes once when this batch stays, or never will since the store has failed; at once if that is so already.
    fn wake_when_durable(&self, ticket: Ticket, waker: &Waker);

    /// Writes what was handed in at once, in the caller's thread, if it is little and nobody else is writing: waking another
    /// thread and being woken by it take longer than the disk does.
    fn commit_here(&self);

    /// True if so much is on the way to the disk that publishers should be held back.
    fn is_congested(&self) -> bool;

    /// Why nothing becomes durable any more, if so.
    fn failed(&self) -> Option<&str>;

    /// From now on nothing becomes durable any more: what was stored could not be read back.
    fn fail(&self, why: String);

    /// Why there is little room left in the log, if so: the disk is full or does not work. Acks still fit for a while.
    fn trouble(&self) -> Option<String>;

    /// True if all of these can be read back, whatever happens.
    fn has(&self, queue: QueueId, seqs: &Seqs) -> bool;

    /// Messages of a queue, which are live, in this order. One is found once its batch is durable, until it is acked.
    ///
    /// # Errors
    /// The disk's, or that a message is damaged.
    fn fetch(&self, queue: QueueId, seqs: &Seqs) -> Result<Vec<Stored>, ReadError>;

    /// What a queue has, in order, in pieces of at most so many messages and so many bytes.
    fn outline(&self, queue: QueueId, max: (usize, usize)) -> Vec<Outline>;
}

/// How a store is opened.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// Of a new segment.
    pub(crate) segment_bytes: u64,
    /// Opens a store with corrupt blocks and does without them.
    pub(crate) accept_data_loss: bool,
    /// The uuid for a store that does not exist yet: chance.
    pub(crate) new_uuid: u128,
    sabotage: defect::Sabotage,
}

impl Options {
    /// As the broker runs it. A new store gets this uuid, which should be chance.
    pub(crate) fn new(new_uuid: u128) -> Self {
        Options { segment_bytes: 64 << 20, accept_data_loss: false, new_uuid, sabotage: defect::Sabotage::default() }
    }
}

/// What the store had when it was opened.
#[derive(Debug, Default)]
pub(crate) struct Recovered {
    /// The known queues that the log mentions, by their ids.
    pub(crate) queues: Vec<RecoveredQueue>,
    /// Live messages, each counted for each of its queues.
    pub(crate) messages: u64,
    /// What they take in the log.
    pub(crate) bytes: u64,
    pub(crate) segments: usize,
    pub(crate) log_bytes: u64,
    /// What was lost and accepted.
    pub(crate) damage: Vec<Damage>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecoveredQueue {
    pub(crate) id: QueueId,
    pub(crate) messages: u64,
    /// The lowest number for the next arrival.
    pub(crate) next_seq: u64,
    /// False if none of the messages has a time to live.
    pub(crate) has_expiries: bool,
}

/// A part of a file that is not what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Damage {
    pub(crate) file: String,
    pub(crate) from: u64,
    /// `u64::MAX` if nobody knows.
    pub(crate) to: u64,
    pub(crate) what: &'static str,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, offset {}: {}", self.file, self.from, self.what)
    }
}

/// Why a store cannot be opened.
#[derive(Debug)]
pub(crate) enum OpenError {
    /// Another broker has the directory.
    Locked,
    /// A newer broker has written it.
    Newer(u32),
    Corrupt(Damage),
    Io {
        doing: String,
        error: io::Error,
    },
}

impl OpenError {
    fn io(doing: &str, error: io::Error) -> Self {
        OpenError::Io { doing: doing.to_owned(), error }
    }

    fn from_lock(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ResourceBusy => OpenError::Locked,
            _ => OpenError::io("lock LOCK", error),
        }
    }

    fn corrupt(file: &str, from: u64, what: &'static str) -> Self {
        OpenError::Corrupt(Damage { file: file.to_owned(), from, to: u64::MAX, what })
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::Locked => write!(f, "another broker has the message store"),
            OpenError::Newer(version) => write!(f, "the message store has version {version}, which is newer than this"),
            OpenError::Corrupt(damage) => write!(f, "the message store is corrupt: {damage}"),
            OpenError::Io { doing, error } => write!(f, "the message store cannot {doing}: {error}"),
        }
    }
}

impl std::error::Error for OpenError {}
