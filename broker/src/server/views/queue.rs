//! A queue as it is at the moment.

use std::fmt;
use std::sync::Arc;

use leveret_spec::Table;

use super::{MessageView, Shared};
use crate::queue::Queue;

/// A queue of a running broker. It shows what is in the queue at each call.
#[derive(Clone)]
pub struct QueueView {
    queue: Arc<Queue>,
    shared: Arc<Shared>,
}

/// What is in a queue at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueFigures {
    /// Messages that wait.
    pub ready: usize,
    /// Messages that consumers and getters hold and have not settled.
    pub unacked: usize,
    /// Consumers.
    pub consumers: usize,
    /// What the bodies of the messages that wait take, in bytes.
    pub ready_bytes: usize,
}

impl QueueView {
    pub(super) fn of(queue: Arc<Queue>, shared: &Arc<Shared>) -> Self {
        QueueView { queue, shared: shared.clone() }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.queue.name
    }

    /// Messages that wait.
    pub fn ready(&self) -> usize {
        self.queue.figures().ready
    }

    /// Messages that consumers and getters hold and have not settled.
    pub fn unacked(&self) -> usize {
        self.queue.figures().unacked
    }

    /// Its consumers.
    pub fn consumers(&self) -> usize {
        self.queue.figures().consumers
    }

    /// True if nothing waits and nothing is unsettled.
    pub fn is_empty(&self) -> bool {
        let figures = self.queue.figures();
        figures.ready == 0 && figures.unacked == 0
    }

    /// True once the queue is deleted, even if there is another one of its name.
    pub fn is_deleted(&self) -> bool {
        self.queue.is_deleted()
    }

    /// All figures at the same moment.
    pub fn figures(&self) -> QueueFigures {
        let figures = self.queue.figures();
        QueueFigures {
            ready: figures.ready,
            unacked: figures.unacked,
            consumers: figures.consumers,
            ready_bytes: figures.body_bytes,
        }
    }

    /// The messages that would be delivered next, at most so many. They stay where they are, and are not marked as delivered.
    pub fn peek(&self, most: usize) -> Vec<MessageView> {
        let entries = self.queue.peek(most, self.shared.now());
        entries.into_iter().map(|entry| MessageView::of(entry.message.clone(), entry.redelivered())).collect()
    }

    /// What it was declared with.
    pub fn arguments(&self) -> Table<'_> {
        self.queue.declaration.arguments.as_table()
    }

    /// It survives a restart, if the broker has a directory.
    pub fn is_durable(&self) -> bool {
        self.queue.declaration.durable
    }

    /// It belongs to one connection and ends with it.
    pub fn is_exclusive(&self) -> bool {
        self.queue.declaration.owner.is_some()
    }

    /// It ends with its last consumer.
    pub fn is_auto_delete(&self) -> bool {
        self.queue.declaration.auto_delete
    }
}

impl fmt::Debug for QueueView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueueView").field("name", &self.name()).field("figures", &self.figures()).finish()
    }
}
