//! What becomes of deliveries.

use leveret_spec::{basic, frame};

/// One of the methods that settle deliveries, without its delivery tag.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Settlement {
    Ack { multiple: bool },
    Nack { multiple: bool, requeue: bool },
    Reject { requeue: bool },
}

impl Settlement {
    /// True if it settles everything up to its tag.
    pub(super) fn is_multiple(self) -> bool {
        matches!(self, Settlement::Ack { multiple: true } | Settlement::Nack { multiple: true, .. })
    }

    /// Appends the method, with the tag as the broker counts.
    pub(super) fn encode(self, out: &mut Vec<u8>, channel: u16, delivery_tag: u64) {
        match self {
            Settlement::Ack { multiple } => frame::put_method(out, channel, &basic::Ack { delivery_tag, multiple }),
            Settlement::Nack { multiple, requeue } => {
                frame::put_method(out, channel, &basic::Nack { delivery_tag, multiple, requeue });
            }
            Settlement::Reject { requeue } => {
                frame::put_method(out, channel, &basic::Reject { delivery_tag, requeue });
            }
        }
    }
}
