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
//! - Events: `Connection::events` tells when the connection is lost and back, and what is missing then.
//!
//! Features: `tls` (default) for `amqps://`, see `Tls`; `serde` for JSON, `Publishing::json` and `Delivery::json`. Spans of
//! `tracing` are `connection`, and at debug level `publish` (with confirm) and `handle`; an event at debug level says why
//! a connection ends, warnings what goes wrong while it is made again.
//!
//! One task per connection does all input and output. Calls append to its output buffer, which leaves with one write
//! per burst; deliveries come over in batches.
//!
//! # When the connection breaks
//!
//! It is made again, after a short delay that doubles with each failure (`Recovery`), at one of several hosts if the URI
//! names several. What a program has to know of that:
//!
//! - Calls and publishes that begin meanwhile wait, for `Options::timeout` at most. Calls that were under way fail with an
//!   error that `Error::is_retryable`; whether the broker has carried them out is not known.
//! - Nothing is published twice. Confirms that were waited for end as `Outcome::Unknown`: such a message may have arrived
//!   or not, and only the program can tell whether to publish it once more.
//! - Exchanges, queues and bindings that were declared over the connection, and not deleted since, are declared again;
//!   channels have their prefetch, confirm mode and consumers again. What the broker refuses is left out and reported, and
//!   a consumer that it refuses ends with the reason. A queue that the broker named has another name then.
//! - Deliveries that were not settled come again, from the broker. Settling or dropping one of before does nothing.
//! - A channel with transactions is over, and so is one that was closed for a mistake, as ever.
//!
//! A connection is over for good when this program closes it or has made a mistake that the broker closes it for, when the
//! broker breaks the protocol, and if it was made with `Connection::over` or `Options::without_recovery`.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use leveret_client::{Connection, Event, Publish, QueueDeclare};
//!
//! # let config = leveret::Config::in_memory().listen("127.0.0.1:0".parse()?);
//! # let broker = leveret::Broker::start(config).await?;
//! # let url = broker.amqp_url().unwrap_or_default().to_owned();
//! # let address = broker.amqp_addresses()[0];
//! let connection = Connection::open(&url).await?;
//! let channel = connection.open_channel().await?;
//! channel.queue_declare(QueueDeclare::new("jobs").durable()).await?;
//!
//! let mut events = connection.events();
//! # broker.shutdown().await?;
//! # let _next = leveret::Broker::start(leveret::Config::in_memory().listen(address)).await?;
//! while let Some(event) = events.next().await {
//!     match event {
//!         Event::Lost(error) => println!("lost: {error}"),
//!         Event::NotRestored { what, error } => println!("{what} is missing: {error}"),
//!         Event::Recovered => break,
//!         _ => {}
//!     }
//! }
//! // The queue is there again.
//! let outcome = channel.publish_confirmed(Publish::to_queue("jobs").mandatory().body("resize cat.png")).await?;
//! assert!(outcome.is_acked());
//! # Ok(())
//! # }
//! ```

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
