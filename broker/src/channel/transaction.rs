//! Class tx: publishes and acknowledgements that wait for tx.commit. On commit the publishes go first, then the
//! acknowledgements; other queues and clients may see one before the other (RabbitMQ promises no more).

use leveret_spec::tx;

use super::publish::Publish;
use super::settle::Verdict;
use super::unacked::Held;
use super::{Channel, Link, unimplemented_method};
use crate::failure::{Failure, Soft};

/// What one transaction may publish, in bytes: all of it goes to the disk at once.
const BYTES_MAX: u64 = 512 << 20;

/// What waits for the commit.
#[derive(Default)]
pub(super) struct Transaction {
    publishes: Vec<Publish>,
    /// What they take, in bytes.
    bytes: u64,
    verdicts: Vec<(Verdict, Vec<Held>)>,
}

impl Transaction {
    /// Refuses a publish of so many bytes if there are as many as there may be.
    pub(super) fn check_room(&self, most: Option<usize>, bytes: u64) -> Result<(), Soft> {
        let too_many =
            |bound: String| Err(Soft::precondition_failed(format!("transaction has reached the maximum of {bound}")));
        match most {
            Some(most) if self.publishes.len() >= most => too_many(format!("{most} uncommitted publishes")),
            _ if self.bytes > 0 && self.bytes + bytes > BYTES_MAX => too_many(format!("{BYTES_MAX} uncommitted bytes")),
            _ => Ok(()),
        }
    }

    /// Holds a publish back.
    pub(super) fn publish(&mut self, publish: Publish) {
        self.bytes += publish.message.size() as u64;
        self.publishes.push(publish);
    }

    pub(super) fn judge(&mut self, held: Vec<Held>, verdict: Verdict) {
        self.verdicts.push((verdict, held));
    }

    /// The deliveries that were judged.
    pub(super) fn into_held(self) -> impl Iterator<Item = Held> {
        self.verdicts.into_iter().flat_map(|(_, held)| held)
    }
}

impl Channel {
    pub(super) fn handle_tx(&mut self, method: tx::Method, link: &mut Link) -> Result<(), Failure> {
        match method {
            tx::Method::Select(_) => {
                if self.confirms.is_some() {
                    return Err(Soft::precondition_failed("cannot switch from confirm to tx mode").into());
                }
                self.transaction.get_or_insert_default();
                self.reply(link, &tx::SelectOk {});
            }
            tx::Method::Commit(_) => {
                let transaction = self.end_transaction()?;
                self.commit(transaction, link)?;
                link.hold();
                self.reply(link, &tx::CommitOk {});
            }
            tx::Method::Rollback(_) => {
                let transaction = self.end_transaction()?;
                self.unacked.restore(transaction.into_held());
                self.reply(link, &tx::RollbackOk {});
            }
            _ => return Err(unimplemented_method()),
        }
        Ok(())
    }

    /// What has been held back; the next transaction begins.
    fn end_transaction(&mut self) -> Result<Transaction, Soft> {
        let transaction = self.transaction.as_deref_mut().map(std::mem::take);
        transaction.ok_or_else(|| Soft::precondition_failed("channel is not transactional"))
    }

    fn commit(&mut self, transaction: Transaction, link: &mut Link) -> Result<(), Failure> {
        let mut refused = false;
        for publish in transaction.publishes {
            refused |= self.release(publish, link);
        }
        link.settle_publishes();
        for (verdict, held) in transaction.verdicts {
            self.carry_out(held, verdict, link);
        }
        self.end_turn(link);
        if refused {
            return Err(Soft::precondition_failed("partial tx completion").into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_transaction_publishes_is_bounded() {
        let refusal = |bytes, most, size| {
            let refused = Transaction { bytes, ..Transaction::default() }.check_room(most, size);
            refused.err().map(|soft| soft.to_string()).unwrap_or_default()
        };
        assert_eq!(refusal(BYTES_MAX - 1, None, 1), "");
        assert!(refusal(BYTES_MAX - 1, None, 2).ends_with("maximum of 536870912 uncommitted bytes"));
        assert_eq!(refusal(0, None, BYTES_MAX + 1), "", "one message is bounded elsewhere");
        assert!(refusal(0, Some(0), 1).ends_with("maximum of 0 uncommitted publishes"));
    }
}
