//! Reading messages back, many of a queue at a time.

use std::fmt;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use super::disk::DiskFile;
use super::index::Location;
use super::ledger::Ledger;
use super::record::{QueueId, Record};
use super::spares;
use crate::message::Message;

/// Messages that are no further apart than this are read at once, in bytes.
const GAP_BYTES_MAX: u64 = 64 << 10;
/// What is read at once, in bytes, unless one message is longer.
const READ_BYTES_MAX: u64 = 1 << 20;

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

/// The messages of a queue from a seq on, in order, at most `count_max` of them and, but for the first, `bytes_max` bytes.
pub(super) fn load(
    ledger: &Mutex<Ledger>,
    queue: QueueId,
    from: u64,
    (count_max, bytes_max): (usize, usize),
) -> Result<Vec<Stored>, ReadError> {
    let wanted = locate(&ledger.lock(), queue, from, (count_max, bytes_max));
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
    let wanted = within.filter_map(|(seq, slot)| {
        let file = Arc::clone(&ledger.segments.get(&slot.at.segment)?.file);
        Some(Wanted { seq, at: slot.at, deliveries: slot.deliveries, file })
    });
    wanted.collect()
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
    let mut missed_at = missed.at;
    loop {
        let Some(next) = locate(&ledger.lock(), queue, missed.seq, (1, 0)).pop() else { return Ok(None) };
        if next.seq != missed.seq {
            return Ok(None);
        }
        if next.at == missed_at {
            let file = spares::segment_name(next.at.segment);
            return Err(ReadError::Corrupt { file, offset: next.at.offset.into() });
        }
        let mut record = vec![0; next.at.bytes as usize];
        next.file.read_at(next.at.offset.into(), &mut record)?;
        if let Some(stored) = read(&record, queue, &next) {
            return Ok(Some(stored));
        }
        missed_at = next.at;
    }
}
