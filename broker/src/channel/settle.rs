//! What becomes of deliveries: ack, nack, reject, recover. And what a turn leaves to its end: telling the queues what was
//! settled, and the client what was published.

use std::collections::HashMap;
use std::sync::Arc;

use leveret_spec::basic;

use super::sources::Sources;
use super::unacked::Held;
use super::{Channel, Link};
use crate::failure::{Failure, Hard, Soft};
use crate::queue::{Queue, Returning};

/// What a client wants to become of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is done with.
    Acknowledged,
    /// It is not wanted: to the dead letters, if the queue has any.
    Rejected,
    /// It goes back to its place.
    Requeued,
}

fn unknown_tag(tag: u64) -> Soft {
    Soft::precondition_failed(format!("unknown delivery tag {tag}"))
}

impl Channel {
    #[inline]
    pub(super) fn ack(&mut self, m: basic::Ack, link: &mut Link) -> Result<(), Soft> {
        if self.transaction.is_some() {
            return self.judge(m.delivery_tag, m.multiple, Verdict::Acknowledged, link);
        }
        let Some(tag) = self.unacked.meant(m.delivery_tag, m.multiple) else { return Ok(()) };
        if m.multiple {
            let taken = self.unacked.take_through(tag).ok_or_else(|| unknown_tag(tag))?;
            for held in taken {
                settled(&mut self.sources, held.source, held.entry.stored());
            }
        } else {
            let held = self.unacked.take(tag).ok_or_else(|| unknown_tag(tag))?;
            settled(&mut self.sources, held.source, held.entry.stored());
        }
        self.waits_for_end_of_turn(link);
        Ok(())
    }

    /// A verdict on one delivery, or on all up to it; in a transaction it waits for the commit.
    pub(super) fn judge(&mut self, tag: u64, multiple: bool, verdict: Verdict, link: &mut Link) -> Result<(), Soft> {
        let Some(tag) = self.unacked.meant(tag, multiple) else { return Ok(()) };
        let held: Vec<Held> = if multiple {
            self.unacked.take_through(tag).ok_or_else(|| unknown_tag(tag))?.collect()
        } else {
            vec![self.unacked.take(tag).ok_or_else(|| unknown_tag(tag))?]
        };
        match &mut self.transaction {
            Some(transaction) => transaction.judge(held, verdict),
            None => self.carry_out(held, verdict, link),
        }
        Ok(())
    }

    /// Does with deliveries what the client wants.
    pub(super) fn carry_out(&mut self, held: Vec<Held>, verdict: Verdict, link: &mut Link) {
        match verdict {
            Verdict::Acknowledged => {
                held.iter().for_each(|h| settled(&mut self.sources, h.source, h.entry.stored()));
                self.waits_for_end_of_turn(link);
            }
            Verdict::Rejected => self.reject(held, link),
            Verdict::Requeued => self.requeue(held, link),
        }
    }

    fn reject(&mut self, held: Vec<Held>, link: &mut Link) {
        // The oldest first, each to its own queue, so that dead letters keep their order.
        for held in held {
            // What becomes of it, in the message store too, is the queue's to say.
            settled(&mut self.sources, held.source, None);
            if let Some(source) = self.sources.of_mut(held.source) {
                source.queue.reject(vec![held.entry], &mut link.turn);
            }
        }
        self.waits_for_end_of_turn(link);
    }

    fn requeue(&mut self, held: Vec<Held>, link: &mut Link) {
        for (number, returning) in by_source(held) {
            let Some(source) = self.sources.of_mut(number) else { continue };
            let count = returning.delivered.len();
            source.unsettled = source.unsettled.saturating_sub(count as u32);
            if source.is_consumer() {
                self.shared.release(count);
            }
            source.queue.requeue(source.key, returning, &mut link.turn);
            self.sources.forget_if_idle(number);
        }
        self.store_unacked();
        if self.shared.is_limited() {
            self.resume_consumers(link);
        }
    }

    /// Gives everything back that is unsettled (section 1.8.3.16); other consumers may get it.
    pub(super) fn recover(&mut self, requeue: bool, link: &mut Link) -> Result<(), Failure> {
        if !requeue {
            return Err(Hard::not_implemented("requeue=false").into());
        }
        let held: Vec<Held> = self.unacked.take_through(0).into_iter().flatten().collect();
        self.requeue(held, link);
        Ok(())
    }

    /// Everything that was given to this channel and is not settled, by source: on the wire, judged in a transaction that
    /// never ends, or still in the mailbox.
    pub(super) fn take_everything(&mut self, link: &mut Link) -> HashMap<u32, Returning> {
        let mut held: Vec<Held> = self.unacked.take_through(0).into_iter().flatten().collect();
        held.extend(self.transaction.take().into_iter().flat_map(|transaction| transaction.into_held()));
        let mut returning = by_source(held);
        for delivery in link.mailbox.withdraw(self.number, None) {
            let owed = self.sources.of_mut(delivery.source).is_some_and(|s| !s.no_ack);
            let back = returning.entry(delivery.source).or_default();
            back.settled += usize::from(owed);
            back.undelivered.push(delivery.entry);
        }
        returning
    }

    /// Ends all consumers in their queues; the auto-delete queues that lost their last one.
    pub(super) fn unsubscribe_all(&mut self, link: &Link) -> Vec<Arc<Queue>> {
        let mut abandoned = vec![];
        for (_, source) in self.sources.iter_mut() {
            if let Some(key) = source.key.take()
                && source.queue.unsubscribe(key, link.turn.now)
            {
                abandoned.push(source.queue.clone());
            }
        }
        abandoned
    }

    #[inline]
    pub(super) fn waits_for_end_of_turn(&mut self, link: &mut Link) {
        if !std::mem::replace(&mut self.unsettled, true) {
            link.unsettled.push(self.number);
        }
    }

    /// Tells the queues what was settled, all at once.
    pub(crate) fn end_turn(&mut self, link: &mut Link) {
        self.unsettled = false;
        let mut released = 0;
        let mut settled = std::mem::take(&mut self.sources.settled);
        for number in settled.drain(..) {
            let Some(source) = self.sources.of_mut(number) else { continue };
            let count = source.tell_queue(&mut link.turn);
            released += if source.is_consumer() { count } else { 0 };
            self.sources.forget_if_idle(number);
        }
        self.sources.settled = settled;
        if released > 0 {
            self.shared.release(released);
            if self.shared.is_limited() {
                self.resume_consumers(link);
            }
        }
        self.store_unacked();
    }
}

/// Notes that a delivery was settled, and which one the message store may forget.
#[inline]
fn settled(sources: &mut Sources, number: u32, done: Option<u64>) {
    if sources.of_mut(number).is_some_and(|source| source.settle(done)) {
        sources.settled.push(number);
    }
}

/// Deliveries on their way back, by where they came from.
fn by_source(held: Vec<Held>) -> HashMap<u32, Returning> {
    let mut returning = HashMap::<u32, Returning>::new();
    for Held { source, entry, .. } in held {
        returning.entry(source).or_default().delivered.push(entry);
    }
    returning
}
