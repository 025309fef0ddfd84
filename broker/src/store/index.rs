//! Where each message of each queue is, in 16 bytes.
//!
//! A queue's messages stand in chunks of 256 seqs, by their seqs; a message that is gone leaves a hole until its chunk is
//! packed or empty.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::by_queue::ByQueue;

/// A record in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Location {
    pub(crate) segment: u32,
    pub(crate) offset: u32,
    /// Of the whole record.
    pub(crate) bytes: u32,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    /// The last eight bits of the seq.
    low: u8,
    /// Of how many queues the message is, 255 for more.
    pub(super) fan: u8,
    pub(super) deliveries: u16,
    pub(super) at: Location,
}

impl Slot {
    pub(super) fn new(at: Location, fan: u16, deliveries: u16) -> Self {
        Slot { low: 0, fan: fan.clamp(1, 255) as u8, deliveries, at }
    }

    /// This place's part of what the record takes.
    pub(super) fn share(&self) -> u64 {
        u64::from(self.at.bytes / u32::from(self.fan))
    }

    fn is_hole(&self) -> bool {
        self.at.bytes == 0
    }
}

/// The messages of 256 seqs, ascending.
#[derive(Debug, Default)]
struct Chunk {
    live: u16,
    slots: Vec<Slot>,
}

impl Chunk {
    fn position(&self, low: u8) -> Result<usize, usize> {
        match self.slots.last() {
            Some(last) if last.low < low => Err(self.slots.len()),
            _ => self.slots.binary_search_by_key(&low, |slot| slot.low),
        }
    }

    fn insert(&mut self, slot: Slot) -> Option<Slot> {
        match self.position(slot.low) {
            Ok(n) => {
                let old = std::mem::replace(&mut self.slots[n], slot);
                self.live += u16::from(old.is_hole());
                Some(old).filter(|old| !old.is_hole())
            }
            Err(n) => {
                self.slots.insert(n, slot);
                self.live += 1;
                None
            }
        }
    }

    /// Makes holes of these.
    fn remove(&mut self, first: u8, last: u8, gone: &mut impl FnMut(u8, Slot)) {
        let start = self.slots.partition_point(|slot| slot.low < first);
        for slot in self.slots[start..].iter_mut().take_while(|slot| slot.low <= last).filter(|slot| !slot.is_hole()) {
            gone(slot.low, *slot);
            slot.at.bytes = 0;
            self.live -= 1;
        }
        if self.slots.len() > 16 && usize::from(self.live) < self.slots.len() / 4 {
            self.slots.retain(|slot| !slot.is_hole());
            self.slots.shrink_to_fit();
        }
    }
}

/// The messages of one queue.
#[derive(Debug, Default)]
pub(super) struct QueueIndex {
    chunks: BTreeMap<u64, Chunk>,
    pub(super) live: u64,
    /// True if a message with a time to live has ever been in it.
    pub(super) has_expiries: bool,
    /// The highest seq that was ever mentioned, live or not.
    pub(super) top: u64,
    /// No seq above it was acked, or given out, before it came.
    pub(super) early_top: u64,
}

impl QueueIndex {
    /// The lowest number for the next arrival.
    pub(super) fn next_seq(&self) -> u64 {
        self.top.saturating_add(1)
    }

    /// Gives back what stood there, if it is the same message in another place.
    pub(super) fn insert(&mut self, seq: u64, mut slot: Slot) -> Option<Slot> {
        slot.low = seq as u8;
        let number = seq >> 8;
        let chunk = match self.chunks.last_entry() {
            Some(last) if *last.key() == number => last.into_mut(),
            _ => self.chunks.entry(number).or_default(),
        };
        let old = chunk.insert(slot);
        self.live += u64::from(old.is_none());
        old
    }

    pub(super) fn get(&self, seq: u64) -> Option<&Slot> {
        let chunk = self.chunks.get(&(seq >> 8))?;
        chunk.position(seq as u8).ok().map(|n| &chunk.slots[n]).filter(|slot| !slot.is_hole())
    }

    /// Removes what is there of a range, ascending.
    pub(super) fn remove(&mut self, seqs: &RangeInclusive<u64>, mut gone: impl FnMut(u64, Slot)) {
        let (first, last) = (*seqs.start(), *seqs.end());
        let mut from = first >> 8;
        // One chunk at a time, since those that are empty go.
        while from <= last >> 8
            && let Some((&number, chunk)) = self.chunks.range_mut(from..=last >> 8).next()
        {
            let base = number << 8;
            let (low, high) = (first.max(base) as u8, last.min(base | 255) as u8);
            let before = chunk.live;
            chunk.remove(low, high, &mut |low, slot| gone(base | u64::from(low), slot));
            self.live -= u64::from(before - chunk.live);
            if chunk.live == 0 {
                self.chunks.remove(&number);
            }
            from = number + 1;
        }
    }

    /// Those of a range, ascending.
    pub(super) fn range(&self, seqs: RangeInclusive<u64>) -> impl Iterator<Item = (u64, &Slot)> {
        let chunks = self.chunks.range(seqs.start() >> 8..=seqs.end() >> 8);
        let all = chunks.flat_map(|(number, chunk)| {
            let base = number << 8;
            chunk.slots.iter().filter(|slot| !slot.is_hole()).map(move |slot| (base | u64::from(slot.low), slot))
        });
        let (first, last) = seqs.into_inner();
        all.skip_while(move |(seq, _)| *seq < first).take_while(move |(seq, _)| *seq <= last)
    }

    /// Notes that those of a range have been given out so often, and hands out where they are.
    pub(super) fn mark(&mut self, seqs: &RangeInclusive<u64>, deliveries: u16, mut seen: impl FnMut(Location)) {
        for (number, chunk) in self.chunks.range_mut(seqs.start() >> 8..=seqs.end() >> 8) {
            let base = number << 8;
            for slot in chunk.slots.iter_mut().filter(|slot| !slot.is_hole()) {
                if seqs.contains(&(base | u64::from(slot.low))) {
                    slot.deliveries = slot.deliveries.max(deliveries);
                    seen(slot.at);
                }
            }
        }
    }
}

/// The messages of all queues.
pub(super) type Index = ByQueue<QueueIndex>;

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(offset: u32) -> Slot {
        Slot::new(Location { segment: 1, offset, bytes: 10 }, 1, 0)
    }

    fn seqs(queue: &QueueIndex, range: RangeInclusive<u64>) -> Vec<u64> {
        queue.range(range).map(|(seq, _)| seq).collect()
    }

    #[test]
    fn a_slot_takes_16_bytes() {
        assert_eq!(size_of::<Slot>(), 16);
    }

    #[test]
    fn what_is_removed_is_gone_and_the_rest_stands_in_order() {
        let mut queue = QueueIndex::default();
        for seq in [5, 3, 300, 4, 255, 256, 1 << 40] {
            assert!(queue.insert(seq, slot(seq as u32)).is_none());
        }
        assert_eq!(seqs(&queue, 0..=u64::MAX), [3, 4, 5, 255, 256, 300, 1 << 40]);
        let mut gone = vec![];
        queue.remove(&(4..=256), |seq, _| gone.push(seq));
        assert_eq!(gone, [4, 5, 255, 256]);
        assert_eq!((queue.live, seqs(&queue, 0..=300), queue.get(5).is_none()), (3, vec![3, 300], true));
        queue.remove(&(0..=u64::MAX), |_, _| {});
        assert!(queue.chunks.is_empty() && queue.live == 0);
    }

    #[test]
    fn a_message_that_moved_is_there_once() {
        let mut queue = QueueIndex::default();
        queue.insert(7, slot(1));
        assert_eq!(queue.insert(7, slot(2)).map(|old| old.at.offset), Some(1));
        assert_eq!((queue.live, queue.get(7).map(|slot| slot.at.offset)), (1, Some(2)));
    }

    #[test]
    fn few_of_many_take_little_room() {
        let mut queue = QueueIndex::default();
        for seq in 0..256 {
            queue.insert(seq, slot(1));
        }
        queue.remove(&(1..=254), |_, _| {});
        assert_eq!(seqs(&queue, 0..=u64::MAX), [0, 255]);
        assert!(queue.chunks[&0].slots.capacity() < 8);
    }
}
