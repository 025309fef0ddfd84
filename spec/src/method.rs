//! What a row of the method table becomes: a struct with decode and encode, and an enum over all of them.

use nom::Parser;
use nom::number::complete::{be_u8, be_u16, be_u32, be_u64};

use crate::table::Table;
use crate::text::{ShortBytes, ShortStr};
use crate::wire::{self, Malformed};

pub use crate::methods::Method;

/// Why a method frame's payload is no method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MethodError {
    /// No method has these ids.
    Unknown {
        /// The class id.
        class: u16,
        /// The method id.
        method: u16,
    },
    /// The arguments cannot be decoded.
    Malformed {
        /// The class id, 0 if even that is missing.
        class: u16,
        /// The method id, 0 if even that is missing.
        method: u16,
        /// What is wrong with them.
        why: Malformed,
    },
}

/// Who may send a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// Only the client.
    Client,
    /// Only the server.
    Server,
    /// Either peer.
    Both,
}

impl Sender {
    /// True if a client may send it.
    pub const fn is_client(self) -> bool {
        !matches!(self, Sender::Server)
    }

    /// True if a server may send it.
    pub const fn is_server(self) -> bool {
        !matches!(self, Sender::Client)
    }
}

/// What the table knows of a method besides its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The class id.
    pub class: u16,
    /// The method id within the class.
    pub method: u16,
    /// The names of class and method: `queue.DeclareOk`.
    pub name: &'static str,
    /// Who may send it.
    pub sender: Sender,
    /// The ids of the methods that answer it; none for what has no answer.
    pub replies: &'static [u16],
    /// True if a content header follows.
    pub content: bool,
    /// The names and types of the arguments, in their order.
    pub arguments: &'static [(&'static str, Kind)],
}

/// An argument's type on the wire (section 4.2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One bit; up to eight neighbours share an octet, the first in its lowest bit.
    Bit,
    /// A `u8`.
    Octet,
    /// A `u16`.
    Short,
    /// A `u32`.
    Long,
    /// A `u64`.
    LongLong,
    /// A length octet and UTF-8.
    ShortStr,
    /// A length octet and any bytes.
    ShortBytes,
    /// Four octets of length and any bytes.
    LongStr,
    /// Four octets of length and a field table.
    Table,
}

/// A method's struct: what `frame::put_method` takes.
pub trait MethodFrame {
    /// Its row of the table.
    const ROW: Row;
    /// Appends ids and arguments.
    fn encode(&self, out: &mut Vec<u8>);
}

/// The other direction, for any lifetime.
pub(crate) trait Decode<'a>: Sized {
    fn decode(from: &mut Arguments<'a>) -> Result<Self, Malformed>;
}

/// An argument's type.
pub(crate) trait Argument<'a>: Sized {
    const KIND: Kind;
    fn take(from: &mut Arguments<'a>) -> Result<Self, Malformed>;
    fn put(&self, to: &mut ArgumentsMut<'_>);
}

/// Reads arguments one after another; neighbouring bits share an octet (section 4.2.5.2).
pub(crate) struct Arguments<'a> {
    rest: &'a [u8],
    octet: u8,
    bits_left: u8,
}

/// Writes arguments one after another.
pub(crate) struct ArgumentsMut<'o> {
    out: &'o mut Vec<u8>,
    bits: u8,
}

impl<'a> Arguments<'a> {
    pub(crate) fn of(rest: &'a [u8]) -> Self {
        Arguments { rest, octet: 0, bits_left: 0 }
    }

    fn next<T>(&mut self, parser: impl Fn(&'a [u8]) -> wire::Parsed<'a, T>) -> Result<T, Malformed> {
        let (rest, value) = wire::finish(parser(self.rest))?;
        self.rest = rest;
        self.bits_left = 0;
        Ok(value)
    }
}

impl<'o> ArgumentsMut<'o> {
    pub(crate) fn of(out: &'o mut Vec<u8>) -> Self {
        ArgumentsMut { out, bits: 0 }
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.bits = 0;
        self.out.extend_from_slice(bytes);
    }
}

macro_rules! integers {
    ($($type:ty, $kind:ident, $parser:expr;)*) => {$(
        impl<'a> Argument<'a> for $type {
            const KIND: Kind = Kind::$kind;

            #[inline]
            fn take(from: &mut Arguments<'a>) -> Result<Self, Malformed> {
                from.next(|input| $parser.parse(input))
            }
            #[inline]
            fn put(&self, to: &mut ArgumentsMut<'_>) {
                to.bytes(&self.to_be_bytes());
            }
        }
    )*};
}
integers! { u8, Octet, be_u8; u16, Short, be_u16; u32, Long, be_u32; u64, LongLong, be_u64; }

impl<'a> Argument<'a> for bool {
    const KIND: Kind = Kind::Bit;

    #[inline]
    fn take(from: &mut Arguments<'a>) -> Result<Self, Malformed> {
        if from.bits_left == 0 {
            from.octet = from.next(|input| be_u8.parse(input))?;
            from.bits_left = 8;
        }
        let bit = from.octet & 1 != 0;
        from.octet >>= 1;
        from.bits_left -= 1;
        Ok(bit)
    }

    #[inline]
    fn put(&self, to: &mut ArgumentsMut<'_>) {
        if to.bits == 0 || to.bits == 8 {
            to.out.push(0);
            to.bits = 0;
        }
        if let Some(octet) = to.out.last_mut() {
            *octet |= u8::from(*self) << to.bits;
        }
        to.bits += 1;
    }
}

impl<'a> Argument<'a> for ShortStr<'a> {
    const KIND: Kind = Kind::ShortStr;

    fn take(from: &mut Arguments<'a>) -> Result<Self, Malformed> {
        ShortStr::decode(from.next(wire::short)?)
    }

    fn put(&self, to: &mut ArgumentsMut<'_>) {
        ShortBytes::from(*self).put(to);
    }
}

impl<'a> Argument<'a> for ShortBytes<'a> {
    const KIND: Kind = Kind::ShortBytes;

    #[inline]
    fn take(from: &mut Arguments<'a>) -> Result<Self, Malformed> {
        from.next(wire::short).map(ShortBytes::of_octet)
    }

    #[inline]
    fn put(&self, to: &mut ArgumentsMut<'_>) {
        to.bytes(&[self.len() as u8]);
        to.out.extend_from_slice(self);
    }
}

/// A long string: a length of four octets and any bytes.
impl<'a> Argument<'a> for &'a [u8] {
    const KIND: Kind = Kind::LongStr;

    fn take(from: &mut Arguments<'a>) -> Result<Self, Malformed> {
        from.next(wire::long)
    }

    fn put(&self, to: &mut ArgumentsMut<'_>) {
        to.bytes(&(self.len() as u32).to_be_bytes());
        to.out.extend_from_slice(self);
    }
}

impl<'a> Argument<'a> for Table<'a> {
    const KIND: Kind = Kind::Table;

    fn take(from: &mut Arguments<'a>) -> Result<Self, Malformed> {
        Table::validate(from.next(wire::long)?)
    }

    fn put(&self, to: &mut ArgumentsMut<'_>) {
        self.as_bytes().put(to);
    }
}
