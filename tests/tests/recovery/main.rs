//! The client's connections break, in every way that a proxy can break them, and become what they were.
//!
//! By default against an embedded Leveret. Against RabbitMQ (Debian's package), on ports of its own:
//!
//! ```text
//! tests/clients/rabbitmq           # in another terminal; it prints `ready: amqp://guest:guest@127.0.0.1:PORT ...`
//! AMQP_URL=amqp://guest:guest@127.0.0.1:PORT cargo test -p leveret-tests --test recovery
//! ```
#![expect(clippy::unwrap_used, clippy::panic, reason = "a check that fails panics")]

mod calls;
mod consuming;
mod crowd;
mod hosts;
mod publishing;
mod setup;
mod topology;
mod trouble;
