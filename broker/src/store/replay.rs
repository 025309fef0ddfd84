//! Reading the log after a crash, and telling its torn end from corruption.
//!
//! The blocks are applied in the order of the log. Where one is expected and none stands, it is one of two things:
//!
//! - *the torn end*: the last write before the crash, which nobody was promised. Nothing that was written after it is there.
//!   It is cut off without a word;
//! - *corruption*: something behind it says that it was there, a block that knows it to be durable or a later segment. The
//!   store does not open, unless the caller accepts the loss.

use std::io;
use std::sync::Arc;

use super::block::{HEADER, Header, PAGE, Seed};
use super::defect::{Defect, Sabotage};
use super::disk::{Disk, DiskFile};
use super::ledger::{Ledger, Segment};
use super::scan::{Found, Scan};
use super::spares;
use super::{Damage, OpenError, Options, QueueId};

/// The end of the last segment with blocks.
pub(super) struct Tail {
    pub(super) number: u32,
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) bytes: u64,
    /// Where the last block is, and how far it goes.
    pub(super) last: Option<(u64, u64)>,
    /// Behind the last block.
    pub(super) end: u64,
    pub(super) is_sealed: bool,
}

/// Reads the segments, the oldest first.
pub(super) struct Reader<'a> {
    disk: &'a dyn Disk,
    uuid: u128,
    known: &'a dyn Fn(QueueId) -> bool,
    accept_data_loss: bool,
    pub(super) ledger: Ledger,
    /// Of the last block, 0 before the first.
    pub(super) lsn: u64,
    /// True if the next block's lsn must be one more.
    follows: bool,
    /// Where a segment ended without a seal, and nothing has been found behind it yet.
    open_end: Option<(u32, u64)>,
    pub(super) tail: Option<Tail>,
    /// Segments without a block.
    pub(super) empty: Vec<(u32, u64)>,
    pub(super) damage: Vec<Damage>,
}

/// Reads the segments with these numbers, which ascend.
pub(super) fn read<'a>(
    disk: &'a dyn Disk,
    uuid: u128,
    numbers: &[u32],
    options: &Options,
    known: &'a dyn Fn(QueueId) -> bool,
) -> Result<Reader<'a>, OpenError> {
    let mut reader = Reader {
        disk,
        uuid,
        known,
        accept_data_loss: options.accept_data_loss,
        ledger: Ledger::new(options.sabotage),
        lsn: 0,
        follows: false,
        open_end: None,
        tail: None,
        empty: vec![],
        damage: vec![],
    };
    let mut before = None;
    for &number in numbers {
        reader.follows = before.is_some_and(|before: u32| before + 1 == number);
        reader.segment(number)?;
        before = Some(number);
    }
    reader.ledger.forget_early_acks();
    Ok(reader)
}

impl Reader<'_> {
    pub(super) fn sabotage(&self) -> Sabotage {
        self.ledger.sabotage
    }

    /// Reads one segment.
    fn segment(&mut self, number: u32) -> Result<(), OpenError> {
        let name = spares::segment_name(number);
        let fault = |error| OpenError::io(&format!("read {name}"), error);
        let file = self.disk.open(&name).map_err(fault)?;
        let seed = Seed::new(self.uuid, if self.sabotage().has(Defect::StaleBlocksPass) { 0 } else { number });
        let mut scan = Scan::new(Arc::clone(&file), number, seed).map_err(fault)?;
        scan.trusts_records = self.sabotage().has(Defect::RecordsUnchecked);
        let bytes = scan.file_bytes();
        self.ledger.begin(number, Segment::new(Arc::clone(&file), bytes));
        let mut tail = Tail { number, file, bytes, last: None, end: 0, is_sealed: false };
        let mut is_empty = true;
        if bytes == 0 || !bytes.is_multiple_of(PAGE as u64) {
            self.corrupt(number, (bytes, bytes), "the file is shorter than it was")?;
        }
        loop {
            let at = scan.offset;
            match scan.next().map_err(fault)? {
                Found::Block { header, offset, records } => {
                    self.check_order(number, offset, &header, bytes)?;
                    let place = (number, offset + HEADER as u64);
                    if !self.ledger.apply_block(place, records, header.records, self.known) {
                        self.corrupt(number, (offset, offset + header.stride()), "a block's records make no sense")?;
                    }
                    tail.last = Some((offset, header.stride()));
                    tail.end = offset + header.stride();
                    is_empty = false;
                }
                Found::Seal { header } => {
                    self.check_order(number, at, &header, bytes)?;
                    tail.is_sealed = true;
                    is_empty = false;
                    break;
                }
                Found::Nothing => match self.gap(number, &mut scan, at).map_err(fault)? {
                    Some(next) => {
                        self.corrupt(number, (at, next), "a block is not what was written")?;
                        scan.offset = next;
                        self.follows = false;
                    }
                    None => break,
                },
            }
        }
        if is_empty {
            self.empty.push((number, bytes));
            self.ledger.segments.remove(&number);
        } else {
            self.leave(tail);
        }
        if is_empty || self.tail.as_ref().is_some_and(|tail| !tail.is_sealed) {
            let end = if is_empty { 0 } else { self.tail.as_ref().map_or(0, |tail| tail.end) };
            self.open_end.get_or_insert((number, end));
        }
        Ok(())
    }

    /// Where the next block stands behind a bad one, if there is one that shows the bad one to have been durable.
    fn gap(&self, number: u32, scan: &mut Scan, at: u64) -> io::Result<Option<u64>> {
        if self.sabotage().has(Defect::EveryBadBlockIsTorn) {
            return Ok(None);
        }
        let expected = if self.follows { self.lsn + 1 } else { 0 };
        let mut from = at + PAGE as u64;
        while let Some((offset, header)) = scan.next_header(from)? {
            if header.durable_lsn >= expected && header.segment == number {
                return Ok(Some(offset));
            }
            from = offset + PAGE as u64;
        }
        Ok(None)
    }

    /// A block or seal that is whole has to be the next one, in a file that is whole.
    fn check_order(&mut self, number: u32, at: u64, header: &Header, bytes: u64) -> Result<(), OpenError> {
        if let Some((open, end)) = self.open_end.take() {
            self.corrupt(open, (end, u64::MAX), "the segment ends here, but there are later ones")?;
            if let Some(segment) = self.ledger.segments.get_mut(&open) {
                segment.is_sealed = true;
            }
            self.follows = false;
        }
        let in_order = if self.follows { header.lsn == self.lsn + 1 } else { header.lsn > self.lsn };
        if !in_order && !self.sabotage().has(Defect::StaleBlocksPass) {
            self.corrupt(number, (at, at + header.stride()), "a block is not the one that comes next")?;
        }
        if header.segment_bytes != bytes {
            self.corrupt(number, (bytes, header.segment_bytes), "the file is shorter than it was")?;
        }
        self.lsn = header.lsn;
        self.follows = true;
        Ok(())
    }

    fn corrupt(&mut self, number: u32, (from, to): (u64, u64), what: &'static str) -> Result<(), OpenError> {
        let name = spares::segment_name(number);
        if !self.accept_data_loss {
            return Err(OpenError::corrupt(&name, from, what));
        }
        if let Some(segment) = self.ledger.segments.get_mut(&number) {
            segment.is_damaged = true;
        }
        let damage = Damage { file: name, from, to, what };
        if self.damage.last() != Some(&damage) {
            self.damage.push(damage);
        }
        Ok(())
    }

    /// This segment is the last with blocks so far.
    fn leave(&mut self, tail: Tail) {
        if let Some(segment) = self.ledger.segments.get_mut(&tail.number) {
            segment.is_sealed = tail.is_sealed;
        }
        self.tail = Some(tail);
    }
}
