//! A thin async client for AMQP 0-9-1 brokers: Leveret, RabbitMQ, and others that speak the same protocol.
//!
//! A publisher and a consumer:
//!
//! ```no_run
//! use leveret_client::{Connection, Consume, Qos, QueueDeclare};
//!
//! #[tokio::main]
//! async fn main() -> leveret_client::Result<()> {
//!     let connection = Connection::open("amqp://guest:guest@localhost:5672").await?;
//!     let channel = connection.open_channel().await?;
//!     channel.queue_declare(QueueDeclare::new("jobs").durable()).await?;
//!
//!     // Returns when the broker has the message on disk.
//!     channel.publish_to_queue("jobs").persistent().body("resize cat.png").await?;
//!
//!     channel.qos(Qos::per_consumer(100)).await?;
//!     let mut jobs = channel.consume(Consume::new("jobs")).await?;
//!     while let Some(job) = jobs.next().await {
//!         let job = job?;
//!         println!("{}", String::from_utf8_lossy(job.body()));
//!         job.ack().await?;
//!     }
//!     Ok(())
//! }
//! ```
//!
//! - Publishing: `Channel::publish_to_queue` and `publish_to_exchange` confirm each message; `Channel::publish_batch` and
//!   `publish_watched` confirm many under way at a time; `Channel::publish` asks for no answer.
//! - Consuming: a `Consumer` is a stream; `Consumer::for_each_concurrent` runs handlers side by side and settles by their
//!   results. A delivery that is dropped goes back to its queue.
//! - Calls: `Connection::rpc` and `Channel::serve`.
//! - Errors: `Error::is_retryable` tells what may pass from what will not.
//!
//! Features: `tls` (default) for `amqps://`, see `Tls`; `serde` for JSON, `Publishing::json` and `Delivery::json`. Spans of
//! `tracing` are `connection`, and at debug level `publish` (with confirm) and `handle`; an event at debug level says why
//! a connection ends.
//!
//! One task per connection does all input and output. Calls append to its output buffer, which leaves with one write
//! per burst; deliveries come over in batches.
//!
//! # When the connection breaks
//!
//! It is made again, with its channels, prefetch, confirm mode and consumers, unless `Options::without_recovery` says
//! otherwise: see `Recovery`.

mod arguments;
mod channel;
mod concurrent;
mod confirm;
mod connection;
mod consumer;
mod delivery;
mod error;
mod events;
#[cfg(feature = "serde")]
mod json;
mod lock;
mod mailbox;
mod message;
mod options;
mod publish;
mod publishing;
mod recovery;
mod returns;
mod rpc;
#[cfg(test)]
mod scripted;
#[cfg(feature = "tls")]
mod tls;
mod topology;
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
pub use events::{Event, Events};
pub use message::Message;
pub use options::{Mechanism, Options};
pub use publish::Publish;
pub use publishing::Publishing;
pub use recovery::Recovery;
pub use returns::Returns;
pub use rpc::Rpc;
#[cfg(feature = "tls")]
pub use tls::Tls;

/// The protocol's own types: field tables, values, properties.
pub use leveret_spec as spec;
