//! Publishes that a test looks at: it may have them refused, and see what they were.

use std::sync::Arc;

use super::Link;
use crate::message::Message;
use crate::queue::Queue;

/// Records a publish for those who want to see it. True if it is refused: then it goes nowhere, and its publisher hears of it
/// as from a queue that is full.
#[cold]
pub(super) fn is_refused(message: &Message, queues: &[Arc<Queue>], link: &Link) -> bool {
    let refused = link.node.switches.take_refusal();
    let reached = queues.iter().filter(|_| !refused).map(|queue| queue.name.clone());
    link.node.recordings.take(&link.vhost.name, message, reached);
    refused
}
