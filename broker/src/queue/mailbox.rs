//! What queues hand to a connection: deliveries, notices, and a wake-up when there was nothing before.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Wake, Waker};

use atomic_waker::AtomicWaker;
use parking_lot::{Mutex, MutexGuard};

use crate::failure::Hard;

use super::ready::Entry;
use super::turn::Turn;

/// Bytes that may wait in a mailbox before its consumers get no more. What the socket has not taken is bounded by the
/// connection, which empties the mailbox only while there is room.
const WINDOW_BYTES: usize = 256 << 10;
/// What a delivery counts besides its message, in bytes: about what its frames add.
const DELIVERY_BYTES: usize = 64;

/// One connection's mailbox.
#[derive(Default)]
pub(crate) struct Mailbox {
    inbox: Mutex<Inbox>,
    bytes: AtomicUsize,
    /// True if there is anything in the inbox.
    waiting: AtomicBool,
    /// True if a queue says that a paused publisher may go on.
    publisher_resumed: AtomicBool,
    /// True if the connection has to end without a word.
    cut: AtomicBool,
    waker: AtomicWaker,
}

/// What is in it.
#[derive(Default)]
pub(crate) struct Inbox {
    pub(crate) deliveries: Vec<Delivery>,
    /// Consumers (channel, source) that found the window full.
    pub(crate) stalled: Vec<(u16, u32)>,
    pub(crate) notices: Vec<Notice>,
}

/// A message on its way to a consumer.
pub(crate) struct Delivery {
    pub(crate) channel: u16,
    /// The consumer, by its number in the channel.
    pub(crate) source: u32,
    pub(crate) entry: Entry,
}

/// News from elsewhere in the broker.
pub(crate) enum Notice {
    /// A consumer's queue is gone.
    QueueDeleted { channel: u16, source: u32 },
    /// The alarm that had stopped this publisher is over.
    Unblocked,
    /// The connection has to end.
    Close(Hard),
}

/// What waits for the message store wakes its connection.
impl Wake for Mailbox {
    fn wake(self: Arc<Self>) {
        self.waker.wake();
    }
}

impl Mailbox {
    /// Names the task to wake, before looking into the mailbox.
    pub(crate) fn register(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    /// Wakes the connection.
    pub(crate) fn wake(&self) {
        self.waker.wake();
    }

    /// Ends the connection at once, whatever waits and whoever does not read, as if the network had gone.
    pub(crate) fn cut(&self) {
        self.cut.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// True if the connection has to end at once.
    #[inline]
    pub(crate) fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Acquire)
    }

    /// True if there is something to collect.
    #[inline]
    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting.load(Ordering::Acquire)
    }

    /// True once after a queue has let this publisher go on.
    pub(crate) fn take_publisher_resumed(&self) -> bool {
        self.publisher_resumed.load(Ordering::Acquire) && self.publisher_resumed.swap(false, Ordering::AcqRel)
    }

    pub(crate) fn resume_publisher(self: Arc<Self>, turn: &mut Turn) {
        self.publisher_resumed.store(true, Ordering::Release);
        turn.wake_later(self);
    }

    /// Takes everything, in exchange for an empty inbox whose capacity is used on.
    pub(crate) fn collect(&self, empty: &mut Inbox) {
        self.waiting.store(false, Ordering::Release);
        let mut inbox = self.inbox.lock();
        std::mem::swap(&mut *inbox, empty);
        self.bytes.store(0, Ordering::Relaxed);
    }

    /// Takes out the deliveries for one channel, or one consumer of it.
    pub(crate) fn withdraw(&self, channel: u16, source: Option<u32>) -> Vec<Delivery> {
        let mut inbox = self.inbox.lock();
        let mine = |d: &mut Delivery| d.channel == channel && source.is_none_or(|s| s == d.source);
        let withdrawn: Vec<Delivery> = inbox.deliveries.extract_if(.., mine).collect();
        inbox.stalled.retain(|&(c, s)| c != channel || source.is_some_and(|source| source != s));
        let bytes = withdrawn.iter().map(|d| cost(&d.entry)).sum();
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        withdrawn
    }

    /// Leaves a notice.
    pub(crate) fn notify(self: &Arc<Self>, notice: Notice, turn: &mut Turn) {
        self.inbox.lock().notices.push(notice);
        self.mark(turn);
    }

    /// Bytes that the window still takes, besides `more` that are about to be put in.
    #[inline]
    pub(super) fn room(&self, more: usize) -> bool {
        self.bytes.load(Ordering::Relaxed) + more < WINDOW_BYTES
    }

    /// The inbox, to fill.
    #[inline]
    pub(super) fn open(&self) -> Filling<'_> {
        Filling { inbox: self.inbox.lock(), mailbox: self, bytes: 0 }
    }

    /// Notes that there is something, and who has to be woken for it.
    #[inline]
    pub(super) fn mark(self: &Arc<Self>, turn: &mut Turn) {
        if !self.waiting.swap(true, Ordering::AcqRel) {
            turn.wake_later(self.clone());
        }
    }
}

/// What one delivery counts in the window.
#[inline]
pub(super) fn cost(entry: &Entry) -> usize {
    entry.message.size() + DELIVERY_BYTES
}

/// An inbox that deliveries are being put into.
pub(super) struct Filling<'m> {
    inbox: MutexGuard<'m, Inbox>,
    mailbox: &'m Mailbox,
    bytes: usize,
}

impl Filling<'_> {
    #[inline]
    pub(super) fn has_room(&self) -> bool {
        self.mailbox.room(self.bytes)
    }

    #[inline]
    pub(super) fn put(&mut self, delivery: Delivery) {
        self.bytes += cost(&delivery.entry);
        self.inbox.deliveries.push(delivery);
    }

    /// Notes a consumer that wants to hear when there is room again.
    pub(super) fn stall(&mut self, channel: u16, source: u32) {
        self.inbox.stalled.push((channel, source));
    }
}

impl Drop for Filling<'_> {
    fn drop(&mut self) {
        // While the lock is held, so that `collect` never sees the messages without their bytes.
        self.mailbox.bytes.fetch_add(self.bytes, Ordering::Relaxed);
    }
}
