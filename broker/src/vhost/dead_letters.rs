//! Dead letters: from the queue that a message died in to the queues behind its dead-letter exchange.

use std::sync::Arc;

use super::Vhost;
use crate::queue::{Accepted, Mailbox, Turn};

impl Vhost {
    /// Publishes the dead letters of a turn, and those that come of it, until there are none. The queues they go to never
    /// make anybody pause for them. `epoch_s` is the broker's start in seconds since 1970.
    pub(crate) fn publish_dead_letters(&self, turn: &mut Turn, epoch_s: u64) {
        let nobody: Arc<Mailbox> = Arc::default();
        while let Some(dead) = turn.dead.pop_front() {
            let reborn = dead.reborn(epoch_s + turn.now.since_start().as_secs());
            let message = reborn.message;
            let (exchange, key) = crate::message::split_address(message.address());
            // A dead-letter exchange need not exist; its messages are dropped then.
            let Ok(routed) = self.route_internally(&exchange, &key, &message) else { continue };
            for queue in routed.queues {
                if reborn.forbidden.iter().any(|name| **name == *queue.name.as_bytes()) {
                    tracing::debug!(queue = &*queue.name, "dead letter dropped: it would go round for ever");
                    continue;
                }
                let accepted = queue.publish(&mut vec![message.clone()], &nobody, turn);
                if accepted == Accepted::Refused {
                    tracing::debug!(queue = &*queue.name, "dead letter refused by a full queue");
                }
            }
        }
    }
}
