//! What every message of a measurement says of itself, at the beginning of its body.
//!
//! ```text
//! 0        2                8                16
//! producer | sequence number | time in ns     | filling
//! ```

/// The smallest body that a stamp fits into.
pub(crate) const BYTES: usize = 16;
const SEQUENCE_BITS: u32 = 48;

/// See the file's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) producer: u16,
    /// Counts the messages of this producer to this queue, from 0.
    pub(crate) sequence: u64,
    /// When the message was sent or should have been.
    pub(crate) time_ns: u64,
}

impl Stamp {
    /// Overwrites the beginning of a body that has room for it.
    pub(crate) fn write(self, body: &mut [u8]) {
        let number = u64::from(self.producer) << SEQUENCE_BITS | self.sequence & ((1 << SEQUENCE_BITS) - 1);
        let (first, rest) = body.split_at_mut(BYTES / 2);
        first.copy_from_slice(&number.to_be_bytes());
        if let Some(second) = rest.first_chunk_mut() {
            *second = self.time_ns.to_be_bytes();
        }
    }

    /// The stamp of a body; `None` for one that is too short.
    pub(crate) fn read(body: &[u8]) -> Option<Stamp> {
        let (first, rest) = body.split_first_chunk()?;
        let number = u64::from_be_bytes(*first);
        let time_ns = u64::from_be_bytes(*rest.first_chunk()?);
        let producer = (number >> SEQUENCE_BITS) as u16;
        Some(Stamp { producer, sequence: number & ((1 << SEQUENCE_BITS) - 1), time_ns })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_comes_back_as_it_was_written() {
        let stamp = Stamp { producer: u16::MAX, sequence: (1 << SEQUENCE_BITS) - 1, time_ns: u64::MAX - 1 };
        for size in [BYTES, 100] {
            let mut body = vec![b'x'; size];
            stamp.write(&mut body);
            assert_eq!(Stamp::read(&body), Some(stamp));
        }
    }

    #[test]
    fn a_body_without_room_has_no_stamp() {
        assert_eq!(Stamp::read(&[0; BYTES - 1]), None);
    }
}
