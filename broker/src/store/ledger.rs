//! What is live where: the messages of each queue, and for each segment what keeps it.
//!
//! A segment goes when nothing in it matters any more. What matters:
//!
//! - a message that is live and whose place is here;
//! - an ack (or drop) of a message of which another segment still has a copy: without it the copy would come back.
//!   `holds` has the segments whose copies are acked here;
//! - a message that was moved here out of a segment that is still there: `moved_from`. That one goes first.
//!
//! It is the same after recovery, because records are applied in the order of the log then as now.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

use parking_lot::Condvar;

use super::by_queue::{ByQueue, QueueSet};
use super::defect::{Defect, Sabotage};
use super::disk::DiskFile;
use super::early::Early;
use super::index::{Index, Location, Slot};
use super::record::{Publish, QueueId, Record};

/// A segment as the ledger knows it.
pub(super) struct Segment {
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) bytes: u64,
    /// Live places whose message is here.
    pub(super) live: u64,
    pub(super) live_bytes: u64,
    pub(super) is_sealed: bool,
    /// What mattered in it stands elsewhere, durably.
    pub(super) is_evacuated: bool,
    /// Some of its messages have been moved already.
    pub(super) is_partly_moved: bool,
    /// There are bad blocks in it, which somebody has decided to do without.
    pub(super) is_damaged: bool,
    holds: BTreeSet<u32>,
    moved_from: BTreeSet<u32>,
    /// For each queue the lowest and the highest seq that was written here.
    spans: ByQueue<(u64, u64)>,
}

impl Segment {
    pub(super) fn new(file: Arc<dyn DiskFile>, bytes: u64) -> Self {
        Segment {
            file,
            bytes,
            live: 0,
            live_bytes: 0,
            is_sealed: false,
            is_evacuated: false,
            is_partly_moved: false,
            is_damaged: false,
            holds: BTreeSet::new(),
            moved_from: BTreeSet::new(),
            spans: ByQueue::default(),
        }
    }

    /// A message with this place is written here.
    fn mention(&mut self, queue: QueueId, seq: u64) {
        let (low, high) = self.spans.entry(queue).or_insert((seq, seq));
        (*low, *high) = ((*low).min(seq), (*high).max(seq));
    }

    fn may_have(&self, queue: QueueId, seqs: &RangeInclusive<u64>) -> bool {
        self.spans.get(&queue).is_some_and(|(low, high)| seqs.start() <= high && seqs.end() >= low)
    }

    fn removed(&mut self, slot: &Slot) {
        self.live -= 1;
        self.live_bytes = self.live_bytes.saturating_sub(slot.share());
    }
}

#[derive(Default)]
pub(super) struct Ledger {
    pub(super) index: Index,
    pub(super) segments: BTreeMap<u32, Segment>,
    /// The queues that were dropped.
    dropped: QueueSet,
    early: Early,
    /// Messages of the block that is being applied which were acked before. They need an ack in the same block, since the
    /// segment with the early one may have gone.
    pub(super) dead_on_arrival: Vec<(QueueId, u64)>,
    /// The same of those that had been given out before, and how often.
    pub(super) delivered_on_arrival: Vec<(QueueId, u64, u16)>,
    pub(super) sabotage: Sabotage,
    /// Nothing is freed while somebody copies the segments.
    pub(super) pins: u32,
    /// The segment that is written to, and the offset up to which it stays.
    pub(super) stays_to: (u32, u64),
    /// Rings when that moves.
    pub(super) stays: Arc<Condvar>,
}

impl Ledger {
    pub(super) fn new(sabotage: Sabotage) -> Self {
        Ledger { sabotage, ..Ledger::default() }
    }

    /// Applies a block's records; false if they are not what the header said. `known` are the queues whose records count.
    pub(super) fn apply_block(
        &mut self,
        (segment, offset): (u32, u64),
        records: &[u8],
        count: u32,
        known: &dyn Fn(QueueId) -> bool,
    ) -> bool {
        let mut rest = records;
        for _ in 0..count {
            let before = rest.len();
            let Some(record) = Record::take(&mut rest) else { return false };
            let at = Location {
                segment,
                offset: (offset as usize + records.len() - before) as u32,
                bytes: (before - rest.len()) as u32,
            };
            self.apply(record, at, known);
        }
        rest.is_empty()
    }

    fn apply(&mut self, record: Record<'_>, at: Location, known: &dyn Fn(QueueId) -> bool) {
        match record {
            Record::Publish(publish) => self.publish(publish, at, known),
            Record::Ack { queue, .. } | Record::Delivered { queue, .. } if self.is_dropped(queue) => {}
            Record::Ack { queue, ranges } if known(queue) => {
                ranges.for_each(|range| self.ack(queue, range, at.segment))
            }
            Record::Drop { queue } if known(queue) => self.drop_queue(queue, at.segment),
            Record::Delivered { queue, deliveries, ranges } if known(queue) => {
                ranges.for_each(|range| self.delivered(queue, deliveries, &range, at.segment));
            }
            Record::Ack { .. } | Record::Drop { .. } | Record::Delivered { .. } => {}
        }
    }

    fn publish(&mut self, publish: Publish<'_>, at: Location, known: &dyn Fn(QueueId) -> bool) {
        for r in publish.refs() {
            let Some(segment) = self.segments.get_mut(&at.segment) else { return };
            // One that is in the index is known, and not dropped.
            let queue = match self.index.get_mut(&r.queue) {
                Some(queue) => queue,
                None if !known(r.queue) => continue,
                None if self.dropped.contains(&r.queue) => {
                    segment.mention(r.queue, r.seq);
                    continue;
                }
                None => self.index.entry(r.queue).or_default(),
            };
            segment.mention(r.queue, r.seq);
            queue.top = queue.top.max(r.seq);
            queue.has_expiries |= r.expires_at_ms != u64::MAX;
            let mut before = 0;
            if r.seq <= queue.early_top {
                if self.early.has(r.queue, r.seq) {
                    self.dead_on_arrival.push((r.queue, r.seq));
                    continue;
                }
                before = self.early.take_deliveries(r.queue, r.seq);
            }
            if before > r.deliveries {
                self.delivered_on_arrival.push((r.queue, r.seq, before));
            }
            let slot = Slot::new(at, publish.refs, r.deliveries.max(before));
            segment.live += 1;
            segment.live_bytes += slot.share();
            if let Some(old) = queue.insert(r.seq, slot) {
                self.moved(&old, at.segment);
            }
        }
    }

    /// A message that was at `old` is in segment `to`.
    fn moved(&mut self, old: &Slot, to: u32) {
        if let Some(segment) = self.segments.get_mut(&old.at.segment) {
            segment.removed(old);
            segment.is_partly_moved = true;
        }
        if let Some(segment) = self.segments.get_mut(&to).filter(|_| old.at.segment != to) {
            segment.moved_from.insert(old.at.segment);
        }
    }

    fn ack(&mut self, id: QueueId, mut seqs: RangeInclusive<u64>, by: u32) {
        if self.sabotage.has(Defect::LastOfRangeNotAcked) && seqs.start() < seqs.end() {
            seqs = *seqs.start()..=*seqs.end() - 1;
        }
        let queue = self.index.entry(id).or_default();
        queue.top = queue.top.max(*seqs.end());
        let (mut next, last) = (Some(*seqs.start()), *seqs.end());
        let segments = &mut self.segments;
        let (mut absent, mut held) = (vec![], None);
        queue.remove(&seqs, |seq, slot| {
            absent.extend(next.filter(|next| *next < seq).map(|next| next..=seq - 1));
            next = seq.checked_add(1);
            if let Some(segment) = segments.get_mut(&slot.at.segment) {
                segment.removed(&slot);
            }
            if held.replace(slot.at.segment) != Some(slot.at.segment) {
                hold(segments, by, slot.at.segment);
            }
        });
        absent.extend(next.filter(|next| *next <= last).map(|next| next..=last));
        absent.into_iter().for_each(|seqs| self.ack_absent(id, seqs, by));
    }

    /// An ack of what is not live: it is not yet, or it stands here again because copies that it killed are still there.
    fn ack_absent(&mut self, id: QueueId, seqs: RangeInclusive<u64>, by: u32) {
        self.hold_copies(id, &seqs, by);
        if !self.sabotage.has(Defect::EarlyAcksForgotten) {
            if let Some(queue) = self.index.get_mut(&id) {
                queue.early_top = queue.early_top.max(*seqs.end());
            }
            self.early.insert(id, seqs);
        }
    }

    /// Holds all segments that may have a copy.
    fn hold_copies(&mut self, id: QueueId, seqs: &RangeInclusive<u64>, by: u32) {
        let Some(holder) = self.segments.get_mut(&by) else { return };
        let mut holds = std::mem::take(&mut holder.holds);
        for (&of, segment) in self.segments.iter().filter(|(of, _)| **of != by) {
            if !holds.contains(&of) && segment.may_have(id, seqs) {
                holds.insert(of);
            }
        }
        if let Some(holder) = self.segments.get_mut(&by) {
            holder.holds = holds;
        }
    }

    fn drop_queue(&mut self, id: QueueId, by: u32) {
        self.dropped.insert(id);
        self.early.forget(id);
        self.hold_copies(id, &(0..=u64::MAX), by);
        if let Some(mut queue) = self.index.remove(&id) {
            queue.remove(&(0..=u64::MAX), |_, slot| {
                if let Some(segment) = self.segments.get_mut(&slot.at.segment) {
                    segment.removed(&slot);
                }
            });
        }
    }

    fn delivered(&mut self, id: QueueId, deliveries: u16, seqs: &RangeInclusive<u64>, by: u32) {
        let queue = self.index.entry(id).or_default();
        queue.top = queue.top.max(*seqs.end());
        let segments = &mut self.segments;
        let mut marked = 0;
        queue.mark(seqs, deliveries, |at| {
            marked += 1;
            hold(segments, by, at.segment);
        });
        if marked == seqs.end() - seqs.start() + 1 {
            return;
        }
        queue.early_top = queue.early_top.max(*seqs.end());
        for seq in seqs.clone().filter(|seq| queue.get(*seq).is_none()) {
            self.early.deliver(id, seq, deliveries);
        }
    }

    /// Another segment begins: acks that have waited for their message through a whole one wait no longer.
    pub(super) fn begin(&mut self, number: u32, segment: Segment) {
        self.segments.insert(number, segment);
        self.early.grow_old();
    }

    /// Nobody who could still send a message that was acked already is left.
    pub(super) fn forget_early_acks(&mut self) {
        self.early = Early::default();
        self.dead_on_arrival.clear();
        self.delivered_on_arrival.clear();
    }

    /// The places of a record, which stands here, that are live here.
    pub(super) fn live_here(&self, publish: &Publish<'_>, at: Location) -> Vec<super::Ref> {
        let here = publish.refs().filter_map(|mut r| {
            let slot = self.index.get(&r.queue)?.get(r.seq)?;
            r.deliveries = r.deliveries.max(slot.deliveries);
            (slot.at == at).then_some(r)
        });
        here.collect()
    }

    /// True if a segment other than this one may have a copy of a message of that range.
    pub(super) fn is_elsewhere(&self, queue: QueueId, seqs: &RangeInclusive<u64>, here: u32) -> bool {
        self.segments.iter().any(|(number, segment)| *number != here && segment.may_have(queue, seqs))
    }

    pub(super) fn is_dropped(&self, queue: QueueId) -> bool {
        self.dropped.contains(&queue)
    }

    /// The segments that nothing matters in, but for `current`. None of them waits for another of them.
    pub(super) fn freeable(&self, current: u32) -> Vec<u32> {
        let all = self.segments.iter().filter(|(number, _)| **number != current && self.pins == 0);
        all.filter(|(_, segment)| self.is_free(segment)).map(|(number, _)| *number).collect()
    }

    fn is_free(&self, segment: &Segment) -> bool {
        let acks_kept = segment.is_evacuated
            || !self.any_left(&segment.holds)
            || self.sabotage.has(Defect::AcksFreedWithTheirSegment);
        let is_dead = segment.live == 0 || segment.is_evacuated && self.sabotage.has(Defect::MovedForOneQueueOnly);
        segment.is_sealed && is_dead && acks_kept && !self.any_left(&segment.moved_from)
    }

    /// The segment that should be evacuated next, if it is worth it: one that is dead but for its acks, one that was begun
    /// with, one that is damaged, or one that is mostly dead and was not left within the last `young` segments. The oldest comes
    /// first: each has its turn however many dead ones follow, and acks go soonest where the least stands before them.
    pub(super) fn worth_evacuating(&self, current: u32, young: u32) -> Option<u32> {
        let mut candidates = self.segments.iter().filter(|(number, segment)| {
            let waits = self.any_left(&segment.moved_from);
            let is_old = number.saturating_add(young) < current;
            let is_sparse = segment.live_bytes < segment.bytes / 4 && is_old;
            let is_wanted = segment.live == 0 || segment.is_partly_moved || segment.is_damaged || is_sparse;
            **number != current && segment.is_sealed && !segment.is_evacuated && !waits && is_wanted
        });
        candidates.next().map(|(number, _)| *number)
    }

    /// True if the disk is known to have what stands there.
    pub(super) fn is_durable(&self, at: Location) -> bool {
        (at.segment, u64::from(at.offset)) < self.stays_to
    }

    /// A block has been synced.
    pub(super) fn stays(&mut self, segment: u32, end: u64) {
        self.stays_to = (segment, end);
        self.stays.notify_all();
    }

    fn any_left(&self, segments: &BTreeSet<u32>) -> bool {
        segments.iter().any(|number| self.segments.contains_key(number))
    }

    /// Live places and the bytes that they take.
    pub(super) fn live(&self) -> (u64, u64) {
        self.segments.values().fold((0, 0), |(live, bytes), s| (live + s.live, bytes + s.live_bytes))
    }
}

fn hold(segments: &mut BTreeMap<u32, Segment>, by: u32, of: u32) {
    if by != of
        && let Some(segment) = segments.get_mut(&by)
    {
        segment.holds.insert(of);
    }
}
