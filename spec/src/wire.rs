//! The elementary types of section 4.2.5 as nom parsers, and the error that all of them share.

use nom::error::{ErrorKind, ParseError};
use nom::number::complete::{be_u8, be_u32};
use nom::{IResult, Parser, bytes::complete::take};

/// The bytes do not follow the protocol's grammar; the text says where they leave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Malformed {}

impl<'a> ParseError<&'a [u8]> for Malformed {
    fn from_error_kind(_: &'a [u8], _: ErrorKind) -> Self {
        Malformed("ends too early")
    }

    fn append(_: &'a [u8], _: ErrorKind, other: Self) -> Self {
        other
    }
}

pub(crate) type Parsed<'a, T> = IResult<&'a [u8], T, Malformed>;

/// The error alone: none of these parsers is of the kind that asks for more input.
pub(crate) fn finish<'a, T>(parsed: Parsed<'a, T>) -> Result<(&'a [u8], T), Malformed> {
    parsed.map_err(|e| match e {
        nom::Err::Error(e) | nom::Err::Failure(e) => e,
        nom::Err::Incomplete(_) => Malformed("ends too early"),
    })
}

pub(crate) fn short(input: &[u8]) -> Parsed<'_, &[u8]> {
    let (input, length) = be_u8(input)?;
    take(length).parse(input)
}

pub(crate) fn long(input: &[u8]) -> Parsed<'_, &[u8]> {
    let (input, length) = be_u32(input)?;
    take(length).parse(input)
}
