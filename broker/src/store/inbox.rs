//! Between those who hand in batches and the writer: what waits to be written, and who waits for what was.

use std::collections::VecDeque;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::Waker;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::batch::Batch;

/// The number of a batch that was handed in; tickets become durable in their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(pub(super) u64);

impl Ticket {
    /// The next one after it.
    pub(crate) fn after(ticket: Ticket) -> Self {
        Ticket(ticket.0 + 1)
    }

    /// One that never becomes durable: who waits for it hears of the store's failure.
    pub(crate) const NEVER: Ticket = Ticket(u64::MAX);
}

/// With more than this on the way, publishers should be held back, in bytes.
const CONGESTED_BYTES: usize = 32 << 20;
/// So much that can wait is worth a block of its own, in bytes.
const IDLE_BYTES_MAX: usize = 1 << 20;
/// What is handed in and no larger waits for somebody to wait for it, in bytes.
pub(super) const SMALL_BYTES_MAX: usize = 16 << 10;
/// So long, and at most twice that, waits what nobody waits for: acks and hints, whose messages a crash may deliver again, and
/// messages that nobody wants confirmed.
const IDLE_DELAY: Duration = Duration::from_millis(5);

#[derive(Default)]
pub(super) struct Inbox {
    state: Mutex<State>,
    arrived: Condvar,
    in_flight: AtomicUsize,
    durable: AtomicU64,
    failed: OnceLock<String>,
    waiting: Mutex<Vec<(Ticket, Waker)>>,
    sealed: Condvar,
}

#[derive(Default)]
struct State {
    batches: VecDeque<Batch>,
    last: u64,
    idle_bytes: usize,
    /// How often what had arrived was taken to be written, by the writer's thread or another.
    takes: u64,
    is_urgent: bool,
    is_asleep: bool,
    /// It sleeps until it is woken, and not for a short while only.
    sleeps_long: bool,
    seal: bool,
    /// Seals that have been asked for and done.
    seals: u64,
    stop: bool,
    has_ended: bool,
}

/// What else the writer is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Orders {
    /// To leave the current segment.
    pub(super) seal: bool,
    /// To write what there is and end.
    pub(super) stop: bool,
}

impl Inbox {
    pub(super) fn submit(&self, batch: Batch) -> Ticket {
        let mut state = self.state.lock();
        if self.failed.get().is_some() {
            return Ticket::NEVER;
        }
        if batch.is_empty() {
            return Ticket(state.last);
        }
        if batch.bytes() > Batch::BYTES_MAX {
            // Places in the log are numbers of 32 bits.
            drop(state);
            self.fail(format!("{} bytes of one turn are more than the message store takes at once", batch.bytes()));
            return Ticket::NEVER;
        }
        self.in_flight.fetch_add(batch.bytes(), Ordering::Relaxed);
        let can_wait = batch.can_wait || batch.bytes() <= SMALL_BYTES_MAX;
        state.idle_bytes += if can_wait { batch.bytes() } else { 0 };
        state.is_urgent |= !can_wait || state.idle_bytes > IDLE_BYTES_MAX;
        state.batches.push_back(batch);
        state.last += 1;
        let ticket = Ticket(state.last);
        self.ring(state);
        ticket
    }

    /// Wakes the writer if there is something for it and it is asleep; nobody calls the system otherwise.
    fn ring(&self, mut state: parking_lot::MutexGuard<'_, State>) {
        let is_idle_work = state.sleeps_long && state.idle_bytes > 0;
        let wake = state.is_asleep && (state.is_urgent || state.seal || state.stop || is_idle_work);
        state.is_asleep &= !wake;
        drop(state);
        if wake {
            self.arrived.notify_one();
        }
    }

    pub(super) fn order(&self, orders: Orders) {
        let mut state = self.state.lock();
        state.seal |= orders.seal;
        state.stop |= orders.stop;
        self.ring(state);
    }

    /// Asks the writer to leave the current segment, and waits until it has; false if it never will.
    pub(super) fn seal(&self) -> bool {
        let mut state = self.state.lock();
        let before = state.seals;
        state.seal = true;
        self.ring(state);
        state = self.state.lock();
        while state.seals == before && !state.has_ended {
            self.sealed.wait(&mut state);
        }
        state.seals != before
    }

    /// The writer has left a segment because it was asked to.
    pub(super) fn has_sealed(&self) {
        self.state.lock().seals += 1;
        self.sealed.notify_all();
    }

    /// There is no writer any more.
    pub(super) fn end(&self) {
        self.state.lock().has_ended = true;
        self.sealed.notify_all();
    }

    /// What has been handed in and not taken, in bytes.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.state.lock().batches.iter().map(Batch::bytes).sum()
    }

    /// Waits for something to write, unless there is work already. False if there is none, but others have written meanwhile,
    /// so that segments may have become free.
    ///
    /// As long as batches come and others write them, it looks again after every delay instead of being woken by each.
    pub(super) fn wait(&self, is_idle: bool) -> bool {
        let mut state = self.state.lock();
        let mut is_quiet = false;
        let mut others_wrote = false;
        while is_idle && !state.is_urgent && !state.seal && !state.stop {
            (state.is_asleep, state.sleeps_long) = (true, is_quiet);
            if is_quiet {
                self.arrived.wait(&mut state);
                is_quiet = false;
                continue;
            }
            let (takes, last) = (state.takes, state.last);
            if self.arrived.wait_for(&mut state, IDLE_DELAY).timed_out() {
                // What is there after others took all that was there before has not waited long.
                others_wrote = state.takes != takes;
                if others_wrote || state.idle_bytes > 0 {
                    break;
                }
                is_quiet = state.last == last;
            }
        }
        (state.is_asleep, state.sleeps_long) = (false, false);
        !others_wrote
    }

    /// True if the writer sleeps until somebody wakes it.
    #[cfg(test)]
    pub(super) fn is_quiet(&self) -> bool {
        self.state.lock().sleeps_long
    }

    /// Moves what was handed in to `batches`.
    pub(super) fn take(&self, batches: &mut VecDeque<Batch>) {
        let mut state = self.state.lock();
        state.is_urgent = false;
        state.idle_bytes = 0;
        state.takes += 1;
        batches.append(&mut state.batches);
    }

    /// What was ordered since the last time.
    pub(super) fn take_orders(&self) -> Orders {
        let mut state = self.state.lock();
        Orders { seal: std::mem::take(&mut state.seal), stop: state.stop }
    }

    /// Batches up to this one stay, and those who waited for them hear of it.
    pub(super) fn done(&self, ticket: Ticket, bytes: usize) {
        self.in_flight.fetch_sub(bytes, Ordering::Relaxed);
        self.durable.store(ticket.0, Ordering::Release);
        let mut ready = vec![];
        self.waiting.lock().retain_mut(|(wanted, waker)| {
            let waits = *wanted > ticket;
            if !waits {
                ready.push(waker.clone());
            }
            waits
        });
        ready.into_iter().for_each(Waker::wake);
    }

    /// Wakes who waits although nothing more stays, so that they look at what else there is. They still wait.
    pub(super) fn wake(&self) {
        let waiting: Vec<Waker> = self.waiting.lock().iter().map(|(_, waker)| waker.clone()).collect();
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Nothing will become durable any more.
    pub(super) fn fail(&self, why: String) {
        let mut state = self.state.lock();
        let _ = self.failed.set(why);
        state.batches.clear();
        drop(state);
        let waiting = std::mem::take(&mut *self.waiting.lock());
        waiting.into_iter().for_each(|(_, waker)| waker.wake());
    }

    pub(super) fn durable(&self) -> Ticket {
        Ticket(self.durable.load(Ordering::Acquire))
    }

    pub(super) fn failed(&self) -> Option<&str> {
        self.failed.get().map(String::as_str)
    }

    pub(super) fn is_congested(&self) -> bool {
        self.in_flight.load(Ordering::Relaxed) > CONGESTED_BYTES
    }

    pub(super) fn wake_when_durable(&self, ticket: Ticket, waker: &Waker) {
        let mut waiting = self.waiting.lock();
        // Whoever makes it durable, or fails, looks into the list afterwards.
        if self.durable() >= ticket || self.failed().is_some() {
            drop(waiting);
            waker.wake_by_ref();
            return;
        }
        waiting.push((ticket, waker.clone()));
        drop(waiting);
        // What somebody waits for cannot wait.
        let mut state = self.state.lock();
        if !state.batches.is_empty() {
            state.is_urgent = true;
            self.ring(state);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Counter(AtomicUsize);

    impl Wake for Counter {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn counter() -> (Arc<Counter>, Waker) {
        let counter = Arc::new(Counter::default());
        (Arc::clone(&counter), Waker::from(counter))
    }

    #[test]
    fn whoever_waits_for_a_ticket_is_woken_once() {
        let (inbox, (count, waker)) = (Inbox::default(), counter());
        let woken = || count.0.load(Ordering::SeqCst);
        inbox.wake_when_durable(Ticket(2), &waker);
        inbox.done(Ticket(1), 0);
        assert_eq!(woken(), 0);
        inbox.done(Ticket(2), 0);
        inbox.done(Ticket(3), 0);
        assert_eq!(woken(), 1);
        inbox.wake_when_durable(Ticket(3), &waker);
        assert_eq!(woken(), 2);
    }

    #[test]
    fn a_failure_wakes_everybody_and_makes_nothing_durable() {
        let (inbox, (count, waker)) = (Inbox::default(), counter());
        let mut batch = Batch::new();
        batch.ack(super::super::QueueId(1), [1..=1]);
        let ticket = inbox.submit(batch);
        inbox.wake_when_durable(ticket, &waker);
        inbox.fail("the disk".into());
        inbox.wake_when_durable(ticket, &waker);
        assert_eq!((count.0.load(Ordering::SeqCst), inbox.durable() < ticket), (2, true));
        assert_eq!(inbox.failed(), Some("the disk"));
    }
}
