//! What becomes of deliveries. The program's numbers of them go on over all connections; the broker counts from 1 on each.

use std::sync::atomic::Ordering;

use leveret_spec::method::MethodFrame;
use leveret_spec::{basic, frame};

use super::core::{ChannelCore, ChannelState, Phase};
use crate::connection::Shared;
use crate::consumer::Subscription;
use crate::error::{Error, Result};

/// One of the methods that settle deliveries, without its delivery tag.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Settlement {
    Ack { multiple: bool },
    Nack { multiple: bool, requeue: bool },
    Reject { requeue: bool },
}

impl Settlement {
    /// True if it settles everything up to its tag.
    pub(super) fn is_multiple(self) -> bool {
        matches!(self, Settlement::Ack { multiple: true } | Settlement::Nack { multiple: true, .. })
    }

    /// Appends the method, with the tag as the broker counts.
    pub(super) fn encode(self, out: &mut Vec<u8>, channel: u16, delivery_tag: u64) {
        match self {
            Settlement::Ack { multiple } => frame::put_method(out, channel, &basic::Ack { delivery_tag, multiple }),
            Settlement::Nack { multiple, requeue } => {
                frame::put_method(out, channel, &basic::Nack { delivery_tag, multiple, requeue });
            }
            Settlement::Reject { requeue } => {
                frame::put_method(out, channel, &basic::Reject { delivery_tag, requeue });
            }
        }
    }
}

/// After how many losses of the connection somebody wanted to settle everything; none if it was lost at that moment. What
/// comes over a later connection is not meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Everything(Option<u64>);

impl ChannelCore {
    /// What the program's numbers of deliveries are above the broker's.
    pub(crate) fn tag_base(&self) -> u64 {
        self.tag_base.load(Ordering::Relaxed)
    }

    /// Notes a delivery before anybody gets it.
    pub(crate) fn note_delivered(&self, tag: u64) {
        self.delivered_up_to.fetch_max(tag, Ordering::Relaxed);
    }

    /// What number 0, which is everything that was delivered, means just now: see `Everything`.
    pub(crate) fn everything(&self) -> Everything {
        let state = self.state();
        Everything((state.phase == Phase::Live).then_some(state.losses))
    }

    /// Sends a settlement of a delivery, or of all up to it, unless the outbox is full. Deliveries of a connection that
    /// is lost are back in their queues: nothing is left to settle.
    pub(crate) fn try_settle(
        &self,
        shared: &Shared,
        tag: u64,
        (settlement, everything): (Settlement, Option<Everything>),
    ) -> Result<Option<()>> {
        let mut state = self.state();
        state.check_open()?;
        let base = self.tag_base();
        let stale = match everything {
            Some(Everything(losses)) => state.phase == Phase::Down || losses != Some(state.losses),
            None => tag <= base,
        };
        if stale {
            return Ok(Some(()));
        }
        if state.phase != Phase::Live {
            return Ok(None);
        }
        shared.append(|outbox| {
            if outbox.is_full() {
                return Ok(None);
            }
            settlement.encode(&mut outbox.bytes, self.id, tag.saturating_sub(base));
            match tag {
                _ if !settlement.is_multiple() => {}
                0 => self.mark_all_settled(&mut state),
                tag => state.settled_up_to = state.settled_up_to.max(tag),
            }
            Ok(Some(()))
        })
    }

    /// What was delivered so far is settled.
    pub(super) fn mark_all_settled(&self, state: &mut ChannelState) {
        state.settled_up_to = state.settled_up_to.max(self.delivered_up_to.load(Ordering::Relaxed));
    }

    /// Fails if the broker has sent a consumer far more than its prefetch: what is not read would pile up for ever.
    pub(crate) fn check_prefetch(&self, subscription: &Subscription) -> Result<()> {
        let state = self.state();
        let (unread_max, settled_up_to) = (subscription.unread_max.load(Ordering::Relaxed), state.settled_up_to);
        drop(state);
        // Those that were settled unread made room for others.
        if subscription.mailbox.count(|delivered| delivered.tag > settled_up_to) <= unread_max {
            return Ok(());
        }
        Err(Error::Protocol(format!("more deliveries for consumer '{}' than its prefetch allows", subscription.tag)))
    }

    /// Gives deliveries back that nobody will read. A closed channel has given them back already, and settling one a
    /// second time would make the broker close the channel.
    pub(crate) fn requeue(&self, shared: &Shared, tags: impl Iterator<Item = u64>) {
        let state = self.state();
        // What comes before the answer to basic.recover was sent before the broker recovered it.
        if state.end.is_some() || state.waiting.iter().any(|waiting| waiting.row == basic::Recover::ROW) {
            return;
        }
        let base = self.tag_base();
        let tags = tags.filter(|&tag| tag > state.settled_up_to).map(|tag| tag.saturating_sub(base));
        let nack = |delivery_tag| basic::Nack { delivery_tag, multiple: false, requeue: true };
        // The connection may be closed, which requeues them too.
        let _ = shared.append(|outbox| {
            outbox.answer(|bytes| tags.for_each(|tag| frame::put_method(bytes, self.id, &nack(tag))));
            Ok(())
        });
    }
}
