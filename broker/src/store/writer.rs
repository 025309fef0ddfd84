//! Group commit: what was handed in since the last sync becomes one block, one write and one sync.
//!
//! ```text
//! segment   | block | block | ... | block | seal |  what is left
//! ```
//!
//! There is never more than one block that is not known to stay. A segment that cannot take the next block gets a seal, and
//! only when that stays, the next segment is begun. After an error the writer is of no use: nobody knows what is on the disk.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use super::batch::Batch;
use super::block::{self, HEADER, PAGE, Place, Seed};
use super::collect::Evacuation;
use super::defect::{Defect, Sabotage};
use super::disk::{Disk, DiskFile};
use super::ledger::{Ledger, Segment};
use super::record::QueueId;
use super::spares::{self, Spares};

/// A block takes no further batch beyond this, in bytes: the first in it waits for the last.
const GROUP_BYTES_MAX: usize = 4 << 20;
/// What batches must leave free of a segment: a page for acks of messages that were acked early, one for the seal.
const RESERVED: u64 = 2 * PAGE as u64;
/// The buffer is not kept beyond this, in bytes.
const BUFFER_BYTES_MAX: usize = 2 * GROUP_BYTES_MAX;
/// The last so many segments that were left are not looked at for room, since their messages may be about to go.
const YOUNG: u32 = 4;

pub(super) struct Writer {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) ledger: Arc<Mutex<Ledger>>,
    pub(super) spares: Arc<Spares>,
    pub(super) uuid: u128,
    pub(super) current: Current,
    /// Of the next block.
    pub(super) lsn: u64,
    pub(super) evacuation: Option<Evacuation>,
    /// What has to be in the next block, before anything else.
    pub(super) moves: Batch,
    /// So many segments behind the current one are left alone.
    pub(super) young: u32,
    /// The disk has no room for the next segment: nothing is written until it has.
    pub(super) is_stuck: bool,
    pub(super) sabotage: Sabotage,
    buffer: Vec<u8>,
}

/// The segment that is written to.
pub(super) struct Current {
    pub(super) number: u32,
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) bytes: u64,
    /// Where the next block goes.
    pub(super) offset: u64,
}

impl Current {
    /// What the batches of a block may take, header and all.
    fn room(&self) -> usize {
        self.bytes.saturating_sub(self.offset + RESERVED) as usize
    }
}

impl Writer {
    pub(super) fn new(
        (disk, spares): (Arc<dyn Disk>, Arc<Spares>),
        ledger: Arc<Mutex<Ledger>>,
        (uuid, lsn): (u128, u64),
        current: Current,
    ) -> Self {
        let sabotage = ledger.lock().sabotage;
        Writer {
            disk,
            ledger,
            spares,
            uuid,
            current,
            lsn,
            evacuation: None,
            moves: Batch::new(),
            young: YOUNG,
            is_stuck: false,
            sabotage,
            buffer: vec![],
        }
    }

    fn seed(&self) -> Seed {
        match self.sabotage.has(Defect::StaleBlocksPass) {
            true => Seed::new(self.uuid, 0),
            false => Seed::new(self.uuid, self.current.number),
        }
    }

    /// True if a block of that much does not need another segment.
    pub(super) fn has_room_for(&self, bytes: usize) -> bool {
        block::padded(HEADER + bytes) <= self.current.room()
    }

    /// True if a block should be written even if nobody hands anything in.
    pub(super) fn has_work(&self) -> bool {
        !self.moves.is_empty() || self.evacuation.is_some()
    }

    /// Writes one block of as many batches as it takes, from the front. When it returns, these batches stay; it says how many
    /// they are. None are when the disk has no room for another segment: then it `is_stuck` until a later call finds some. What
    /// can go after a block is for `collect`, once those who wait have heard.
    ///
    /// # Errors
    /// The disk's. What it may have kept of the block is unknown, and the writer must not be used any more.
    pub(super) fn write(&mut self, batches: &mut VecDeque<Batch>) -> io::Result<usize> {
        let Some(taken) = self.gather(batches)? else { return Ok(0) };
        let done = batches.drain(..taken);
        let records = self.moves.records + done.map(|batch| batch.records).sum::<u32>();
        self.moves = Batch::new();
        if records > 0 {
            self.write_block(records)?;
        }
        Ok(taken)
    }

    /// `write`, then `collect`, unless what has been moved is still to be written.
    #[cfg(test)]
    pub(super) fn commit(&mut self, batches: &mut VecDeque<Batch>) -> io::Result<usize> {
        let taken = self.write(batches)?;
        if !self.is_stuck {
            self.collect()?;
        }
        Ok(taken)
    }

    /// Has the records of the next block in the buffer, and room for it; how many batches are in it, none if there is no room.
    fn gather(&mut self, batches: &VecDeque<Batch>) -> io::Result<Option<usize>> {
        self.is_stuck = false;
        let first = match self.moves.is_empty() {
            true => batches.iter().map(Batch::bytes).find(|bytes| *bytes > 0).unwrap_or(0),
            false => self.moves.bytes(),
        };
        if first > 0 && block::padded(HEADER + first) > self.current.room() {
            self.switch(block::padded(HEADER + first) as u64)?;
            if self.is_stuck {
                return Ok(None);
            }
        }
        let max = self.current.room().min(GROUP_BYTES_MAX);
        self.buffer.clear();
        self.buffer.resize(HEADER, 0);
        self.buffer.extend_from_slice(&self.moves.bytes);
        let mut taken = 0;
        for batch in batches {
            if self.buffer.len() > HEADER && block::padded(self.buffer.len() + batch.bytes()) > max {
                break;
            }
            self.buffer.extend_from_slice(&batch.bytes);
            taken += 1;
        }
        Ok(Some(taken))
    }

    fn write_block(&mut self, records: u32) -> io::Result<()> {
        let at = (self.current.number, self.current.offset);
        // The ledger may be ahead of the disk: what it frees is freed after the sync only.
        let reading = &self.buffer[HEADER..];
        let mut ledger = self.ledger.lock();
        if !ledger.apply_block((at.0, at.1 + HEADER as u64), reading, records, &|_| true) {
            return Err(io::Error::other("a batch is not what it says"));
        }
        let dead = std::mem::take(&mut ledger.dead_on_arrival);
        let delivered = std::mem::take(&mut ledger.delivered_on_arrival);
        drop(ledger);
        let records = records + self.ack_again(&dead) + self.deliver_again(&delivered);
        if self.sabotage.has(Defect::FreedBeforeMoved) {
            self.collect()?;
        }
        let place = self.place(false);
        let seed = self.seed();
        block::finish(&mut self.buffer, records, place, seed);
        self.current.file.write_at(self.current.offset, &self.buffer)?;
        self.sync_block()?;
        self.current.offset += self.buffer.len() as u64;
        self.ledger.lock().stays(self.current.number, self.current.offset);
        self.lsn += 1;
        if self.buffer.capacity() > BUFFER_BYTES_MAX {
            self.buffer = vec![];
        }
        Ok(())
    }

    /// Puts acks into the block of messages that were acked in an earlier one; how many records they are.
    fn ack_again(&mut self, dead: &[(QueueId, u64)]) -> u32 {
        let mut acks = Batch::new();
        if self.sabotage.has(Defect::EarlyAcksNotRepeated) {
            return 0;
        }
        for same in dead.chunk_by(|(queue, _), (next, _)| queue == next) {
            acks.ack(same[0].0, same.iter().map(|(_, seq)| *seq..=*seq));
        }
        if block::padded(self.buffer.len() + acks.bytes()) <= self.current.room() + PAGE {
            self.buffer.extend_from_slice(&acks.bytes);
            return acks.records;
        }
        // Too many: a crash before the next block would bring them back, as it may bring back what was acked just now.
        self.moves = acks;
        0
    }

    /// The same for notes of deliveries, if there is room; how many records they are.
    fn deliver_again(&mut self, delivered: &[(QueueId, u64, u16)]) -> u32 {
        let mut notes = Batch::new();
        for (queue, seq, deliveries) in delivered {
            notes.delivered(*queue, *deliveries, [*seq..=*seq]);
        }
        let fits = block::padded(self.buffer.len() + notes.bytes()) <= self.current.room() + PAGE;
        if fits {
            self.buffer.extend_from_slice(&notes.bytes);
            return notes.records;
        }
        // They are hints. Most of them are for messages that are acked before the next block.
        0
    }

    fn sync_block(&mut self) -> io::Result<()> {
        if self.sabotage.has(Defect::NoSync) || self.sabotage.has(Defect::SyncNowAndThen) && self.lsn.is_multiple_of(10)
        {
            return Ok(());
        }
        match self.current.file.sync() {
            Err(_) if self.sabotage.has(Defect::FailedSyncRetried) => self.current.file.sync(),
            synced => synced,
        }
    }

    fn place(&self, is_seal: bool) -> Place {
        Place {
            segment: self.current.number,
            segment_bytes: self.current.bytes,
            lsn: self.lsn,
            durable_lsn: self.lsn - 1,
            is_seal,
        }
    }

    /// Leaves the current segment, so that it is never written to again.
    pub(super) fn seal(&mut self) -> io::Result<()> {
        if !self.sabotage.has(Defect::NoSeal) {
            let mut seal = vec![0; HEADER];
            block::finish(&mut seal, 0, self.place(true), self.seed());
            let back = if self.sabotage.has(Defect::SealOverLastBlock) { PAGE as u64 } else { 0 };
            self.current.file.write_at(self.current.offset.saturating_sub(back), &seal)?;
            self.lsn += 1;
            if !self.sabotage.has(Defect::NoSealSync) {
                self.current.file.sync()?;
            }
        }
        if let Some(segment) = self.ledger.lock().segments.get_mut(&self.current.number) {
            segment.is_sealed = true;
        }
        Ok(())
    }

    /// Leaves the current segment for one that takes a block of that length, unless there is no room: that is no failure, since
    /// all that was written stays and all that waits can wait.
    pub(super) fn switch(&mut self, block_bytes: u64) -> io::Result<()> {
        self.is_stuck = match self.spares.reserve(block_bytes + RESERVED) {
            Err(error) if error.kind() == io::ErrorKind::StorageFull => true,
            reserved => reserved.map(|()| false)?,
        };
        if self.is_stuck {
            return Ok(());
        }
        self.seal()?;
        self.spares.want(2);
        let offset = self.current.offset;
        self.current = begin(&*self.disk, &self.spares, self.current.number + 1)?;
        if self.sabotage.has(Defect::OffsetKeptAtSwitch) {
            self.current.offset = offset.min(self.current.bytes.saturating_sub(block_bytes + RESERVED));
        }
        if !self.sabotage.has(Defect::NoDirSyncBeforeUse) {
            self.disk.sync_dir()?;
        }
        self.ledger.lock().begin(self.current.number, self.current.as_segment());
        Ok(())
    }
}

impl Current {
    pub(super) fn as_segment(&self) -> Segment {
        Segment::new(Arc::clone(&self.file), self.bytes)
    }
}

/// The segment that was reserved; its name stays after the next `sync_dir`.
fn begin(disk: &dyn Disk, spares: &Spares, number: u32) -> io::Result<Current> {
    let name = spares::segment_name(number);
    let spare = spares.take().ok_or_else(|| io::Error::other("a spare segment is gone"))?;
    disk.rename(&spare, &name)?;
    let file = disk.open(&name)?;
    let bytes = file.bytes()?;
    Ok(Current { number, file, bytes, offset: 0 })
}
