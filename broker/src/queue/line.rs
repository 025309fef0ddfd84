//! One line of entries, first in first out, in pieces: a long line never moves, and gives its memory back as it gets shorter.
//! Pieces in the middle, which nobody will ask for soon, are packed, or left to the message store.

use std::collections::VecDeque;
use std::sync::Arc;

use super::log::Log;
use super::packed::Packed;
use super::ready::{Entry, Mark};
use crate::store::{Outline, Seqs};

/// Entries of a piece: 16 KiB.
pub(super) const PIECE: usize = 512;
/// Bytes of messages after which a piece of a backlog is full.
pub(super) const PIECE_BYTES: usize = 256 << 10;

#[derive(Default)]
pub(super) struct Line {
    /// None of them is empty, unless it is the only one. The first and the last are here, unless a store has them since
    /// before the broker's start.
    pieces: VecDeque<Piece>,
    /// Bytes that were appended to the last piece.
    last_bytes: usize,
    /// The room of the piece that was used up last, for the next one.
    spare: VecDeque<Entry>,
    /// The message store, for a durable queue.
    log: Option<Arc<Log>>,
    /// Pieces before the last one that the store should have alone, and that are still here.
    leaving: usize,
    /// What the queue does not know yet.
    change: Change,
}

/// What a line has found out about what it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Change {
    /// Of what the messages take, in bytes, which is only guessed for those that were not read yet.
    pub(super) bytes: isize,
    /// The same of their bodies.
    pub(super) body_bytes: isize,
    /// Of what is in the store alone, in bytes.
    pub(super) away_bytes: isize,
}

/// How much there is in front of what is appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Backlog {
    /// It will be asked for soon.
    Short,
    /// It will not be asked for soon.
    Long,
    /// More than should be in memory.
    TooLong,
}

#[derive(Default)]
struct Piece {
    /// Its entries, if they are here.
    loose: VecDeque<Entry>,
    /// Where they are otherwise.
    away: Option<Away>,
}

/// All entries of a piece, elsewhere.
enum Away {
    Packed(Packed),
    Stored(Box<Stored>),
}

/// Entries that only the store has.
struct Stored {
    seqs: Seqs,
    bytes: usize,
    body_bytes: usize,
}

impl Piece {
    fn of(loose: VecDeque<Entry>) -> Self {
        Piece { loose, away: None }
    }

    fn pack(&mut self) {
        if self.away.is_none()
            && let Some(packed) = Packed::of(&self.loose)
        {
            *self = Piece { loose: VecDeque::new(), away: Some(Away::Packed(packed)) };
        }
    }

    /// The number of the first entry's arrival.
    fn first_arrival(&self) -> Option<u64> {
        match &self.away {
            Some(Away::Packed(packed)) => packed.marks().next().map(Mark::arrival),
            Some(Away::Stored(stored)) => stored.seqs.first(),
            None => self.loose.front().map(Entry::arrival),
        }
    }

    /// The number of the last entry's arrival.
    fn last_arrival(&self) -> Option<u64> {
        match &self.away {
            Some(Away::Packed(packed)) => packed.marks().next_back().map(Mark::arrival),
            Some(Away::Stored(stored)) => stored.seqs.last(),
            None => self.loose.back().map(Entry::arrival),
        }
    }

    /// The arrivals that the store has a record of.
    fn stored(&self) -> Seqs {
        let marks =
            |marks: &mut dyn Iterator<Item = Mark>| marks.filter(|m| m.is_stored()).map(Mark::arrival).collect();
        match &self.away {
            Some(Away::Packed(packed)) => marks(&mut packed.marks()),
            Some(Away::Stored(stored)) => stored.seqs.clone(),
            None => marks(&mut self.loose.iter().map(|entry| entry.mark)),
        }
    }
}

impl Line {
    pub(super) fn new(log: Option<Arc<Log>>) -> Self {
        Line { log, ..Line::default() }
    }

    /// A line of messages that the store has. What they take is a guess until they are read.
    pub(super) fn restored(log: &Arc<Log>, outlines: impl IntoIterator<Item = Outline>) -> (Self, usize) {
        let mut line = Line::new(Some(log.clone()));
        let mut messages = 0;
        for Outline { mut seqs, bytes } in outlines {
            seqs.shrink();
            messages += seqs.len();
            let (bytes, body_bytes) = (bytes, bytes.saturating_sub(seqs.len() * super::log::OVERHEAD_BYTES));
            line.change.bytes += bytes as isize;
            line.change.body_bytes += body_bytes as isize;
            line.change.away_bytes += bytes as isize;
            let away = Some(Away::Stored(Box::new(Stored { seqs, bytes, body_bytes })));
            line.pieces.push_back(Piece { loose: VecDeque::new(), away });
        }
        (line, messages)
    }

    /// What the queue does not know yet, if there is anything.
    #[inline]
    pub(super) fn take_change(&mut self) -> Option<Change> {
        (self.change != Change::default()).then(|| std::mem::take(&mut self.change))
    }

    /// The entries of a piece, to work with.
    #[inline]
    fn entries(&mut self, piece: usize) -> Option<&mut VecDeque<Entry>> {
        if self.pieces.get(piece)?.away.is_some() {
            self.bring(piece);
        }
        Some(&mut self.pieces.get_mut(piece)?.loose)
    }

    /// Brings the entries of a piece here.
    #[cold]
    fn bring(&mut self, piece: usize) {
        let Some(piece) = self.pieces.get_mut(piece) else { return };
        match (piece.away.take(), &self.log) {
            (Some(Away::Packed(packed)), _) => piece.loose = packed.unpack(),
            (Some(Away::Stored(stored)), Some(log)) => {
                piece.loose = log.fetch(&stored.seqs);
                let bytes: usize = piece.loose.iter().map(|entry| entry.message.size()).sum();
                let body_bytes: usize = piece.loose.iter().map(|entry| entry.message.body_len()).sum();
                self.change.bytes += bytes as isize - stored.bytes as isize;
                self.change.body_bytes += body_bytes as isize - stored.body_bytes as isize;
                self.change.away_bytes -= stored.bytes as isize;
            }
            _ => {}
        }
    }

    /// Reads all messages once, so that what they take is no guess any more.
    pub(super) fn measure(&mut self) {
        let Some(log) = &self.log else { return };
        for piece in &mut self.pieces {
            if let Some(Away::Stored(stored)) = &mut piece.away {
                let entries = log.fetch(&stored.seqs);
                let bytes: usize = entries.iter().map(|entry| entry.message.size()).sum();
                let body_bytes: usize = entries.iter().map(|entry| entry.message.body_len()).sum();
                self.change.bytes += bytes as isize - stored.bytes as isize;
                self.change.away_bytes += bytes as isize - stored.bytes as isize;
                self.change.body_bytes += body_bytes as isize - stored.body_bytes as isize;
                (stored.bytes, stored.body_bytes) = (bytes, body_bytes);
            }
        }
    }

    /// The number of the first entry's arrival.
    pub(super) fn first_arrival(&self) -> Option<u64> {
        self.pieces.front()?.first_arrival()
    }

    pub(super) fn front(&mut self) -> Option<&Entry> {
        self.entries(0)?.front()
    }

    /// Makes room for entries that are about to be appended.
    #[inline]
    pub(super) fn reserve(&mut self, count: usize) {
        match self.pieces.back_mut() {
            Some(last) if last.away.is_some() => {}
            Some(last) => last.loose.reserve(count.min(PIECE.saturating_sub(last.loose.len()))),
            None => self.pieces.push_back(Piece::of(VecDeque::with_capacity(count.min(PIECE)))),
        }
    }

    /// Appends an entry.
    #[inline]
    pub(super) fn push_back(&mut self, entry: Entry, backlog: Backlog) {
        let size = entry.message.size();
        match self.pieces.back_mut() {
            Some(last)
                if last.loose.len() < PIECE
                    && (self.last_bytes < PIECE_BYTES || backlog == Backlog::Short)
                    && last.away.is_none() =>
            {
                last.loose.push_back(entry);
            }
            _ => self.begin(entry, backlog),
        }
        self.last_bytes += size;
    }

    /// Begins another piece.
    #[cold]
    fn begin(&mut self, entry: Entry, backlog: Backlog) {
        let mut piece = std::mem::take(&mut self.spare);
        if !self.pieces.is_empty() {
            piece.reserve(PIECE);
        }
        piece.push_back(entry);
        if self.pieces.len() > 1 {
            match backlog {
                Backlog::Short => {}
                Backlog::Long => self.pieces.back_mut().into_iter().for_each(Piece::pack),
                Backlog::TooLong => self.leaving += 1,
            }
        }
        self.pieces.push_back(Piece::of(piece));
        self.last_bytes = 0;
        while self.leaving > 0 && self.leave() {
            self.leaving = self.leaving.saturating_sub(1);
        }
    }

    /// Leaves the oldest piece that should not be here to the store; false as long as the store does not have it.
    fn leave(&mut self) -> bool {
        self.leaving = self.leaving.min(self.pieces.len().saturating_sub(2));
        let at = self.pieces.len().checked_sub(1 + self.leaving).filter(|_| self.leaving > 0);
        let (Some(piece), Some(log)) = (at.and_then(|at| self.pieces.get_mut(at)), &self.log) else { return true };
        let mut seqs = piece.stored();
        if piece.away.is_some() || seqs.len() < piece.loose.len() {
            // Some of it is in memory only.
            piece.pack();
            return true;
        }
        if !log.has(&seqs) {
            return false;
        }
        seqs.shrink();
        let bytes = piece.loose.iter().map(|entry| entry.message.size()).sum();
        let body_bytes = piece.loose.iter().map(|entry| entry.message.body_len()).sum();
        self.change.away_bytes += bytes as isize;
        let away = Some(Away::Stored(Box::new(Stored { seqs, bytes, body_bytes })));
        *piece = Piece { loose: VecDeque::new(), away };
        true
    }

    pub(super) fn push_front(&mut self, entry: Entry) {
        match self.pieces.front_mut() {
            Some(first) if first.away.is_none() && first.loose.len() < PIECE => first.loose.push_front(entry),
            _ => self.pieces.push_front(Piece::of(VecDeque::from([entry]))),
        }
    }

    #[inline]
    pub(super) fn pop_front(&mut self) -> Option<Entry> {
        let pieces = self.pieces.len();
        let first = self.entries(0)?;
        let entry = first.pop_front();
        if first.is_empty() {
            if pieces == 1 { self.last_bytes = 0 } else { self.next() }
        }
        entry
    }

    /// Goes on to the second piece.
    #[cold]
    fn next(&mut self) {
        if let Some(used_up) = self.pieces.pop_front() {
            self.spare = used_up.loose;
        }
        self.entries(0);
    }

    /// Puts an entry back among the others, which are in the order of their arrivals.
    pub(super) fn insert(&mut self, entry: Entry) {
        let is_older = |other: &Entry| other.arrival() < entry.arrival();
        let at = self.pieces.partition_point(|piece| piece.last_arrival().is_some_and(|last| last < entry.arrival()));
        match self.entries(at) {
            Some(entries) => entries.insert(entries.partition_point(is_older), entry),
            None => self.push_back(entry, Backlog::Short),
        }
    }

    /// Shows the entries in their order as long as `show` wants more, and leaves them where they are.
    pub(super) fn each(&self, show: &mut dyn FnMut(&Entry) -> bool) {
        for piece in &self.pieces {
            let wants_more = match (&piece.away, &self.log) {
                (None, _) => piece.loose.iter().all(&mut *show),
                (Some(Away::Packed(packed)), _) => packed.entries().all(|entry| show(&entry)),
                (Some(Away::Stored(stored)), Some(log)) => log.fetch(&stored.seqs).iter().all(&mut *show),
                (Some(Away::Stored(_)), None) => true,
            };
            if !wants_more {
                return;
            }
        }
    }

    /// The arrivals that the store has a record of.
    pub(super) fn stored(&self) -> Seqs {
        let mut seqs = Seqs::default();
        self.pieces.iter().for_each(|piece| seqs.append(piece.stored()));
        seqs
    }

    /// Drops everything.
    pub(super) fn clear(&mut self) {
        *self = Line::new(self.log.take());
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
        let mut ready = Ready::new(0, None);
        let message = Message::compose("", "q", &Properties::default(), b"");
        (0..count).for_each(|_| ready.push(message.clone(), Moment::NEVER, false));
        std::iter::from_fn(|| ready.pop()).collect()
    }

    fn arrivals(line: &mut Line) -> Vec<u64> {
        std::iter::from_fn(|| line.pop_front()).map(|entry| entry.arrival()).collect()
    }

    #[test]
    fn a_line_keeps_its_order_across_its_pieces() {
        let mut line = Line::default();
        entries(3 * PIECE).into_iter().for_each(|entry| line.push_back(entry, Backlog::Short));
        assert_eq!(line.pieces(), 3);
        assert_eq!(line.front().unwrap().arrival(), 1);
        assert_eq!(arrivals(&mut line), (1..=3 * PIECE as u64).collect::<Vec<_>>());
        assert_eq!(line.pieces(), 1);
    }

    #[test]
    fn a_backlog_is_packed_and_nothing_of_it_is_lost() {
        let mut line = Line::default();
        let packed = |line: &Line| line.pieces.iter().filter(|piece| piece.away.is_some()).count();
        let mut ready = Ready::new(0, None);
        for n in 0..6 * PIECE {
            let message = Message::compose("x", "key", &Properties::default(), n.to_string().as_bytes());
            ready.push(message, Moment::default() + std::time::Duration::from_micros(n as u64), false);
        }
        let mut back = vec![];
        while let Some(entry) = ready.pop() {
            // One that was taken out comes back into the middle.
            if entry.arrival() == 2_000 { back.push(entry) } else { line.push_back(entry, Backlog::Long) }
        }
        assert_eq!((line.pieces(), packed(&line)), (6, 4));
        let mut seen = 0;
        line.each(&mut |entry| {
            seen += 1;
            entry.arrival() < 1500
        });
        assert_eq!((seen, packed(&line)), (1500, 4), "who looks at a backlog leaves it as it is");
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
        entries(4 * PIECE).into_iter().for_each(|entry| line.push_back(entry, Backlog::Long));
        assert!(line.pieces.iter().all(|piece| piece.away.is_none()));
    }

    #[test]
    fn what_comes_back_stands_where_it_was() {
        let mut line = Line::default();
        let (odd, even): (Vec<_>, Vec<_>) = entries(4 * PIECE).into_iter().partition(|e| e.arrival() % 2 == 1);
        even.into_iter().for_each(|entry| line.push_back(entry, Backlog::Short));
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
