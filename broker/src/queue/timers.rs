//! When queues have to be looked at again: one heap for the whole broker.
//!
//! A queue has at most one entry that counts, its earliest; the shell sleeps until the first of all and hands back what is
//! due. Nothing ever walks all queues.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Weak;
use std::task::Waker;

use atomic_waker::AtomicWaker;
use parking_lot::Mutex;

use super::Queue;
use crate::time::Moment;

#[derive(Default)]
pub(crate) struct Timers {
    heap: Mutex<BinaryHeap<Reverse<Timer>>>,
    /// Who sleeps until the first of them.
    waker: AtomicWaker,
}

struct Timer {
    at: Moment,
    queue: Weak<Queue>,
}

impl Timers {
    /// Has a queue looked at when the moment has come.
    pub(crate) fn add(&self, at: Moment, queue: Weak<Queue>) {
        let mut heap = self.heap.lock();
        let first = heap.peek().is_none_or(|Reverse(timer)| at < timer.at);
        heap.push(Reverse(Timer { at, queue }));
        drop(heap);
        if first {
            self.waker.wake();
        }
    }

    /// Names the task to wake when an earlier timer comes.
    pub(crate) fn register(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    /// Has the one who sleeps look again, since time has been advanced.
    pub(crate) fn wake(&self) {
        self.waker.wake();
    }

    /// When the first timer is due.
    pub(crate) fn deadline(&self) -> Option<Moment> {
        self.heap.lock().peek().map(|Reverse(timer)| timer.at)
    }

    /// A queue whose time has come.
    pub(crate) fn pop_due(&self, now: Moment) -> Option<Weak<Queue>> {
        let mut heap = self.heap.lock();
        if heap.peek().is_some_and(|Reverse(timer)| timer.at <= now) {
            heap.pop().map(|Reverse(t)| t.queue)
        } else {
            None
        }
    }
}

impl PartialEq for Timer {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl Eq for Timer {}

impl PartialOrd for Timer {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Timer {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.at.cmp(&other.at)
    }
}
