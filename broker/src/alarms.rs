//! Alarms: while memory or the disk is short, connections that publish are not read from, and those that can hear it are told so
//! (connection.blocked). Consumers go on, since they are what helps.
//!
//! What is published is counted, not measured: every few MiB the shell is woken to look at the real figure, so an idle broker
//! looks at nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::task::Waker;

use atomic_waker::AtomicWaker;
use parking_lot::Mutex;

use crate::queue::{Mailbox, Notice, Turn};

/// Bytes of publishes after which the memory in use is looked at again.
const LOOK_BYTES: usize = 8 << 20;

/// What there may be too little of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resource {
    Memory = 1,
    Disk = 2,
}

#[derive(Default)]
pub(crate) struct Alarms {
    /// The bits of the resources that are short.
    short: AtomicU8,
    /// The bits of those that are short because somebody says so.
    ordered: AtomicU8,
    /// In bytes. Whoever changes it and whoever looks take turns, so that no alarm outlives its limit.
    memory_limit: Mutex<Option<u64>>,
    /// The room that the disk had when somebody looked last, and what it must have, in bytes.
    disk_free: AtomicU64,
    disk_limit: AtomicU64,
    /// Bytes published since the last look.
    published: AtomicUsize,
    /// Who looks.
    waker: AtomicWaker,
    /// Connections that wait for the alarm's end.
    blocked: Mutex<Vec<Arc<Mailbox>>>,
}

impl Alarms {
    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.short.load(Ordering::Relaxed) != 0
    }

    /// True while there is too little of that.
    pub(crate) fn is_short(&self, resource: Resource) -> bool {
        self.short.load(Ordering::Relaxed) & resource as u8 != 0
    }

    /// The reason that clients are given.
    pub(crate) fn reason(&self) -> &'static str {
        match (self.is_short(Resource::Memory), self.is_short(Resource::Disk)) {
            (true, true) => "low on memory & disk",
            (false, true) => "low on disk",
            _ => "low on memory",
        }
    }

    /// Counts bytes of publishes.
    #[inline]
    pub(crate) fn count(&self, bytes: usize) {
        let before = self.published.fetch_add(bytes, Ordering::Relaxed);
        if before < LOOK_BYTES && before + bytes >= LOOK_BYTES {
            self.waker.wake();
        }
    }

    /// Asks for a look at the memory in use, whatever was published.
    pub(crate) fn want_look(&self) {
        self.published.store(LOOK_BYTES, Ordering::Relaxed);
        self.waker.wake();
    }

    /// True once for each time that it is worth looking at the memory in use.
    pub(crate) fn take_look(&self, waker: &Waker) -> bool {
        self.waker.register(waker);
        if self.published.load(Ordering::Relaxed) < LOOK_BYTES {
            return false;
        }
        self.published.store(0, Ordering::Relaxed);
        true
    }

    /// A connection has published during an alarm: it waits for the end. False if that has come already.
    pub(crate) fn block(&self, connection: &Arc<Mailbox>) -> bool {
        let mut blocked = self.blocked.lock();
        let on = self.is_on();
        if on {
            blocked.push(connection.clone());
        }
        on
    }

    /// The memory limit, in bytes.
    pub(crate) fn memory_limit(&self) -> Option<u64> {
        *self.memory_limit.lock()
    }

    /// Sets the memory limit, and leaves the alarm as it is.
    pub(crate) fn set_memory_limit(&self, limit: Option<u64>) {
        *self.memory_limit.lock() = limit;
    }

    /// Raises or ends the alarm as `is_too_much` says of the memory limit; true if it is on now.
    pub(crate) fn judge_memory(&self, is_too_much: impl FnOnce(u64) -> bool) -> bool {
        let limit = self.memory_limit.lock();
        let on = limit.is_some_and(is_too_much);
        self.set(Resource::Memory, on);
        on
    }

    /// What the disk must have, in bytes.
    pub(crate) fn disk_limit(&self) -> u64 {
        self.disk_limit.load(Ordering::Relaxed)
    }

    /// What the disk had when somebody looked last, in bytes.
    pub(crate) fn disk_free(&self) -> u64 {
        self.disk_free.load(Ordering::Relaxed)
    }

    /// Sets what the disk must have.
    pub(crate) fn set_disk_limit(&self, limit: u64) {
        self.disk_limit.store(limit, Ordering::Relaxed);
    }

    /// Raises or ends the alarm, as the disk has so much room and is in `trouble` or not; true if it is on now.
    pub(crate) fn judge_disk(&self, free: u64, trouble: bool) -> bool {
        self.disk_free.store(free, Ordering::Relaxed);
        let on = trouble || free < self.disk_limit();
        self.set(Resource::Disk, on);
        on
    }

    /// Raises an alarm whatever there is, or leaves it to what there is again. Without anybody who looks, it ends.
    pub(crate) fn order(&self, resource: Resource, on: bool) {
        let bit = resource as u8;
        match on {
            true => self.ordered.fetch_or(bit, Ordering::Relaxed),
            false => self.ordered.fetch_and(!bit, Ordering::Relaxed),
        };
        self.set(resource, on);
    }

    /// Raises or ends the alarm.
    pub(crate) fn set(&self, resource: Resource, on: bool) {
        let mut blocked = self.blocked.lock();
        let bit = resource as u8;
        let on = on || self.ordered.load(Ordering::Relaxed) & bit != 0;
        let before = match on {
            true => self.short.fetch_or(bit, Ordering::Relaxed),
            false => self.short.fetch_and(!bit, Ordering::Relaxed),
        };
        if (before & bit != 0) == on {
            return;
        }
        tracing::warn!(?resource, on, "alarm");
        if !self.is_on() {
            let mut turn = Turn::default();
            for connection in blocked.drain(..) {
                connection.notify(Notice::Unblocked, &mut turn);
            }
            drop(blocked);
            turn.finish();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_is_looked_at_every_few_mib_and_when_somebody_wants_it() {
        let alarms = Alarms::default();
        let looks = || alarms.take_look(Waker::noop());
        assert!(!looks());
        alarms.count(LOOK_BYTES - 1);
        assert!(!looks());
        alarms.count(1);
        assert!(looks() && !looks());
        alarms.want_look();
        assert!(looks() && !looks());
    }

    #[test]
    fn publishers_wait_until_nothing_is_short() {
        let (alarms, publisher) = (Alarms::default(), Arc::default());
        let is_told = |publisher: &Arc<Mailbox>| {
            let mut inbox = Default::default();
            publisher.collect(&mut inbox);
            !inbox.notices.is_empty()
        };
        alarms.set_disk_limit(100);
        assert!(!alarms.judge_disk(100, false) && !alarms.block(&publisher));
        assert!(alarms.judge_disk(99, false) && alarms.block(&publisher));
        assert_eq!((alarms.reason(), alarms.disk_free()), ("low on disk", 99));
        alarms.set(Resource::Memory, true);
        assert_eq!(alarms.reason(), "low on memory & disk");
        assert!(!alarms.judge_disk(100, false) && !is_told(&publisher));
        assert_eq!(alarms.reason(), "low on memory");
        alarms.set(Resource::Memory, false);
        assert!(!alarms.is_on() && is_told(&publisher));
        assert!(alarms.judge_disk(u64::MAX, true), "a disk that cannot be written has no room");
    }

    #[test]
    fn an_alarm_that_was_ordered_outlasts_what_is_measured() {
        let alarms = Alarms::default();
        alarms.order(Resource::Memory, true);
        assert!(!alarms.judge_memory(|_| false) && alarms.is_on());
        alarms.order(Resource::Disk, true);
        assert_eq!(alarms.reason(), "low on memory & disk");
        alarms.judge_disk(u64::MAX, false);
        assert!(alarms.is_short(Resource::Disk));
        alarms.order(Resource::Memory, false);
        alarms.order(Resource::Disk, false);
        assert!(!alarms.is_on());
    }

    #[test]
    fn the_alarm_follows_the_limit() {
        let alarms = Alarms::default();
        let judge = |in_use: u64| alarms.judge_memory(|limit| in_use > limit);
        assert!(!judge(u64::MAX), "without a limit there is no alarm");
        alarms.set_memory_limit(Some(10));
        assert!(!alarms.is_on(), "nobody has looked");
        assert!(judge(11) && alarms.is_on());
        assert!(!judge(10) && !alarms.is_on());
        alarms.set_memory_limit(Some(5));
        assert!(judge(10));
        alarms.set_memory_limit(None);
        assert!(!judge(10) && !alarms.is_on());
    }
}
