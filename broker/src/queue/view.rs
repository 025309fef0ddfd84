//! What can be seen of a queue from outside, and changes nothing in it.

use super::{ConsumerKey, Entry, Queue};
use crate::time::Moment;

/// What there is in a queue.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Figures {
    pub(crate) ready: usize,
    pub(crate) unacked: usize,
    pub(crate) consumers: usize,
    /// What the ready messages take.
    pub(crate) bytes: usize,
    /// What their bodies take.
    pub(crate) body_bytes: usize,
}

impl Queue {
    /// Ready messages and consumers, those out of credit included.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let state = self.state.lock();
        (state.ready.len(), state.consumers.len())
    }

    /// What there is in it.
    pub(crate) fn figures(&self) -> Figures {
        let state = self.state.lock();
        Figures {
            ready: state.ready.len(),
            unacked: state.unacked,
            consumers: state.consumers.len(),
            bytes: state.ready.bytes(),
            body_bytes: state.ready.body_bytes(),
        }
    }

    /// True if a consumer is served: with x-single-active-consumer only one of them is.
    pub(crate) fn is_served(&self, key: ConsumerKey) -> bool {
        self.state.lock().consumers.is_served(key)
    }

    /// The first messages that would be given out at `now`, at most so many. They stay where they are.
    pub(crate) fn peek(&self, most: usize, now: Moment) -> Vec<Entry> {
        self.state.lock().ready.peek(most, now)
    }

    /// True once it is deleted.
    pub(crate) fn is_deleted(&self) -> bool {
        self.state.lock().deleted
    }
}
