//! What a program has declared, with everything that is needed to declare it again.

use std::fmt;

use leveret_spec::{TableBuf, exchange, queue};

use crate::arguments::short;
use crate::error::Result;

/// An exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Exchange {
    pub(crate) name: Box<str>,
    pub(crate) kind: Box<str>,
    pub(crate) durable: bool,
    pub(crate) auto_delete: bool,
    pub(crate) internal: bool,
    pub(crate) arguments: TableBuf,
}

impl Exchange {
    pub(crate) fn declare(&self) -> Result<exchange::Declare<'_>> {
        Ok(exchange::Declare {
            reserved: 0,
            exchange: short("the exchange's name", &self.name)?,
            kind: short("the exchange's type", &self.kind)?,
            passive: false,
            durable: self.durable,
            auto_delete: self.auto_delete,
            internal: self.internal,
            no_wait: false,
            arguments: self.arguments.as_table(),
        })
    }
}

impl fmt::Display for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exchange '{}'", self.name)
    }
}

/// A queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Queue {
    /// Its name now.
    pub(crate) name: Box<str>,
    /// The broker made the name up, and will make up another one.
    pub(crate) server_named: bool,
    pub(crate) durable: bool,
    pub(crate) exclusive: bool,
    pub(crate) auto_delete: bool,
    pub(crate) arguments: TableBuf,
    /// How many consumers this connection has on it.
    pub(super) consumers: usize,
    /// Names that it had on connections that are lost.
    pub(super) former: Vec<Box<str>>,
}

impl Queue {
    pub(crate) fn new(name: &str, arguments: TableBuf) -> Self {
        Queue {
            name: name.into(),
            server_named: name.is_empty(),
            durable: false,
            exclusive: false,
            auto_delete: false,
            arguments,
            consumers: 0,
            former: Vec::new(),
        }
    }

    /// A declaration of the queue, or a question for one that the broker may still have by the name it made up.
    pub(crate) fn declare(&self, passive: bool) -> Result<queue::Declare<'_>> {
        let name = if self.server_named && !passive { "" } else { &self.name };
        Ok(queue::Declare {
            reserved: 0,
            queue: short("the queue's name", name)?,
            passive,
            durable: self.durable,
            exclusive: self.exclusive,
            auto_delete: self.auto_delete,
            no_wait: false,
            arguments: self.arguments.as_table(),
        })
    }
}

impl fmt::Display for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "queue '{}'", self.name)
    }
}

/// Where a binding leads to. Bindings between exchanges come first, for no reason but that there is an order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Destination {
    Exchange(Box<str>),
    Queue(Box<str>),
}

/// Where a binding comes from, and what it lets through.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Route {
    pub(crate) source: Box<str>,
    pub(crate) routing_key: Box<str>,
    pub(crate) arguments: TableBuf,
}

/// A binding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Binding {
    pub(crate) destination: Destination,
    pub(crate) route: Route,
}

impl Binding {
    pub(crate) fn queue_bind<'a>(&'a self, name: &'a str) -> Result<queue::Bind<'a>> {
        Ok(queue::Bind {
            reserved: 0,
            queue: short("the queue's name", name)?,
            exchange: short("the exchange's name", &self.route.source)?,
            routing_key: short("the routing key", &self.route.routing_key)?,
            no_wait: false,
            arguments: self.route.arguments.as_table(),
        })
    }

    pub(crate) fn exchange_bind<'a>(&'a self, name: &'a str) -> Result<exchange::Bind<'a>> {
        Ok(exchange::Bind {
            reserved: 0,
            destination: short("the exchange's name", name)?,
            source: short("the exchange's name", &self.route.source)?,
            routing_key: short("the routing key", &self.route.routing_key)?,
            no_wait: false,
            arguments: self.route.arguments.as_table(),
        })
    }
}

impl fmt::Display for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Route { source, routing_key, .. } = &self.route;
        let (kind, name) = match &self.destination {
            Destination::Exchange(name) => ("exchange", name),
            Destination::Queue(name) => ("queue", name),
        };
        write!(f, "binding of {kind} '{name}' to exchange '{source}' with key '{routing_key}'")
    }
}
