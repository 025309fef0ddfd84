//! Opening a store: what a crash has left is read (`replay`), and made to stay.
//!
//! The last block before the end may be one whose sync has failed: the cache shows it, the disk may not have it. Therefore
//! it is written once more and synced, and then a seal behind it; then a new segment begins. All older blocks were synced
//! before the next was written.

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use super::block::{self, HEADER, PAGE, Place, Seed};
use super::defect::Defect;
use super::disk::Disk;
use super::format::{self, FORMAT, UNFINISHED};
use super::ledger::Ledger;
use super::replay::{self, Reader, Tail};
use super::spares::{self, Spares};
use super::writer::{Current, Writer};
use super::{Damage, OpenError, Options, QueueId};

/// The first segment of a store without spares is short, so that nobody waits for it, in bytes.
const FIRST_SEGMENT_BYTES: u64 = 4 << 20;

/// A disk that has less than so many segments of the usual length gets shorter ones: two are set aside, and must leave room
/// for messages.
const SEGMENTS_MIN: u64 = 16;
/// But not shorter than this, in bytes: publishers must hear that no more can be set aside before what there is is full, or acks,
/// which make room, find none.
const SEGMENT_BYTES_MIN: u64 = 4 << 20;
/// The shortest first segment that a disk may have room for, in bytes.
const LEAST_SEGMENT_BYTES: u64 = 64 << 10;

/// What was found, beside the messages.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) segments: usize,
    pub(super) log_bytes: u64,
    pub(super) damage: Vec<Damage>,
}

/// Opens what is on the disk, or begins a store there. The writer is ready for its first block.
///
/// # Errors
/// It says what the store cannot be opened for.
pub(super) fn open(
    disk: Arc<dyn Disk>,
    options: &Options,
    known: &dyn Fn(QueueId) -> bool,
) -> Result<(Writer, Findings), OpenError> {
    disk.lock().map_err(OpenError::from_lock)?;
    let mut names = disk.list().map_err(|error| OpenError::io("list the directory", error))?;
    names.sort();
    for name in names.iter().filter(|name| name.ends_with(UNFINISHED)) {
        disk.remove(name).map_err(|error| OpenError::io(&format!("remove {name}"), error))?;
    }
    let numbers: Vec<u32> = names.iter().filter_map(|name| spares::segment_number(name)).collect();
    let uuid = if names.iter().any(|name| name == FORMAT) {
        format::read(&*disk)?
    } else if let Some(number) = numbers.first() {
        return Err(OpenError::corrupt(&spares::segment_name(*number), 0, "there are segments, but no file FORMAT"));
    } else {
        format::create(&*disk, options.new_uuid).map_err(|error| OpenError::io("write FORMAT", error))?;
        options.new_uuid
    };
    let kept = Arc::clone(&disk);
    let reader = replay::read(&*kept, uuid, &numbers, options, known)?;
    let log_bytes = reader.ledger.segments.values().map(|segment| segment.bytes).sum();
    let mut found = Findings { segments: numbers.len(), log_bytes, damage: vec![] };
    found.damage.clone_from(&reader.damage);
    let writer =
        settle(disk, uuid, (&names, &numbers), reader, options).map_err(|e| OpenError::io("prepare the log", e))?;
    Ok((writer, found))
}

/// Makes what was read stay, and begins a new segment.
fn settle(
    disk: Arc<dyn Disk>,
    uuid: u128,
    (names, numbers): (&[String], &[u32]),
    mut reader: Reader<'_>,
    options: &Options,
) -> io::Result<Writer> {
    let sabotage = reader.sabotage();
    if let Some(tail) = reader.tail.take() {
        end_tail(&tail, &mut reader, uuid)?;
        if let Some(segment) = reader.ledger.segments.get_mut(&tail.number) {
            segment.is_sealed = true;
        }
    }
    let fair = (disk.size() / SEGMENTS_MIN).max(SEGMENT_BYTES_MIN) / PAGE as u64 * PAGE as u64;
    let spares = Spares::new(Arc::clone(&disk), options.segment_bytes.min(fair));
    for name in names {
        if let Some(number) = spares::spare_number(name) {
            match disk.open(name)?.bytes()? == spares.segment_bytes() {
                true => spares.found(number),
                false => disk.remove(name)?,
            }
        }
    }
    for (number, bytes) in &reader.empty {
        spares.retire(*number, *bytes)?;
    }
    // Behind those without blocks too: what is torn in them must not pass for this one's.
    let number = numbers.last().map_or(1, |last| last + 1);
    let name = spares::segment_name(number);
    match spares.take() {
        Some(spare) => disk.rename(&spare, &name)?,
        None => make_first(&*disk, &name, spares.segment_bytes().min(FIRST_SEGMENT_BYTES))?,
    }
    if !sabotage.has(Defect::NoDirSyncAtOpen) {
        disk.sync_dir()?;
    }
    let file = disk.open(&name)?;
    let current = Current { number, bytes: file.bytes()?, file, offset: 0 };
    reader.ledger.segments.insert(number, current.as_segment());
    reader.ledger.stays(number, 0);
    let (ledger, lsn) = (Arc::new(Mutex::new(reader.ledger)), reader.lsn + 1);
    Ok(Writer::new((disk, Arc::new(spares)), ledger, (uuid, lsn), current))
}

/// Makes the first segment, shorter if the disk is nearly full: what is on it must come out before anything else goes in.
fn make_first(disk: &dyn Disk, name: &str, bytes: u64) -> io::Result<()> {
    match spares::make(disk, name, bytes, &mut |_| Ok(())) {
        Err(error) if error.kind() == io::ErrorKind::StorageFull && bytes / 2 >= LEAST_SEGMENT_BYTES => {
            make_first(disk, name, bytes / 2 / PAGE as u64 * PAGE as u64)
        }
        made => made,
    }
}

/// Writes once more what was written last, the seal or the block that has none behind it yet, and then that seal.
fn end_tail(tail: &Tail, reader: &mut Reader<'_>, uuid: u128) -> io::Result<()> {
    let sabotage = reader.sabotage();
    let last = if tail.is_sealed { Some((tail.end, PAGE as u64)) } else { tail.last };
    if let Some((offset, bytes)) = last.filter(|_| !sabotage.has(Defect::TailNotRewritten)) {
        let mut written = vec![0; bytes as usize];
        tail.file.read_at(offset, &mut written)?;
        tail.file.write_at(offset, &written)?;
        // A seal says that the block stays.
        if !sabotage.has(Defect::TailSealedTooEarly) {
            tail.file.sync()?;
        }
    }
    if tail.is_sealed || sabotage.has(Defect::TailNotSealed) {
        return Ok(());
    }
    reader.lsn += 1;
    let (lsn, durable_lsn) = (reader.lsn, reader.lsn - 1);
    let place = Place { segment: tail.number, segment_bytes: tail.bytes, lsn, durable_lsn, is_seal: true };
    let mut seal = vec![0; HEADER];
    block::finish(&mut seal, 0, place, Seed::new(uuid, tail.number));
    tail.file.write_at(tail.end, &seal)?;
    tail.file.sync()
}
