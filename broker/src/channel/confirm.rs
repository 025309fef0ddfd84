//! Class confirm: publisher confirms. Class tx: transactions, which are not there yet.

use leveret_spec::{confirm, tx};

use super::{Channel, Confirms, Link, unimplemented_method};
use crate::failure::{Failure, Hard};

impl Channel {
    pub(super) fn handle_confirm(&mut self, method: confirm::Method, link: &mut Link) -> Result<(), Failure> {
        match method {
            confirm::Method::Select(select) => {
                self.confirms.get_or_insert_with(Confirms::default);
                if !select.no_wait {
                    self.reply(link, &confirm::SelectOk {});
                }
                Ok(())
            }
            confirm::Method::SelectOk(_) => Err(unimplemented_method()),
        }
    }

    pub(super) fn handle_tx(&mut self, method: tx::Method) -> Result<(), Failure> {
        match method {
            tx::Method::Select(_) | tx::Method::Commit(_) | tx::Method::Rollback(_) => {
                Err(Hard::not_implemented("transactions").into())
            }
            _ => Err(unimplemented_method()),
        }
    }
}
