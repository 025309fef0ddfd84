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
            turn.wake();
        }
    }
}
