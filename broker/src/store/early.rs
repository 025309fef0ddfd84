//! Acks, and notes of deliveries, that came before their message.
//!
//! A consumer on another core may have got or acked a message before the publisher's turn has handed in its batch. What it says
//! is kept through the segment that it came in and some further ones; the message must come by then.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::RangeInclusive;

use super::by_queue::ByQueue;
use super::record::QueueId;

/// For each queue the ranges by their first seq: their last one.
type Ranges = ByQueue<BTreeMap<u64, u64>>;

/// Segments through which an ack is kept.
const SEGMENTS: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Early {
    /// What came in each of the last segments, the newest first. It is empty if nothing waits.
    segments: VecDeque<Ranges>,
    /// The same of deliveries: how many there were of each message.
    delivered: VecDeque<HashMap<(QueueId, u64), u16>>,
}

impl Early {
    pub(super) fn insert(&mut self, queue: QueueId, seqs: RangeInclusive<u64>) {
        if self.segments.is_empty() {
            self.segments.push_front(Ranges::default());
        }
        if let Some(newest) = self.segments.front_mut() {
            add(newest.entry(queue).or_default(), seqs);
        }
    }

    /// True if this message was acked already.
    pub(super) fn has(&self, queue: QueueId, seq: u64) -> bool {
        self.segments.iter().any(|ranges| {
            let before = ranges.get(&queue).and_then(|ranges| ranges.range(..=seq).next_back());
            before.is_some_and(|(_, last)| seq <= *last)
        })
    }

    /// Notes how often a message has been given out that is not there yet.
    pub(super) fn deliver(&mut self, queue: QueueId, seq: u64, deliveries: u16) {
        if self.delivered.is_empty() {
            self.delivered.push_front(HashMap::new());
        }
        if let Some(newest) = self.delivered.front_mut() {
            newest.insert((queue, seq), deliveries);
        }
    }

    /// How often a message that comes now has been given out already.
    #[inline]
    pub(super) fn take_deliveries(&mut self, queue: QueueId, seq: u64) -> u16 {
        let of_segments = self.delivered.iter_mut().filter_map(|of_segment| of_segment.remove(&(queue, seq)));
        of_segments.max().unwrap_or(0)
    }

    pub(super) fn forget(&mut self, queue: QueueId) {
        for ranges in &mut self.segments {
            ranges.remove(&queue);
        }
    }

    pub(super) fn grow_old(&mut self) {
        self.segments.push_front(Ranges::default());
        self.segments.truncate(SEGMENTS);
        if self.segments.iter().all(Ranges::is_empty) {
            self.segments.clear();
        }
        self.delivered.push_front(HashMap::new());
        self.delivered.truncate(SEGMENTS);
        if self.delivered.iter().all(HashMap::is_empty) {
            self.delivered.clear();
        }
    }
}

/// Adds a range to others, which never touch each other.
pub(super) fn add(ranges: &mut BTreeMap<u64, u64>, seqs: RangeInclusive<u64>) {
    let (mut first, mut last) = seqs.into_inner();
    // Mostly they ascend.
    match ranges.last_entry() {
        Some(mut top) if *top.key() <= first && first <= top.get().saturating_add(1) => {
            *top.get_mut() = last.max(*top.get());
            return;
        }
        Some(top) if first > *top.get() => {
            ranges.insert(first, last);
            return;
        }
        _ => {}
    }
    while let Some((&start, &end)) = ranges.range(..=last.saturating_add(1)).next_back() {
        if end.saturating_add(1) < first {
            break;
        }
        ranges.remove(&start);
        (first, last) = (first.min(start), last.max(end));
    }
    ranges.insert(first, last);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_early_ack_waits_through_some_segments() {
        let (q, mut early) = (QueueId(1), Early::default());
        early.insert(q, 5..=7);
        early.insert(q, 8..=8);
        assert_eq!([4, 5, 8, 9].map(|seq| early.has(q, seq)), [false, true, true, false]);
        for _ in 1..SEGMENTS {
            early.grow_old();
            assert!(early.has(q, 6));
        }
        early.grow_old();
        assert!(!early.has(q, 6));
    }

    #[test]
    fn ranges_that_touch_become_one() {
        let mut ranges = BTreeMap::new();
        for range in [5..=6, 1..=2, 9..=9, 3..=4, 20..=30, 7..=25, 0..=0] {
            add(&mut ranges, range);
        }
        assert_eq!(ranges.into_iter().collect::<Vec<_>>(), [(0, 30)]);
    }
}
