//! Reading the blocks of a segment one behind the other, and telling how they end.

use std::io;
use std::sync::Arc;

use super::block::{HEADER, Header, PAGE, Seed};
use super::disk::DiskFile;

/// What is read at once, in bytes, unless a block is longer.
const READ_BYTES: u64 = 1 << 20;

/// Goes through a segment's blocks.
pub(super) struct Scan {
    file: Arc<dyn DiskFile>,
    file_bytes: u64,
    segment: u32,
    seed: Seed,
    /// Where the next block begins.
    pub(super) offset: u64,
    /// For the simulation: the checksum of the records is not looked at.
    pub(super) trusts_records: bool,
    /// What was read, from `window_at` on.
    window: Vec<u8>,
    window_at: u64,
}

/// What stands where a block may begin.
pub(super) enum Found<'a> {
    Block {
        header: Header,
        offset: u64,
        records: &'a [u8],
    },
    Seal {
        header: Header,
    },
    /// No block.
    Nothing,
}

impl Scan {
    pub(super) fn new(file: Arc<dyn DiskFile>, segment: u32, seed: Seed) -> io::Result<Self> {
        let file_bytes = file.bytes()?;
        Ok(Scan { file, file_bytes, segment, seed, offset: 0, trusts_records: false, window: vec![], window_at: 0 })
    }

    pub(super) fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    /// What stands at `offset`; the offset moves behind it, if it is a block.
    pub(super) fn next(&mut self) -> io::Result<Found<'_>> {
        let offset = self.offset;
        let Some(header) = self.header_at(offset)? else { return Ok(Found::Nothing) };
        if header.is_seal {
            return Ok(Found::Seal { header });
        }
        let end = offset + u64::from(header.block_bytes);
        if end > self.file_bytes || (header.block_bytes as usize) < HEADER {
            return Ok(Found::Nothing);
        }
        let seed = self.seed;
        self.read(offset, end)?;
        let from = (offset - self.window_at) as usize;
        let records = &self.window[from + HEADER..from + header.block_bytes as usize];
        if !header.covers(records, seed) && !self.trusts_records {
            return Ok(Found::Nothing);
        }
        self.offset = offset + header.stride();
        Ok(Found::Block { header, offset, records })
    }

    /// The next header that is whole, from `offset` on, and where it stands.
    pub(super) fn next_header(&mut self, mut offset: u64) -> io::Result<Option<(u64, Header)>> {
        while offset + HEADER as u64 <= self.file_bytes {
            if let Some(header) = self.header_at(offset)? {
                return Ok(Some((offset, header)));
            }
            offset += PAGE as u64;
        }
        Ok(None)
    }

    fn header_at(&mut self, offset: u64) -> io::Result<Option<Header>> {
        if offset + HEADER as u64 > self.file_bytes {
            return Ok(None);
        }
        self.read(offset, offset + HEADER as u64)?;
        let at = (offset - self.window_at) as usize;
        let header = self.window[at..].first_chunk().and_then(|bytes| Header::read(bytes, self.seed));
        Ok(header.filter(|header| header.segment == self.segment))
    }

    /// Has the bytes from `offset` to `end`, which is in the file, in the window.
    fn read(&mut self, offset: u64, end: u64) -> io::Result<()> {
        if offset >= self.window_at && end <= self.window_at + self.window.len() as u64 {
            return Ok(());
        }
        let end = end.max(offset + READ_BYTES).min(self.file_bytes);
        // What is there of it moves to the front.
        let kept = match offset.checked_sub(self.window_at).map(|from| from as usize) {
            Some(from) if from < self.window.len() => {
                self.window.copy_within(from.., 0);
                self.window.len() - from
            }
            _ => 0,
        };
        self.window.resize((end - offset) as usize, 0);
        self.window_at = offset;
        self.file.read_at(offset + kept as u64, &mut self.window[kept..])
    }
}
