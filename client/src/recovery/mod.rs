//! What happens after a connection is lost: when to try again, and how everything becomes as it was.

mod backoff;
mod options;
mod restore;

pub(crate) use backoff::Backoff;
pub(crate) use restore::restore;

pub use options::Recovery;
