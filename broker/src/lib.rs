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
mod roster;
mod server;
mod storage;
#[expect(dead_code, unused_imports, reason = "queues and connections do not use it yet")]
mod store;
mod time;
mod vhost;

pub use config::{Config, DiskFreeLimit, Identity, Limits, MemoryLimit, Secret};
pub use inspection::{DataReport, InspectionError, QueueReport, inspect};
#[cfg(feature = "management")]
pub use server::DefinitionsError;
pub use server::{BackupError, Broker, Fault, ShutdownError, StartError};
