//! Direct reply-to: a consumer of `amq.rabbitmq.reply-to` gets answers without a queue of its own. Requests that name it leave
//! with a name that nobody can guess instead, and answers to that name on the default exchange reach the consumer.
//!
//! Behind each such name is an ordinary queue that lives as long as its consumer and is in no list.

use std::sync::Arc;

use super::Vhost;
use crate::queue::{Declaration, Queue, Settings};
use crate::time::Moment;

/// The name to consume from, and to put into requests.
pub(crate) const REPLY_TO: &str = "amq.rabbitmq.reply-to";
/// What the names that are given out begin with.
pub(crate) const REPLY_PREFIX: &str = "amq.rabbitmq.reply-to.";

/// True for a name that direct reply-to has given out, or could have.
pub(crate) fn is_reply_name(name: &[u8]) -> bool {
    name.starts_with(REPLY_PREFIX.as_bytes())
}

impl Vhost {
    /// A place for one consumer's answers, under a name of `REPLY_PREFIX` and something that cannot be guessed.
    pub(crate) fn open_reply_queue(&self, name: &str, now: Moment) -> Arc<Queue> {
        let name: Arc<str> = name.into();
        let declaration = Declaration { auto_delete: true, ..Declaration::default() };
        let timers = self.timers.clone();
        let queue = Queue::new(name.clone(), self.name.clone(), declaration, Settings::default(), timers, now, None);
        self.replies.insert(name, queue.clone());
        self.topology_changed();
        queue
    }

    /// The place that a name stands for, while its consumer is there.
    pub(crate) fn reply_queue(&self, name: &str) -> Option<Arc<Queue>> {
        self.replies.get(name).map(|queue| queue.value().clone())
    }
}
