//! A durable queue's side of the message store.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::ready::{Entry, Mark};
use crate::message::Message;
use crate::store::{MessageStore, QueueId, Ref, Seqs, Stored};
use crate::time::Moment;

/// What a message's record has about besides the body, in bytes, where nobody has looked yet.
pub(super) const OVERHEAD_BYTES: usize = 80;

/// Where a queue's persistent messages are kept.
pub(crate) struct Log {
    /// The queue's number there.
    pub(crate) queue: QueueId,
    pub(crate) store: Arc<dyn MessageStore>,
    /// The broker's start, in milliseconds since 1970.
    pub(crate) epoch_ms: u64,
    /// A quorum queue keeps every message, and tells how often it was delivered in vain (x-delivery-count).
    pub(crate) quorum: bool,
}

impl Log {
    /// True for a message that has to survive a restart.
    #[inline]
    pub(super) fn keeps(&self, message: &Message) -> bool {
        self.quorum || message.has_properties() && message.properties().delivery_mode() == Some(2)
    }

    /// A message's place in the store.
    pub(super) fn place(&self, seq: u64, expires: Moment) -> Ref {
        let expires_at_ms = match expires {
            Moment::NEVER => u64::MAX,
            moment => self.epoch_ms.saturating_add(moment.since_start().as_micros().div_ceil(1000) as u64),
        };
        Ref { queue: self.queue, seq, expires_at_ms, deliveries: 0 }
    }

    fn expiry(&self, expires_at_ms: u64) -> Moment {
        match expires_at_ms {
            u64::MAX => Moment::NEVER,
            ms => Moment::after_start(Duration::from_millis(ms.saturating_sub(self.epoch_ms))),
        }
    }

    /// True if all of these can be read back.
    pub(super) fn has(&self, seqs: &Seqs) -> bool {
        self.store.has(self.queue, seqs)
    }

    /// Messages that the store alone has, in the order of their arrivals. If they cannot be read, the store has failed and
    /// there are none.
    pub(super) fn fetch(&self, seqs: &Seqs) -> VecDeque<Entry> {
        let failed = match self.store.fetch(self.queue, seqs) {
            Ok(stored) if stored.len() == seqs.len() => return stored.into_iter().map(|one| self.entry(one)).collect(),
            Ok(stored) => format!("the message store has {} of {} messages of a queue", stored.len(), seqs.len()),
            Err(error) => error.to_string(),
        };
        self.store.fail(failed);
        VecDeque::new()
    }

    fn entry(&self, stored: Stored) -> Entry {
        let Stored { seq, expires_at_ms, deliveries, message } = stored;
        let mark = Mark::restored(seq, deliveries, self.expiry(expires_at_ms));
        let counted = self.quorum && deliveries > 0;
        let message = if counted { message.with_delivery_count(deliveries) } else { message };
        Entry { message, mark }
    }
}
