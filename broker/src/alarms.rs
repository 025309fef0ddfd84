//! Alarms: while memory is short, connections that publish are not read from, and those that can hear it are told so
//! (connection.blocked). Consumers go on, since they are what helps.
//!
//! What is published is counted, not measured: every few MiB the shell is woken to look at the real figure, so an idle broker
//! looks at nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Waker;

use atomic_waker::AtomicWaker;
use parking_lot::Mutex;

use crate::queue::{Mailbox, Notice, Turn};

/// Bytes of publishes after which the memory in use is looked at again.
const LOOK_BYTES: usize = 8 << 20;

/// The reason that clients are given.
pub(crate) const LOW_ON_MEMORY: &str = "low on memory";

#[derive(Default)]
pub(crate) struct Alarms {
    memory: AtomicBool,
    /// In bytes. Whoever changes it and whoever looks take turns, so that no alarm outlives its limit.
    memory_limit: Mutex<Option<u64>>,
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
        self.memory.load(Ordering::Relaxed)
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
        self.set_memory(on);
        on
    }

    /// Raises or ends the alarm.
    pub(crate) fn set_memory(&self, on: bool) {
        let mut blocked = self.blocked.lock();
        if self.memory.swap(on, Ordering::Relaxed) == on {
            return;
        }
        tracing::warn!(on, "memory alarm");
        if !on {
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
