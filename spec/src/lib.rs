//! The AMQP 0-9-1 wire protocol with RabbitMQ's extensions: it knows bytes, not brokers.
//!
//! ```text
//! frame    type u8 | channel u16 | size u32 | payload | 0xCE                    section 2.3.5 of the specification
//! method   a method frame's payload: class u16 | id u16 | arguments             one row of the table in `methods`
//! content  a header frame's payload: class, body size, property flags, the 14 properties
//! table    field tables: typed values under short names, nested                 section 4.2.5.5, RabbitMQ's types
//! text     short strings, whose length is at most 255 by construction
//! reply    reply codes, and how far each of them reaches
//! ```
//!
//! Decoding is total and in place: no input makes it panic, recurse or allocate, and what it returns borrows from the
//! input. Encoding cannot fail, since every value that could be too long for its place is checked where it is made.

pub mod content;
pub mod frame;
pub mod method;
pub mod methods;
pub mod reply;
pub mod table;
pub mod text;
mod wire;

pub use content::{ContentHeader, Properties, RawProperties};
pub use frame::{Frame, FrameError, FrameKind};
pub use method::{Method, MethodError};
pub use methods::{access, basic, channel, confirm, connection, exchange, queue, tx};
pub use reply::{Reach, ReplyCode};
pub use table::{Array, Table, TableBuf, Value};
pub use text::{ShortBytes, ShortStr, TooLong};
pub use wire::Malformed;

/// What a client sends first, and what a server answers when it is asked for any other protocol (section 4.2.2).
pub const PROTOCOL_HEADER: [u8; 8] = *b"AMQP\x00\x00\x09\x01";

/// The header of AMQP 0-9, which RabbitMQ accepts and serves as 0-9-1.
pub const PROTOCOL_HEADER_0_9: [u8; 8] = *b"AMQP\x01\x01\x00\x09";

/// The port that AMQP has with IANA.
pub const DEFAULT_PORT: u16 = 5672;
