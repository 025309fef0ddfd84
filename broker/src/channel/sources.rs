//! Where a channel's deliveries come from: its consumers, and the queues it has got messages from.

use std::sync::Arc;

use super::overdue::Overdue;
use crate::queue::{ConsumerKey, Queue, Turn};
use crate::store::Seqs;

/// A consumer, or a queue that basic.get was used on. It stays as long as messages from it are unsettled.
pub(super) struct Source {
    pub(super) queue: Arc<Queue>,
    /// The consumer in its queue; none after it was cancelled, and for basic.get.
    pub(super) key: Option<ConsumerKey>,
    /// The consumer tag as on the wire.
    pub(super) tag: Box<[u8]>,
    pub(super) no_ack: bool,
    /// Messages delivered and not settled.
    pub(super) unsettled: u32,
    /// Messages settled that the queue does not know of yet.
    pub(super) settled: u32,
    /// Those of them, and of what was delivered for good, that the message store may forget.
    pub(super) done: Seqs,
    /// Messages delivered for the first time that the message store has, and does not know that of yet.
    pub(super) delivered: Seqs,
    /// Watches over a consumer whose deliveries may not stay unsettled for ever.
    pub(super) overdue: Option<Box<Overdue>>,
}

impl Source {
    /// True if its deliveries count against the limit that the channel's consumers share.
    pub(super) fn is_consumer(&self) -> bool {
        !self.tag.is_empty()
    }

    /// True if its queue knows of everything.
    fn has_nothing_to_tell(&self) -> bool {
        self.settled == 0 && self.done.is_empty() && self.delivered.is_empty()
    }

    /// Notes that a delivery was settled, and which one the message store may forget for it; true if that is the first thing
    /// to tell the queue in this turn.
    #[inline]
    pub(super) fn settle(&mut self, done: Option<u64>) -> bool {
        let is_first = self.has_nothing_to_tell();
        self.unsettled = self.unsettled.saturating_sub(1);
        self.settled += 1;
        if let Some(seq) = done {
            self.done.push(seq);
        }
        is_first
    }

    /// Tells the queue, and gives back how many messages of it were settled.
    #[inline]
    pub(super) fn tell_queue(&mut self, turn: &mut Turn) -> usize {
        let count = std::mem::take(&mut self.settled) as usize;
        self.queue.note_delivered(1, std::mem::take(&mut self.delivered), turn);
        self.queue.settle(self.key, count, std::mem::take(&mut self.done), turn);
        count
    }

    /// Notes that a message which the message store has is with the client; true if that is the first thing to tell.
    pub(super) fn give(&mut self, seq: u64) -> bool {
        let is_first = self.has_nothing_to_tell();
        if self.no_ack { &mut self.done } else { &mut self.delivered }.push(seq);
        is_first
    }

    pub(super) fn new(queue: Arc<Queue>, tag: Box<[u8]>, no_ack: bool) -> Self {
        Source {
            queue,
            key: None,
            tag,
            no_ack,
            unsettled: 0,
            settled: 0,
            done: Seqs::default(),
            delivered: Seqs::default(),
            overdue: None,
        }
    }
}

/// A channel's sources by number.
#[derive(Default)]
pub(super) struct Sources {
    slots: Vec<Option<Source>>,
    /// Sources that have something to tell their queues of at the end of the turn.
    pub(super) settled: Vec<u32>,
}

impl Sources {
    pub(super) fn add(&mut self, source: Source) -> u32 {
        let number = self.slots.iter().position(Option::is_none).unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        self.slots[number] = Some(source);
        number as u32
    }

    #[inline]
    pub(super) fn of_mut(&mut self, number: u32) -> Option<&mut Source> {
        self.slots.get_mut(number as usize)?.as_mut()
    }

    /// The source for basic.get from a queue.
    pub(super) fn for_get(&mut self, queue: &Arc<Queue>) -> u32 {
        let found = self.iter_mut().find(|(_, s)| s.key.is_none() && s.tag.is_empty() && Arc::ptr_eq(&s.queue, queue));
        match found.map(|(number, _)| number) {
            Some(number) => number,
            None => self.add(Source::new(queue.clone(), Box::default(), false)),
        }
    }

    /// Forgets a source that nothing depends on any more.
    pub(super) fn forget_if_idle(&mut self, number: u32) {
        let slot = self.slots.get_mut(number as usize);
        if let Some(slot) = slot
            && slot.as_ref().is_some_and(|s| s.key.is_none() && s.unsettled == 0 && s.has_nothing_to_tell())
        {
            *slot = None;
        }
    }

    /// Messages that basic.get has taken and that are not settled.
    pub(super) fn taken(&self) -> u32 {
        self.slots.iter().flatten().filter(|source| !source.is_consumer()).map(|source| source.unsettled).sum()
    }

    /// The numbers of all sources once around, from the one after `number` on.
    pub(super) fn numbers_after(&self, number: u32) -> impl Iterator<Item = u32> + use<> {
        let count = self.slots.len() as u32;
        (0..count).map(move |n| (number + 1 + n) % count)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (u32, &mut Source)> {
        self.slots.iter_mut().enumerate().filter_map(|(n, s)| Some((n as u32, s.as_mut()?)))
    }

    pub(super) fn drain(&mut self) -> impl Iterator<Item = (u32, Source)> {
        self.settled.clear();
        let slots = std::mem::take(&mut self.slots);
        slots.into_iter().enumerate().filter_map(|(n, s)| Some((n as u32, s?)))
    }
}
