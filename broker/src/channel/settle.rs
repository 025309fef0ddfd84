//! What becomes of deliveries: ack, nack, reject, recover. And what a turn leaves to its end: telling the queues what was
//! settled, and the client what was published.

use std::collections::HashMap;
use std::sync::Arc;

use leveret_spec::basic;

use super::{Channel, Link};
use crate::failure::{Failure, Hard, Soft};
use crate::queue::{Entry, Queue};

/// Messages that go back to where they came from, by source, with the number of those that were unsettled.
pub(super) type Returning = HashMap<u32, (Vec<Entry>, usize)>;

fn unknown_tag(tag: u64) -> Soft {
    Soft::precondition_failed(format!("unknown delivery tag {tag}"))
}

impl Channel {
    #[inline]
    pub(super) fn ack(&mut self, m: basic::Ack, link: &mut Link) -> Result<(), Soft> {
        if m.multiple {
            let taken = self.unacked.take_through(m.delivery_tag).ok_or_else(|| unknown_tag(m.delivery_tag))?;
            for (source, _entry) in taken {
                settled(&mut self.sources, source);
            }
        } else {
            let (source, _entry) = self.unacked.take(m.delivery_tag).ok_or_else(|| unknown_tag(m.delivery_tag))?;
            settled(&mut self.sources, source);
        }
        self.waits_for_end_of_turn(link);
        Ok(())
    }

    pub(super) fn nack(&mut self, tag: u64, multiple: bool, requeue: bool, link: &mut Link) -> Result<(), Soft> {
        if !requeue {
            return self.ack(basic::Ack { delivery_tag: tag, multiple }, link);
        }
        let mut returning = Returning::new();
        if multiple {
            let taken = self.unacked.take_through(tag).ok_or_else(|| unknown_tag(tag))?;
            taken.for_each(|(source, entry)| give_back(&mut returning, source, entry));
        } else {
            let (source, entry) = self.unacked.take(tag).ok_or_else(|| unknown_tag(tag))?;
            give_back(&mut returning, source, entry);
        }
        self.requeue(returning, link);
        Ok(())
    }

    /// Gives everything back that is unsettled (section 1.8.3.16); other consumers may get it.
    pub(super) fn recover(&mut self, requeue: bool, link: &mut Link) -> Result<(), Failure> {
        if !requeue {
            return Err(Hard::not_implemented("requeue=false").into());
        }
        Ok(self.nack(0, true, true, link)?)
    }

    fn requeue(&mut self, returning: Returning, link: &mut Link) {
        for (number, (entries, unsettled)) in returning {
            let Some(source) = self.sources.of_mut(number) else { continue };
            source.unsettled = source.unsettled.saturating_sub(unsettled as u32);
            self.shared.release(unsettled);
            source.queue.requeue(source.key, entries, unsettled, &mut link.wakes);
            self.sources.forget_if_idle(number);
        }
        if self.shared.is_limited() {
            self.resume_consumers(link);
        }
    }

    /// Everything that was given to this channel and is not settled, on the wire or still in the mailbox.
    pub(super) fn take_everything(&mut self, link: &mut Link) -> Returning {
        let mut returning = Returning::new();
        if let Some(all) = self.unacked.take_through(0) {
            all.for_each(|(source, entry)| give_back(&mut returning, source, entry));
        }
        for delivery in link.mailbox.withdraw(self.number, None) {
            let owed = self.sources.of_mut(delivery.source).is_some_and(|s| !s.no_ack);
            let (entries, unsettled) = returning.entry(delivery.source).or_default();
            *unsettled += usize::from(owed);
            entries.push(delivery.entry);
        }
        returning
    }

    /// Ends all consumers in their queues; the auto-delete queues that lost their last one.
    pub(super) fn unsubscribe_all(&mut self) -> Vec<Arc<Queue>> {
        let mut abandoned = vec![];
        for (_, source) in self.sources.iter_mut() {
            if let Some(key) = source.key.take()
                && source.queue.unsubscribe(key)
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

    /// Tells the queues what was settled, and confirms what was published, all at once.
    pub(crate) fn end_turn(&mut self, link: &mut Link) {
        self.unsettled = false;
        let mut released = 0;
        let mut settled = std::mem::take(&mut self.sources.settled);
        for number in settled.drain(..) {
            let Some(source) = self.sources.of_mut(number) else { continue };
            let count = std::mem::take(&mut source.settled) as usize;
            source.queue.settle(source.key, count, &mut link.wakes);
            released += count;
            self.sources.forget_if_idle(number);
        }
        self.sources.settled = settled;
        if released > 0 {
            self.shared.release(released);
            if self.shared.is_limited() {
                self.resume_consumers(link);
            }
        }
        if let Some(confirms) = &mut self.confirms
            && confirms.confirmed < confirms.published
        {
            let multiple = confirms.published - confirms.confirmed > 1;
            confirms.confirmed = confirms.published;
            let delivery_tag = confirms.published;
            self.reply(link, &basic::Ack { delivery_tag, multiple });
        }
    }
}

/// Notes that a message of a source was settled.
#[inline]
fn settled(sources: &mut super::sources::Sources, number: u32) {
    let Some(source) = sources.of_mut(number) else { return };
    source.unsettled = source.unsettled.saturating_sub(1);
    source.settled += 1;
    if source.settled == 1 {
        sources.settled.push(number);
    }
}

fn give_back(returning: &mut Returning, source: u32, mut entry: Entry) {
    entry.mark_delivered();
    let (entries, unsettled) = returning.entry(source).or_default();
    entries.push(entry);
    *unsettled += 1;
}
