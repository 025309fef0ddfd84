//! The messages that wait, in their order: first in first out, or by priority and then first in first out.

use std::sync::Arc;

use super::line::{Backlog, Line, PIECE, PIECE_BYTES};
use super::log::Log;
use crate::message::Message;
use crate::store::Seqs;
use crate::time::Moment;

/// What comes to a queue with more than this is not about to be consumed, in bytes, and packed.
const LOOSE_BYTES_MAX: usize = 4 << 20;
/// The same for a queue with consumers: above what dozens of publishers may be ahead of them together.
const SERVED_BYTES_MAX: usize = 128 << 20;
/// What a durable queue has in memory, in bytes, before it leaves what comes to the store.
const RESIDENT_BYTES_MAX: usize = 16 << 20;

/// A message in its place in a queue.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) message: Message,
    pub(super) mark: Mark,
}

/// What a queue knows of a message.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mark {
    place: Place,
    expires: Moment,
}

impl Mark {
    pub(super) const BYTES: usize = 16;

    pub(super) fn to_bytes(self) -> [u8; Self::BYTES] {
        (u128::from(self.place.0) << 64 | u128::from(self.expires.to_bits())).to_ne_bytes()
    }

    pub(super) fn from_bytes(bytes: &[u8; Self::BYTES]) -> Self {
        let both = u128::from_ne_bytes(*bytes);
        Mark { place: Place((both >> 64) as u64), expires: Moment::from_bits(both as u64) }
    }

    /// The number of its arrival.
    #[inline]
    pub(super) fn arrival(self) -> u64 {
        self.place.0 >> 16
    }

    /// True if the message store has a record of it.
    #[inline]
    pub(super) fn is_stored(self) -> bool {
        self.place.0 & Place::STORED != 0
    }

    /// That of a message from the message store, which has been given out so often.
    pub(super) fn restored(arrival: u64, deliveries: u16, expires: Moment) -> Self {
        let returns = u64::from(deliveries) * Place::ONE_RETURN;
        let delivered = if deliveries > 0 { Place::DELIVERED } else { 0 };
        let place = Place::new(arrival, true).0 | returns.min(Place::RETURNS) | delivered;
        Mark { place: Place(place), expires }
    }
}

/// Where an entry stands: the number of its arrival, how often it was given out in vain, whether the message store has it,
/// and whether it was given out at all.
///
/// ```text
/// | arrival: 48 bits | returns: 14 | stored: 1 | delivered: 1 |
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Place(u64);

impl Place {
    const DELIVERED: u64 = 1;
    const STORED: u64 = 2;
    const ONE_RETURN: u64 = 4;
    const RETURNS: u64 = 0x3FFF * Self::ONE_RETURN;

    fn new(arrival: u64, stored: bool) -> Self {
        Place(arrival << 16 | if stored { Self::STORED } else { 0 })
    }
}

impl Entry {
    /// A message that a queue did not take.
    pub(super) fn refused(message: Message) -> Self {
        Entry { message, mark: Mark::default() }
    }

    /// True if it was given to somebody before.
    #[inline]
    pub(crate) fn redelivered(&self) -> bool {
        self.mark.place.0 & Place::DELIVERED != 0
    }

    /// Notes that somebody has had it and did not consume it; how often that has happened.
    pub(crate) fn mark_returned(&mut self) -> u16 {
        self.mark.place.0 |= Place::DELIVERED;
        if self.mark.place.0 & Place::RETURNS != Place::RETURNS {
            self.mark.place.0 += Place::ONE_RETURN;
        }
        self.returns()
    }

    /// How often it was given out in vain.
    pub(crate) fn returns(&self) -> u16 {
        ((self.mark.place.0 & Place::RETURNS) / Place::ONE_RETURN) as u16
    }

    /// Its number in the message store, if that has it.
    #[inline]
    pub(crate) fn stored(&self) -> Option<u64> {
        self.mark.is_stored().then(|| self.arrival())
    }

    pub(super) fn arrival(&self) -> u64 {
        self.mark.arrival()
    }
}

/// The ready messages of one queue.
pub(crate) struct Ready {
    /// One line for each priority, the lowest first. A queue without priorities has one.
    lines: Vec<Line>,
    /// No line above this one has messages.
    highest: usize,
    arrivals: u64,
    messages: usize,
    bytes: usize,
    body_bytes: usize,
    /// True once a message came that expires.
    expiring: bool,
    /// Bytes above which messages are packed.
    loose_bytes_max: usize,
    /// What is in the message store alone, in bytes.
    away_bytes: usize,
    /// The message store, for a durable queue.
    log: Option<Arc<Log>>,
}

impl Ready {
    /// `max_priority` 0 is a queue without priorities.
    pub(super) fn new(max_priority: u8, log: Option<Arc<Log>>) -> Self {
        let lines = (0..=max_priority).map(|_| Line::new(log.clone())).collect();
        Ready {
            lines,
            highest: 0,
            arrivals: 0,
            messages: 0,
            bytes: 0,
            body_bytes: 0,
            expiring: false,
            loose_bytes_max: LOOSE_BYTES_MAX,
            away_bytes: 0,
            log,
        }
    }

    /// Takes in what the message store had when the broker started. The next message to arrive gets at least `next`.
    pub(super) fn restore(&mut self, next: u64, expiring: bool) {
        let Some(log) = self.log.clone() else { return };
        self.arrivals = next.saturating_sub(1).max(self.arrivals);
        self.expiring |= expiring;
        let outlines = log.store.outline(log.queue, (PIECE, PIECE_BYTES));
        if let [line] = &mut *self.lines {
            (*line, self.messages) = Line::restored(&log, outlines);
            self.note_change(0);
            return;
        }
        // Where each one stands is known only to itself.
        for entry in outlines.iter().flat_map(|outline| log.fetch(&outline.seqs)) {
            let line = self.line_of(&entry.message);
            self.added(line, &entry.message);
            let backlog = self.backlog();
            self.lines[line].push_back(entry, backlog);
            self.note_change(line);
        }
    }

    /// Reads all messages once, so that what they take is known and no guess.
    pub(super) fn measure(&mut self) {
        for line in 0..self.lines.len() {
            self.lines[line].measure();
            self.note_change(line);
        }
    }

    /// Counts what a line has found out.
    #[inline]
    fn note_change(&mut self, line: usize) {
        if let Some(change) = self.lines[line].take_change() {
            self.bytes = self.bytes.saturating_add_signed(change.bytes);
            self.body_bytes = self.body_bytes.saturating_add_signed(change.body_bytes);
            self.away_bytes = self.away_bytes.saturating_add_signed(change.away_bytes);
        }
    }

    #[inline]
    fn backlog(&self) -> Backlog {
        if self.bytes <= self.loose_bytes_max {
            Backlog::Short
        } else if self.log.is_some() && self.resident() > RESIDENT_BYTES_MAX {
            Backlog::TooLong
        } else {
            Backlog::Long
        }
    }

    /// What is in memory, in bytes.
    fn resident(&self) -> usize {
        self.bytes.saturating_sub(self.away_bytes)
    }

    #[cfg(test)]
    pub(super) fn resident_bytes(&self) -> usize {
        self.resident()
    }

    /// The number of the next arrival.
    #[inline]
    pub(super) fn next_arrival(&self) -> u64 {
        self.arrivals + 1
    }

    pub(crate) fn len(&self) -> usize {
        self.messages
    }

    /// What the messages take, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// What their bodies take, in bytes.
    pub(crate) fn body_bytes(&self) -> usize {
        self.body_bytes
    }

    /// The line for a message: its priority, clamped; 0 if it has none.
    fn line_of(&self, message: &Message) -> usize {
        match self.lines.len() {
            1 => 0,
            lines => usize::from(message.properties().priority().unwrap_or(0)).min(lines - 1),
        }
    }

    #[inline]
    fn added(&mut self, line: usize, message: &Message) {
        self.highest = self.highest.max(line);
        self.messages += 1;
        self.bytes += message.size();
        self.body_bytes += message.body_len();
    }

    #[inline]
    fn removed(&mut self, message: &Message) {
        self.messages -= 1;
        self.bytes -= message.size();
        self.body_bytes -= message.body_len();
    }

    /// Makes ready for messages that are about to be appended, and which consumers wait for if it is `served`.
    #[inline]
    pub(crate) fn expect(&mut self, count: usize, served: bool) {
        self.loose_bytes_max = if served { SERVED_BYTES_MAX } else { LOOSE_BYTES_MAX };
        if let [line] = &mut *self.lines {
            line.reserve(count);
        }
    }

    /// Appends a message that is new here, and that the message store has too if it is `stored`.
    #[inline]
    pub(super) fn push(&mut self, message: Message, expires: Moment, stored: bool) {
        let line = self.line_of(&message);
        self.added(line, &message);
        self.expiring |= expires != Moment::NEVER;
        self.arrivals += 1;
        let backlog = self.backlog();
        let mark = Mark { place: Place::new(self.arrivals, stored), expires };
        self.lines[line].push_back(Entry { message, mark }, backlog);
        if backlog != Backlog::Short {
            self.note_change(line);
        }
    }

    /// The first message of the highest priority, whether it has expired or not.
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<Entry> {
        loop {
            let popped = self.lines[self.highest].pop_front();
            self.note_change(self.highest);
            if let Some(entry) = popped {
                self.removed(&entry.message);
                return Some(entry);
            }
            if self.highest == 0 {
                self.nothing_is_left();
                return None;
            }
            self.highest -= 1;
        }
    }

    /// There is no message, whatever was counted: a store that could not be read back has none either.
    #[cold]
    fn nothing_is_left(&mut self) {
        (self.messages, self.bytes, self.body_bytes, self.away_bytes) = (0, 0, 0, 0);
    }

    /// The first message that may be given out; those that have expired in front of it go to `dead`.
    #[inline]
    pub(crate) fn pop_live(&mut self, now: Moment, dead: &mut Vec<Entry>) -> Option<Entry> {
        loop {
            let entry = self.pop()?;
            if entry.mark.expires >= now {
                return Some(entry);
            }
            dead.push(entry);
        }
    }

    /// Takes out what has expired in front of the first message that has not. What a live one of higher priority is ahead of
    /// stays, as in RabbitMQ's priority queues.
    pub(crate) fn expire(&mut self, now: Moment, dead: &mut Vec<Entry>) {
        while self.expiring && self.front().is_some_and(|entry| entry.mark.expires <= now) {
            dead.extend(self.pop());
        }
    }

    /// The first messages that may be given out, at most so many, without taking them.
    pub(super) fn peek(&self, most: usize, now: Moment) -> Vec<Entry> {
        let mut seen = vec![];
        for line in self.lines.iter().rev() {
            line.each(&mut |entry| {
                if entry.mark.expires >= now && seen.len() < most {
                    seen.push(entry.clone());
                }
                seen.len() < most
            });
        }
        seen
    }

    /// When the first message expires.
    pub(crate) fn next_expiry(&mut self) -> Option<Moment> {
        if !self.expiring {
            return None;
        }
        self.front().map(|entry| entry.mark.expires).filter(|&at| at != Moment::NEVER)
    }

    /// What `pop` would take.
    fn front(&mut self) -> Option<&Entry> {
        while self.highest > 0 && self.lines[self.highest].front().is_none() {
            self.highest -= 1;
        }
        let is_there = self.lines[self.highest].front().is_some();
        self.note_change(self.highest);
        if !is_there {
            return None;
        }
        self.lines[self.highest].front()
    }

    /// Returns messages to where they were. In order of arrival they cost no more than a push each, unless newer ones are in
    /// front of them.
    pub(crate) fn put_back(&mut self, mut entries: Vec<Entry>) {
        entries.sort_by_key(Entry::arrival);
        for entry in entries.into_iter().rev() {
            let line = self.line_of(&entry.message);
            self.added(line, &entry.message);
            let queue = &mut self.lines[line];
            match queue.first_arrival() {
                Some(first) if first < entry.arrival() => queue.insert(entry),
                _ => queue.push_front(entry),
            }
            self.note_change(line);
        }
    }

    /// The messages that the message store has too.
    pub(super) fn stored(&self) -> Seqs {
        let mut seqs = Seqs::default();
        self.lines.iter().for_each(|line| seqs.append(line.stored()));
        seqs
    }

    /// Drops everything; how much that was.
    pub(crate) fn clear(&mut self) -> usize {
        self.lines.iter_mut().for_each(Line::clear);
        self.highest = 0;
        self.expiring = false;
        let messages = self.messages;
        self.nothing_is_left();
        messages
    }
}

#[cfg(test)]
mod tests {
    use leveret_spec::Properties;

    use super::*;

    fn message(priority: Option<u8>, body: &str) -> Message {
        Message::compose("", "q", &Properties { priority, ..Properties::default() }, body.as_bytes())
    }

    fn drain(ready: &mut Ready) -> String {
        let bodies: Vec<_> = std::iter::from_fn(|| ready.pop())
            .map(|e| String::from_utf8_lossy(e.message.body()).into_owned())
            .collect();
        assert_eq!((ready.len(), ready.bytes()), (0, 0));
        bodies.join(" ")
    }

    #[test]
    fn higher_priorities_come_first_and_equal_ones_in_order() {
        let mut ready = Ready::new(5, None);
        for (priority, body) in [(Some(1), "a"), (Some(5), "b"), (None, "c"), (Some(9), "d"), (Some(1), "e")] {
            ready.push(message(priority, body), Moment::NEVER, false);
        }
        assert_eq!(drain(&mut ready), "b d a e c");
    }

    #[test]
    fn without_priorities_the_property_changes_nothing() {
        let mut ready = Ready::new(0, None);
        ready.push(message(Some(1), "a"), Moment::NEVER, false);
        ready.push(message(Some(9), "b"), Moment::NEVER, false);
        assert_eq!(drain(&mut ready), "a b");
    }

    #[test]
    fn a_returned_message_is_where_it_was() {
        let mut ready = Ready::new(0, None);
        for body in ["a", "b", "c", "d", "e"] {
            ready.push(message(None, body), Moment::NEVER, false);
        }
        let taken: Vec<_> = (0..4).filter_map(|_| ready.pop()).collect();
        let [a, b, c, d] = taken.try_into().unwrap();
        ready.put_back(vec![c]);
        ready.put_back(vec![d, a]);
        ready.put_back(vec![b]);
        assert_eq!(drain(&mut ready), "a b c d e");
    }

    #[test]
    fn a_peek_shows_what_would_come_next_and_leaves_it() {
        let at = |ms| Moment::after_start(std::time::Duration::from_millis(ms));
        let mut ready = Ready::new(5, None);
        for (priority, body, expires) in
            [(Some(1), "a", Moment::NEVER), (Some(5), "b", at(1)), (Some(5), "c", at(2)), (None, "d", Moment::NEVER)]
        {
            ready.push(message(priority, body), expires, false);
        }
        let seen = |ready: &Ready, most| {
            let bodies =
                ready.peek(most, at(2)).into_iter().map(|e| String::from_utf8_lossy(e.message.body()).into_owned());
            bodies.collect::<Vec<_>>().join(" ")
        };
        assert_eq!((seen(&ready, 9), seen(&ready, 2), seen(&ready, 0)), ("c a d".into(), "c a".into(), String::new()));
        assert_eq!(drain(&mut ready), "b c a d");
    }

    #[test]
    fn what_has_expired_is_never_given_out() {
        let at = |ms| Moment::after_start(std::time::Duration::from_millis(ms));
        let mut ready = Ready::new(0, None);
        for (body, expires) in [("a", at(1)), ("b", at(5)), ("c", at(2)), ("d", Moment::NEVER)] {
            ready.push(message(None, body), expires, false);
        }
        let mut dead = vec![];
        ready.expire(at(2), &mut dead);
        assert_eq!((dead.len(), ready.next_expiry()), (1, Some(at(5))));
        let live = ready.pop_live(at(6), &mut dead).unwrap();
        assert_eq!((live.message.body(), dead.len(), ready.len()), (&b"d"[..], 3, 0));
    }
}
