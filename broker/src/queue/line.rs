//! One line of entries, first in first out, in pieces: a long line never moves, and gives its memory back as it gets shorter.

use std::collections::VecDeque;

use super::packed::Packed;
use super::ready::{Entry, Mark};

/// Entries of a piece: 16 KiB.
const PIECE: usize = 512;
/// Bytes of messages after which a piece of a backlog is full.
const PIECE_BYTES: usize = 256 << 10;

#[derive(Default)]
pub(super) struct Line {
    /// None of them is empty, unless it is the only one. The first and the last are not packed.
    pieces: VecDeque<Piece>,
    /// Bytes that were appended to the last piece.
    last_bytes: usize,
    /// The room of the piece that was used up last, for the next one.
    spare: VecDeque<Entry>,
}

#[derive(Default)]
struct Piece {
    loose: VecDeque<Entry>,
    /// All entries, if the piece is packed.
    packed: Option<Packed>,
}

impl Piece {
    fn of(loose: VecDeque<Entry>) -> Self {
        Piece { loose, packed: None }
    }

    /// The entries to work with.
    #[inline]
    fn unpacked(&mut self) -> &mut VecDeque<Entry> {
        if let Some(packed) = self.packed.take() {
            self.loose = packed.unpack();
        }
        &mut self.loose
    }

    fn pack(&mut self) {
        self.packed = Packed::of(&self.loose);
        if self.packed.is_some() {
            self.loose = VecDeque::new();
        }
    }

    fn last(&self) -> Option<Mark> {
        match &self.packed {
            Some(packed) => packed.last(),
            None => self.loose.back().map(|entry| entry.mark),
        }
    }
}

impl Line {
    pub(super) fn front(&self) -> Option<&Entry> {
        self.pieces.front()?.loose.front()
    }

    /// Makes room for entries that are about to be appended.
    #[inline]
    pub(super) fn reserve(&mut self, count: usize) {
        match self.pieces.back_mut() {
            Some(last) => last.loose.reserve(count.min(PIECE.saturating_sub(last.loose.len()))),
            None => self.pieces.push_back(Piece::of(VecDeque::with_capacity(count.min(PIECE)))),
        }
    }

    /// Appends an entry. Those of a `backlog` will not be asked for soon.
    #[inline]
    pub(super) fn push_back(&mut self, entry: Entry, backlog: bool) {
        let size = entry.message.size();
        match self.pieces.back_mut() {
            Some(last) if last.loose.len() < PIECE && (self.last_bytes < PIECE_BYTES || !backlog) => {
                last.loose.push_back(entry);
            }
            _ => self.begin(entry, backlog),
        }
        self.last_bytes += size;
    }

    /// Begins another piece.
    #[cold]
    fn begin(&mut self, entry: Entry, backlog: bool) {
        let mut piece = std::mem::take(&mut self.spare);
        if !self.pieces.is_empty() {
            piece.reserve(PIECE);
        }
        piece.push_back(entry);
        if backlog
            && self.pieces.len() > 1
            && let Some(last) = self.pieces.back_mut()
        {
            last.pack();
        }
        self.pieces.push_back(Piece::of(piece));
        self.last_bytes = 0;
    }

    pub(super) fn push_front(&mut self, entry: Entry) {
        match self.pieces.front_mut() {
            Some(first) if first.loose.len() < PIECE => first.loose.push_front(entry),
            _ => self.pieces.push_front(Piece::of(VecDeque::from([entry]))),
        }
    }

    #[inline]
    pub(super) fn pop_front(&mut self) -> Option<Entry> {
        let pieces = self.pieces.len();
        let first = self.pieces.front_mut()?.unpacked();
        let entry = first.pop_front()?;
        if first.is_empty() {
            if pieces == 1 { self.last_bytes = 0 } else { self.next() }
        }
        Some(entry)
    }

    /// Goes on to the second piece.
    #[cold]
    fn next(&mut self) {
        if let Some(used_up) = self.pieces.pop_front() {
            self.spare = used_up.loose;
        }
        if let Some(first) = self.pieces.front_mut() {
            first.unpacked();
        }
    }

    /// Puts an entry back among the others, which are in the order of their arrivals.
    pub(super) fn insert(&mut self, entry: Entry) {
        let is_older = |other: &Entry| other.arrival() < entry.arrival();
        let at = self.pieces.partition_point(|piece| piece.last().is_some_and(|l| l.arrival() < entry.arrival()));
        match self.pieces.get_mut(at) {
            Some(piece) => {
                let entries = piece.unpacked();
                entries.insert(entries.partition_point(is_older), entry);
            }
            None => self.push_back(entry, false),
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
        entries(3 * PIECE).into_iter().for_each(|entry| line.push_back(entry, false));
        assert_eq!(line.pieces(), 3);
        assert_eq!(line.front().unwrap().arrival(), 1);
        assert_eq!(arrivals(&mut line), (1..=3 * PIECE as u64).collect::<Vec<_>>());
        assert_eq!(line.pieces(), 1);
    }

    #[test]
    fn a_backlog_is_packed_and_nothing_of_it_is_lost() {
        let mut line = Line::default();
        let packed = |line: &Line| line.pieces.iter().filter(|piece| piece.packed.is_some()).count();
        let mut ready = Ready::new(0);
        for n in 0..6 * PIECE {
            let message = Message::compose("x", "key", &Properties::default(), n.to_string().as_bytes());
            ready.push(message, Moment::default() + std::time::Duration::from_micros(n as u64));
        }
        let mut back = vec![];
        while let Some(entry) = ready.pop() {
            // One that was taken out comes back into the middle.
            if entry.arrival() == 2_000 { back.push(entry) } else { line.push_back(entry, true) }
        }
        assert_eq!((line.pieces(), packed(&line)), (6, 4));
        back.into_iter().for_each(|entry| line.insert(entry));
        assert_eq!((line.pieces(), packed(&line)), (6, 3));
        for n in 0..6 * PIECE {
            assert_eq!(line.front().unwrap().arrival(), n as u64 + 1);
            let entry = line.pop_front().unwrap();
            assert_eq!((entry.arrival(), entry.message.body()), (n as u64 + 1, n.to_string().as_bytes()));
        }
        assert_eq!((line.pieces(), packed(&line)), (1, 0));
    }

    #[test]
    fn what_others_hold_is_not_packed() {
        let mut line = Line::default();
        entries(4 * PIECE).into_iter().for_each(|entry| line.push_back(entry, true));
        assert!(line.pieces.iter().all(|piece| piece.packed.is_none()));
    }

    #[test]
    fn what_comes_back_stands_where_it_was() {
        let mut line = Line::default();
        let (odd, even): (Vec<_>, Vec<_>) = entries(4 * PIECE).into_iter().partition(|e| e.arrival() % 2 == 1);
        even.into_iter().for_each(|entry| line.push_back(entry, false));
        odd.into_iter().rev().for_each(|entry| line.insert(entry));
        assert_eq!(arrivals(&mut line), (1..=4 * PIECE as u64).collect::<Vec<_>>());
    }

    #[test]
    fn what_comes_back_in_front_may_be_more_than_a_piece() {
        let mut line = Line::default();
        entries(2 * PIECE + 1).into_iter().rev().for_each(|entry| line.push_front(entry));
        assert_eq!(arrivals(&mut line), (1..=2 * PIECE as u64 + 1).collect::<Vec<_>>());
        assert!(line.pop_front().is_none() && line.front().is_none());
    }
}
