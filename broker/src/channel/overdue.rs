//! Consumer timeouts (off unless asked for): a consumer that keeps a delivery longer than its queue allows is cancelled, and
//! what it holds goes back to the queue. RabbitMQ up to 4.2 closes the channel instead.
//!
//! No delivery has a time of its own. A mark remembers which delivery tag came next at a moment, and eight of them span the
//! time allowed, so that a delivery is overdue after that time and an eighth to a quarter more.

use std::collections::VecDeque;
use std::time::Duration;

use leveret_spec::{ShortStr, basic};

use super::{Channel, Link};
use crate::queue::Returning;
use crate::time::Moment;

/// Marks that span the time allowed.
const MARKS: u32 = 8;

/// How long a consumer's deliveries may stay unsettled.
pub(super) struct Overdue {
    after: Duration,
    marks: VecDeque<Mark>,
    /// When the next mark is due.
    next: Moment,
}

struct Mark {
    /// Deliveries below this tag were made before `at`.
    tag: u64,
    at: Moment,
}

impl Overdue {
    pub(super) fn new(after: Duration, now: Moment) -> Self {
        Overdue { after, marks: VecDeque::new(), next: now + after / MARKS }
    }

    /// Sets a mark if one is due, in front of the delivery `next_tag`. The tag below which deliveries are overdue.
    fn mark(&mut self, next_tag: u64, now: Moment) -> Option<u64> {
        if self.next > now {
            return None;
        }
        self.next = now + self.after / MARKS;
        self.marks.push_back(Mark { tag: next_tag, at: now });
        let mut overdue = None;
        while let Some(mark) = self.marks.pop_front_if(|mark| mark.at + self.after <= now) {
            overdue = Some(mark.tag);
        }
        overdue
    }
}

impl Channel {
    /// Watches over a new consumer's deliveries, if its queue or the broker limits their time.
    pub(super) fn watch(&mut self, number: u32, link: &mut Link) {
        let Some(source) = self.sources.of_mut(number).filter(|source| !source.no_ack) else { return };
        let allowed = source.queue.consumer_timeout().or(link.node.limits.consumer_timeout);
        if let Some(after) = allowed.filter(|after| !after.is_zero()) {
            let overdue = Overdue::new(after, link.turn.now);
            link.look_at(overdue.next);
            source.overdue = Some(Box::new(overdue));
        }
    }

    /// Cancels the consumers that have kept a delivery too long.
    pub(crate) fn cancel_overdue(&mut self, link: &mut Link) {
        let mut late = vec![];
        for (number, source) in self.sources.iter_mut() {
            if source.key.is_none() {
                source.overdue = None;
            }
            let Some(overdue) = &mut source.overdue else { continue };
            let before = overdue.mark(self.delivery_tag + 1, link.turn.now);
            if before.is_some_and(|tag| self.unacked.has_before(tag, number)) {
                late.push(number);
            } else {
                link.look_at(overdue.next);
            }
        }
        for number in late {
            self.take_back(number, link);
        }
    }

    /// Cancels a consumer and gives everything that it holds back to its queue.
    fn take_back(&mut self, number: u32, link: &mut Link) {
        let Some(source) = self.sources.of_mut(number) else { return };
        let Some(key) = source.key.take() else { return };
        let queue = source.queue.clone();
        let abandoned = queue.unsubscribe(key, link.turn.now);
        let held = self.unacked.take_back(number);
        source.unsettled = source.unsettled.saturating_sub(held.len() as u32);
        let undelivered: Vec<_> =
            link.mailbox.withdraw(self.number, Some(number)).into_iter().map(|delivery| delivery.entry).collect();
        self.shared.release(held.len() + undelivered.len());
        tracing::warn!(peer = %link.client.peer, channel = self.number, queue = &*queue.name, unsettled = held.len(),
            "a consumer kept a delivery too long and is cancelled");
        self.tell_cancelled(number, link);
        let returning = Returning { settled: undelivered.len(), delivered: held, undelivered };
        queue.requeue(None, returning, &mut link.turn);
        self.sources.forget_if_idle(number);
        self.store_unacked();
        if abandoned {
            link.delete_if_unused(&queue);
        }
        if self.shared.is_limited() {
            self.resume_consumers(link);
        }
    }

    /// Forgets the tag of a consumer that is no more, and tells the client if it can hear of it.
    pub(super) fn tell_cancelled(&mut self, number: u32, link: &mut Link) {
        let found = self.consumers.iter().find(|&(_, &n)| n == number).map(|(tag, _)| tag.clone());
        let Some(tag) = found else { return };
        self.consumers.remove(&tag);
        self.figures.remove_consumer(&tag);
        if link.client.consumer_cancel_notify {
            self.reply(link, &basic::Cancel { consumer_tag: ShortStr::cut(&tag), no_wait: true });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_is_overdue_after_its_time_and_little_more() {
        let at = |ms| Moment::after_start(Duration::from_millis(ms));
        let mut overdue = Overdue::new(Duration::from_millis(800), at(0));
        // The delivery 1 is made at 150 ms, 2 at 450 ms.
        let next_tag = |ms| 1 + u64::from(ms >= 150) + u64::from(ms >= 450);
        let found: Vec<_> =
            (0..20).map(|n| n * 100).filter_map(|ms| Some((ms, overdue.mark(next_tag(ms), at(ms))?))).collect();
        assert_eq!(found.iter().find(|(_, tag)| *tag > 1), Some(&(1000, 2)));
        assert_eq!(found.iter().find(|(_, tag)| *tag > 2), Some(&(1300, 3)));
        assert!(overdue.marks.len() <= MARKS as usize + 1);
    }
}
