//! The records of one turn, which are all there after a crash or none of them.

use std::ops::RangeInclusive;

use super::record::{self, QueueId, Ref};
use crate::message::Message;

/// Encoded where the turn happens; the writer only gathers.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(super) bytes: Vec<u8>,
    pub(super) records: u32,
    /// True if nothing in it is worth a sync of its own: it has no message.
    pub(super) can_wait: bool,
    scratch: Vec<u8>,
}

impl Batch {
    /// More than this does not fit into one batch, in bytes.
    pub(crate) const BYTES_MAX: usize = 1 << 30;

    pub(crate) fn new() -> Self {
        Batch { can_wait: true, ..Batch::default() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// What it takes in the log.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// A message that came to these queues; its body is written once.
    pub(crate) fn publish(&mut self, message: &Message, refs: &[Ref]) {
        self.publish_bytes(message.as_bytes(), refs);
    }

    pub(super) fn publish_bytes(&mut self, message: &[u8], refs: &[Ref]) {
        self.records += record::put_publish(&mut self.bytes, message, refs);
        self.can_wait = false;
    }

    /// Messages that are done with: acked, expired, dropped, purged or dead-lettered. Each range is of seqs in one piece;
    /// ranges may come in any order, and ascending ones that touch become one.
    pub(crate) fn ack(&mut self, queue: QueueId, seqs: impl IntoIterator<Item = RangeInclusive<u64>>) {
        let mut seqs = seqs.into_iter().peekable();
        if seqs.peek().is_some() {
            record::put_ack(&mut self.bytes, &mut self.scratch, queue, seqs);
            self.records += 1;
        }
    }

    /// A queue that has been deleted, with all that was in it and all that is still on the way to it.
    pub(crate) fn drop_queue(&mut self, queue: QueueId) {
        record::put_drop(&mut self.bytes, &mut self.scratch, queue);
        self.records += 1;
    }

    /// Messages that have been given out for the `deliveries`th time: a hint, which nobody waits for.
    pub(crate) fn delivered(
        &mut self,
        queue: QueueId,
        deliveries: u16,
        seqs: impl IntoIterator<Item = RangeInclusive<u64>>,
    ) {
        record::put_delivered(&mut self.bytes, &mut self.scratch, (queue, deliveries), seqs);
        self.records += 1;
    }
}
