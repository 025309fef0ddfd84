//! What happens after a connection is lost: when to try again, and how everything becomes as it was.

mod backoff;
mod channel;
mod options;
mod restore;
#[cfg(test)]
mod tests;
mod topology;

pub(crate) use backoff::Backoff;
pub(crate) use restore::{Suspicion, restore};

pub use options::Recovery;
