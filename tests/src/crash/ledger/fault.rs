//! What the broker has done wrong.

use std::fmt;

use crate::crash::content::Id;
use crate::crash::layout::Queue;

/// A kind of wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A message is not there that has to be.
    Lost,
    /// A message is there twice, or was given out twice at a time.
    Doubled,
    /// A message is not what was published.
    Altered,
    /// Messages of one publisher changed places, or a queue's messages did between two listings.
    Reordered,
    /// A message is there that was done with.
    Back,
    /// A transaction was carried out in part.
    Half,
    /// A message that was received before does not say so.
    Unmarked,
    /// Messages say they were delivered before that cannot have been.
    Marked,
    /// A publish was refused, or a connection or channel closed.
    Refused,
    /// A queue says it has more or fewer messages than it can have.
    Miscounted,
    /// Something that was declared is not there, or something is that nobody published.
    Topology,
    /// The broker did not start, ended by itself, or panicked.
    Process,
}

/// Something that the broker has done wrong.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) kind: Kind,
    pub(crate) cycle: u32,
    pub(crate) id: Option<Id>,
    pub(crate) queue: Option<Queue>,
    /// What was expected, what was found, and what is known.
    pub(crate) text: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cycle {}: {:?}", self.cycle, self.kind)?;
        if let Some(id) = self.id {
            write!(f, ", message {id}")?;
        }
        if let Some(queue) = self.queue {
            write!(f, ", queue {}", queue.name())?;
        }
        write!(f, ": {}", self.text)
    }
}
