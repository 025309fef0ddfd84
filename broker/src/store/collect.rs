//! Freeing segments: at once when nothing in them matters, after copying what still does when that is little.
//!
//! An evacuation reads a segment a step at a time and puts what matters into the writer's next block: messages, with the
//! places that are live, and acks of which a copy is left elsewhere. When all of it stays, the segment goes. A step's copies
//! are in the very next block, in front of everything, so that no ack comes between the look and the copy.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use super::batch::Batch;
use super::block::{HEADER, PAGE, Seed};
use super::by_queue::ByQueue;
use super::defect::Defect;
use super::early::add;
use super::index::Location;
use super::ledger::Ledger;
use super::record::{QueueId, Record};
use super::scan::{Found, Scan};
use super::writer::Writer;

/// What an evacuation reads between two blocks, in bytes, unless one block is longer: those who wait for a block wait for that too.
const STEP_BYTES: u64 = 256 << 10;

/// A segment that is being evacuated.
pub(super) struct Evacuation {
    segment: u32,
    scan: Scan,
    is_damaged: bool,
    /// What is needed of its acks.
    acks: ByQueue<Seqs>,
    /// All of it has been read; what it left is in the next block, or behind it.
    is_read: bool,
}

/// Ranges by their first number: their last one.
type Seqs = BTreeMap<u64, u64>;

impl Writer {
    /// Frees what can go, now that all blocks stay, and goes on with the evacuation.
    pub(super) fn collect(&mut self) -> io::Result<()> {
        if let Some(done) = self.evacuation.take_if(|evacuation| evacuation.is_read)
            && let Some(segment) = self.ledger.lock().segments.get_mut(&done.segment)
        {
            segment.is_evacuated = true;
        }
        self.free()?;
        if self.evacuation.is_none() {
            let ledger = self.ledger.lock();
            if let Some(number) = ledger.worth_evacuating(self.current.number, self.young)
                && let Some(segment) = ledger.segments.get(&number).filter(|_| ledger.pins == 0)
            {
                let scan = Scan::new(Arc::clone(&segment.file), number, self.seed_of(number))?;
                let is_damaged = segment.is_damaged;
                let acks = ByQueue::default();
                self.evacuation = Some(Evacuation { segment: number, scan, is_damaged, acks, is_read: false });
            }
        }
        if let Some(evacuation) = &mut self.evacuation {
            evacuation.step(&self.ledger.lock(), &mut self.moves)?;
            if self.moves.is_empty() && evacuation.is_read {
                return self.collect();
            }
        }
        Ok(())
    }

    pub(super) fn seed_of(&self, segment: u32) -> Seed {
        Seed::new(self.uuid, if self.sabotage.has(Defect::StaleBlocksPass) { 0 } else { segment })
    }

    fn free(&mut self) -> io::Result<()> {
        loop {
            let mut ledger = self.ledger.lock();
            let free = ledger.freeable(self.current.number);
            let retired: Vec<(u32, u64)> =
                free.iter().filter_map(|n| Some((*n, ledger.segments.get(n)?.bytes))).collect();
            if self.sabotage.has(Defect::NoDirSyncAfterFree) {
                free.iter().for_each(|number| drop(ledger.segments.remove(number)));
            }
            drop(ledger);
            if free.is_empty() {
                return Ok(());
            }
            for (number, bytes) in retired {
                self.spares.retire(number, bytes)?;
            }
            if self.sabotage.has(Defect::NoDirSyncAfterFree) {
                continue;
            }
            // Only when these are gone for good, nothing needs the acks any more that kill what is in them.
            self.disk.sync_dir()?;
            let mut ledger = self.ledger.lock();
            free.iter().for_each(|number| drop(ledger.segments.remove(number)));
        }
    }
}

impl Evacuation {
    /// Puts what matters of the next blocks into `moves`.
    fn step(&mut self, ledger: &Ledger, moves: &mut Batch) -> io::Result<()> {
        let from = self.scan.offset;
        while !self.is_read && self.scan.offset < from + STEP_BYTES {
            let segment = self.segment;
            let bad_at = self.scan.offset;
            match self.scan.next()? {
                Found::Block { header, offset, records } => {
                    let mut rest = records;
                    for _ in 0..header.records {
                        let at = offset as usize + HEADER + records.len() - rest.len();
                        let before = rest.len();
                        let Some(record) = Record::take(&mut rest) else { break };
                        let at = Location { segment, offset: at as u32, bytes: (before - rest.len()) as u32 };
                        keep(record, at, ledger, moves, &mut self.acks);
                    }
                }
                Found::Seal { .. } => self.is_read = true,
                Found::Nothing if self.is_damaged => match self.scan.next_header(bad_at + PAGE as u64)? {
                    Some((offset, _)) => self.scan.offset = offset,
                    None => self.is_read = true,
                },
                Found::Nothing => {
                    let text = format!("segment {segment:08x} is corrupt at offset {bad_at}");
                    return Err(io::Error::new(io::ErrorKind::InvalidData, text));
                }
            }
        }
        if self.is_read {
            for (queue, ranges) in self.acks.drain() {
                moves.ack(queue, ranges.into_iter().map(|(first, last)| first..=last));
            }
        }
        Ok(())
    }
}

/// Puts a record that stands at `at` into `moves`, as far as it matters; acks are gathered.
fn keep(record: Record<'_>, at: Location, ledger: &Ledger, moves: &mut Batch, acks: &mut ByQueue<Seqs>) {
    match record {
        Record::Publish(publish) => {
            let mut live = ledger.live_here(&publish, at);
            if ledger.sabotage.has(Defect::DeadMessagesMoved) {
                live = publish.refs().collect();
            }
            if ledger.sabotage.has(Defect::MovedForOneQueueOnly) {
                live.truncate(1);
            }
            if ledger.sabotage.has(Defect::DeliveriesLostWhenMoved) {
                live.iter_mut().for_each(|r| r.deliveries = 0);
            }
            if !live.is_empty() {
                moves.publish_bytes(publish.message, &live);
            }
        }
        Record::Ack { queue, .. } if ledger.is_dropped(queue) => {}
        Record::Ack { queue, ranges } => {
            for range in ranges.filter(|range| ledger.is_elsewhere(queue, range, at.segment)) {
                add(acks.entry(queue).or_default(), range);
            }
        }
        Record::Drop { queue } => {
            if ledger.is_elsewhere(queue, &(0..=u64::MAX), at.segment) {
                moves.drop_queue(queue);
            }
        }
        Record::Delivered { queue, ranges, .. } => {
            let Some(index) = ledger.index.get(&queue) else { return };
            for (seq, slot) in ranges.flat_map(|range| index.range(range)).filter(|(_, s)| s.at.segment != at.segment) {
                moves.delivered(queue, slot.deliveries, [seq..=seq]);
            }
        }
    }
}
