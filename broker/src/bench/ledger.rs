//! Who sent how much to which queue, and what came out of it: the proof that nothing was lost, doubled or reordered.
//!
//! It keeps no list of messages. A tally has their number and the sum of a mixed value of each sequence number: two
//! tallies are equal if the messages are, and if they are not, equal sums are as likely as a guess of 64 bits.

use std::collections::BTreeMap;

/// Faults that are named one by one.
const NAMED_MAX: usize = 5;

/// Some messages of one producer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) count: u64,
    sum: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, sequence: u64) {
        self.count += 1;
        self.sum = self.sum.wrapping_add(mixed(sequence));
    }

    fn merge(&mut self, other: Tally) {
        self.count += other.count;
        self.sum = self.sum.wrapping_add(other.sum);
    }
}

/// Spreads a number over 64 bits (the finalizer of splitmix64).
fn mixed(number: u64) -> u64 {
    let a = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let b = (a ^ a >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let c = (b ^ b >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    c ^ c >> 31
}

/// The tallies of a run, by queue and producer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger(BTreeMap<(usize, u16), Tally>);

impl Ledger {
    /// Adds messages that went into a queue or came out of it.
    pub(crate) fn enter(&mut self, queue: usize, producer: u16, tally: Tally) {
        if tally.count > 0 {
            self.0.entry((queue, producer)).or_default().merge(tally);
        }
    }

    pub(crate) fn merge(&mut self, other: &Ledger) {
        for (&(queue, producer), &tally) in &other.0 {
            self.enter(queue, producer, tally);
        }
    }

    /// How many messages there are.
    pub(crate) fn count(&self) -> u64 {
        self.0.values().map(|tally| tally.count).sum()
    }

    /// What is wrong with what was received, if `self` was sent; one sentence each.
    pub(crate) fn faults(&self, received: &Ledger) -> Vec<String> {
        let none = Tally::default();
        let strangers = received.0.keys().filter(|key| !self.0.contains_key(key));
        let mut faults: Vec<String> = self
            .0
            .keys()
            .chain(strangers)
            .filter_map(|key| {
                let (sent, got) = (self.0.get(key).unwrap_or(&none), received.0.get(key).unwrap_or(&none));
                let what = difference(*sent, *got)?;
                Some(format!("{what} in queue {} from producer {}", key.0, key.1))
            })
            .collect();
        if faults.len() > NAMED_MAX {
            let more = faults.len() - NAMED_MAX;
            faults.truncate(NAMED_MAX);
            faults.push(format!("and {more} more queues with faults"));
        }
        faults
    }
}

fn difference(sent: Tally, got: Tally) -> Option<String> {
    let (sent_count, got_count) = (sent.count, got.count);
    if got_count < sent_count {
        Some(format!("{} of {sent_count} messages were lost", sent_count - got_count))
    } else if got_count > sent_count {
        Some(format!("{} messages came beyond the {sent_count} that were sent", got_count - sent_count))
    } else {
        (sent != got).then(|| format!("among {sent_count} messages some were lost and others doubled"))
    }
}

/// The order in which one consumer sees one queue.
#[derive(Debug, Default)]
pub(crate) struct Order {
    next: Vec<u64>,
    /// Messages that came behind a later one of their producer.
    pub(crate) late: u64,
}

impl Order {
    /// Sees a message.
    pub(crate) fn see(&mut self, producer: u16, sequence: u64) {
        let index = usize::from(producer);
        if self.next.len() <= index {
            self.next.resize(index + 1, 0);
        }
        if let Some(next) = self.next.get_mut(index) {
            self.late += u64::from(sequence < *next);
            *next = sequence + 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(queue: usize, sequences: impl IntoIterator<Item = u64>) -> Ledger {
        let mut tally = Tally::default();
        sequences.into_iter().for_each(|sequence| tally.add(sequence));
        let mut ledger = Ledger::default();
        ledger.enter(queue, 0, tally);
        ledger
    }

    #[test]
    fn what_arrives_in_parts_is_complete() {
        let sent = ledger(1, 0..10);
        let mut received = ledger(1, [9, 0, 2, 4]);
        received.merge(&ledger(1, [1, 3, 5, 6, 7, 8]));
        assert_eq!((sent.faults(&received), received.count()), (vec![], 10));
    }

    #[test]
    fn loss_repetition_and_both_are_named() {
        let sent = ledger(1, 0..4);
        for (got, what) in [
            (vec![0, 1, 3], "1 of 4 messages were lost in queue 1 from producer 0"),
            (vec![0, 1, 2, 3, 3], "1 messages came beyond the 4"),
            (vec![0, 1, 3, 3], "some were lost and others doubled"),
        ] {
            let faults = sent.faults(&ledger(1, got));
            assert!(faults.len() == 1 && faults[0].contains(what), "{faults:?}");
        }
    }

    #[test]
    fn a_message_in_a_wrong_queue_is_missed_in_one_and_too_much_in_the_other() {
        assert_eq!(ledger(1, 0..4).faults(&ledger(2, 0..4)).len(), 2);
    }

    #[test]
    fn many_faults_are_cut_short() {
        let mut sent = Ledger::default();
        (0..9).for_each(|queue| sent.merge(&ledger(queue, 0..1)));
        let faults = sent.faults(&Ledger::default());
        assert_eq!((faults.len(), faults[5].as_str()), (6, "and 4 more queues with faults"));
    }

    #[test]
    fn only_a_step_back_is_out_of_order() {
        let mut order = Order::default();
        for (producer, sequence) in [(0, 0), (1, 5), (0, 1), (0, 4), (1, 6), (0, 3), (0, 4)] {
            order.see(producer, sequence);
        }
        assert_eq!(order.late, 1);
    }
}
