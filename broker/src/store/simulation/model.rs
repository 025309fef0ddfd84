//! What a store should have: plain maps.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use super::super::{Batch, QueueId, Ref};
use crate::message::Message;

/// One record of a batch.
#[derive(Clone, Debug)]
pub(in super::super) enum Op {
    Publish(Vec<u8>, Vec<Ref>),
    Ack(QueueId, Vec<RangeInclusive<u64>>),
    Drop(QueueId),
    Delivered(QueueId, u16, RangeInclusive<u64>),
}

impl Op {
    pub(in super::super) fn put(&self, batch: &mut Batch) {
        match self {
            Op::Publish(body, refs) => batch.publish(&Message::from_wire(body), refs),
            Op::Ack(queue, ranges) => batch.ack(*queue, ranges.iter().cloned()),
            Op::Drop(queue) => batch.drop_queue(*queue),
            Op::Delivered(queue, deliveries, range) => batch.delivered(*queue, *deliveries, [range.clone()]),
        }
    }
}

#[derive(Clone, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) body: Vec<u8>,
    pub(super) expires_at_ms: u64,
    pub(super) deliveries: u16,
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let crc = crc32c::crc32c(&self.body);
        write!(f, "{} bytes {crc:08x} expires {} deliveries {}", self.body.len(), self.expires_at_ms, self.deliveries)
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    pub(super) queues: BTreeMap<QueueId, BTreeMap<u64, Held>>,
    early: BTreeSet<(QueueId, u64)>,
    dropped: BTreeSet<QueueId>,
}

impl Model {
    pub(super) fn apply(&mut self, ops: &[Op]) {
        for op in ops {
            match op {
                Op::Publish(body, refs) => refs.iter().for_each(|r| self.publish(body, r)),
                Op::Ack(queue, ranges) => {
                    for seq in ranges.iter().cloned().flatten() {
                        if self.queues.entry(*queue).or_default().remove(&seq).is_none() {
                            self.early.insert((*queue, seq));
                        }
                    }
                }
                Op::Drop(queue) => {
                    self.queues.remove(queue);
                    self.dropped.insert(*queue);
                }
                Op::Delivered(queue, deliveries, range) => {
                    for (_, held) in self.queues.entry(*queue).or_default().range_mut(range.clone()) {
                        held.deliveries = held.deliveries.max(*deliveries);
                    }
                }
            }
        }
    }

    fn publish(&mut self, body: &[u8], r: &Ref) {
        if !self.dropped.contains(&r.queue) && !self.early.remove(&(r.queue, r.seq)) {
            let held = Held { body: body.to_vec(), expires_at_ms: r.expires_at_ms, deliveries: r.deliveries };
            self.queues.entry(r.queue).or_default().insert(r.seq, held);
        }
    }

    /// After a restart nobody is left who could still send what was acked early.
    pub(super) fn restart(&mut self) {
        self.early.clear();
    }

    /// The first difference from what a store has.
    pub(super) fn difference(&self, found: &BTreeMap<QueueId, BTreeMap<u64, Held>>) -> Option<String> {
        let empty = BTreeMap::new();
        let queues: BTreeSet<_> = self.queues.keys().chain(found.keys()).collect();
        for id in queues {
            let (ours, theirs) = (self.queues.get(id).unwrap_or(&empty), found.get(id).unwrap_or(&empty));
            let seqs: BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
            for seq in seqs {
                if ours.get(seq) != theirs.get(seq) {
                    let (ours, theirs) = (ours.get(seq), theirs.get(seq));
                    return Some(format!("queue {} seq {seq}: should be {ours:?}, is {theirs:?}", id.0));
                }
            }
        }
        None
    }
}
