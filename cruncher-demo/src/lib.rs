//! The email cruncher: file names in, addresses out, warnings written; five services that talk over AMQP.
//!
//! [`topology`] shows how they are connected, [`messages`] what they say to each other. [`find`] is the work proper.

pub mod crunch;
pub mod error;
pub mod find;
pub mod letter;
pub mod letters;
pub mod mail;
pub mod messages;
mod newest;
pub mod prompt;
pub mod screen;
pub mod service;
pub mod spam;
pub mod status;
pub mod stop;
pub mod tally;
mod terminal;
pub mod topology;
pub mod up;
pub mod web;
