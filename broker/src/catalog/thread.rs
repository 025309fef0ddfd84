//! The thread that writes: everything that came while one group was synced is the next group.

use std::future::poll_fn;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::thread::{self, JoinHandle};

use parking_lot::Mutex;
use redb::StorageBackend;

use super::file::{self, CatalogFile, FILE};
use super::inbox::{Group, Inbox, Taken};
use super::{Change, Contents, OpenError, Ticket};
use crate::store::QueueId;

/// An open catalog. It ends when it is dropped, after what was handed in has been written.
pub(crate) struct Catalog {
    inbox: Arc<Inbox>,
    /// Until it is closed.
    file: Mutex<Option<Arc<CatalogFile>>>,
    path: PathBuf,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Catalog {
    /// Opens the catalog in a data directory, or begins one there.
    ///
    /// # Errors
    /// It says what the catalog cannot be opened for.
    pub(crate) fn open(directory: &Path) -> Result<(Self, Contents), OpenError> {
        Catalog::open_on(file::backend(directory)?, &directory.join(FILE))
    }

    /// The same on anything; `path` is for errors.
    pub(super) fn open_on(backend: impl StorageBackend, path: &Path) -> Result<(Self, Contents), OpenError> {
        let (file, found) = file::open(backend, path)?;
        let file = Arc::new(file);
        let inbox = Arc::new(Inbox::new(found.next_id, found.ids_below));
        let writer = Writer { inbox: inbox.clone(), file: file.clone() };
        let started = thread::Builder::new().name("catalog".into()).spawn(move || writer.run());
        let thread = started.map_err(|error: io::Error| OpenError::Io { path: path.to_owned(), error })?;
        let (file, thread) = (Mutex::new(Some(file)), Mutex::new(Some(thread)));
        Ok((Catalog { inbox, file, path: path.to_owned(), thread }, found.contents))
    }

    /// Hands in changes, which never waits for the disk. All of them survive, or none.
    pub(crate) fn submit(&self, changes: impl IntoIterator<Item = Change>) -> Ticket {
        self.inbox.submit(changes)
    }

    /// The last ticket that was given out.
    pub(crate) fn submitted(&self) -> Ticket {
        self.inbox.submitted()
    }

    /// The last ticket that stays, with all before it.
    pub(crate) fn durable(&self) -> Ticket {
        self.inbox.durable()
    }

    /// Wakes once when this ticket stays, or never will since the catalog has failed; at once if that is so already.
    pub(crate) fn wake_when_durable(&self, ticket: Ticket, waker: &Waker) {
        self.inbox.wake_when_durable(ticket, waker);
    }

    /// Waits until everything that was handed in so far stays; false if it never will.
    pub(crate) async fn written(&self) -> bool {
        let ticket = self.submitted();
        poll_fn(|cx| {
            // In this order: an end in between is no failure.
            let has_failed = self.failed().is_some();
            if self.durable() >= ticket || has_failed {
                return Poll::Ready(self.durable() >= ticket);
            }
            self.wake_when_durable(ticket, cx.waker());
            Poll::Pending
        })
        .await
    }

    /// Makes a copy of what is durable, in a directory that has none yet.
    ///
    /// # Errors
    /// It says what the copy cannot be made for.
    pub(crate) fn backup(&self, target: &Path) -> Result<(), OpenError> {
        let file = self.file.lock().clone();
        let closed = || OpenError::Io { path: self.path.clone(), error: io::ErrorKind::BrokenPipe.into() };
        file.ok_or_else(closed)?.copy(&self.path, target)
    }

    /// Why nothing becomes durable any more, if so.
    pub(crate) fn failed(&self) -> Option<&str> {
        self.inbox.failed()
    }

    /// A number for a queue that no other queue ever gets; none if the disk does not keep up at all.
    pub(crate) fn new_queue_id(&self) -> Option<QueueId> {
        self.inbox.new_id()
    }

    /// Writes what was handed in, and ends: the file is nobody's then.
    pub(crate) fn close(&self) {
        self.inbox.order_stop();
        if let Some(thread) = self.thread.lock().take() {
            // A thread that has panicked has said so.
            let _ = thread.join();
        }
        self.file.lock().take();
    }
}

impl Drop for Catalog {
    fn drop(&mut self) {
        self.close();
    }
}

struct Writer {
    inbox: Arc<Inbox>,
    file: Arc<CatalogFile>,
}

impl Writer {
    fn run(self) {
        if let Err(error) = self.write_all() {
            let why = format!("the catalog cannot be written: {}", file::reason(error));
            tracing::error!("{why}");
            self.inbox.fail(why);
        }
    }

    fn write_all(&self) -> Result<(), redb::Error> {
        loop {
            let Taken { group, ticket, stop } = self.inbox.take();
            if ticket > self.inbox.durable() {
                self.file.write(&group)?;
                self.inbox.done(ticket, group.ids_below);
            }
            if stop {
                // In order, no number is lost.
                return self.file.write(&Group { ids_below: Some(self.inbox.end()), ..Group::default() });
            }
        }
    }
}

/// However it ends, nobody waits for it any more.
impl Drop for Writer {
    fn drop(&mut self) {
        self.inbox.fail("the catalog is closed".into());
    }
}
