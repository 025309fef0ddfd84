//! What there is in a running broker, for tests and for programs that embed one. Looking changes nothing.

mod message;
mod queue;

use std::sync::Arc;

use leveret_spec::TableBuf;

use super::{Broker, Shared};
use crate::exchange::{Binding, Destination, Exchange};
use crate::roster::Connection;

pub use message::MessageView;
pub use queue::{QueueFigures, QueueView};

/// An exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExchangeView {
    /// Its name; the default exchange is not listed.
    pub name: String,
    /// Its type: `direct`, `fanout`, `topic` or `headers`.
    pub kind: &'static str,
    /// It survives a restart, if the broker has a directory.
    pub durable: bool,
    /// It ends with its last binding.
    pub auto_delete: bool,
    /// Clients cannot publish to it.
    pub internal: bool,
}

/// A binding.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct BindingView {
    /// The exchange that it leads from.
    pub source: String,
    /// Where it leads.
    pub destination: String,
    /// What that is.
    pub destination_kind: DestinationKind,
    /// Its routing key.
    pub routing_key: String,
    /// Its arguments.
    pub arguments: TableBuf,
}

/// What a binding leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DestinationKind {
    /// A queue.
    Queue,
    /// Another exchange.
    Exchange,
}

/// An open connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionView {
    /// The broker's name for it: `127.0.0.1:40000 -> 127.0.0.1:5672`, or `in process 1`.
    pub name: String,
    /// The client's name for it (`connection_name`).
    pub client_name: Option<String>,
    /// Its user.
    pub user: String,
    /// Its virtual host.
    pub vhost: String,
    /// How many channels it has.
    pub channels: usize,
    /// What it is encrypted with: `tlsv1.3` or `tlsv1.2`; none without TLS.
    pub tls: Option<&'static str>,
}

impl Broker {
    /// A queue; none if there is none of that name.
    ///
    /// ```
    /// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use leveret::{Broker, Config};
    /// # use leveret_client::{Connection, Publish, QueueDeclare};
    /// # let broker = Broker::start(Config::in_memory()).await?;
    /// # let connection = Connection::over(broker.connect(), Default::default()).await?;
    /// # let channel = connection.open_channel().await?;
    /// channel.queue_declare(QueueDeclare::new("jobs")).await?;
    /// channel.publish_confirmed(Publish::to_queue("jobs").message_id("7").body("work")).await?;
    ///
    /// let jobs = broker.queue("/", "jobs").ok_or("declared")?;
    /// assert_eq!((jobs.ready(), jobs.unacked(), jobs.consumers()), (1, 0, 0));
    /// let [job] = &jobs.peek(10)[..] else { return Err("one job".into()) };
    /// assert_eq!(job.body(), b"work");
    /// assert_eq!(job.properties().message_id.map(|id| id.to_string()), Some("7".into()));
    /// assert_eq!(jobs.ready(), 1); // it is still there
    /// # broker.shutdown().await?;
    /// # Ok(()) }
    /// ```
    pub fn queue(&self, vhost: &str, name: &str) -> Option<QueueView> {
        let queue = self.shared.node.vhost(vhost)?.queue(name).ok()?;
        Some(QueueView::of(queue, &self.shared))
    }

    /// The queues of a virtual host, in the order of their names; none if it does not exist.
    pub fn queues(&self, vhost: &str) -> Vec<QueueView> {
        let queues = self.shared.node.vhost(vhost).map(|vhost| vhost.all_queues()).unwrap_or_default();
        queues.into_iter().map(|queue| QueueView::of(queue, &self.shared)).collect()
    }

    /// The exchanges of a virtual host, in the order of their names, without the default one.
    pub fn exchanges(&self, vhost: &str) -> Vec<ExchangeView> {
        self.each_exchange(vhost).iter().map(|exchange| ExchangeView::of(exchange)).collect()
    }

    /// The bindings of a virtual host, without those that the default exchange has to every queue.
    pub fn bindings(&self, vhost: &str) -> Vec<BindingView> {
        let of = |exchange: &Arc<Exchange>| {
            let mut bindings: Vec<_> = exchange.bindings().iter().map(|b| BindingView::of(exchange, b)).collect();
            bindings.sort_by(|a, b| (&a.destination, &a.routing_key).cmp(&(&b.destination, &b.routing_key)));
            bindings
        };
        self.each_exchange(vhost).iter().flat_map(of).collect()
    }

    /// The open connections, the oldest first: those that have come as far as connection.open-ok.
    pub fn connections(&self) -> Vec<ConnectionView> {
        self.shared.node.roster.connections().iter().map(|connection| ConnectionView::of(connection)).collect()
    }

    fn each_exchange(&self, vhost: &str) -> Vec<Arc<Exchange>> {
        self.shared.node.vhost(vhost).map(|vhost| vhost.all_exchanges()).unwrap_or_default()
    }
}

impl ExchangeView {
    fn of(exchange: &Exchange) -> Self {
        let declaration = &exchange.declaration;
        ExchangeView {
            name: exchange.name.to_string(),
            kind: declaration.kind.name(),
            durable: declaration.durable,
            auto_delete: declaration.auto_delete,
            internal: declaration.internal,
        }
    }
}

impl BindingView {
    fn of(source: &Exchange, binding: &Binding) -> Self {
        let (destination, destination_kind) = match &binding.destination {
            Destination::Queue(queue) => (&queue.name, DestinationKind::Queue),
            Destination::Exchange(exchange) => (&exchange.name, DestinationKind::Exchange),
        };
        BindingView {
            source: source.name.to_string(),
            destination: destination.to_string(),
            destination_kind,
            routing_key: String::from_utf8_lossy(&binding.key).into_owned(),
            arguments: binding.arguments.clone(),
        }
    }
}

impl ConnectionView {
    fn of(connection: &Connection) -> Self {
        let facts = &connection.facts;
        ConnectionView {
            name: facts.name.to_string(),
            client_name: facts.client_name().map(ToOwned::to_owned),
            user: facts.user.to_string(),
            vhost: facts.vhost.to_string(),
            channels: connection.channel_count(),
            tls: facts.tls.map(|tls| tls.protocol),
        }
    }
}
