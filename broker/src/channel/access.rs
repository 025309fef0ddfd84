//! Class access: obsolete tickets, which old clients still ask for.

use leveret_spec::access;

use super::{Channel, Link, unimplemented_method};
use crate::failure::Failure;

impl Channel {
    pub(super) fn handle_access(&mut self, method: access::Method<'_>, link: &mut Link) -> Result<(), Failure> {
        match method {
            access::Method::Request(_) => {
                self.reply(link, &access::RequestOk { ticket: 1 });
                Ok(())
            }
            access::Method::RequestOk(_) => Err(unimplemented_method()),
        }
    }
}
