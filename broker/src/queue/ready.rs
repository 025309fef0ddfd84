//! The messages that wait, in their order: first in first out, or by priority and then first in first out.

use super::line::Line;
use crate::message::Message;
use crate::time::Moment;

/// What comes to a queue with more than this is not about to be consumed, in bytes, and packed.
const LOOSE_BYTES_MAX: usize = 4 << 20;
/// The same for a queue with consumers: above what dozens of publishers may be ahead of them together.
const SERVED_BYTES_MAX: usize = 128 << 20;

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
    pub(super) fn arrival(self) -> u64 {
        self.place.0 >> 16
    }
}

/// Where an entry stands: the number of its arrival, how often it was given out in vain, and whether it was given out at
/// all.
///
/// ```text
/// | arrival: 48 bits | returns: 15 | delivered: 1 |
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Place(u64);

impl Place {
    const DELIVERED: u64 = 1;
    const RETURNS: u64 = 0x7FFF << 1;

    fn new(arrival: u64) -> Self {
        Place(arrival << 16)
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
            self.mark.place.0 += 2;
        }
        ((self.mark.place.0 & Place::RETURNS) >> 1) as u16
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
}

impl Ready {
    /// `max_priority` 0 is a queue without priorities.
    pub(crate) fn new(max_priority: u8) -> Self {
        let lines = (0..=max_priority).map(|_| Line::default()).collect();
        Ready {
            lines,
            highest: 0,
            arrivals: 0,
            messages: 0,
            bytes: 0,
            body_bytes: 0,
            expiring: false,
            loose_bytes_max: LOOSE_BYTES_MAX,
        }
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

    /// Appends a message that is new here.
    #[inline]
    pub(crate) fn push(&mut self, message: Message, expires: Moment) {
        let line = self.line_of(&message);
        self.added(line, &message);
        self.expiring |= expires != Moment::NEVER;
        self.arrivals += 1;
        let is_backlog = self.bytes > self.loose_bytes_max;
        self.lines[line]
            .push_back(Entry { message, mark: Mark { place: Place::new(self.arrivals), expires } }, is_backlog);
    }

    /// The first message of the highest priority, whether it has expired or not.
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<Entry> {
        loop {
            if let Some(entry) = self.lines[self.highest].pop_front() {
                self.removed(&entry.message);
                return Some(entry);
            }
            if self.highest == 0 {
                return None;
            }
            self.highest -= 1;
        }
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
            match queue.front() {
                Some(first) if first.arrival() < entry.arrival() => queue.insert(entry),
                _ => queue.push_front(entry),
            }
        }
    }

    /// Drops everything; how much that was.
    pub(crate) fn clear(&mut self) -> usize {
        for line in &mut self.lines {
            *line = Line::default();
        }
        self.highest = 0;
        self.bytes = 0;
        self.body_bytes = 0;
        self.expiring = false;
        std::mem::take(&mut self.messages)
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
        let mut ready = Ready::new(5);
        for (priority, body) in [(Some(1), "a"), (Some(5), "b"), (None, "c"), (Some(9), "d"), (Some(1), "e")] {
            ready.push(message(priority, body), Moment::NEVER);
        }
        assert_eq!(drain(&mut ready), "b d a e c");
    }

    #[test]
    fn without_priorities_the_property_changes_nothing() {
        let mut ready = Ready::new(0);
        ready.push(message(Some(1), "a"), Moment::NEVER);
        ready.push(message(Some(9), "b"), Moment::NEVER);
        assert_eq!(drain(&mut ready), "a b");
    }

    #[test]
    fn a_returned_message_is_where_it_was() {
        let mut ready = Ready::new(0);
        for body in ["a", "b", "c", "d", "e"] {
            ready.push(message(None, body), Moment::NEVER);
        }
        let taken: Vec<_> = (0..4).filter_map(|_| ready.pop()).collect();
        let [a, b, c, d] = taken.try_into().unwrap();
        ready.put_back(vec![c]);
        ready.put_back(vec![d, a]);
        ready.put_back(vec![b]);
        assert_eq!(drain(&mut ready), "a b c d e");
    }

    #[test]
    fn what_has_expired_is_never_given_out() {
        let at = |ms| Moment::after_start(std::time::Duration::from_millis(ms));
        let mut ready = Ready::new(0);
        for (body, expires) in [("a", at(1)), ("b", at(5)), ("c", at(2)), ("d", Moment::NEVER)] {
            ready.push(message(None, body), expires);
        }
        let mut dead = vec![];
        ready.expire(at(2), &mut dead);
        assert_eq!((dead.len(), ready.next_expiry()), (1, Some(at(5))));
        let live = ready.pop_live(at(6), &mut dead).unwrap();
        assert_eq!((live.message.body(), dead.len(), ready.len()), (&b"d"[..], 3, 0));
    }
}
