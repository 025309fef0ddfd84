//! Between those who change something and the writer: what waits to be written, and who waits for what was.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;

use leveret_spec::TableBuf;
use parking_lot::{Condvar, Mutex, MutexGuard};

use super::key::Key;
use crate::store::QueueId;

/// One change of what is kept.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// Keeps this, in place of what was there.
    Put(Key, TableBuf),
    Remove(Key),
    /// Removes a virtual host and all that is in it.
    RemoveVhost(Box<str>),
    /// The first start is over.
    Begun,
}

/// The number of a hand-in; they become durable in their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

impl Ticket {
    /// One that never becomes durable: who waits for it hears of the catalog's failure.
    pub(crate) const NEVER: Ticket = Ticket(u64::MAX);
}

/// Numbers for queues are set aside in blocks of so many: what a crash has lost of one is never given out again.
pub(super) const IDS_SET_ASIDE: u64 = 1 << 20;

/// Everything that came while the last group was written: of each key the last change.
#[derive(Debug, Default)]
pub(super) struct Group {
    /// They go first.
    pub(super) vhosts_gone: Vec<Box<str>>,
    pub(super) entries: BTreeMap<Key, Option<TableBuf>>,
    pub(super) has_begun: bool,
    /// All lower numbers for queues are set aside.
    pub(super) ids_below: Option<u64>,
}

impl Group {
    fn add(&mut self, change: Change) {
        match change {
            Change::Put(key, value) => drop(self.entries.insert(key, Some(value))),
            Change::Remove(key) => drop(self.entries.insert(key, None)),
            Change::RemoveVhost(vhost) => {
                let ranges: Vec<_> = Key::all_of(&vhost).collect();
                self.entries.retain(|key, _| !ranges.iter().any(|range| range.contains(key)));
                self.vhosts_gone.push(vhost);
            }
            Change::Begun => self.has_begun = true,
        }
    }
}

#[derive(Default)]
pub(super) struct Inbox {
    state: Mutex<State>,
    arrived: Condvar,
    durable: AtomicU64,
    failed: OnceLock<String>,
    waiting: Mutex<Vec<(Ticket, Waker)>>,
}

#[derive(Default)]
struct State {
    group: Group,
    /// The last ticket that was given out, and the last whose group was taken.
    last: u64,
    taken: u64,
    stop: bool,
    next_id: u64,
    /// Numbers below are set aside for sure; and those that have been asked for.
    ids_below: u64,
    ids_asked_below: u64,
}

/// What the writer takes.
pub(super) struct Taken {
    pub(super) group: Group,
    pub(super) ticket: Ticket,
    /// It is the last.
    pub(super) stop: bool,
}

impl Inbox {
    pub(super) fn new(next_id: u64, ids_below: u64) -> Self {
        let state = State { next_id, ids_below, ids_asked_below: ids_below, ..State::default() };
        Inbox { state: Mutex::new(state), ..Inbox::default() }
    }

    pub(super) fn submit(&self, changes: impl IntoIterator<Item = Change>) -> Ticket {
        let mut state = self.state.lock();
        let mut changes = changes.into_iter().peekable();
        if changes.peek().is_none() {
            return Ticket(state.last);
        }
        // After a failure the ticket is one that never becomes durable.
        if self.failed.get().is_none() {
            changes.for_each(|change| state.group.add(change));
        }
        self.hand_out(state)
    }

    fn hand_out(&self, mut state: MutexGuard<'_, State>) -> Ticket {
        state.last += 1;
        let ticket = Ticket(state.last);
        drop(state);
        self.arrived.notify_one();
        ticket
    }

    pub(super) fn submitted(&self) -> Ticket {
        Ticket(self.state.lock().last)
    }

    /// A number that no queue has ever had; none if the disk does not keep up, or has failed.
    pub(super) fn new_id(&self) -> Option<QueueId> {
        let mut state = self.state.lock();
        if state.next_id >= state.ids_below {
            return None;
        }
        let id = QueueId(state.next_id);
        state.next_id += 1;
        if state.ids_below - state.next_id < IDS_SET_ASIDE / 2 && state.ids_asked_below == state.ids_below {
            state.ids_asked_below += IDS_SET_ASIDE;
            state.group.ids_below = Some(state.ids_asked_below);
            self.hand_out(state);
        }
        Some(id)
    }

    /// The lowest number that is free; nobody gets one any more.
    pub(super) fn end(&self) -> u64 {
        let mut state = self.state.lock();
        state.ids_below = state.next_id;
        state.next_id
    }

    pub(super) fn order_stop(&self) {
        self.state.lock().stop = true;
        self.arrived.notify_one();
    }

    /// Waits for something to write, or for the end.
    pub(super) fn take(&self) -> Taken {
        let mut state = self.state.lock();
        while state.last == state.taken && !state.stop {
            self.arrived.wait(&mut state);
        }
        state.taken = state.last;
        Taken { group: std::mem::take(&mut state.group), ticket: Ticket(state.last), stop: state.stop }
    }

    /// All up to this one stays, and those who waited for it hear of it.
    pub(super) fn done(&self, ticket: Ticket, ids_below: Option<u64>) {
        if let Some(ids_below) = ids_below {
            self.state.lock().ids_below = ids_below;
        }
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

    /// Nothing will become durable any more.
    pub(super) fn fail(&self, why: String) {
        let mut state = self.state.lock();
        let _ = self.failed.set(why);
        state.group = Group::default();
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

    pub(super) fn wake_when_durable(&self, ticket: Ticket, waker: &Waker) {
        let mut waiting = self.waiting.lock();
        // Whoever makes it durable, or fails, looks into the list afterwards.
        if self.durable() >= ticket || self.failed().is_some() {
            drop(waiting);
            waker.wake_by_ref();
        } else {
            waiting.push((ticket, waker.clone()));
        }
    }
}
