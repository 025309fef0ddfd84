//! Exchanges: declare, delete, bind and unbind among themselves.

use leveret_spec::exchange;
use leveret_spec::method::MethodFrame;

use super::Channel;
use crate::arguments::{Arguments, argument_methods, flags, short};
use crate::error::Result;
use crate::topology::{Binding, Change, Destination, Exchange, Route};

/// An exchange to declare.
#[derive(Clone, Debug, Default)]
#[must_use = "pass it to Channel::exchange_declare"]
pub struct ExchangeDeclare<'a> {
    exchange: &'a str,
    kind: &'a str,
    passive: bool,
    durable: bool,
    auto_delete: bool,
    internal: bool,
    arguments: Arguments,
}

impl<'a> ExchangeDeclare<'a> {
    /// An exchange of this name and type: `direct`, `fanout`, `topic`, `headers`, or what the broker offers besides.
    pub fn new(exchange: &'a str, kind: &'a str) -> Self {
        ExchangeDeclare { exchange, kind, ..ExchangeDeclare::default() }
    }

    flags! {
        /// Only checks that the exchange exists, whatever its type and settings are.
        passive
        /// The exchange survives a restart of the broker.
        durable
        /// The exchange goes with its last binding.
        auto_delete
        /// Only other exchanges may publish to it (RabbitMQ).
        internal
    }
    argument_methods!();

    fn change(&self) -> Result<Change> {
        Ok(Change::DeclareExchange(Exchange {
            name: self.exchange.into(),
            kind: self.kind.into(),
            durable: self.durable,
            auto_delete: self.auto_delete,
            internal: self.internal,
            arguments: self.arguments.table()?.into(),
        }))
    }
}

/// An exchange to delete.
#[derive(Clone, Copy, Debug, Default)]
#[must_use = "pass it to Channel::exchange_delete"]
pub struct ExchangeDelete<'a> {
    exchange: &'a str,
    if_unused: bool,
}

impl<'a> ExchangeDelete<'a> {
    /// The exchange of this name, whether or not it has bindings.
    pub fn new(exchange: &'a str) -> Self {
        ExchangeDelete { exchange, if_unused: false }
    }

    flags! {
        /// Fails with 406 if the exchange has bindings.
        if_unused
    }
}

/// A binding between two exchanges (RabbitMQ).
#[derive(Clone, Debug, Default)]
#[must_use = "pass it to Channel::exchange_bind or exchange_unbind"]
pub struct ExchangeBind<'a> {
    destination: &'a str,
    source: &'a str,
    routing_key: &'a str,
    arguments: Arguments,
}

impl<'a> ExchangeBind<'a> {
    /// Lets `destination` receive from `source`, with an empty routing key.
    pub fn new(destination: &'a str, source: &'a str) -> Self {
        ExchangeBind { destination, source, ..ExchangeBind::default() }
    }

    /// The routing key, or on a topic exchange the pattern.
    pub fn routing_key(mut self, routing_key: &'a str) -> Self {
        self.routing_key = routing_key;
        self
    }

    argument_methods!();

    fn binding(&self) -> Result<Binding> {
        let destination = Destination::Exchange(self.destination.into());
        let (source, routing_key) = (self.source.into(), self.routing_key.into());
        let arguments = self.arguments.table()?.into();
        Ok(Binding { destination, route: Route { source, routing_key, arguments } })
    }
}

impl Channel {
    /// Declares an exchange: creates it, or checks that it exists with the same type and settings.
    ///
    /// # Errors
    /// The channel is closed with 406 if it exists differently, 404 if it is asked for passively and does not exist,
    /// 403 for a reserved name. An unknown type closes the connection with 503.
    pub async fn exchange_declare(&self, declare: ExchangeDeclare<'_>) -> Result<()> {
        let method = exchange::Declare {
            reserved: 0,
            exchange: short("the exchange's name", declare.exchange)?,
            kind: short("the exchange's type", declare.kind)?,
            passive: declare.passive,
            durable: declare.durable,
            auto_delete: declare.auto_delete,
            internal: declare.internal,
            no_wait: false,
            arguments: declare.arguments.table()?,
        };
        let change = || if declare.passive { Ok(None) } else { self.shared().change(|| declare.change()) };
        self.changing(&method, change).await
    }

    /// Deletes an exchange with its bindings. RabbitMQ does not mind if there is none.
    ///
    /// # Errors
    /// The channel is closed with 406 if `if_unused` does not hold, 403 for a predeclared exchange.
    pub async fn exchange_delete(&self, delete: ExchangeDelete<'_>) -> Result<()> {
        let exchange = short("the exchange's name", delete.exchange)?;
        let method = exchange::Delete { reserved: 0, exchange, if_unused: delete.if_unused, no_wait: false };
        let change = || self.shared().change(|| Ok(Change::DeleteExchange(delete.exchange.into())));
        self.changing(&method, change).await
    }

    /// Binds an exchange to an exchange. A binding that exists stays as it is.
    ///
    /// # Errors
    /// The channel is closed with 404 if either does not exist.
    pub async fn exchange_bind(&self, bind: ExchangeBind<'_>) -> Result<()> {
        let method = exchange::Bind {
            reserved: 0,
            destination: short("the exchange's name", bind.destination)?,
            source: short("the exchange's name", bind.source)?,
            routing_key: short("the routing key", bind.routing_key)?,
            no_wait: false,
            arguments: bind.arguments.table()?,
        };
        self.changing(&method, || self.shared().change(|| bind.binding().map(Change::Bind))).await
    }

    /// Removes a binding; routing key and arguments must be those it was made with.
    ///
    /// # Errors
    /// What closed the channel or connection.
    pub async fn exchange_unbind(&self, bind: ExchangeBind<'_>) -> Result<()> {
        let method = exchange::Unbind {
            reserved: 0,
            destination: short("the exchange's name", bind.destination)?,
            source: short("the exchange's name", bind.source)?,
            routing_key: short("the routing key", bind.routing_key)?,
            no_wait: false,
            arguments: bind.arguments.table()?,
        };
        self.changing(&method, || self.shared().change(|| bind.binding().map(Change::Unbind))).await
    }

    async fn changing(
        &self,
        method: &impl MethodFrame,
        change: impl Fn() -> Result<Option<Box<Change>>>,
    ) -> Result<()> {
        self.call_when_live(|| self.core().try_call(self.shared(), method, change()?)).await.map(drop)
    }
}
