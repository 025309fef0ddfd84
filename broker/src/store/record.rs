//! What can happen to messages, as it stands in the log.
//!
//! ```text
//! every record   | kind u8 | payload bytes: varint | payload |
//!
//! publish  1     | crc32c of the rest: u32 | refs: varint | ref ... | message, to the end |
//!          ref   | queue | seq | expires at, ms, plus 1 (0 = never) | deliveries |             all varints
//! ack      2     | queue | range ... |
//!          range | first seq: zigzag varint, from the seq behind the last range | further seqs: varint |
//! drop     3     | queue |
//! delivered 4    | queue | deliveries | range ... |
//! ```
//!
//! A publish with a seq that the queue has already is the same message in another place: that is how messages are moved.
//! Its checksum is its own, beside the block's, because it is read back alone.

use std::ops::RangeInclusive;

use super::varint;

/// A queue's number, which no other queue ever gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct QueueId(pub(crate) u64);

/// A message's place in a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ref {
    pub(crate) queue: QueueId,
    /// The number of its arrival in the queue.
    pub(crate) seq: u64,
    /// By the wall clock; `u64::MAX` is never.
    pub(crate) expires_at_ms: u64,
    /// How often it has been given out.
    pub(crate) deliveries: u16,
}

const PUBLISH: u8 = 1;
const ACK: u8 = 2;
const DROP: u8 = 3;
const DELIVERED: u8 = 4;

/// A record that is read.
#[derive(Clone, Copy, Debug)]
pub(super) enum Record<'a> {
    Publish(Publish<'a>),
    Ack { queue: QueueId, ranges: Ranges<'a> },
    Drop { queue: QueueId },
    Delivered { queue: QueueId, deliveries: u16, ranges: Ranges<'a> },
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Publish<'a> {
    crc: u32,
    checked: &'a [u8],
    pub(super) refs: u16,
    first: Option<Ref>,
    further: &'a [u8],
    pub(super) message: &'a [u8],
}

impl<'a> Publish<'a> {
    /// False if it is not what was written.
    pub(super) fn is_intact(&self) -> bool {
        crc32c::crc32c(self.checked) == self.crc
    }

    pub(super) fn refs(&self) -> impl Iterator<Item = Ref> + use<'a> {
        let mut rest = self.further;
        self.first.into_iter().chain((1..self.refs).map_while(move |_| take_ref(&mut rest)))
    }
}

fn take_ref(rest: &mut &[u8]) -> Option<Ref> {
    let queue = QueueId(varint::take(rest)?);
    let seq = varint::take(rest)?;
    let expires_at_ms = varint::take(rest)?.wrapping_sub(1);
    let deliveries = u16::try_from(varint::take(rest)?).ok()?;
    Some(Ref { queue, seq, expires_at_ms, deliveries })
}

fn put_ref(out: &mut Vec<u8>, r: &Ref) {
    for value in [r.queue.0, r.seq, r.expires_at_ms.wrapping_add(1), r.deliveries.into()] {
        varint::put(out, value);
    }
}

/// The ranges of seqs at a record's end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ranges<'a> {
    rest: &'a [u8],
    next: u64,
}

impl Iterator for Ranges<'_> {
    type Item = RangeInclusive<u64>;

    fn next(&mut self) -> Option<Self::Item> {
        let first = self.next.wrapping_add_signed(varint::unzigzag(varint::take(&mut self.rest)?));
        let last = first.checked_add(varint::take(&mut self.rest)?)?;
        self.next = last.wrapping_add(1);
        Some(first..=last)
    }
}

/// Appends ranges; those that follow on each other become one.
fn put_ranges(out: &mut Vec<u8>, ranges: impl IntoIterator<Item = RangeInclusive<u64>>) {
    let mut next = 0u64;
    let mut put = |first: u64, last: u64| {
        varint::put(out, varint::zigzag(first.wrapping_sub(next) as i64));
        varint::put(out, last - first);
        next = last.wrapping_add(1);
    };
    let mut open: Option<(u64, u64)> = None;
    for range in ranges.into_iter().filter(|range| range.start() <= range.end()) {
        open = match open {
            Some((first, last)) if last.checked_add(1) == Some(*range.start()) => Some((first, *range.end())),
            Some((first, last)) => {
                put(first, last);
                Some((*range.start(), *range.end()))
            }
            None => Some((*range.start(), *range.end())),
        };
    }
    if let Some((first, last)) = open {
        put(first, last);
    }
}

impl<'a> Record<'a> {
    /// Takes one from the front; none if what stands there is none.
    pub(super) fn take(input: &mut &'a [u8]) -> Option<Record<'a>> {
        let (&kind, mut rest) = input.split_first()?;
        let len = usize::try_from(varint::take(&mut rest)?).ok()?;
        let (payload, behind) = rest.split_at_checked(len)?;
        let record = Record::of(kind, payload)?;
        *input = behind;
        Some(record)
    }

    fn of(kind: u8, mut payload: &'a [u8]) -> Option<Record<'a>> {
        if kind == PUBLISH {
            return Record::publish(payload);
        }
        let queue = QueueId(varint::take(&mut payload)?);
        Some(match kind {
            ACK => Record::Ack { queue, ranges: Ranges { rest: payload, next: 0 } },
            DROP => Record::Drop { queue },
            DELIVERED => {
                let deliveries = u16::try_from(varint::take(&mut payload)?).ok()?;
                Record::Delivered { queue, deliveries, ranges: Ranges { rest: payload, next: 0 } }
            }
            _ => return None,
        })
    }

    fn publish(payload: &'a [u8]) -> Option<Record<'a>> {
        let (crc, checked) = payload.split_first_chunk()?;
        let mut rest = checked;
        let refs = u16::try_from(varint::take(&mut rest)?).ok()?;
        let first = if refs == 0 { None } else { Some(take_ref(&mut rest)?) };
        let further = rest;
        for _ in 1..refs {
            take_ref(&mut rest)?;
        }
        Some(Record::Publish(Publish { crc: u32::from_le_bytes(*crc), checked, refs, first, further, message: rest }))
    }
}

/// Refs of one publish record; a message for more queues takes several records.
const REFS_MAX: usize = 1024;

/// Appends the records of a message for these places.
pub(super) fn put_publish(out: &mut Vec<u8>, message: &[u8], refs: &[Ref]) -> u32 {
    let mut records = 0;
    for refs in refs.chunks(REFS_MAX) {
        let of = |r: &Ref| {
            let expires = varint::len(r.expires_at_ms.wrapping_add(1));
            varint::len(r.queue.0) + varint::len(r.seq) + expires + varint::len(r.deliveries.into())
        };
        let checked = varint::len(refs.len() as u64) + refs.iter().map(of).sum::<usize>() + message.len();
        out.push(PUBLISH);
        varint::put(out, 4 + checked as u64);
        let crc_at = out.len();
        out.extend_from_slice(&[0; 4]);
        varint::put(out, refs.len() as u64);
        refs.iter().for_each(|r| put_ref(out, r));
        out.extend_from_slice(message);
        let crc = crc32c::crc32c(&out[crc_at + 4..]);
        out[crc_at..crc_at + 4].copy_from_slice(&crc.to_le_bytes());
        records += 1;
    }
    records
}

pub(super) fn put_ack(
    out: &mut Vec<u8>,
    scratch: &mut Vec<u8>,
    queue: QueueId,
    ranges: impl IntoIterator<Item = RangeInclusive<u64>>,
) {
    scratch.clear();
    varint::put(scratch, queue.0);
    put_ranges(scratch, ranges);
    put_framed(out, ACK, scratch);
}

pub(super) fn put_drop(out: &mut Vec<u8>, scratch: &mut Vec<u8>, queue: QueueId) {
    scratch.clear();
    varint::put(scratch, queue.0);
    put_framed(out, DROP, scratch);
}

pub(super) fn put_delivered(
    out: &mut Vec<u8>,
    scratch: &mut Vec<u8>,
    (queue, deliveries): (QueueId, u16),
    ranges: impl IntoIterator<Item = RangeInclusive<u64>>,
) {
    scratch.clear();
    varint::put(scratch, queue.0);
    varint::put(scratch, deliveries.into());
    put_ranges(scratch, ranges);
    put_framed(out, DELIVERED, scratch);
}

fn put_framed(out: &mut Vec<u8>, kind: u8, payload: &[u8]) {
    out.push(kind);
    varint::put(out, payload.len() as u64);
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> String {
        let mut rest = bytes;
        let mut text = String::new();
        while let Some(record) = Record::take(&mut rest) {
            text += &match record {
                Record::Publish(p) => format!("{:?} {:?} {};", p.refs().collect::<Vec<_>>(), p.message, p.is_intact()),
                Record::Ack { queue, ranges } => format!("ack {} {:?};", queue.0, ranges.collect::<Vec<_>>()),
                Record::Drop { queue } => format!("drop {};", queue.0),
                Record::Delivered { queue, deliveries, ranges } => {
                    format!("delivered {} {deliveries} {:?};", queue.0, ranges.collect::<Vec<_>>())
                }
            };
        }
        assert!(rest.is_empty());
        text
    }

    #[test]
    fn records_come_back_as_they_were_put() {
        let (mut out, mut scratch) = (vec![], vec![]);
        let r = Ref { queue: QueueId(7), seq: 300, expires_at_ms: u64::MAX, deliveries: 2 };
        put_publish(&mut out, b"body", &[r, Ref { expires_at_ms: 5, ..r }]);
        put_ack(&mut out, &mut scratch, QueueId(7), [3..=4, 5..=9, 20..=20, 1..=1]);
        put_drop(&mut out, &mut scratch, QueueId(8));
        put_delivered(&mut out, &mut scratch, (QueueId(9), 3), [1..=1]);
        let refs = format!("{:?}", [r, Ref { expires_at_ms: 5, ..r }]);
        let rest = "ack 7 [3..=9, 20..=20, 1..=1];drop 8;delivered 9 3 [1..=1];";
        assert_eq!(read(&out), format!("{refs} {:?} true;{rest}", b"body"));
    }

    #[test]
    fn no_bytes_make_the_reader_stumble() {
        let mut out = vec![];
        let r = Ref { queue: QueueId(7), seq: 300, expires_at_ms: 1, deliveries: 0 };
        put_publish(&mut out, b"body", &[r]);
        put_ack(&mut out, &mut vec![], QueueId(1), [3..=4, 9..=u64::MAX]);
        for at in 0..out.len() {
            for value in [0, 1, 0x7F, 0x80, 0xFF] {
                let mut changed = out.clone();
                changed[at] = value;
                let mut rest = &changed[..];
                while let Some(record) = Record::take(&mut rest) {
                    if let Record::Ack { ranges, .. } = record {
                        assert!(ranges.count() <= out.len());
                    }
                }
            }
            assert!(Record::take(&mut &out[..at.min(10)]).is_none());
        }
    }
}
