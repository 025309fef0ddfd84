//! Messages that will not be asked for soon, back to back in memory of their own.
//!
//! Backlog is allocated by publishers' threads and freed by consumers', and an allocator that is fast keeps what other
//! threads have freed: after a drain it would hold on to most of it. A packed piece goes back to the system as a whole, and
//! takes less while it is there.
//!
//! ```text
//! | mark: 16 bytes, end of its message: 4 |   for each message, then   | the messages, one behind the other |
//! ```

use std::collections::VecDeque;

use memmap2::MmapMut;

use super::ready::{Entry, Mark};
use crate::message::Message;

pub(super) struct Packed {
    bytes: MmapMut,
    messages: usize,
}

/// What stands in front for each message, in bytes.
const HEAD: usize = Mark::BYTES + 4;

impl Packed {
    /// A copy of entries; none if others hold some of the messages too, so that nothing would be gained, or if the system
    /// has no more pieces of memory to give.
    pub(super) fn of(entries: &VecDeque<Entry>) -> Option<Self> {
        let mut end = entries.len() * HEAD;
        let size = end + entries.iter().map(|entry| entry.message.size()).sum::<usize>();
        if u32::try_from(size).is_err() || entries.iter().any(|entry| entry.message.is_shared()) {
            return None;
        }
        let mut bytes = MmapMut::map_anon(size).ok()?;
        for (n, entry) in entries.iter().enumerate() {
            let (start, message) = (end, entry.message.as_bytes());
            end += message.len();
            bytes[start..end].copy_from_slice(message);
            let head = &mut bytes[n * HEAD..(n + 1) * HEAD];
            head[..Mark::BYTES].copy_from_slice(&entry.mark.to_bytes());
            head[Mark::BYTES..].copy_from_slice(&(end as u32).to_ne_bytes());
        }
        Some(Packed { bytes, messages: entries.len() })
    }

    pub(super) fn unpack(self) -> VecDeque<Entry> {
        self.entries().collect()
    }

    /// Copies of the entries, in their order.
    pub(super) fn entries(&self) -> impl Iterator<Item = Entry> {
        let mut start = self.messages * HEAD;
        (0..self.messages).map(move |n| {
            let (mark, end) = self.head(n);
            let message = Message::from_wire(&self.bytes[start..end]);
            start = end;
            Entry { message, mark }
        })
    }

    /// What is known of a message, and where it ends.
    fn head(&self, n: usize) -> (Mark, usize) {
        let head = &self.bytes[n * HEAD..(n + 1) * HEAD];
        let mark = head.first_chunk().map(Mark::from_bytes).unwrap_or_default();
        let end = head.last_chunk().map_or(0, |end| u32::from_ne_bytes(*end));
        (mark, end as usize)
    }

    /// What is known of the messages, in their order.
    pub(super) fn marks(&self) -> impl DoubleEndedIterator<Item = Mark> {
        (0..self.messages).map(|n| self.head(n).0)
    }
}
