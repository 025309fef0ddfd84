//! Leveret: an AMQP 0-9-1 message broker that any RabbitMQ client talks to, as a library.
//!
//! ```
//! # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use leveret::{Broker, Config};
//!
//! let broker = Broker::start(Config::in_memory().listen("127.0.0.1:0".parse()?)).await?;
//! println!("clients connect to {}", broker.amqp_url().unwrap_or_default());
//! broker.shutdown().await?;
//! # Ok(()) }
//! ```
//!
//! It starts and ends in well under a millisecond, shares nothing with other brokers in the process, and can be dropped.
//! A program that uses it so needs no more of this crate than `default-features = false`.
//!
//! # A test kit
//!
//! For programs that meet RabbitMQ in production: their tests have a broker each, in their own process. Only the URL differs,
//! so any client will do: `lapin::Connection::connect(url, ..)`, amqprs with `OpenConnectionArguments::try_from(url)`, pika in
//! a child process with `URLParameters(url)`, where the URL is [`Broker::amqp_url`]. leveret-client can also speak
//! without a socket, over [`Broker::connect`].
//!
//! ```
//! # mod app {
//! #     use leveret_client::{Connection, Consume, Publish, QueueDeclare};
//! #     pub async fn worker(url: String) -> leveret_client::Result<()> {
//! #         let connection = Connection::open(&url).await?;
//! #         let channel = connection.open_channel().await?;
//! #         channel.queue_declare(QueueDeclare::new("jobs")).await?;
//! #         let mut jobs = channel.consume(Consume::new("jobs")).await?;
//! #         while let Some(job) = jobs.next().await {
//! #             let job = job?;
//! #             channel.publish(Publish::to_exchange("amq.topic", "jobs.done").body(job.body())).await?;
//! #             job.ack().await?;
//! #         }
//! #         Ok(())
//! #     }
//! # }
//! # use leveret_client::{Connection, Publish};
//! use leveret::{Broker, Config};
//!
//! #[tokio::test]
//! # async fn is_a_test() {}
//! async fn a_job_is_done_once() -> Result<(), Box<dyn std::error::Error>> {
//!     let broker = Broker::start(Config::in_memory().listen("127.0.0.1:0".parse()?).paused_clock()).await?;
//!     let url = broker.amqp_url().ok_or("it listens")?.to_owned();
//!     let mut published = broker.record_exchange("amq.topic");
//!     let worker = tokio::spawn(app::worker(url)); // the program under test
//!     broker.wait_until(|broker| broker.queue("/", "jobs").is_some_and(|jobs| jobs.consumers() == 1)).await?;
//! #   let connection = Connection::over(broker.connect(), Default::default()).await?;
//! #   let channel = connection.open_channel().await?;
//! #   let (queue, body) = ("jobs", "one");
//!
//!     channel.publish(Publish::to_queue(queue).body(body)).await?;
//!     let done = published.next().await?;
//!     assert_eq!((done.message.routing_key(), done.message.text()), ("jobs.done".into(), "one".into()));
//!     let jobs = broker.queue("/", "jobs").ok_or("declared")?;
//!     broker.wait_until(|_| jobs.is_empty()).await?; // acknowledged
//! #   worker.abort();
//!     Ok(())
//! }
//! # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> { a_job_is_done_once().await }
//! ```
//!
//! | what a test wants | how |
//! |---|---|
//! | an hour to pass, with all that expires in it | [`Broker::advance`]; with [`Config::paused_clock`] no other time passes |
//! | the network to fail | [`Faults::drop_connections`], [`Faults::drop_connection`], [`Faults::refuse_connections`], [`Faults::delay`] |
//! | an operator to close connections | [`Faults::close_connections`] |
//! | publishes to be refused (basic.nack) | [`Faults::refuse_publishes`], [`Faults::refuse_next_publishes`] |
//! | publishers to be stopped (connection.blocked) | [`Faults::block_publishers`], [`Faults::fill_disk`] |
//! | the disk to fail | [`Faults::fail_disk`] |
//! | to see a queue and what is in it | [`Broker::queue`], [`QueueView::peek`] |
//! | to see what is declared, and who is there | [`Broker::queues`], [`Broker::exchanges`], [`Broker::bindings`], [`Broker::connections`] |
//! | to see what was published | [`Broker::record`], [`Recording::next`] |
//! | to wait without sleeping | [`Broker::wait_until`], [`Recording::next`] |
//!
//! `broker/examples` has each of them at work: `test_kit.rs`, `embed.rs`, and `start_stop.rs`, which measures.
//!
//! # Durable brokers
//!
//! What is declared durable stays in a directory, if there is one: [`Config::durable`]. A confirm then says that the message is
//! on the disk. [`Broker::failed`] tells when the disk does not keep its word, [`Broker::backup`] makes a copy, [`inspect`] looks
//! at a directory that no broker has.
//!
//! # Inside
//!
//! A pure core and a thin shell. `server` has the sockets, tasks and the clock; everything else takes bytes and time as
//! arguments, so that a whole conversation can be tested as frames in, frames out:
//!
//! ```text
//! server -> connection -> channel -> vhost -> exchange, queue, auth -> message -> leveret-spec
//!                                      |                 |
//!                                      v                 v
//!                                   catalog            store        on disk
//! ```

#![cfg_attr(
    not(feature = "management"),
    allow(dead_code, unused_imports, reason = "what only the HTTP management API asks of the core")
)]

mod alarms;
mod auth;
mod catalog;
mod channel;
pub mod config;
mod connection;
mod entropy;
mod exchange;
mod failure;
mod inspection;
#[cfg(feature = "management")]
mod management;
mod message;
mod node;
mod policy;
mod queue;
mod recording;
mod roster;
mod server;
mod storage;
#[expect(dead_code, unused_imports, reason = "queues and connections do not use it yet")]
mod store;
mod time;
mod vhost;

pub use config::{Clock, Config, DiskFreeLimit, Identity, Limits, MemoryLimit, Secret};
pub use inspection::{DataReport, InspectionError, QueueReport, inspect};
#[cfg(feature = "management")]
pub use server::DefinitionsError;
pub use server::{
    BackupError, BindingView, Broker, ConnectionView, DestinationKind, ExchangeView, Fault, Faults, MessageView,
    QueueFigures, QueueView, RecordedPublish, Recording, ShutdownError, StartError, TimedOut,
};

/// The protocol's own types: field tables, values, properties.
pub use leveret_spec as spec;
