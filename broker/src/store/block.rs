//! A block: what one write and one sync put on the disk, all of it or nothing.
//!
//! ```text
//!  0  magic "LVRTBLK1"      8
//!  8  block bytes           u32   header and records, without the padding
//! 12  records               u32
//! 16  segment               u32   the number in the file's name
//! 20  flags                 u32   1: seal, the segment's last block, without records
//! 24  lsn                   u64   one more than the block's before, through all segments
//! 32  durable lsn           u64   the last block that was known to stay when this one was made
//! 40  segment bytes         u64   the file's length
//! 48  (zero)                8
//! 56  crc32c of the records u32
//! 60  crc32c of bytes 0-59  u32
//! 64  records ...
//!     zeroes up to a multiple of 4096
//! ```
//!
//! All numbers are little endian. Both checksums begin from that of the store's uuid and the segment's number, so that what
//! a recycled file had in it before never passes for a block. A block shares no page of 4 KiB with another, so that a torn
//! write can only hurt what nobody was promised.

/// What blocks begin at a multiple of, in bytes.
pub(super) const PAGE: usize = 4096;
/// Bytes in front of the records.
pub(super) const HEADER: usize = 64;
const MAGIC: [u8; 8] = *b"LVRTBLK1";
const SEAL: u32 = 1;

/// What a segment's checksums begin from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seed(u32);

impl Seed {
    pub(super) fn new(uuid: u128, segment: u32) -> Self {
        Seed(crc32c::crc32c_append(crc32c::crc32c(&uuid.to_le_bytes()), &segment.to_le_bytes()))
    }
}

/// What stands in front of a block's records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) block_bytes: u32,
    pub(super) records: u32,
    pub(super) segment: u32,
    pub(super) is_seal: bool,
    pub(super) lsn: u64,
    pub(super) durable_lsn: u64,
    pub(super) segment_bytes: u64,
    records_crc: u32,
}

impl Header {
    /// Bytes from this block's beginning to the next.
    pub(super) fn stride(&self) -> u64 {
        padded(self.block_bytes as usize) as u64
    }

    /// None if the bytes are no header of this segment.
    pub(super) fn read(bytes: &[u8; HEADER], seed: Seed) -> Option<Header> {
        if bytes[..8] != MAGIC || u32_at(bytes, 60) != crc32c::crc32c_append(seed.0, &bytes[..60]) {
            return None;
        }
        Some(Header {
            block_bytes: u32_at(bytes, 8),
            records: u32_at(bytes, 12),
            segment: u32_at(bytes, 16),
            is_seal: u32_at(bytes, 20) & SEAL != 0,
            lsn: u64_at(bytes, 24),
            durable_lsn: u64_at(bytes, 32),
            segment_bytes: u64_at(bytes, 40),
            records_crc: u32_at(bytes, 56),
        })
    }

    /// True if these are the records that it was written with.
    pub(super) fn covers(&self, records: &[u8], seed: Seed) -> bool {
        crc32c::crc32c_append(seed.0, records) == self.records_crc
    }
}

fn u32_at(bytes: &[u8; HEADER], at: usize) -> u32 {
    bytes[at..].first_chunk().map_or(0, |chunk| u32::from_le_bytes(*chunk))
}

fn u64_at(bytes: &[u8; HEADER], at: usize) -> u64 {
    bytes[at..].first_chunk().map_or(0, |chunk| u64::from_le_bytes(*chunk))
}

/// The next multiple of a page.
pub(super) fn padded(bytes: usize) -> usize {
    bytes.next_multiple_of(PAGE)
}

/// What a block's header says that does not follow from its records.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) segment: u32,
    pub(super) segment_bytes: u64,
    pub(super) lsn: u64,
    pub(super) durable_lsn: u64,
    pub(super) is_seal: bool,
}

/// Makes a block of `block`, which has room for a header and then records, by filling in the header and padding it.
pub(super) fn finish(block: &mut Vec<u8>, records: u32, place: Place, seed: Seed) {
    let records_crc = crc32c::crc32c_append(seed.0, block.get(HEADER..).unwrap_or_default());
    let bytes = block.len() as u32;
    block.resize(padded(block.len().max(HEADER)), 0);
    let mut put = |at: usize, value: &[u8]| block[at..at + value.len()].copy_from_slice(value);
    put(0, &MAGIC);
    put(8, &bytes.to_le_bytes());
    put(12, &records.to_le_bytes());
    put(16, &place.segment.to_le_bytes());
    put(20, &(if place.is_seal { SEAL } else { 0 }).to_le_bytes());
    put(24, &place.lsn.to_le_bytes());
    put(32, &place.durable_lsn.to_le_bytes());
    put(40, &place.segment_bytes.to_le_bytes());
    put(48, &[0; 8]);
    put(56, &records_crc.to_le_bytes());
    let crc = crc32c::crc32c_append(seed.0, &block[..60]);
    block[60..HEADER].copy_from_slice(&crc.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_known_by_its_own_store_and_segment_only() {
        let place = Place { segment: 3, segment_bytes: 1 << 20, lsn: 9, durable_lsn: 8, is_seal: false };
        let mut block = vec![0; HEADER];
        block.extend_from_slice(b"records");
        finish(&mut block, 1, place, Seed::new(7, 3));
        assert_eq!(block.len(), PAGE);
        let bytes: &[u8; HEADER] = block.first_chunk().unwrap();
        let header = Header::read(bytes, Seed::new(7, 3)).unwrap();
        assert_eq!((header.lsn, header.durable_lsn, header.stride(), header.records), (9, 8, 4096, 1));
        assert!(header.covers(b"records", Seed::new(7, 3)) && !header.covers(b"recordz", Seed::new(7, 3)));
        assert_eq!(Header::read(bytes, Seed::new(7, 4)), None);
        assert_eq!(Header::read(bytes, Seed::new(8, 3)), None);
    }
}
