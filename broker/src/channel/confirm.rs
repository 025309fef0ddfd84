//! Class confirm: the broker tells the publisher, by the number of its publish, that a message is its own now.

use leveret_spec::{basic, confirm};

use super::{Channel, Link, unimplemented_method};
use crate::failure::{Failure, Soft};

/// Confirm mode.
#[derive(Default)]
pub(super) struct Confirms {
    /// Publishes since confirm.select.
    published: u64,
    /// The last one that the client has been told of.
    told: u64,
    /// Those after it that were refused, in ascending order.
    refused: Vec<u64>,
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

    /// Confirms everything up to the last publish: one ack for each run of taken ones, a nack for each refused one.
    pub(super) fn put_confirms(&mut self, link: &mut Link) {
        let Some(confirms) = &mut self.confirms else { return };
        for delivery_tag in std::mem::take(&mut confirms.refused) {
            put_acks(&mut confirms.told, delivery_tag - 1, self.number, link);
            confirms.told = delivery_tag;
            // The requeue bit means nothing here; RabbitMQ sends it set.
            link.out.put_method(self.number, &basic::Nack { delivery_tag, multiple: false, requeue: true });
        }
        put_acks(&mut confirms.told, confirms.published, self.number, link);
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
