//! The messages that wait, in their order: first in first out, or by priority and then first in first out.

use std::collections::VecDeque;

use leveret_spec::RawProperties;

use crate::message::Message;

/// A message in its place in a queue.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) message: Message,
    place: Place,
}

/// Where an entry stands: the number of its arrival, and in the lowest bit whether it was delivered before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place(u64);

impl Entry {
    /// True if it was given to somebody before.
    #[inline]
    pub(crate) fn redelivered(&self) -> bool {
        self.place.0 & 1 != 0
    }

    /// Notes that somebody has had it.
    pub(crate) fn mark_delivered(&mut self) {
        self.place.0 |= 1;
    }

    fn arrival(&self) -> u64 {
        self.place.0 >> 1
    }
}

/// The ready messages of one queue.
pub(crate) struct Ready {
    /// One line for each priority, the lowest first. A queue without priorities has one.
    lines: Vec<VecDeque<Entry>>,
    /// No line above this one has messages.
    highest: usize,
    arrivals: u64,
    messages: usize,
    bytes: usize,
}

impl Ready {
    /// `max_priority` 0 is a queue without priorities.
    pub(crate) fn new(max_priority: u8) -> Self {
        let lines = (0..=max_priority).map(|_| VecDeque::new()).collect();
        Ready { lines, highest: 0, arrivals: 0, messages: 0, bytes: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.messages
    }

    /// What the messages take, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The line for a message: its priority, clamped; 0 if it has none.
    fn line(&self, properties: RawProperties<'_>) -> usize {
        usize::from(properties.priority().unwrap_or(0)).min(self.lines.len() - 1)
    }

    fn line_of(&self, message: &Message) -> usize {
        if self.lines.len() == 1 { 0 } else { self.line(message.properties()) }
    }

    fn added(&mut self, line: usize, size: usize) {
        self.highest = self.highest.max(line);
        self.messages += 1;
        self.bytes += size;
    }

    /// Appends a message that is new here.
    #[inline]
    pub(crate) fn push(&mut self, message: Message) {
        let line = self.line_of(&message);
        self.added(line, message.size());
        self.arrivals += 1;
        self.lines[line].push_back(Entry { message, place: Place(self.arrivals << 1) });
    }

    /// The first message of the highest priority.
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<Entry> {
        loop {
            if let Some(entry) = self.lines[self.highest].pop_front() {
                self.messages -= 1;
                self.bytes -= entry.message.size();
                return Some(entry);
            }
            if self.highest == 0 {
                return None;
            }
            self.highest -= 1;
        }
    }

    /// Returns messages to where they were. In order of arrival they cost no more than a push each, unless newer ones are in
    /// front of them.
    pub(crate) fn put_back(&mut self, mut entries: Vec<Entry>) {
        entries.sort_by_key(Entry::arrival);
        for entry in entries.into_iter().rev() {
            let line = self.line_of(&entry.message);
            self.added(line, entry.message.size());
            let queue = &mut self.lines[line];
            match queue.front() {
                Some(first) if first.arrival() < entry.arrival() => {
                    let at = queue.partition_point(|other| other.arrival() < entry.arrival());
                    queue.insert(at, entry);
                }
                _ => queue.push_front(entry),
            }
        }
    }

    /// Drops everything; how much that was.
    pub(crate) fn clear(&mut self) -> usize {
        for line in &mut self.lines {
            *line = VecDeque::new();
        }
        self.highest = 0;
        self.bytes = 0;
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
            ready.push(message(priority, body));
        }
        assert_eq!(drain(&mut ready), "b d a e c");
    }

    #[test]
    fn without_priorities_the_property_changes_nothing() {
        let mut ready = Ready::new(0);
        ready.push(message(Some(1), "a"));
        ready.push(message(Some(9), "b"));
        assert_eq!(drain(&mut ready), "a b");
    }

    #[test]
    fn a_returned_message_is_where_it_was() {
        let mut ready = Ready::new(0);
        for body in ["a", "b", "c", "d", "e"] {
            ready.push(message(None, body));
        }
        let taken: Vec<_> = (0..4).filter_map(|_| ready.pop()).collect();
        let [a, b, c, d] = taken.try_into().unwrap();
        ready.put_back(vec![c]);
        ready.put_back(vec![d, a]);
        ready.put_back(vec![b]);
        assert_eq!(drain(&mut ready), "a b c d e");
    }
}
