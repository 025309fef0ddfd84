//! Deliveries that the client has not settled, by delivery tag.
//!
//! Tags grow, so they form a line; without gaps a tag's place is known at once, and with gaps found by halving. Settling in
//! the middle leaves a gap, and gaps are closed when they outnumber what is left.

use std::collections::{BTreeSet, VecDeque};

use crate::queue::Entry;

/// A delivery that waits to be settled.
pub(super) struct Held {
    pub(super) tag: u64,
    pub(super) source: u32,
    pub(super) entry: Entry,
}

struct Slot {
    tag: u64,
    source: u32,
    /// `None` is a gap.
    entry: Option<Entry>,
}

/// Tags taken back that are remembered.
const TAKEN_BACK_MAX: usize = 1 << 16;
/// Fewer gaps than this are not worth closing.
const GAPS_MIN: usize = 64;

#[derive(Default)]
pub(super) struct Unacked {
    slots: VecDeque<Slot>,
    gaps: usize,
    /// Tags that the broker has taken back: the client may not know yet.
    taken_back: BTreeSet<u64>,
}

impl Unacked {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.gaps
    }

    #[inline]
    pub(super) fn push(&mut self, tag: u64, source: u32, entry: Entry) {
        self.slots.push_back(Slot { tag, source, entry: Some(entry) });
    }

    /// Where the delivery of that tag is; `None` if it is settled or never was.
    fn find(&self, tag: u64) -> Option<usize> {
        let first = self.slots.front()?.tag;
        let guess = usize::try_from(tag.checked_sub(first)?).ok()?;
        let at = match self.slots.get(guess) {
            Some(slot) if slot.tag == tag => guess,
            _ => self.slots.binary_search_by_key(&tag, |slot| slot.tag).ok()?,
        };
        self.slots[at].entry.is_some().then_some(at)
    }

    /// True if a source has a delivery with a tag below this one.
    pub(super) fn has_before(&self, tag: u64, source: u32) -> bool {
        let mut older = self.slots.iter().take_while(|slot| slot.tag < tag);
        older.any(|slot| slot.source == source && slot.entry.is_some())
    }

    /// Takes back what a source has delivered. What the client says of it from now on is passed over.
    pub(super) fn take_back(&mut self, source: u32) -> Vec<Entry> {
        let mut taken = vec![];
        for slot in self.slots.iter_mut().filter(|slot| slot.source == source) {
            if let Some(entry) = slot.entry.take() {
                self.gaps += 1;
                self.taken_back.insert(slot.tag);
                taken.push(entry);
            }
        }
        while self.taken_back.len() > TAKEN_BACK_MAX {
            self.taken_back.pop_first();
        }
        self.close_gaps();
        taken
    }

    /// What a verdict on `tag` is about: the tag itself unless the broker has taken that one back; then the last one before
    /// it if the verdict is on all up to it, and `None` if there is none.
    #[inline]
    pub(super) fn meant(&mut self, tag: u64, multiple: bool) -> Option<u64> {
        if self.taken_back.is_empty() { Some(tag) } else { self.meant_beside_taken_back(tag, multiple) }
    }

    #[cold]
    fn meant_beside_taken_back(&mut self, tag: u64, multiple: bool) -> Option<u64> {
        let was_taken_back = self.taken_back.remove(&tag);
        if multiple {
            let through = if tag == 0 { u64::MAX } else { tag };
            self.taken_back.retain(|&other| other > through);
        }
        if !was_taken_back {
            return Some(tag);
        }
        let before = self.slots.iter().rev().find(|slot| slot.tag < tag && slot.entry.is_some());
        before.filter(|_| multiple).map(|slot| slot.tag)
    }

    /// Takes one.
    pub(super) fn take(&mut self, tag: u64) -> Option<Held> {
        let at = self.find(tag)?;
        let slot = &mut self.slots[at];
        let taken = Held { tag, source: slot.source, entry: slot.entry.take()? };
        self.gaps += 1;
        self.close_gaps();
        Some(taken)
    }

    /// Takes the one of that tag and all before it, in their order; `None` if that tag is not there. Tag 0 is all of them.
    pub(super) fn take_through(&mut self, tag: u64) -> Option<impl Iterator<Item = Held>> {
        let end = if tag == 0 { self.slots.len() } else { self.find(tag)? + 1 };
        self.gaps -= match self.gaps {
            0 => 0,
            _ => self.slots.range(..end).filter(|slot| slot.entry.is_none()).count(),
        };
        Some(
            self.slots
                .drain(..end)
                .filter_map(|slot| Some(Held { tag: slot.tag, source: slot.source, entry: slot.entry? })),
        )
    }

    /// Puts deliveries back that were taken.
    pub(super) fn restore(&mut self, held: impl Iterator<Item = Held>) {
        self.slots.retain(|slot| slot.entry.is_some());
        self.gaps = 0;
        self.slots.extend(held.map(|h| Slot { tag: h.tag, source: h.source, entry: Some(h.entry) }));
        self.slots.make_contiguous().sort_by_key(|slot| slot.tag);
    }

    fn close_gaps(&mut self) {
        while self.slots.front().is_some_and(|slot| slot.entry.is_none()) {
            self.slots.pop_front();
            self.gaps -= 1;
        }
        if self.gaps > GAPS_MIN && self.gaps > self.slots.len() / 2 {
            self.slots.retain(|slot| slot.entry.is_some());
            self.gaps = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use leveret_spec::Properties;

    use super::*;
    use crate::message::Message;
    use crate::queue::{Queue, Settings, Turn};
    use crate::time::Moment;

    /// `tags` in a queue, each with its tag as body.
    fn unacked(tags: impl Iterator<Item = u64>) -> Unacked {
        let now = Moment::default();
        let queue =
            Queue::new("q".into(), "/".into(), Default::default(), Settings::default(), Default::default(), now, None);
        let mut unacked = Unacked::default();
        for tag in tags {
            let message = Message::compose("", "q", &Properties::default(), tag.to_string().as_bytes());
            queue.publish(&mut vec![message], &Default::default(), &mut Turn::default());
            let (entry, _) = queue.get(false, &mut Turn::default()).unwrap().unwrap();
            unacked.push(tag, 0, entry);
        }
        unacked
    }

    fn bodies(taken: impl Iterator<Item = Held>) -> Vec<u64> {
        taken.map(|held| String::from_utf8_lossy(held.entry.message.body()).parse().unwrap()).collect()
    }

    #[test]
    fn a_tag_is_settled_once() {
        let mut unacked = unacked(1..=3);
        assert_eq!(bodies(unacked.take(2).into_iter()), [2]);
        assert!(unacked.take(2).is_none() && unacked.take(4).is_none() && unacked.take(0).is_none());
        assert_eq!(unacked.len(), 2);
    }

    #[test]
    fn multiple_takes_all_up_to_a_tag_that_is_there() {
        let mut unacked = unacked((1..=9).filter(|t| t % 2 == 1));
        assert!(unacked.take_through(4).is_none());
        unacked.take(3);
        assert!(unacked.take_through(3).is_none());
        assert_eq!(bodies(unacked.take_through(5).unwrap()), [1, 5]);
        assert_eq!(bodies(unacked.take_through(0).unwrap()), [7, 9]);
        assert_eq!(bodies(unacked.take_through(0).unwrap()), [0; 0]);
    }

    #[test]
    fn what_is_put_back_is_where_it_was() {
        let mut unacked = unacked(1..=4);
        let taken: Vec<_> = unacked.take(3).into_iter().chain(unacked.take(1)).collect();
        unacked.restore(taken.into_iter());
        assert_eq!(bodies(unacked.take_through(3).unwrap()), [1, 2, 3]);
    }

    #[test]
    fn one_that_is_never_settled_does_not_keep_the_settled_ones() {
        let mut unacked = unacked(1..=10_000);
        for tag in 2..=10_000 {
            assert_eq!(bodies(unacked.take(tag).into_iter()), [tag]);
        }
        assert_eq!(unacked.len(), 1);
        assert!(unacked.slots.len() < 200, "{} slots", unacked.slots.len());
        assert_eq!(bodies(unacked.take(1).into_iter()), [1]);
    }
}
