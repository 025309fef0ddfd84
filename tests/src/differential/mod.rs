//! Random client scripts, played on two brokers: what one answers, the other has to answer.
//!
//! After every step both brokers are brought to rest, and what has come on each channel is compared, without regard to what
//! order brokers are free to choose: replies and deliveries of one step as a set, confirms at the end of the script.

mod act;
mod play;
mod script;
mod shrink;
mod step;
mod wire;

pub use play::{Difference, compare};
pub use script::script;
pub use shrink::shrink;
pub use step::{Argument, Arguments, Message, Place, Step};
pub use wire::Address;
