//! What a call changes when the broker has agreed to it.

use super::{Binding, Destination, Exchange, Queue, Topology};
use crate::channel::Reply;

/// See the file's head.
#[derive(Debug)]
pub(crate) enum Change {
    DeclareExchange(Exchange),
    DeleteExchange(Box<str>),
    DeclareQueue(Queue),
    DeleteQueue(Box<str>),
    Bind(Binding),
    Unbind(Binding),
}

impl Change {
    /// Fills in the queue that an empty name means.
    pub(crate) fn name_queue(&mut self, last_queue: &str) {
        let name = match self {
            Change::DeleteQueue(name) => name,
            Change::Bind(Binding { destination: Destination::Queue(name), .. }) => name,
            Change::Unbind(Binding { destination: Destination::Queue(name), .. }) => name,
            _ => return,
        };
        if name.is_empty() {
            *name = last_queue.into();
        }
    }
}

impl Topology {
    /// Notes what the broker has agreed to.
    pub(crate) fn apply(&mut self, change: Change, reply: &Reply) {
        match change {
            Change::DeclareExchange(exchange) => drop(self.exchanges.insert(exchange.name.clone(), exchange)),
            Change::DeleteExchange(name) => self.forget_exchange(&name),
            Change::DeclareQueue(mut queue) => {
                if let Reply::Queue(status) = reply {
                    queue.name = status.name.as_str().into();
                    self.add_queue(queue);
                }
            }
            Change::DeleteQueue(name) => self.forget_queue(&name),
            Change::Bind(binding) => self.add_binding(binding),
            Change::Unbind(binding) => self.forget_binding(&binding),
        }
    }
}
