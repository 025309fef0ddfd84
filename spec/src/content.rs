//! The content header: body size and the 14 properties of class basic, kept as raw bytes and decoded on demand.
//!
//! ```text
//! class u16 | weight u16 = 0 | body size u64 | flags u16 | properties, in the order of their flags from bit 15 to bit 2
//! ```

use nom::Parser;
use nom::number::complete::{be_u8, be_u16, be_u32, be_u64};

use crate::basic;
use crate::table::Table;
use crate::text::ShortBytes;
use crate::wire::{self, Malformed};

/// A header frame's payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentHeader<'a> {
    /// The class of the method that the content belongs to.
    pub class: u16,
    /// The body's size in bytes.
    pub body_size: u64,
    /// Flags and properties as they came; see `RawProperties::validate`.
    pub properties: RawProperties<'a>,
}

impl<'a> ContentHeader<'a> {
    /// The bytes in front of the property flags.
    pub const FIXED: usize = 12;

    /// Takes a header frame's payload apart; the properties are not looked into.
    ///
    /// # Errors
    /// `Malformed` if it is shorter than 14 bytes.
    pub fn decode(payload: &'a [u8]) -> Result<Self, Malformed> {
        let fixed = wire::finish((be_u16, be_u16, be_u64).parse(payload))?;
        let (rest, (class, _weight, body_size)) = fixed;
        Ok(ContentHeader { class, body_size, properties: RawProperties::of(rest)? })
    }

    /// Appends the payload.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.class.to_be_bytes());
        out.extend_from_slice(&[0, 0]);
        out.extend_from_slice(&self.body_size.to_be_bytes());
        out.extend_from_slice(self.properties.0);
    }
}

/// Property flags and properties as on the wire.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RawProperties<'a>(&'a [u8]);

/// How a property stands on the wire.
#[derive(Clone, Copy)]
enum Shape {
    Short,
    Table,
    Octet,
    Timestamp,
}

impl Shape {
    fn split(self, input: &[u8]) -> wire::Parsed<'_, &[u8]> {
        match self {
            Shape::Short => wire::short(input),
            Shape::Table => wire::long(input),
            Shape::Octet => nom::bytes::complete::take(1usize).parse(input),
            Shape::Timestamp => nom::bytes::complete::take(8usize).parse(input),
        }
    }
}

trait Property<'a>: Sized {
    const SHAPE: Shape;
    /// From the bytes without their length.
    fn read(bytes: &'a [u8]) -> Option<Self>;
    /// With the length, if the shape has one.
    fn write(&self, out: &mut Vec<u8>);
}

impl<'a> Property<'a> for ShortBytes<'a> {
    const SHAPE: Shape = Shape::Short;
    fn read(bytes: &'a [u8]) -> Option<Self> {
        ShortBytes::new(bytes).ok()
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.push(self.len() as u8);
        out.extend_from_slice(self);
    }
}

impl<'a> Property<'a> for Table<'a> {
    const SHAPE: Shape = Shape::Table;
    fn read(bytes: &'a [u8]) -> Option<Self> {
        Table::validate(bytes).ok()
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&(self.as_bytes().len() as u32).to_be_bytes());
        out.extend_from_slice(self.as_bytes());
    }
}

impl<'a> Property<'a> for u8 {
    const SHAPE: Shape = Shape::Octet;
    fn read(bytes: &'a [u8]) -> Option<Self> {
        wire::finish(be_u8(bytes)).ok().map(|(_, v)| v)
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.push(*self);
    }
}

impl<'a> Property<'a> for u64 {
    const SHAPE: Shape = Shape::Timestamp;
    fn read(bytes: &'a [u8]) -> Option<Self> {
        wire::finish(be_u64(bytes)).ok().map(|(_, v)| v)
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_be_bytes());
    }
}

macro_rules! properties {
    (lifetime $a:lifetime; $($(#[$doc:meta])* $bit:literal $name:ident: $type:ty;)*) => {
        /// The properties of a message, decoded: what a publisher fills in.
        #[derive(Clone, Copy, Debug, Default, PartialEq)]
        pub struct Properties<$a> { $($(#[$doc])* pub $name: Option<$type>,)* }

        impl Properties<'_> {
            /// Appends flags and properties.
            pub fn encode(&self, out: &mut Vec<u8>) {
                let flags = 0u16 $(| u16::from(self.$name.is_some()) << $bit)*;
                out.extend_from_slice(&flags.to_be_bytes());
                $(if let Some(value) = &self.$name {
                    value.write(out);
                })*
            }
        }

        impl<$a> RawProperties<$a> {
            const SHAPES: &'static [(u16, Shape)] = &[$(($bit, <$type as Property<$a>>::SHAPE),)*];

            $(
                $(#[$doc])*
                #[inline]
                pub fn $name(self) -> Option<$type> {
                    // Most messages lack most properties.
                    if self.flags() >> $bit & 1 == 0 {
                        return None;
                    }
                    self.find($bit).and_then(|bytes| <$type as Property<$a>>::read(bytes))
                }
            )*

            /// All of them.
            pub fn decode(self) -> Properties<$a> {
                Properties { $($name: self.$name(),)* }
            }
        }
    };
}

properties! { lifetime 'a;
    /// MIME type.
    15 content_type: ShortBytes<'a>;
    /// MIME encoding.
    14 content_encoding: ShortBytes<'a>;
    /// The application's headers, which a headers exchange looks at.
    13 headers: Table<'a>;
    /// 2 is persistent, anything else transient.
    12 delivery_mode: u8;
    /// 0 to 255, the highest first.
    11 priority: u8;
    /// The application's correlation id.
    10 correlation_id: ShortBytes<'a>;
    /// The queue that an answer should go to.
    9 reply_to: ShortBytes<'a>;
    /// The time to live in milliseconds, as decimal digits.
    8 expiration: ShortBytes<'a>;
    /// The application's message id.
    7 message_id: ShortBytes<'a>;
    /// Seconds since 1970.
    6 timestamp: u64;
    /// The application's message type.
    5 message_type: ShortBytes<'a>;
    /// The publisher's login, which the broker checks.
    4 user_id: ShortBytes<'a>;
    /// The publishing application.
    3 app_id: ShortBytes<'a>;
    /// Deprecated.
    2 cluster_id: ShortBytes<'a>;
}

impl Default for RawProperties<'_> {
    fn default() -> Self {
        RawProperties(&[0, 0])
    }
}

impl<'a> RawProperties<'a> {
    /// The bytes from the flags on.
    ///
    /// # Errors
    /// `Malformed` without room for the flags.
    pub fn of(bytes: &'a [u8]) -> Result<Self, Malformed> {
        if bytes.len() < 2 { Err(Malformed("content header without property flags")) } else { Ok(RawProperties(bytes)) }
    }

    /// Flags and properties as on the wire.
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    #[inline]
    fn flags(self) -> u16 {
        self.0.first_chunk().map_or(0, |flags| u16::from_be_bytes(*flags))
    }

    /// The shapes of the properties that are there, in their order, each with its bit.
    #[inline]
    fn shapes(self) -> impl Iterator<Item = (u16, Shape)> {
        let mut left = self.flags();
        std::iter::from_fn(move || {
            let first = left.leading_zeros() as usize;
            let &(bit, shape) = Self::SHAPES.get(first)?;
            left &= !(1 << bit);
            Some((bit, shape))
        })
    }

    /// Checks flags, lengths and headers.
    ///
    /// # Errors
    /// `Malformed` for a second flag word (class basic has none), an unused flag, bytes that are missing or left over,
    /// or headers that are no table.
    pub fn validate(self) -> Result<(), Malformed> {
        let flags = self.flags();
        if flags & 3 != 0 {
            return Err(Malformed("unknown property flag"));
        }
        let mut rest = &self.0[2..];
        for (_, shape) in self.shapes() {
            let (after, bytes) = wire::finish(shape.split(rest))?;
            if let Shape::Table = shape {
                Table::validate(bytes)?;
            }
            rest = after;
        }
        if rest.is_empty() { Ok(()) } else { Err(Malformed("bytes after the last property")) }
    }

    /// The headers of properties that `validate` has passed: they are not checked again, as `headers` does. Of others,
    /// entries are missing from the first one on that does not parse.
    #[inline]
    pub fn checked_headers(self) -> Option<Table<'a>> {
        if self.flags() >> 13 & 1 == 0 {
            return None;
        }
        self.find(13).map(Table::checked)
    }

    /// Where the headers' entries stand in `as_bytes`.
    pub fn headers_range(self) -> Option<std::ops::Range<usize>> {
        let bytes = self.find(13)?;
        // Only two short strings and the length can stand in front of the headers.
        let mut start = 2;
        for bit in [15, 14] {
            start += self.find(bit).map_or(0, |b| b.len() + 1);
        }
        Some(start + 4..start + 4 + bytes.len())
    }

    /// The property of that flag, without its length.
    fn find(self, wanted: u16) -> Option<&'a [u8]> {
        let mut rest = self.0.get(2..)?;
        for (bit, shape) in self.shapes() {
            let (after, bytes) = shape.split(rest).ok()?;
            if bit <= wanted {
                return (bit == wanted).then_some(bytes);
            }
            rest = after;
        }
        None
    }
}

impl std::fmt::Debug for RawProperties<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.decode().fmt(f)
    }
}

/// Appends the header frame's payload of a message in class basic.
pub fn encode_header(out: &mut Vec<u8>, body_size: u64, properties: &Properties<'_>) {
    out.extend_from_slice(&basic::CLASS.to_be_bytes());
    out.extend_from_slice(&[0, 0]);
    out.extend_from_slice(&body_size.to_be_bytes());
    properties.encode(out);
}

/// The header's body size, without looking at the rest.
#[inline]
pub fn body_size(payload: &[u8]) -> Option<u64> {
    wire::finish((be_u32, be_u64).parse(payload)).ok().map(|(_, (_, size))| size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::TableBuf;

    fn short(text: &str) -> Option<ShortBytes<'_>> {
        ShortBytes::try_from(text).ok()
    }

    fn full(headers: &TableBuf) -> Properties<'_> {
        Properties {
            content_type: short("text/plain"),
            content_encoding: short("utf-8"),
            headers: Some(headers.as_table()),
            delivery_mode: Some(2),
            priority: Some(9),
            correlation_id: short("c"),
            reply_to: short("r"),
            expiration: short("1000"),
            message_id: short(""),
            timestamp: Some(1_700_000_000),
            message_type: short("t"),
            user_id: short("guest"),
            app_id: short("a"),
            cluster_id: short("x"),
        }
    }

    #[test]
    fn all_14_properties_survive_the_wire() {
        let headers = TableBuf::new().with("n", 1i32).unwrap();
        let mut out = vec![];
        encode_header(&mut out, 77, &full(&headers));
        let header = ContentHeader::decode(&out).unwrap();
        assert_eq!((header.class, header.body_size, body_size(&out)), (60, 77, Some(77)));
        header.properties.validate().unwrap();
        assert_eq!(header.properties.decode(), full(&headers));
        let range = header.properties.headers_range().unwrap();
        assert_eq!(&header.properties.as_bytes()[range], headers.as_table().as_bytes());
        let mut again = vec![];
        header.encode(&mut again);
        assert_eq!(again, out);
    }

    #[test]
    fn every_cut_of_a_header_is_refused() {
        let headers = TableBuf::new().with("n", 1i32).unwrap();
        let mut out = vec![];
        encode_header(&mut out, 77, &full(&headers));
        for cut in 0..out.len() {
            let refused = ContentHeader::decode(&out[..cut]).and_then(|h| h.properties.validate());
            assert!(refused.is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn a_second_flag_word_is_refused() {
        assert!(RawProperties::of(&[0, 1, 0, 0]).unwrap().validate().is_err());
        assert!(RawProperties::of(&[0, 0, 9]).unwrap().validate().is_err());
        assert!(RawProperties::default().validate().is_ok());
    }
}
