//! What happens in one go: the time it happens at, and what it leaves to be done once no lock is held.

use std::collections::VecDeque;
use std::sync::Arc;

use super::dead_letter::DeadLetter;
use super::mailbox::Mailbox;
use super::records::Records;
use crate::store::Ticket;
use crate::time::Moment;

/// A turn of a connection or of the timers.
#[derive(Default)]
pub(crate) struct Turn {
    /// What every step of it takes for the present.
    pub(crate) now: Moment,
    /// Messages that have to be published anew, in the order of their deaths.
    pub(crate) dead: VecDeque<DeadLetter>,
    wakes: Vec<Arc<Mailbox>>,
    /// For the message store, if there is anything.
    pub(super) records: Option<Box<Records>>,
    pub(super) kept: Ticket,
}

impl Turn {
    /// A turn at that moment.
    pub(crate) fn at(now: Moment) -> Self {
        Turn { now, ..Turn::default() }
    }

    /// Notes a connection that has something to do.
    #[inline]
    pub(super) fn wake_later(&mut self, mailbox: Arc<Mailbox>) {
        self.wakes.push(mailbox);
    }

    /// Hands in what there is for the message store, and wakes the connections that have something to do.
    pub(crate) fn finish(&mut self) {
        self.hand_in();
        for mailbox in self.wakes.drain(..) {
            mailbox.wake();
        }
    }
}
