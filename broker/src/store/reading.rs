//! Reading messages back, many of a queue at a time.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::disk::DiskFile;
use super::index::Location;
use super::index::Slot;
use super::ledger::Ledger;
use super::record::{QueueId, Record};
use super::seqs::Seqs;
use super::spares;
use crate::message::Message;

/// Messages that are no further apart than this are read at once, in bytes.
const GAP_BYTES_MAX: u64 = 64 << 10;
/// What is read at once, in bytes, unless one message is longer.
const READ_BYTES_MAX: u64 = 1 << 20;

/// The longest that a block takes to be written. What takes longer never comes.
const MOVE_MAX: Duration = Duration::from_secs(60);

/// A message as it is in the store.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) seq: u64,
    /// By the wall clock; `u64::MAX` is never.
    pub(crate) expires_at_ms: u64,
    /// How often it has been given out; a hint.
    pub(crate) deliveries: u16,
    pub(crate) message: Message,
}

/// A part of what a queue has.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outline {
    pub(crate) seqs: Seqs,
    /// What the messages take in the log.
    pub(crate) bytes: usize,
}

/// Why a message could not be read.
#[derive(Debug)]
pub(crate) enum ReadError {
    Io(io::Error),
    /// The place in the log does not have it.
    Corrupt {
        file: String,
        offset: u64,
    },
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadError::Io(error) => write!(f, "the message store cannot be read: {error}"),
            ReadError::Corrupt { file, offset } => {
                write!(f, "the message store is corrupt: {file}, offset {offset}: a message is not what was written")
            }
        }
    }
}

impl std::error::Error for ReadError {}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        ReadError::Io(error)
    }
}

/// A message that is to be read.
struct Wanted {
    seq: u64,
    at: Location,
    deliveries: u16,
    file: Arc<dyn DiskFile>,
}

impl Wanted {
    fn of(seq: u64, slot: &Slot, ledger: &Ledger) -> Option<Self> {
        let file = Arc::clone(&ledger.segments.get(&slot.at.segment)?.file);
        Some(Wanted { seq, at: slot.at, deliveries: slot.deliveries, file })
    }
}

/// The messages of a queue from a seq on, in order, at most `count_max` of them and, but for the first, `bytes_max` bytes.
pub(super) fn load(
    ledger: &Mutex<Ledger>,
    queue: QueueId,
    from: u64,
    (count_max, bytes_max): (usize, usize),
) -> Result<Vec<Stored>, ReadError> {
    let wanted = locate(&ledger.lock(), queue, from, (count_max, bytes_max));
    read_all(ledger, queue, &wanted)
}

/// These messages of a queue.
pub(super) fn fetch(ledger: &Mutex<Ledger>, queue: QueueId, seqs: &Seqs) -> Result<Vec<Stored>, ReadError> {
    let guard = ledger.lock();
    let index = guard.index.get(&queue);
    let live = seqs.ranges().flat_map(|range| index.into_iter().flat_map(move |index| index.range(range.clone())));
    let wanted: Vec<Wanted> = live.filter_map(|(seq, slot)| Wanted::of(seq, slot, &guard)).collect();
    drop(guard);
    read_all(ledger, queue, &wanted)
}

/// True if all of these are durable.
pub(super) fn has(ledger: &Ledger, queue: QueueId, seqs: &Seqs) -> bool {
    let Some(index) = ledger.index.get(&queue) else { return seqs.is_empty() };
    let durable = |range| index.range(range).filter(|(_, slot)| ledger.is_durable(slot.at)).count();
    seqs.ranges().map(durable).sum::<usize>() == seqs.len()
}

/// What a queue has, in pieces.
pub(super) fn outline(ledger: &Ledger, queue: QueueId, (count_max, bytes_max): (usize, usize)) -> Vec<Outline> {
    let mut pieces: Vec<Outline> = vec![];
    let mut count = 0;
    for (seq, slot) in ledger.index.get(&queue).into_iter().flat_map(|index| index.range(0..=u64::MAX)) {
        let bytes = slot.at.bytes as usize;
        if pieces.last().is_none_or(|last| count >= count_max || last.bytes + bytes > bytes_max) {
            pieces.push(Outline::default());
            count = 0;
        }
        if let Some(last) = pieces.last_mut() {
            last.seqs.push(seq);
            last.bytes += bytes;
        }
        count += 1;
    }
    pieces
}

fn read_all(ledger: &Mutex<Ledger>, queue: QueueId, wanted: &[Wanted]) -> Result<Vec<Stored>, ReadError> {
    let (mut loaded, mut window, mut window_of) = (Vec::with_capacity(wanted.len()), vec![], (0, 0));
    for (n, next) in wanted.iter().enumerate() {
        let (start, end) = (u64::from(next.at.offset), u64::from(next.at.offset) + u64::from(next.at.bytes));
        let (segment, window_at) = window_of;
        if segment != next.at.segment || start < window_at || end > window_at + window.len() as u64 {
            window.resize((read_to(&wanted[n..]) - start) as usize, 0);
            next.file.read_at(start, &mut window)?;
            window_of = (next.at.segment, start);
        }
        let from = (start - window_of.1) as usize;
        match read(&window[from..from + next.at.bytes as usize], queue, next) {
            Some(stored) => loaded.push(stored),
            None => loaded.extend(again(ledger, queue, next)?),
        }
    }
    Ok(loaded)
}

fn locate(ledger: &Ledger, queue: QueueId, from: u64, (count_max, bytes_max): (usize, usize)) -> Vec<Wanted> {
    let Some(index) = ledger.index.get(&queue) else { return vec![] };
    let mut bytes = 0;
    let within = index.range(from..=u64::MAX).take(count_max).take_while(|(_, slot)| {
        let before = bytes;
        bytes += slot.at.bytes as usize;
        before == 0 || bytes <= bytes_max
    });
    within.filter_map(|(seq, slot)| Wanted::of(seq, slot, ledger)).collect()
}

/// How far to read for the first of these, so that those that stand close behind it come along.
fn read_to(wanted: &[Wanted]) -> u64 {
    let Some(first) = wanted.first() else { return 0 };
    let start = u64::from(first.at.offset);
    let mut end = start + u64::from(first.at.bytes);
    for next in &wanted[1..] {
        let (from, to) = (u64::from(next.at.offset), u64::from(next.at.offset) + u64::from(next.at.bytes));
        if next.at.segment != first.at.segment
            || from < start
            || from > end + GAP_BYTES_MAX
            || to > start + READ_BYTES_MAX
        {
            break;
        }
        end = end.max(to);
    }
    end
}

/// The message in a record, if it is the one that is wanted.
fn read(mut record: &[u8], queue: QueueId, wanted: &Wanted) -> Option<Stored> {
    let Some(Record::Publish(publish)) = Record::take(&mut record) else { return None };
    let r = publish.refs().find(|r| r.queue == queue && r.seq == wanted.seq)?;
    publish.is_intact().then(|| Stored {
        seq: r.seq,
        expires_at_ms: r.expires_at_ms,
        deliveries: r.deliveries.max(wanted.deliveries),
        message: Message::from_wire(publish.message),
    })
}

/// A message that was not where it was expected has been moved meanwhile, has gone, or is damaged.
fn again(ledger: &Mutex<Ledger>, queue: QueueId, missed: &Wanted) -> Result<Option<Stored>, ReadError> {
    // What was read before is no proof: the message may have been on its way then.
    let mut missed_at = None;
    loop {
        let mut guard = ledger.lock();
        let Some(next) = locate(&guard, queue, missed.seq, (1, 0)).pop() else { return Ok(None) };
        if next.seq != missed.seq {
            return Ok(None);
        }
        let is_on_its_way = !guard.is_durable(next.at);
        if is_on_its_way {
            // It is being moved: the index knows its new place before the disk does.
            let stays = Arc::clone(&guard.stays);
            if stays.wait_for(&mut guard, MOVE_MAX).timed_out() {
                let text = "a message that is being moved does not arrive";
                return Err(io::Error::new(io::ErrorKind::TimedOut, text).into());
            }
            continue;
        }
        drop(guard);
        if Some(next.at) == missed_at {
            let file = spares::segment_name(next.at.segment);
            return Err(ReadError::Corrupt { file, offset: next.at.offset.into() });
        }
        let mut record = vec![0; next.at.bytes as usize];
        next.file.read_at(next.at.offset.into(), &mut record)?;
        if let Some(stored) = read(&record, queue, &next) {
            return Ok(Some(stored));
        }
        missed_at = Some(next.at);
    }
}
