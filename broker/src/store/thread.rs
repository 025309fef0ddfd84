//! The store as the broker has it: the writer on a thread of its own, and another that makes segments ready.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::task::Waker;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::backup;
use super::batch::Batch;
use super::disk::Disk;
use super::disk::real::RealDisk;
use super::inbox::{Inbox, Orders, SMALL_BYTES_MAX, Ticket};
use super::ledger::Ledger;
use super::reading::{self, Outline, ReadError, Stored};
use super::recovery::{self, Findings};
use super::spares::Spares;
use super::writer::Writer;
use super::{MessageStore, OpenError, Options, QueueId, Recovered, Seqs};

/// After a segment could not be made ready, it is tried again so much later.
const PREPARE_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// While the disk has no room for what waits, it is tried again so much later.
const WRITE_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// A block of more than this is written by the writer's thread, in bytes.
const HERE_BYTES_MAX: usize = SMALL_BYTES_MAX;
/// Nor is any written elsewhere while the disk takes longer than this for a small one: who hands in has others to serve.
const HERE_TIME_MAX: Duration = Duration::from_millis(1);

/// An open store. It ends when it is dropped, after what was handed in has been written.
pub(crate) struct Store {
    inbox: Arc<Inbox>,
    desk: Arc<Mutex<Desk>>,
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
            desk: Arc::new(Mutex::new(Desk {
                writer,
                batches: VecDeque::new(),
                done: Ticket::default(),
                small_took: Duration::ZERO,
                has_ended: false,
            })),
        };
        let started = store.start();
        started.map_err(|error| OpenError::io("start a thread", error))?;
        Ok((store, recovered))
    }

    fn start(&self) -> io::Result<()> {
        let (desk, inbox, helper) = (Arc::clone(&self.desk), Arc::clone(&self.inbox), Arc::clone(&self.helper));
        let thread = thread::Builder::new().name("store".into());
        self.threads.lock().push(thread.spawn(move || write(&desk, &inbox, &helper))?);
        let (spares, helper) = (Arc::clone(&self.spares), Arc::clone(&self.helper));
        let thread = thread::Builder::new().name("store-prepare".into());
        self.threads.lock().push(thread.spawn(move || prepare(&spares, &helper))?);
        Ok(())
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

    /// What the log can still take without more of the disk, in bytes, beside what is left of the segment at hand.
    pub(crate) fn spare_bytes(&self) -> u64 {
        self.spares.bytes()
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

    /// Waits until a batch stays, or never will.
    #[cfg(test)]
    pub(crate) fn wait(&self, ticket: Ticket) {
        struct Unpark(thread::Thread);
        impl std::task::Wake for Unpark {
            fn wake(self: Arc<Self>) {
                self.0.unpark();
            }
        }
        self.inbox.wake_when_durable(ticket, &Waker::from(Arc::new(Unpark(thread::current()))));
        while self.inbox.durable() < ticket && self.inbox.failed().is_none() {
            thread::park();
        }
    }

    /// Writes what was handed in, and ends: the directory is anybody's then.
    pub(crate) fn close(&self) {
        self.inbox.order(Orders { stop: true, ..Orders::default() });
        self.spares.end();
        *self.helper.stop.lock() = true;
        self.helper.rang.notify_one();
        for thread in std::mem::take(&mut *self.threads.lock()) {
            // A thread that has panicked has said so.
            let _ = thread.join();
        }
        self.disk.unlock();
    }
}

impl MessageStore for Store {
    fn submit(&self, batch: Batch) -> Ticket {
        self.inbox.submit(batch)
    }

    #[inline]
    fn durable(&self) -> Ticket {
        self.inbox.durable()
    }

    fn wake_when_durable(&self, ticket: Ticket, waker: &Waker) {
        self.inbox.wake_when_durable(ticket, waker);
    }

    #[inline]
    fn is_congested(&self) -> bool {
        self.inbox.is_congested()
    }

    fn commit_here(&self) {
        let Some(mut desk) = self.desk.try_lock() else { return };
        let bytes = self.inbox.waiting_bytes();
        let is_quick = bytes <= HERE_BYTES_MAX && desk.small_took <= HERE_TIME_MAX;
        if is_quick && desk.is_idle() && !desk.has_ended && desk.writer.has_room_for(bytes) {
            let written = desk.write(&self.inbox, &self.helper);
            desk.fail_if(written, &self.inbox);
        }
    }

    fn failed(&self) -> Option<&str> {
        self.inbox.failed()
    }

    fn fail(&self, why: String) {
        self.inbox.fail(why);
    }

    fn trouble(&self) -> Option<String> {
        self.spares.trouble()
    }

    fn has(&self, queue: QueueId, seqs: &Seqs) -> bool {
        reading::has(&self.ledger.lock(), queue, seqs)
    }

    fn fetch(&self, queue: QueueId, seqs: &Seqs) -> Result<Vec<Stored>, ReadError> {
        reading::fetch(&self.ledger, queue, seqs)
    }

    fn outline(&self, queue: QueueId, (count_max, bytes_max): (usize, usize)) -> Vec<Outline> {
        reading::outline(&self.ledger.lock(), queue, (count_max, bytes_max))
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.close();
    }
}

fn recovered(ledger: &Ledger, findings: Findings) -> Recovered {
    let (messages, bytes) = ledger.live();
    let mut queues: Vec<_> = ledger
        .index
        .iter()
        .map(|(id, queue)| super::RecoveredQueue {
            id: *id,
            messages: queue.live,
            next_seq: queue.next_seq(),
            has_expiries: queue.has_expiries,
        })
        .collect();
    queues.sort_unstable_by_key(|queue| queue.id);
    Recovered {
        queues,
        messages,
        bytes,
        segments: findings.segments,
        log_bytes: findings.log_bytes,
        damage: findings.damage,
    }
}

/// Where blocks are written: by the writer's thread, or by who hands in so little that waking that would take longer.
struct Desk {
    writer: Writer,
    /// What was taken from the inbox and is not written.
    batches: VecDeque<Batch>,
    done: Ticket,
    /// How long the last small block took to stay, whoever wrote it.
    small_took: Duration,
    has_ended: bool,
}

impl Desk {
    /// True if nothing is left to do but what comes.
    fn is_idle(&self) -> bool {
        self.batches.is_empty() && !self.writer.has_work()
    }

    /// Writes a block, if there is anything for one, and tells those who wait for it.
    fn write(&mut self, inbox: &Inbox, helper: &Helper) -> io::Result<()> {
        let sum = |batches: &VecDeque<Batch>| batches.iter().map(Batch::bytes).sum::<usize>();
        inbox.take(&mut self.batches);
        let bytes = sum(&self.batches);
        let start = Instant::now();
        self.done.0 += self.writer.write(&mut self.batches)? as u64;
        if (1..=HERE_BYTES_MAX).contains(&bytes) {
            self.small_took = start.elapsed();
        }
        inbox.done(self.done, bytes - sum(&self.batches));
        if self.writer.spares.is_short() {
            helper.rang.notify_one();
        }
        Ok(())
    }

    /// Writes a block, frees what can go after it, and does what else was ordered.
    fn work(&mut self, inbox: &Inbox, helper: &Helper) -> io::Result<()> {
        // What comes after these orders may be left behind by them, and nothing else.
        let orders = inbox.take_orders();
        let was_stuck = self.writer.is_stuck;
        self.write(inbox, helper)?;
        if !self.writer.is_stuck {
            self.writer.collect()?;
        }
        if orders.seal {
            self.writer.switch(0)?;
            match self.writer.is_stuck {
                true => inbox.order(Orders { seal: true, ..Orders::default() }),
                false => inbox.has_sealed(),
            }
        }
        if self.writer.is_stuck {
            if orders.stop {
                return Err(io::ErrorKind::StorageFull.into());
            }
            if !was_stuck {
                // Who watches the disk raises the alarm.
                inbox.wake();
            }
        }
        if orders.stop && self.batches.is_empty() && self.writer.moves.is_empty() {
            self.has_ended = true;
            return self.writer.seal();
        }
        Ok(())
    }

    /// After an error nothing becomes durable any more.
    fn fail_if(&mut self, outcome: io::Result<()>, inbox: &Inbox) {
        if let Err(error) = outcome {
            inbox.fail(format!("the message store cannot be written: {error}"));
            self.has_ended = true;
        }
        if self.has_ended {
            inbox.end();
        }
    }
}

/// The writer's life.
fn write(desk: &Mutex<Desk>, inbox: &Inbox, helper: &Helper) {
    loop {
        let (is_idle, has_ended) = {
            let desk = desk.lock();
            (desk.is_idle(), desk.has_ended)
        };
        if has_ended {
            return;
        }
        let is_work = inbox.wait(is_idle);
        let mut at_desk = desk.lock();
        if !at_desk.has_ended {
            let outcome = if is_work { at_desk.work(inbox, helper) } else { at_desk.writer.collect() };
            at_desk.fail_if(outcome, inbox);
        }
        if at_desk.writer.is_stuck && !at_desk.has_ended {
            drop(at_desk);
            thread::sleep(WRITE_AGAIN_AFTER);
        }
    }
}

/// Makes segments ready as long as there are too few.
fn prepare(spares: &Spares, helper: &Helper) {
    let mut stop = helper.stop.lock();
    while !*stop {
        if spares.is_short() {
            let made = parking_lot::MutexGuard::unlocked(&mut stop, || prepare_one(spares));
            if made.is_err() && !*stop {
                helper.rang.wait_for(&mut stop, PREPARE_AGAIN_AFTER);
            }
        } else {
            helper.rang.wait(&mut stop);
        }
    }
}

/// Makes one segment ready, with as much rest as work: half of the disk's time is for others.
fn prepare_one(spares: &Spares) -> io::Result<()> {
    let mut start = Instant::now();
    spares.prepare_gently(&mut || {
        thread::sleep(start.elapsed());
        start = Instant::now();
    })
}
