//! What a broker has on disk, in one directory: the catalog, which says what there is, and the log, which has the messages.
//!
//! ```text
//! meta.redb    the catalog
//! log/         the message store
//! ```
//!
//! The catalog is opened first: messages of a queue that it does not know are garbage.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::task::{Wake, Waker};

use leveret_spec::Value;

use crate::catalog::{self, Catalog, Contents, Entry, Kind};
use crate::queue::Log;
use crate::store::{self, Batch, MessageStore, QueueId, Recovered, Store};

/// The message store's directory within the data directory.
pub(crate) const LOG: &str = "log";

/// Under this name an entry of the catalog has its queue's number.
pub(crate) const QUEUE_ID: &str = "id";

/// The two that keep what a broker has.
#[derive(Clone)]
pub(crate) struct Storage {
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) store: Arc<Store>,
    /// The broker's start, in milliseconds since 1970.
    epoch_ms: u64,
}

/// What was there when they were opened.
pub(crate) struct Opened {
    pub(crate) storage: Storage,
    pub(crate) contents: Contents,
    pub(crate) recovered: Recovered,
}

impl Storage {
    /// Opens what is in a directory, or begins there. `epoch_ms` is the broker's
    /// start in milliseconds since 1970.
    ///
    /// # Errors
    /// One sentence that says what stands against it.
    pub(crate) fn open(directory: &Path, options: &store::Options, epoch_ms: u64) -> Result<Opened, String> {
        let (file, log) = (directory.join(catalog::FILE), directory.join(LOG));
        if log.exists() && !file.metadata().is_ok_and(|file| file.len() > 0) {
            // It would come to life empty, and all messages would be garbage.
            return Err(format!("{} has messages, but {} is missing", log.display(), file.display()));
        }
        let (catalog, contents) = Catalog::open(directory).map_err(|error| error.to_string())?;
        let known: HashSet<QueueId> = contents.of(Kind::Queue).filter_map(queue_id).collect();
        let (store, recovered) = Store::open(&log, options, &|id| known.contains(&id))
            .map_err(|error| format!("{}: {error}", log.display()))?;
        let storage = Storage { catalog: Arc::new(catalog), store: Arc::new(store), epoch_ms };
        Ok(Opened { storage, contents, recovered })
    }

    /// A durable queue's part of the message store.
    pub(crate) fn log(&self, queue: QueueId) -> Log {
        Log { queue, store: self.store.clone(), epoch_ms: self.epoch_ms, quorum: false }
    }

    /// Has the message store forget a queue, whose end has been handed to the catalog, once that has it: a queue that comes
    /// back after a crash comes back with its messages.
    pub(crate) fn forget_queue(&self, queue: QueueId) {
        let ticket = self.catalog.submitted();
        let ended = Ended { storage: self.clone(), queue, ticket };
        self.catalog.wake_when_durable(ticket, &Waker::from(Arc::new(ended)));
    }

    /// Copies all that is durable to a directory that is not there yet or has none of it. Nobody waits for it; segments of
    /// the log take no room if the copy is on the same file system.
    ///
    /// # Errors
    /// One sentence that says why there is no copy, or half a one that is of no use.
    pub(crate) fn backup(&self, target: &Path) -> Result<(), String> {
        // The catalog first: messages of a queue that it does not know yet are garbage, as they are after a crash.
        self.catalog.backup(target).map_err(|error| error.to_string())?;
        let log = target.join(LOG);
        self.store.backup(&log).map_err(|error| format!("{}: {error}", log.display()))
    }

    /// Writes what was handed in, and ends both.
    pub(crate) fn close(&self) {
        // The last queues that end are forgotten by the store after the catalog has said so.
        self.catalog.close();
        self.store.close();
    }
}

/// A queue that the catalog is about to forget.
struct Ended {
    storage: Storage,
    queue: QueueId,
    ticket: catalog::Ticket,
}

impl Wake for Ended {
    fn wake(self: Arc<Self>) {
        if self.storage.catalog.durable() >= self.ticket {
            let mut batch = Batch::new();
            batch.drop_queue(self.queue);
            self.storage.store.submit(batch);
        }
    }
}

/// The number of a queue in the catalog.
pub(crate) fn queue_id(entry: &Entry) -> Option<QueueId> {
    let id = entry.value.as_table().lookup(QUEUE_ID).and_then(Value::as_i64)?;
    u64::try_from(id).ok().map(QueueId)
}
