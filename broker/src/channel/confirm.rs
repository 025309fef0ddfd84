//! Class confirm: the broker tells the publisher, by the number of its publish, that a message is its own now.

use std::collections::VecDeque;

use leveret_spec::{basic, confirm};

use super::{Channel, Link, unimplemented_method};
use crate::failure::{Failure, Soft};
use crate::store::Ticket;

/// Confirm mode.
#[derive(Default)]
pub(super) struct Confirms {
    /// Publishes since confirm.select.
    published: u64,
    /// The last one that the client has been told of.
    told: u64,
    /// Those after it that were refused, in ascending order.
    refused: Vec<u64>,
    /// What waits for the message store, in the order of the publishes.
    waiting: VecDeque<Waiting>,
}

/// Publishes that can be confirmed when a batch stays.
struct Waiting {
    ticket: Ticket,
    /// The last of them.
    through: u64,
}

impl Channel {
    pub(super) fn handle_confirm(&mut self, method: confirm::Method, link: &mut Link) -> Result<(), Failure> {
        match method {
            confirm::Method::Select(_) if self.transaction.is_some() => {
                Err(Soft::precondition_failed("cannot switch from tx to confirm mode").into())
            }
            confirm::Method::Select(select) => {
                self.confirms.get_or_insert_default();
                if !select.no_wait {
                    self.reply(link, &confirm::SelectOk {});
                }
                Ok(())
            }
            confirm::Method::SelectOk(_) => Err(unimplemented_method()),
        }
    }

    /// A publish was taken, or refused by a queue; the client hears of it at the end of the turn.
    #[inline]
    pub(super) fn count_publish(&mut self, refused: bool, link: &mut Link) {
        if let Some(confirms) = &mut self.confirms {
            confirms.published += 1;
            if refused {
                confirms.refused.push(confirms.published);
            }
            self.waits_for_end_of_turn(link);
        }
    }

    /// Confirms what was published: at once, or when the message store has all of it that must survive.
    pub(crate) fn confirm(&mut self, link: &mut Link) {
        let (kept, durable) = (link.turn.kept(), link.durable());
        let Some(confirms) = &mut self.confirms else { return };
        if confirms.waiting.is_empty() && kept <= durable {
            confirms.put(confirms.published, self.number, link);
            return;
        }
        if confirms.waiting.is_empty() {
            link.confirming.push(self.number);
        }
        confirms.wait_for(kept);
    }

    /// Confirms what stays by now; true if more is to come.
    pub(crate) fn confirm_durable(&mut self, link: &mut Link) -> bool {
        let durable = link.durable();
        let Some(confirms) = &mut self.confirms else { return false };
        let mut through = confirms.told;
        while let Some(waiting) = confirms.waiting.pop_front_if(|waiting| waiting.ticket <= durable) {
            through = waiting.through;
        }
        let is_waiting = !confirms.waiting.is_empty();
        confirms.put(through, self.number, link);
        is_waiting
    }

    /// The message store has failed: what waits for it is refused.
    pub(crate) fn refuse_waiting(&mut self, link: &mut Link) {
        let Some(confirms) = &mut self.confirms else { return };
        confirms.waiting.clear();
        confirms.refused = (confirms.told + 1..=confirms.published).collect();
        confirms.put(confirms.published, self.number, link);
    }
}

impl Confirms {
    /// Confirms everything up to a publish: one ack for each run of taken ones, a nack for each refused one.
    fn put(&mut self, through: u64, channel: u16, link: &mut Link) {
        let refused = self.refused.partition_point(|&tag| tag <= through);
        for delivery_tag in self.refused.drain(..refused) {
            put_acks(&mut self.told, delivery_tag - 1, channel, link);
            self.told = delivery_tag;
            // The requeue bit means nothing here; RabbitMQ sends it set.
            link.out.put_method(channel, &basic::Nack { delivery_tag, multiple: false, requeue: true });
        }
        put_acks(&mut self.told, through, channel, link);
    }

    /// What was published so far is confirmed when that batch stays.
    fn wait_for(&mut self, ticket: Ticket) {
        match self.waiting.back_mut() {
            Some(last) if last.ticket == ticket => last.through = self.published,
            _ => self.waiting.push_back(Waiting { ticket, through: self.published }),
        }
    }
}

/// One ack for all publishes from the one after `told` to `through`.
fn put_acks(told: &mut u64, through: u64, channel: u16, link: &mut Link) {
    if *told < through {
        let multiple = through - *told > 1;
        link.out.put_method(channel, &basic::Ack { delivery_tag: through, multiple });
        *told = through;
    }
}
