//! The store as the broker has it: the writer on a thread of its own, and another that makes segments ready.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::task::Waker;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::backup;
use super::batch::Batch;
use super::disk::Disk;
use super::disk::real::RealDisk;
use super::inbox::{Inbox, Orders, Ticket};
use super::ledger::Ledger;
use super::reading::{self, ReadError, Stored};
use super::recovery::{self, Findings};
use super::spares::Spares;
use super::writer::Writer;
use super::{OpenError, Options, QueueId, Recovered};

/// After a segment could not be made ready, it is tried again so much later.
const PREPARE_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// An open store. It ends when it is dropped, after what was handed in has been written.
pub(crate) struct Store {
    inbox: Arc<Inbox>,
    disk: Arc<dyn Disk>,
    ledger: Arc<Mutex<Ledger>>,
    spares: Arc<Spares>,
    helper: Arc<Helper>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// What wakes the thread that makes segments ready.
#[derive(Default)]
struct Helper {
    stop: Mutex<bool>,
    rang: Condvar,
}

impl Store {
    /// Opens the store in a directory, or begins one there. `known` are the queues that exist; records of others are
    /// garbage.
    ///
    /// # Errors
    /// It says what the store cannot be opened for.
    pub(crate) fn open(
        path: &Path,
        options: &Options,
        known: &dyn Fn(QueueId) -> bool,
    ) -> Result<(Self, Recovered), OpenError> {
        let disk = RealDisk::open(path).map_err(|error| OpenError::io("open the directory", error))?;
        Store::open_on(Arc::new(disk), options, known)
    }

    /// The same on any disk.
    pub(crate) fn open_on(
        disk: Arc<dyn Disk>,
        options: &Options,
        known: &dyn Fn(QueueId) -> bool,
    ) -> Result<(Self, Recovered), OpenError> {
        let (writer, findings) = recovery::open(disk, options, known)?;
        let recovered = recovered(&writer.ledger.lock(), findings);
        let store = Store {
            inbox: Arc::default(),
            disk: Arc::clone(&writer.disk),
            ledger: Arc::clone(&writer.ledger),
            spares: Arc::clone(&writer.spares),
            helper: Arc::default(),
            threads: Mutex::default(),
        };
        let started = store.start(writer);
        started.map_err(|error| OpenError::io("start a thread", error))?;
        Ok((store, recovered))
    }

    fn start(&self, writer: Writer) -> io::Result<()> {
        let (inbox, helper) = (Arc::clone(&self.inbox), Arc::clone(&self.helper));
        let thread = thread::Builder::new().name("store".into());
        self.threads.lock().push(thread.spawn(move || write(writer, &inbox, &helper))?);
        let (spares, helper) = (Arc::clone(&self.spares), Arc::clone(&self.helper));
        let thread = thread::Builder::new().name("store-prepare".into());
        self.threads.lock().push(thread.spawn(move || prepare(&spares, &helper))?);
        Ok(())
    }

    /// Hands in the records of a turn, which never waits for the disk.
    pub(crate) fn submit(&self, batch: Batch) -> Ticket {
        self.inbox.submit(batch)
    }

    /// The last batch that stays, with all before it.
    #[inline]
    pub(crate) fn durable(&self) -> Ticket {
        self.inbox.durable()
    }

    /// Wakes once when this batch stays, or never will since the store has failed; at once if that is so already.
    pub(crate) fn wake_when_durable(&self, ticket: Ticket, waker: &Waker) {
        self.inbox.wake_when_durable(ticket, waker);
    }

    /// True if so much is on the way to the disk that publishers should be held back.
    #[inline]
    pub(crate) fn is_congested(&self) -> bool {
        self.inbox.is_congested()
    }

    /// Why nothing becomes durable any more, if so.
    pub(crate) fn failed(&self) -> Option<&str> {
        self.inbox.failed()
    }

    /// Why there is little room left in the log, if so: the disk is full or does not work. Acks still fit for a while.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.spares.trouble()
    }

    /// The messages of a queue from a seq on, in order: at most `count_max` and, but for the first, `bytes_max` bytes.
    /// A message is found once its batch is durable, until it is acked.
    ///
    /// # Errors
    /// The disk's, or that a message is damaged.
    pub(crate) fn load(
        &self,
        queue: QueueId,
        from: u64,
        count_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<Stored>, ReadError> {
        reading::load(&self.ledger, queue, from, (count_max, bytes_max))
    }

    /// Copies the store, with all that is durable by now, to a directory that is not there yet or empty.
    ///
    /// # Errors
    /// The disk's; or that there is a store already. What is there then is of no use.
    pub(crate) fn backup(&self, target: &Path) -> io::Result<()> {
        self.ledger.lock().pins += 1;
        let copied = self.copy(target);
        self.ledger.lock().pins -= 1;
        copied
    }

    fn copy(&self, target: &Path) -> io::Result<()> {
        if !self.inbox.seal() {
            return Err(io::Error::other(self.failed().unwrap_or("the message store is closed").to_owned()));
        }
        let ledger = self.ledger.lock();
        let sealed = ledger.segments.iter().filter(|(_, segment)| segment.is_sealed).map(|(number, _)| *number);
        let segments: Vec<u32> = sealed.collect();
        drop(ledger);
        backup::copy(&*self.disk, &segments, &RealDisk::open(target)?, target)
    }

    /// Writes what was handed in, and ends.
    pub(crate) fn close(&self) {
        self.inbox.order(Orders { stop: true, ..Orders::default() });
        *self.helper.stop.lock() = true;
        self.helper.rang.notify_one();
        for thread in std::mem::take(&mut *self.threads.lock()) {
            // A thread that has panicked has said so.
            let _ = thread.join();
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.close();
    }
}

fn recovered(ledger: &Ledger, findings: Findings) -> Recovered {
    let (messages, bytes) = ledger.live();
    let mut queues: Vec<_> = ledger.index.iter().map(|(id, queue)| (*id, queue.live, queue.next_seq())).collect();
    queues.sort_unstable();
    let queues = queues.into_iter().map(|(id, messages, next_seq)| super::RecoveredQueue { id, messages, next_seq });
    Recovered {
        queues: queues.collect(),
        messages,
        bytes,
        segments: findings.segments,
        log_bytes: findings.log_bytes,
        damage: findings.damage,
    }
}

/// The writer's life.
fn write(mut writer: Writer, inbox: &Inbox, helper: &Helper) {
    let (mut batches, mut done) = (VecDeque::new(), Ticket::default());
    let sum = |batches: &VecDeque<Batch>| batches.iter().map(Batch::bytes).sum::<usize>();
    let mut written = || loop {
        let is_idle = batches.is_empty() && !writer.has_work();
        let orders = inbox.take(&mut batches, is_idle);
        let bytes = sum(&batches);
        done.0 += writer.commit(&mut batches)? as u64;
        inbox.done(done, bytes - sum(&batches));
        if orders.seal {
            writer.switch(0)?;
            inbox.has_sealed();
        }
        if writer.spares.is_short() {
            helper.rang.notify_one();
        }
        if orders.stop && batches.is_empty() && writer.moves.is_empty() {
            return writer.seal();
        }
    };
    let ended: io::Result<()> = written();
    if let Err(error) = ended {
        inbox.fail(format!("the message store cannot be written: {error}"));
    }
    inbox.end();
}

/// Makes segments ready as long as there are too few.
fn prepare(spares: &Spares, helper: &Helper) {
    let mut stop = helper.stop.lock();
    while !*stop {
        if spares.is_short() {
            let made = parking_lot::MutexGuard::unlocked(&mut stop, || spares.prepare());
            if made.is_err() && !*stop {
                helper.rang.wait_for(&mut stop, PREPARE_AGAIN_AFTER);
            }
        } else {
            helper.rang.wait(&mut stop);
        }
    }
}
