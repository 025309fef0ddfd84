//! Queues: declare, bind, unbind, purge, delete.

use leveret_spec::queue;

use super::{Channel, QueueStatus, Reply, count, unexpected};
use crate::arguments::{Arguments, argument_methods, flags, short};
use crate::error::Result;
use crate::topology::{Binding, Change, Destination, Queue, Route};

/// A queue to declare.
#[derive(Clone, Debug, Default)]
#[must_use = "pass it to Channel::queue_declare"]
pub struct QueueDeclare<'a> {
    queue: &'a str,
    passive: bool,
    durable: bool,
    exclusive: bool,
    auto_delete: bool,
    arguments: Arguments,
}

impl<'a> QueueDeclare<'a> {
    /// A queue of this name. The broker makes a name up if it is empty.
    pub fn new(queue: &'a str) -> Self {
        QueueDeclare { queue, ..QueueDeclare::default() }
    }

    flags! {
        /// Only checks that the queue exists, whatever its settings are.
        passive
        /// The queue survives a restart of the broker.
        durable
        /// The queue is this connection's alone and goes with it.
        exclusive
        /// The queue goes with its last consumer.
        auto_delete
    }
    argument_methods!();

    fn change(&self, queue: &str) -> Result<Change> {
        let mut queue = Queue::new(queue, self.arguments.table()?.into());
        (queue.durable, queue.exclusive, queue.auto_delete) = (self.durable, self.exclusive, self.auto_delete);
        Ok(Change::DeclareQueue(queue))
    }
}

/// A binding of a queue to an exchange.
#[derive(Clone, Debug, Default)]
#[must_use = "pass it to Channel::queue_bind or queue_unbind"]
pub struct QueueBind<'a> {
    queue: &'a str,
    exchange: &'a str,
    routing_key: &'a str,
    arguments: Arguments,
}

impl<'a> QueueBind<'a> {
    /// Binds this queue to this exchange, with an empty routing key.
    pub fn new(queue: &'a str, exchange: &'a str) -> Self {
        QueueBind { queue, exchange, ..QueueBind::default() }
    }

    /// The routing key, or on a topic exchange the pattern.
    pub fn routing_key(mut self, routing_key: &'a str) -> Self {
        self.routing_key = routing_key;
        self
    }

    argument_methods!();

    fn binding(&self, queue: &str) -> Result<Binding> {
        let destination = Destination::Queue(queue.into());
        let (source, routing_key) = (self.exchange.into(), self.routing_key.into());
        let arguments = self.arguments.table()?.into();
        Ok(Binding { destination, route: Route { source, routing_key, arguments } })
    }
}

/// A queue to delete.
#[derive(Clone, Copy, Debug, Default)]
#[must_use = "pass it to Channel::queue_delete"]
pub struct QueueDelete<'a> {
    queue: &'a str,
    if_unused: bool,
    if_empty: bool,
}

impl<'a> QueueDelete<'a> {
    /// The queue of this name, whether or not it is in use.
    pub fn new(queue: &'a str) -> Self {
        QueueDelete { queue, ..QueueDelete::default() }
    }

    flags! {
        /// Fails with 406 if the queue has consumers.
        if_unused
        /// Fails with 406 if the queue has ready messages.
        if_empty
    }
}

impl Channel {
    /// Declares a queue: creates it, or checks that it exists with the same settings.
    ///
    /// # Errors
    /// The channel is closed with 406 if it exists with other settings, 405 if it is exclusive to another connection,
    /// 404 if it is asked for passively and does not exist, 403 for want of permission.
    pub async fn queue_declare(&self, declare: QueueDeclare<'_>) -> Result<QueueStatus> {
        let attempt = || {
            let queue = if declare.queue.is_empty() { "".into() } else { self.current_queue(declare.queue) };
            let method = queue::Declare {
                reserved: 0,
                queue: short("the queue's name", &queue)?,
                passive: declare.passive,
                durable: declare.durable,
                exclusive: declare.exclusive,
                auto_delete: declare.auto_delete,
                no_wait: false,
                arguments: declare.arguments.table()?,
            };
            let change = if declare.passive { None } else { self.shared().change(|| declare.change(&queue))? };
            self.core().try_call(self.shared(), &method, change)
        };
        match self.call_when_live(attempt).await? {
            Reply::Queue(status) => Ok(status),
            _ => Err(unexpected()),
        }
    }

    /// Binds a queue to an exchange. A binding that exists stays as it is.
    ///
    /// # Errors
    /// The channel is closed with 404 if either does not exist.
    pub async fn queue_bind(&self, bind: QueueBind<'_>) -> Result<()> {
        let attempt = || {
            let queue = self.current_queue(bind.queue);
            let method = queue::Bind {
                reserved: 0,
                queue: short("the queue's name", &queue)?,
                exchange: short("the exchange's name", bind.exchange)?,
                routing_key: short("the routing key", bind.routing_key)?,
                no_wait: false,
                arguments: bind.arguments.table()?,
            };
            let change = self.shared().change(|| bind.binding(&queue).map(Change::Bind))?;
            self.core().try_call(self.shared(), &method, change)
        };
        self.call_when_live(attempt).await.map(drop)
    }

    /// Removes a binding; routing key and arguments must be those it was made with. RabbitMQ does not mind if there is
    /// none.
    ///
    /// # Errors
    /// What closed the channel or connection.
    pub async fn queue_unbind(&self, bind: QueueBind<'_>) -> Result<()> {
        let attempt = || {
            let queue = self.current_queue(bind.queue);
            let method = queue::Unbind {
                reserved: 0,
                queue: short("the queue's name", &queue)?,
                exchange: short("the exchange's name", bind.exchange)?,
                routing_key: short("the routing key", bind.routing_key)?,
                arguments: bind.arguments.table()?,
            };
            let change = self.shared().change(|| bind.binding(&queue).map(Change::Unbind))?;
            self.core().try_call(self.shared(), &method, change)
        };
        self.call_when_live(attempt).await.map(drop)
    }

    /// Drops a queue's ready messages and returns their number. Unacknowledged ones stay.
    ///
    /// # Errors
    /// The channel is closed with 404 if the queue does not exist.
    pub async fn queue_purge(&self, queue: &str) -> Result<u32> {
        let attempt = || {
            let queue = self.current_queue(queue);
            let method = queue::Purge { reserved: 0, queue: short("the queue's name", &queue)?, no_wait: false };
            self.core().try_call(self.shared(), &method, None)
        };
        count(self.call_when_live(attempt).await?)
    }

    /// Deletes a queue and returns the number of messages that went with it. RabbitMQ does not mind if there is none.
    ///
    /// # Errors
    /// The channel is closed with 406 if a condition does not hold, 405 if the queue is exclusive to another
    /// connection.
    pub async fn queue_delete(&self, delete: QueueDelete<'_>) -> Result<u32> {
        let attempt = || {
            let queue = self.current_queue(delete.queue);
            let method = queue::Delete {
                reserved: 0,
                queue: short("the queue's name", &queue)?,
                if_unused: delete.if_unused,
                if_empty: delete.if_empty,
                no_wait: false,
            };
            let change = self.shared().change(|| Ok(Change::DeleteQueue(queue.as_ref().into())))?;
            self.core().try_call(self.shared(), &method, change)
        };
        count(self.call_when_live(attempt).await?)
    }
}
