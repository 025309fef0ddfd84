//! A thin async client for AMQP 0-9-1 brokers: Leveret, RabbitMQ, and others that speak the same protocol.
//!
//! ```no_run
//! use leveret_client::{Connection, Consume, Publish, QueueDeclare, Qos};
//!
//! # async fn example() -> leveret_client::Result<()> {
//! let connection = Connection::open("amqp://guest:guest@localhost:5672/").await?;
//! let channel = connection.open_channel().await?;
//! channel.queue_declare(QueueDeclare::new("jobs").durable()).await?;
//!
//! let outcome = channel.publish_confirmed(Publish::to_queue("jobs").persistent().body("hello")).await?;
//! assert!(outcome.is_acked());
//!
//! channel.qos(Qos::per_consumer(100)).await?;
//! let mut jobs = channel.consume(Consume::new("jobs")).await?;
//! while let Some(job) = jobs.next().await {
//!     let job = job?;
//!     println!("{}", String::from_utf8_lossy(job.body()));
//!     job.ack().await?;
//! }
//! # Ok(())
//! # }
//! ```
//!
//! One task per connection does all input and output. Calls append to its output buffer, which leaves with one write
//! per burst; deliveries come over in batches. There is no reconnecting here: `Error::is_retryable` tells whether it
//! is worth while, and `Connection::closed` tells when.

mod arguments;
mod channel;
mod confirm;
mod connection;
mod consumer;
mod delivery;
mod error;
mod lock;
mod mailbox;
mod message;
mod options;
mod publish;
mod returns;
#[cfg(test)]
mod scripted;
mod uri;

pub use channel::{
    Channel, Consume, ExchangeBind, ExchangeDeclare, ExchangeDelete, Get, Qos, QueueBind, QueueDeclare, QueueDelete,
    QueueStatus,
};
pub use confirm::{Confirm, ConfirmCounts, Outcome, Returned};
pub use connection::Connection;
pub use consumer::Consumer;
pub use delivery::Delivery;
pub use error::{Error, Result, Scope};
pub use message::Message;
pub use options::Options;
pub use publish::Publish;
pub use returns::Returns;

/// The protocol's own types: field tables, values, properties.
pub use leveret_spec as spec;
