//! The harness of the conformance tests: a broker to judge, and a peer that speaks to it in raw frames.
//!
//! ```text
//! target       which broker: the one at AMQP_URL, or an embedded Leveret on a free port, one per test process
//! peer/        a blocking peer over a socket: send a method or any bytes, expect exactly what has to come back
//! received     what came: methods and content
//! differences  where Leveret and RabbitMQ answer differently on purpose, and why
//! texts        RabbitMQ's explanations, which clients parse
//! names        names that no other test uses
//! chaos        a proxy that delays, stalls and cuts connections, for what clients have to survive
//! own          a Leveret of the test's own, for what brokers can be told
//! http         the management API, for what AMQP has no methods for
//! admin        users, virtual hosts, policies: made by way of the management API, and removed again
//! program      the program `leveret` as a process, for what only a process can do: to be killed
//! crash/       the load and the oracle for that
//! in_process   a broker and clients on one thread and without sockets, for the benchmarks
//! ```
//!
//! A test reads like the conversation that it checks:
//!
//! ```
//! use leveret_tests::{Peer, default, short, texts};
//! use leveret_spec::{basic, queue};
//!
//! let mut peer = Peer::with_channel();
//! let queue = peer.queue(1);
//! peer.publish(1, "", &queue, b"hello");
//! let (got, content) = peer.get(1, &queue).unwrap();
//! assert_eq!((got.message_count, content.body.as_slice()), (0, &b"hello"[..]));
//!
//! let missing = queue::Purge { queue: short("no-such-queue"), ..default() };
//! peer.refused(1, &missing, 404, &texts::no_queue("no-such-queue"));
//! ```
//!
//! Nothing here sleeps, but for the delays that `chaos` is told to make. That nothing comes is shown by an answer to a
//! later question; only a peer that gets no answer at all waits for its time limit, and fails.
#![expect(clippy::panic, reason = "a check that fails panics: that is how a test reports")]

mod admin;
mod chaos;
pub mod crash;
mod dice;
mod differences;
pub mod differential;
pub mod http;
pub mod in_process;
mod names;
mod own;
mod peer;
mod program;
mod received;
mod target;
pub mod texts;

pub use admin::{Policy, User, Vhost};
pub use chaos::{Chaos, Harm, Way};
pub use differences::{Difference, TABLE};
pub use names::unique;
pub use own::Own;
pub use peer::{Peer, Visit};
pub use program::{NotStarted, Program, program};
pub use received::{Answer, Content, Death, Received};
pub use target::{Product, Target, target};

use leveret_spec::table::ArrayBuf;
use leveret_spec::{ShortBytes, ShortStr, TableBuf, Value};

/// The rest of a method's arguments: `queue::Declare { queue: short("q"), ..default() }`.
pub fn default<T: Default>() -> T {
    T::default()
}

/// A short string for a method's argument.
///
/// # Panics
/// Above 255 bytes.
pub fn short(text: &str) -> ShortStr<'_> {
    ShortStr::new(text).expect("at most 255 bytes")
}

/// A short string of any bytes, as basic.publish and the properties have them.
///
/// # Panics
/// Above 255 bytes.
pub fn octets<T: AsRef<[u8]> + ?Sized>(bytes: &T) -> ShortBytes<'_> {
    ShortBytes::new(bytes.as_ref()).expect("at most 255 bytes")
}

/// A list of texts, as a field of a table.
pub fn texts_of<const N: usize>(items: [&str; N]) -> ArrayBuf {
    items.into_iter().fold(ArrayBuf::new(), |mut array, item| {
        array.push(item);
        array
    })
}

/// A field table.
///
/// # Panics
/// If a key is longer than 255 bytes.
pub fn table<'v, const N: usize>(entries: [(&str, Value<'v>); N]) -> TableBuf {
    entries.into_iter().fold(TableBuf::new(), |table, (key, value)| table.with(key, value).expect("a short key"))
}
