//! What is written can be read again, what is cut short is refused, and no damage makes the decoders panic: for every
//! method of the table, field tables of every type, every subset of the properties, and frames.

mod content;
mod frames;
mod methods;
mod tables;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestCaseError;

pub(crate) type Verdict = Result<(), TestCaseError>;

pub(crate) fn bytes(length_max: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..=length_max)
}

pub(crate) fn short_bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![8 => bytes(12), 1 => bytes(255), 1 => vec(any::<u8>(), 255)]
}

/// Octets written over others, places anywhere.
pub(crate) fn damage() -> impl Strategy<Value = Vec<(Index, u8)>> {
    vec((any::<Index>(), any::<u8>()), 1..4)
}

pub(crate) fn damaged(mut bytes: Vec<u8>, damage: &[(Index, u8)]) -> Vec<u8> {
    let length = bytes.len();
    for (at, octet) in damage.iter().filter(|_| length > 0) {
        bytes[at.index(length)] = *octet;
    }
    bytes
}

pub(crate) fn encoded(encode: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = vec![];
    encode(&mut out);
    out
}
