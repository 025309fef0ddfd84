//! The client's connections break, in every way that a proxy can break them, and become what they were.
//!
//! By default against an embedded Leveret. Against RabbitMQ, started by hand on a port of its own:
//!
//! ```text
//! export RABBITMQ_NODENAME=recovery@localhost RABBITMQ_NODE_PORT=5699 RABBITMQ_DIST_PORT=25699 RABBITMQ_PLUGINS_DIR=/nowhere
//! export RABBITMQ_MNESIA_BASE=/tmp/recovery-rabbit RABBITMQ_LOG_BASE=/tmp/recovery-rabbit RABBITMQ_ENABLED_PLUGINS_FILE=/dev/null
//! rabbitmq-server & AMQP_URL=amqp://guest:guest@127.0.0.1:5699 cargo test -p leveret-tests --test recovery
//! rabbitmqctl -n recovery@localhost stop
//! ```
#![expect(clippy::unwrap_used, reason = "a check that fails panics")]

mod publishing;
mod setup;
