//! One line of entries, first in first out, in pieces: a long line never moves, and gives its memory back as it gets shorter.

use std::collections::VecDeque;

use super::ready::Entry;

/// Entries of a piece: 16 KiB.
const PIECE: usize = 512;
/// An empty line keeps room for that many.
const KEPT: usize = 64;

#[derive(Default)]
pub(super) struct Line {
    /// None of them is empty, unless it is the only one.
    pieces: VecDeque<VecDeque<Entry>>,
}

impl Line {
    pub(super) fn front(&self) -> Option<&Entry> {
        self.pieces.front()?.front()
    }

    pub(super) fn back(&self) -> Option<&Entry> {
        self.pieces.back()?.back()
    }

    /// Makes room for entries that are about to be appended.
    #[inline]
    pub(super) fn reserve(&mut self, count: usize) {
        match self.pieces.back_mut() {
            Some(last) => last.reserve(count.min(PIECE - last.len().min(PIECE))),
            None => self.pieces.push_back(VecDeque::with_capacity(count.min(PIECE))),
        }
    }

    #[inline]
    pub(super) fn push_back(&mut self, entry: Entry) {
        match self.pieces.back_mut() {
            Some(last) if last.len() < PIECE => last.push_back(entry),
            _ => self.begin(entry),
        }
    }

    /// Begins another piece.
    #[cold]
    fn begin(&mut self, entry: Entry) {
        let mut piece = VecDeque::with_capacity(if self.pieces.is_empty() { 0 } else { PIECE });
        piece.push_back(entry);
        self.pieces.push_back(piece);
    }

    pub(super) fn push_front(&mut self, entry: Entry) {
        match self.pieces.front_mut() {
            Some(first) if first.len() < PIECE => first.push_front(entry),
            _ => self.pieces.push_front(VecDeque::from([entry])),
        }
    }

    #[inline]
    pub(super) fn pop_front(&mut self) -> Option<Entry> {
        let pieces = self.pieces.len();
        let first = self.pieces.front_mut()?;
        let entry = first.pop_front()?;
        if first.is_empty() && pieces > 1 {
            self.pieces.pop_front();
        } else if first.is_empty() && first.capacity() > KEPT {
            *first = VecDeque::new();
        }
        Some(entry)
    }

    pub(super) fn pop_back(&mut self) -> Option<Entry> {
        let last = self.pieces.back_mut()?;
        let entry = last.pop_back()?;
        if last.is_empty() && self.pieces.len() > 1 {
            self.pieces.pop_back();
        }
        Some(entry)
    }

    /// Puts an entry back among the others, which are in the order of their arrivals.
    pub(super) fn insert(&mut self, entry: Entry) {
        let is_older = |other: &Entry| other.arrival() < entry.arrival();
        let at = self.pieces.partition_point(|piece| piece.back().is_some_and(is_older));
        match self.pieces.get_mut(at) {
            Some(piece) => piece.insert(piece.partition_point(is_older), entry),
            None => self.push_back(entry),
        }
    }

    #[cfg(test)]
    fn pieces(&self) -> usize {
        self.pieces.len()
    }
}

#[cfg(test)]
mod tests {
    use leveret_spec::Properties;

    use super::*;
    use crate::message::Message;
    use crate::queue::ready::Ready;
    use crate::time::Moment;

    fn entries(count: usize) -> Vec<Entry> {
        let mut ready = Ready::new(0);
        let message = Message::compose("", "q", &Properties::default(), b"");
        (0..count).for_each(|_| ready.push(message.clone(), Moment::NEVER));
        std::iter::from_fn(|| ready.pop()).collect()
    }

    fn arrivals(line: &mut Line) -> Vec<u64> {
        std::iter::from_fn(|| line.pop_front()).map(|entry| entry.arrival()).collect()
    }

    #[test]
    fn a_line_keeps_its_order_across_its_pieces() {
        let mut line = Line::default();
        entries(3 * PIECE).into_iter().for_each(|entry| line.push_back(entry));
        assert_eq!(line.pieces(), 3);
        assert_eq!((line.front().unwrap().arrival(), line.back().unwrap().arrival()), (1, 3 * PIECE as u64));
        assert_eq!(arrivals(&mut line), (1..=3 * PIECE as u64).collect::<Vec<_>>());
        assert_eq!(line.pieces(), 1);
    }

    #[test]
    fn what_comes_back_stands_where_it_was() {
        let mut line = Line::default();
        let (odd, even): (Vec<_>, Vec<_>) = entries(4 * PIECE).into_iter().partition(|e| e.arrival() % 2 == 1);
        even.into_iter().for_each(|entry| line.push_back(entry));
        odd.into_iter().rev().for_each(|entry| line.insert(entry));
        assert_eq!(arrivals(&mut line), (1..=4 * PIECE as u64).collect::<Vec<_>>());
    }

    #[test]
    fn what_comes_back_in_front_may_be_more_than_a_piece() {
        let mut line = Line::default();
        entries(2 * PIECE + 1).into_iter().rev().for_each(|entry| line.push_front(entry));
        assert_eq!(line.pop_back().unwrap().arrival(), 2 * PIECE as u64 + 1);
        assert_eq!(arrivals(&mut line), (1..=2 * PIECE as u64).collect::<Vec<_>>());
        assert!(line.pop_front().is_none() && line.pop_back().is_none() && line.front().is_none());
    }
}
