//! The broker's process under `kill -9`: what it confirmed is there again, unaltered, in order and once.
//!
//! ```text
//! layout      the queues, and which messages may be where
//! content     what a message says, all of which follows from its number
//! publisher, consumer   the load
//! site        what the clients share
//! ledger/     the oracle: what may be in the broker after all that happened; its rules
//! listing     what is in the broker
//! cycles      start, look, load, kill
//! ```
//!
//! What the load does follows from the seed; when the broker dies among it is a matter of a few milliseconds of chance.

mod consumer;
mod content;
mod cycles;
mod layout;
mod ledger;
mod listing;
mod publisher;
mod site;

pub use cycles::{Options, Report, run};
