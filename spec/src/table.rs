//! Field tables (section 4.2.5.5) with the types that RabbitMQ and its clients use.
//!
//! A `Table` is bytes that have been checked once, by a loop that neither recurses nor allocates; reading it afterwards
//! cannot fail. A `TableBuf` builds one. Order, tags and repeated keys stay as they came.
//!
//! ```text
//! t bool     b i8   B u8   s i16  u u16  I i32  i u32  l i64  f f32  d f64  D decimal (scale u8, value u32)
//! S longstr  x bytes  T timestamp (u64 seconds)  A array  F table  V void
//! U is read as i16 (0-9-1 grammar) and L as i64 (py-amqp writes it); neither is ever written.
//! ```

use nom::Parser;
use nom::number::complete::{be_f32, be_f64, be_i8, be_i16, be_i32, be_i64, be_u8, be_u16, be_u32, be_u64};

use crate::text::{ShortBytes, TooLong};
use crate::wire::{self, Malformed, Parsed};

/// How deep tables and arrays may nest.
pub const DEPTH_MAX: usize = 64;

/// A checked field table: the bytes between the table's length and its end.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Table<'a>(&'a [u8]);

/// A checked array of field values.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Array<'a>(&'a [u8]);

/// One field value.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(missing_docs, reason = "the type of each is all there is to say")]
pub enum Value<'a> {
    Bool(bool),
    I8(i8),
    U8(u8),
    I16(i16),
    U16(u16),
    I32(i32),
    U32(u32),
    I64(i64),
    F32(f32),
    F64(f64),
    /// value / 10^scale; libraries differ about the value's sign.
    Decimal {
        scale: u8,
        value: u32,
    },
    /// Text by custom, any bytes in truth.
    LongStr(&'a [u8]),
    Bytes(&'a [u8]),
    /// Seconds since 1970.
    Timestamp(u64),
    Array(Array<'a>),
    Table(Table<'a>),
    Void,
}

fn value(input: &[u8]) -> Parsed<'_, Value<'_>> {
    let (input, tag) = be_u8(input)?;
    match tag {
        b't' => be_u8.map(|b| Value::Bool(b != 0)).parse(input),
        b'b' => be_i8.map(Value::I8).parse(input),
        b'B' => be_u8.map(Value::U8).parse(input),
        b's' | b'U' => be_i16.map(Value::I16).parse(input),
        b'u' => be_u16.map(Value::U16).parse(input),
        b'I' => be_i32.map(Value::I32).parse(input),
        b'i' => be_u32.map(Value::U32).parse(input),
        b'l' | b'L' => be_i64.map(Value::I64).parse(input),
        b'f' => be_f32.map(Value::F32).parse(input),
        b'd' => be_f64.map(Value::F64).parse(input),
        b'D' => (be_u8, be_u32).map(|(scale, value)| Value::Decimal { scale, value }).parse(input),
        b'S' => wire::long.map(Value::LongStr).parse(input),
        b'x' => wire::long.map(Value::Bytes).parse(input),
        b'T' => be_u64.map(Value::Timestamp).parse(input),
        b'A' => wire::long.map(|a| Value::Array(Array(a))).parse(input),
        b'F' => wire::long.map(|t| Value::Table(Table(t))).parse(input),
        b'V' => Ok((input, Value::Void)),
        _ => Err(nom::Err::Failure(Malformed("unknown field type"))),
    }
}

fn entry(input: &[u8]) -> Parsed<'_, (ShortBytes<'_>, Value<'_>)> {
    (wire::short.map(ShortBytes::of_octet), value).parse(input)
}

/// The way through a table and everything in it, one value a step. It holds offsets, not the bytes, so that the bytes
/// may change behind it.
struct Walk {
    /// Where each open table or array ends, and whether it is a table.
    open: [(usize, bool); DEPTH_MAX],
    depth: usize,
    current: (usize, bool),
    at: usize,
}

impl Walk {
    fn through_table(length: usize) -> Self {
        Walk { open: [(0, false); DEPTH_MAX], depth: 0, current: (length, true), at: 0 }
    }

    /// The offset of the next value's type tag.
    fn step(&mut self, bytes: &[u8]) -> Result<Option<usize>, Malformed> {
        while self.at == self.current.0 {
            if self.depth == 0 {
                return Ok(None);
            }
            self.depth -= 1;
            self.current = self.open[self.depth];
        }
        let (end, table) = self.current;
        let mut rest = &bytes[self.at..end];
        if table {
            rest = wire::finish(wire::short(rest))?.0;
        }
        let tag = end - rest.len();
        let (after, found) = wire::finish(value(rest))?;
        self.at = end - after.len();
        if let Value::Array(Array(inner)) | Value::Table(Table(inner)) = found {
            if self.depth == DEPTH_MAX {
                return Err(Malformed("tables nested too deep"));
            }
            self.open[self.depth] = self.current;
            self.depth += 1;
            self.current = (self.at, matches!(found, Value::Table(_)));
            self.at -= inner.len();
        }
        Ok(Some(tag))
    }
}

impl<'a> Table<'a> {
    /// Checks `bytes`, the part of a table after its length.
    ///
    /// # Errors
    /// `Malformed` if it does not parse to its end, or nests deeper than `DEPTH_MAX`.
    pub fn validate(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut walk = Walk::through_table(bytes.len());
        while walk.step(bytes)?.is_some() {}
        Ok(Table(bytes))
    }

    /// Bytes that `validate` has passed.
    pub(crate) const fn checked(bytes: &'a [u8]) -> Self {
        Table(bytes)
    }

    /// Checks `bytes` and turns the tag `L`, which some clients write and others refuse, into its equal `l`.
    ///
    /// # Errors
    /// As `validate`.
    pub fn normalize(bytes: &mut [u8]) -> Result<(), Malformed> {
        let mut walk = Walk::through_table(bytes.len());
        while let Some(tag) = walk.step(bytes)? {
            if bytes[tag] == b'L' {
                bytes[tag] = b'l';
            }
        }
        Ok(())
    }

    /// The bytes between length and end.
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// True without entries.
    pub const fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// The entries in their order.
    pub fn iter(self) -> impl Iterator<Item = (ShortBytes<'a>, Value<'a>)> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let (after, found) = entry(rest).ok()?;
            rest = after;
            Some(found)
        })
    }

    /// The first value of that name, as Java reads repeated keys.
    pub fn lookup(self, key: &str) -> Option<Value<'a>> {
        self.iter().find(|(k, _)| k.as_bytes() == key.as_bytes()).map(|(_, v)| v)
    }
}

impl<'a> Array<'a> {
    /// The values in their order.
    pub fn iter(self) -> impl Iterator<Item = Value<'a>> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let (after, found) = value(rest).ok()?;
            rest = after;
            Some(found)
        })
    }
}

impl<'a> Value<'a> {
    /// The text, if it is a long string of UTF-8.
    pub fn as_str(self) -> Option<&'a str> {
        match self {
            Value::LongStr(s) => std::str::from_utf8(s).ok(),
            _ => None,
        }
    }

    /// The number, if it is an integer of any width.
    pub fn as_i64(self) -> Option<i64> {
        match self {
            Value::I8(n) => Some(n.into()),
            Value::U8(n) => Some(n.into()),
            Value::I16(n) => Some(n.into()),
            Value::U16(n) => Some(n.into()),
            Value::I32(n) => Some(n.into()),
            Value::U32(n) => Some(n.into()),
            Value::I64(n) => Some(n),
            _ => None,
        }
    }

    fn put(self, out: &mut Vec<u8>) {
        fn long(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
            out.push(tag);
            out.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
            out.extend_from_slice(bytes);
        }
        fn fixed<const N: usize>(out: &mut Vec<u8>, tag: u8, bytes: [u8; N]) {
            out.push(tag);
            out.extend_from_slice(&bytes);
        }
        match self {
            Value::Bool(b) => fixed(out, b't', [b.into()]),
            Value::I8(n) => fixed(out, b'b', n.to_be_bytes()),
            Value::U8(n) => fixed(out, b'B', n.to_be_bytes()),
            Value::I16(n) => fixed(out, b's', n.to_be_bytes()),
            Value::U16(n) => fixed(out, b'u', n.to_be_bytes()),
            Value::I32(n) => fixed(out, b'I', n.to_be_bytes()),
            Value::U32(n) => fixed(out, b'i', n.to_be_bytes()),
            Value::I64(n) => fixed(out, b'l', n.to_be_bytes()),
            Value::F32(n) => fixed(out, b'f', n.to_be_bytes()),
            Value::F64(n) => fixed(out, b'd', n.to_be_bytes()),
            Value::Decimal { scale, value } => {
                fixed(out, b'D', [scale]);
                out.extend_from_slice(&value.to_be_bytes());
            }
            Value::LongStr(s) => long(out, b'S', s),
            Value::Bytes(s) => long(out, b'x', s),
            Value::Timestamp(n) => fixed(out, b'T', n.to_be_bytes()),
            Value::Array(a) => long(out, b'A', a.0),
            Value::Table(t) => long(out, b'F', t.0),
            Value::Void => out.push(b'V'),
        }
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Value::LongStr(text.as_bytes())
    }
}

macro_rules! into_value {
    ($($type:ty => $variant:ident,)*) => {$(
        impl<'a> From<$type> for Value<'a> {
            fn from(value: $type) -> Self {
                Value::$variant(value)
            }
        }
    )*};
}
into_value! {
    bool => Bool, i8 => I8, u8 => U8, i16 => I16, u16 => U16, i32 => I32, u32 => U32, i64 => I64, f32 => F32, f64 => F64,
    Table<'a> => Table, Array<'a> => Array,
}

impl std::fmt::Debug for Table<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl std::fmt::Debug for Array<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// A field table that is being built.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct TableBuf(Vec<u8>);

/// A list of field values that is being built.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ArrayBuf(Vec<u8>);

impl TableBuf {
    /// An empty table.
    pub const fn new() -> Self {
        TableBuf(Vec::new())
    }

    /// Appends an entry. A key that is there already is not replaced.
    ///
    /// # Errors
    /// `TooLong` for a key above 255 bytes; the table is unchanged then.
    pub fn insert<'v>(&mut self, key: &str, value: impl Into<Value<'v>>) -> Result<&mut Self, TooLong> {
        let key = ShortBytes::try_from(key)?;
        self.push(key, value.into());
        Ok(self)
    }

    /// Appends an entry.
    pub fn push(&mut self, key: ShortBytes<'_>, value: Value<'_>) {
        self.0.push(key.len() as u8);
        self.0.extend_from_slice(&key);
        value.put(&mut self.0);
    }

    /// `insert` for building in one expression.
    ///
    /// # Errors
    /// As `insert`.
    pub fn with<'v>(mut self, key: &str, value: impl Into<Value<'v>>) -> Result<Self, TooLong> {
        self.insert(key, value)?;
        Ok(self)
    }

    /// The table.
    pub fn as_table(&self) -> Table<'_> {
        Table(&self.0)
    }
}

impl ArrayBuf {
    /// An empty array.
    pub const fn new() -> Self {
        ArrayBuf(Vec::new())
    }

    /// Appends a value.
    pub fn push<'v>(&mut self, value: impl Into<Value<'v>>) -> &mut Self {
        value.into().put(&mut self.0);
        self
    }

    /// The array.
    pub fn as_array(&self) -> Array<'_> {
        Array(&self.0)
    }
}

impl From<Table<'_>> for TableBuf {
    fn from(table: Table<'_>) -> Self {
        TableBuf(table.0.to_vec())
    }
}

impl std::fmt::Debug for TableBuf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.as_table().fmt(f)
    }
}

impl std::fmt::Debug for ArrayBuf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.as_array().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `depth` tables inside each other, the innermost empty.
    fn nested(depth: usize) -> Vec<u8> {
        let mut bytes = vec![];
        for _ in 0..depth {
            let mut outer = vec![1, b'k', b'F'];
            outer.extend((bytes.len() as u32).to_be_bytes());
            outer.extend(bytes);
            bytes = outer;
        }
        bytes
    }

    #[test]
    fn tables_may_nest_64_deep_and_no_deeper() {
        assert!(Table::validate(&nested(DEPTH_MAX)).is_ok());
        assert_eq!(Table::validate(&nested(DEPTH_MAX + 1)), Err(Malformed("tables nested too deep")));
        assert!(Table::validate(&nested(20_000)).is_err());
    }

    #[test]
    fn every_cut_of_a_table_is_refused() {
        let mut array = ArrayBuf::new();
        array.push(1u8).push("two").push(Value::Void);
        let inner = TableBuf::new().with("x", 2.5f64).unwrap();
        let mut table = TableBuf::new();
        table.insert("a", array.as_array()).unwrap().insert("t", inner.as_table()).unwrap();
        let bytes = table.as_table().as_bytes();
        assert_eq!(Table::validate(bytes).map(|t| t.iter().count()), Ok(2));
        let second = 2 + 1 + 4 + array.0.len();
        for cut in (1..bytes.len()).filter(|&c| c != second) {
            assert!(Table::validate(&bytes[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn an_inner_table_cannot_reach_beyond_the_outer_one() {
        // a: an array of 5 bytes in which an I32 wants 5 and the array has 4 left
        let bytes = [1, b'a', b'A', 0, 0, 0, 4, b'I', 0, 0, 0, 1, b'b', b'V'];
        assert!(Table::validate(&bytes).is_err());
    }

    #[test]
    fn the_tag_of_py_amqps_long_integers_is_rewritten_everywhere() {
        let mut bytes = vec![1, b'a', b'L', 0, 0, 0, 0, 0, 0, 0, 76, 1, b'b', b'F', 0, 0, 0, 11, 1, b'L', b'L'];
        bytes.extend([0, 0, 0, 0, 0, 0, 0, 1]);
        Table::normalize(&mut bytes).unwrap();
        assert_eq!((bytes[2], bytes[10], bytes[19], bytes[20]), (b'l', 76, b'L', b'l'));
        assert_eq!(Table::validate(&bytes).unwrap().lookup("a"), Some(Value::I64(76)));
    }
}
