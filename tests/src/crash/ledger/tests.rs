//! Made-up histories: what must be reported, and what must not.

use super::*;
use crate::crash::layout::{COPIES, DEAD, DESK, MOVED, PLAIN, QUORUM, WORK};

const CONSUMER: u64 = 1;
const ROUTE: &[Queue] = &[PLAIN];

fn id(sequence: u64) -> Id {
    Id { publisher: 1, sequence }
}

fn ms(ms: u64) -> At {
    At::from_millis(ms)
}

/// A ledger, and the times that do not matter.
#[derive(Default)]
struct Story(Ledger);

impl Story {
    /// Persistent messages, confirmed.
    fn confirmed(route: &'static [Queue], sequences: impl IntoIterator<Item = u64>) -> Story {
        let mut story = Story::default();
        for sequence in sequences {
            story.0.publish(id(sequence), route, (true, 0), None, ms(10_000));
            story.0.confirmed(id(sequence));
        }
        story
    }

    /// Messages of transaction 7, of which nobody was told the end.
    fn in_transaction(sequences: impl IntoIterator<Item = u64>) -> Story {
        let mut story = Story::default();
        for sequence in sequences {
            story.0.publish(id(sequence), ROUTE, (true, 0), Some(7), ms(10_000));
        }
        story
    }

    fn receive(&mut self, queue: Queue, sequence: u64) -> &mut Story {
        self.receive_again(queue, sequence, false)
    }

    fn receive_again(&mut self, queue: Queue, sequence: u64, redelivered: bool) -> &mut Story {
        self.0.received((CONSUMER, queue), (id(sequence), None), redelivered, ms(1000));
        self
    }

    /// Settles, and hears that the broker knows of it at a time.
    fn settle(&mut self, queue: Queue, sequence: u64, how: Settled, at: At) -> &mut Story {
        self.0.settled(queue, id(sequence), how);
        self.0.handled(queue, id(sequence), at);
        self
    }

    /// Killed after ten seconds.
    fn kill(&mut self) -> &mut Story {
        self.0.crashed(ms(10_000), Ending::Killed);
        self
    }

    /// All queues are read to the end: (queue, message, redelivered) in this order.
    fn list(&mut self, found: &[(Queue, u64, bool)]) -> &mut Story {
        self.0.begin_listing();
        for (queue, sequence, redelivered) in found {
            self.receive_again(*queue, *sequence, *redelivered);
        }
        self.0.end_listing();
        found.iter().for_each(|(queue, sequence, _)| self.0.returned(*queue, id(*sequence)));
        self
    }

    /// The faults, and whose they are.
    #[track_caller]
    fn expect(&self, faults: &[(Kind, u64)]) {
        let found: Vec<_> = self.0.faults().iter().map(|f| (f.kind, f.id.map_or(0, |id| id.sequence))).collect();
        assert_eq!(found, faults, "{:#?}", self.0.faults());
    }
}

/// A confirmed message that is not there is lost; one that was not confirmed may be there or not.
#[test]
fn a_lost_message_is_reported() {
    Story::confirmed(ROUTE, 1..=3).kill().list(&[(PLAIN, 1, false), (PLAIN, 2, false), (PLAIN, 3, false)]).expect(&[]);
    Story::confirmed(ROUTE, 1..=3).kill().list(&[(PLAIN, 1, false), (PLAIN, 3, false)]).expect(&[(Kind::Lost, 2)]);
    let mut story = Story::confirmed(ROUTE, 1..=1);
    story.0.publish(id(2), ROUTE, (true, 0), None, ms(10_000));
    story.0.publish(id(3), ROUTE, (true, 0), None, ms(10_000));
    story.kill();
    assert_eq!(story.0.bounds(PLAIN), (1, 3));
    story.list(&[(PLAIN, 1, false), (PLAIN, 3, false)]).expect(&[]);
    // From then on it is as if it had been confirmed, or never published.
    story.kill().list(&[(PLAIN, 1, true), (PLAIN, 2, false)]).expect(&[(Kind::Back, 2), (Kind::Lost, 3)]);
}

/// Each of the queues that a body went to has it.
#[test]
fn a_message_that_one_of_its_queues_lost_is_reported() {
    let mut story = Story::confirmed(&COPIES, [1]);
    story.kill().list(&[(COPIES[0], 1, false), (COPIES[2], 1, false)]).expect(&[(Kind::Lost, 1)]);
    assert_eq!(story.0.faults()[0].queue, Some(COPIES[1]));
}

/// A queue's own count is wrong as well.
#[test]
fn a_wrong_count_is_reported() {
    let mut story = Story::confirmed(ROUTE, 1..=3);
    story.kill();
    story.0.counted(PLAIN, 3);
    story.expect(&[]);
    story.0.counted(PLAIN, 2);
    story.0.counted(PLAIN, 4);
    story.expect(&[(Kind::Miscounted, 0), (Kind::Miscounted, 0)]);
}

/// A message is in a queue once.
#[test]
fn a_doubled_message_is_reported() {
    let mut story = Story::confirmed(ROUTE, [1]);
    story.kill().list(&[(PLAIN, 1, false), (PLAIN, 1, false)]).expect(&[(Kind::Doubled, 1)]);
    let mut story = Story::confirmed(ROUTE, [1]);
    story.receive(PLAIN, 1).receive(PLAIN, 1).expect(&[(Kind::Doubled, 1)]);
}

/// What was published comes out.
#[test]
fn an_altered_message_is_reported() {
    let mut story = Story::confirmed(ROUTE, [1]);
    story.0.received((CONSUMER, PLAIN), (id(1), Some("a bit".into())), false, ms(0));
    story.expect(&[(Kind::Altered, 1)]);
}

/// Messages of a publisher stay in order, in a listing and for a consumer.
#[test]
fn reordered_messages_are_reported() {
    let mut story = Story::confirmed(ROUTE, 1..=3);
    story.kill().list(&[(PLAIN, 1, false), (PLAIN, 3, false), (PLAIN, 2, false)]);
    // The listing is a consumer, too.
    story.expect(&[(Kind::Reordered, 2), (Kind::Reordered, 2)]);
    let mut story = Story::confirmed(ROUTE, 1..=2);
    story.receive(PLAIN, 2).receive(PLAIN, 1).expect(&[(Kind::Reordered, 1)]);
    // One that is redelivered has its old place, among others that were not delivered yet.
    let mut story = Story::confirmed(ROUTE, 1..=3);
    story.receive(PLAIN, 1).receive(PLAIN, 2).0.returned(PLAIN, id(1));
    story.receive_again(PLAIN, 1, true).receive(PLAIN, 3).expect(&[]);
}

/// What was acked long ago is gone; what was acked just before may be back.
#[test]
fn an_acked_message_that_is_back_is_reported() {
    let acked_at = |at: u64| {
        let mut story = Story::confirmed(ROUTE, 1..=2);
        story.receive(PLAIN, 1).settle(PLAIN, 1, Settled::Acked, ms(at)).kill();
        story
    };
    acked_at(9_000).list(&[(PLAIN, 2, false)]).expect(&[]);
    acked_at(9_000).list(&[(PLAIN, 1, true), (PLAIN, 2, false)]).expect(&[(Kind::Back, 1)]);
    acked_at(9_900).list(&[(PLAIN, 1, true), (PLAIN, 2, false)]).expect(&[]);
    acked_at(9_900).list(&[(PLAIN, 2, false)]).expect(&[]);
    // An ack of which nobody knows that it was handled may be lost.
    let mut story = Story::confirmed(ROUTE, [1]);
    story.receive(PLAIN, 1).0.settled(PLAIN, id(1), Settled::Acked);
    story.kill().list(&[(PLAIN, 1, true)]).expect(&[]);
    // In the same life of the broker, it is done with at once.
    let mut story = Story::confirmed(ROUTE, [1]);
    story.receive(PLAIN, 1).settle(PLAIN, 1, Settled::Acked, ms(9_999)).receive_again(PLAIN, 1, true);
    story.expect(&[(Kind::Back, 1)]);
}

/// A broker that is asked to end forgets nothing.
#[test]
fn an_orderly_end_forgets_no_ack() {
    let mut story = Story::confirmed(ROUTE, [1]);
    story.receive(PLAIN, 1).settle(PLAIN, 1, Settled::Acked, ms(9_999));
    story.0.crashed(ms(10_000), Ending::Asked);
    story.list(&[(PLAIN, 1, true)]).expect(&[(Kind::Back, 1)]);
}

/// While a broker ends in order, one consumer gets what another had, and what that settled too late.
#[test]
fn what_connections_lose_at_an_orderly_end_is_no_fault() {
    let mut story = Story::confirmed(ROUTE, 1..=3);
    story.receive(PLAIN, 1).receive(PLAIN, 2).0.settled(PLAIN, id(2), Settled::Acked);
    story.receive(PLAIN, 3).settle(PLAIN, 3, Settled::Acked, ms(9_000)).0.closing();
    (1..=3).for_each(|n| story.0.received((2, PLAIN), (id(n), None), true, ms(9_999)));
    story.expect(&[(Kind::Back, 3)]);
}

/// On a machine that stood still, or with a slow disk, the broker had no time for what came last.
#[test]
fn time_counts_up_to_the_last_sign_of_life() {
    let mut story = Story::confirmed(ROUTE, [1]);
    story.receive(PLAIN, 1).settle(PLAIN, 1, Settled::Acked, ms(10_900));
    story.0.crashed(ms(20_000), Ending::Killed);
    story.list(&[(PLAIN, 1, true)]).expect(&[]);
}

/// A message that was received before says so when it comes again, and no other does.
#[test]
fn a_wrong_mark_is_reported() {
    let received = || {
        let mut story = Story::confirmed(ROUTE, 1..=2);
        story.receive(PLAIN, 1).kill();
        story
    };
    received().list(&[(PLAIN, 1, true), (PLAIN, 2, false)]).expect(&[]);
    received().list(&[(PLAIN, 1, false), (PLAIN, 2, false)]).expect(&[(Kind::Unmarked, 1)]);
    received().list(&[(PLAIN, 1, true), (PLAIN, 2, true)]).expect(&[(Kind::Marked, 2)]);
    // One of which the broker need not know is not older for the next crash, and one of which it knows stays so.
    let twice = |at: u64| {
        let mut story = Story::confirmed(ROUTE, [1]);
        story.0.received((CONSUMER, PLAIN), (id(1), None), false, ms(at));
        story.kill().0.crashed(ms(20_000), Ending::Killed);
        story
    };
    twice(9_900).list(&[(PLAIN, 1, false)]).expect(&[]);
    twice(1_000).list(&[(PLAIN, 1, false)]).expect(&[(Kind::Unmarked, 1)]);
    // One may have been on the way.
    let mut story = received();
    story.0.abandoned(PLAIN, 1);
    story.list(&[(PLAIN, 1, true), (PLAIN, 2, true)]).expect(&[]);
    // One that was given back says so at once.
    let mut story = Story::confirmed(ROUTE, [1]);
    story.receive(PLAIN, 1).0.returned(PLAIN, id(1));
    story.receive(PLAIN, 1).expect(&[(Kind::Unmarked, 1)]);
}

/// A transaction is carried out whole or not at all.
#[test]
fn half_a_transaction_is_reported() {
    Story::in_transaction(1..=3).kill().list(&[]).expect(&[]);
    let all = [(PLAIN, 1, false), (PLAIN, 2, false), (PLAIN, 3, false)];
    Story::in_transaction(1..=3).kill().list(&all).expect(&[]);
    Story::in_transaction(1..=3).kill().list(&all[..2]).expect(&[(Kind::Half, 3)]);
    Story::in_transaction(1..=3).kill().list(&all[2..]).expect(&[(Kind::Half, 1), (Kind::Half, 2)]);
    // With an answer, every message is as if it were confirmed.
    let mut story = Story::in_transaction(1..=3);
    story.0.committed(7, ms(10_000));
    story.kill().list(&[(PLAIN, 1, false)]).expect(&[(Kind::Lost, 2), (Kind::Lost, 3)]);
    // One that was acked by the end tells nothing.
    let mut story = Story::in_transaction(1..=2);
    story.receive(PLAIN, 1).0.settled(PLAIN, id(1), Settled::Acked);
    story.kill().list(&[(PLAIN, 2, false)]).expect(&[]);
}

/// What is rolled back never was.
#[test]
fn a_message_that_was_rolled_back_is_reported() {
    let mut story = Story::in_transaction([1]);
    story.0.rolled_back(7);
    story.kill().list(&[(PLAIN, 1, false)]).expect(&[(Kind::Back, 1)]);
}

/// A rejected message is in its queue or among the dead letters: not in both, not in neither.
#[test]
fn a_dead_letter_has_one_place() {
    let rejected_at = |at: u64| {
        let mut story = Story::confirmed(&[WORK], [1]);
        story.receive(WORK, 1).settle(WORK, 1, Settled::Rejected, ms(at)).kill();
        story
    };
    rejected_at(9_000).list(&[(DEAD, 1, false)]).expect(&[]);
    rejected_at(9_000).list(&[(WORK, 1, true)]).expect(&[(Kind::Doubled, 1), (Kind::Lost, 1)]);
    rejected_at(9_900).list(&[(WORK, 1, true)]).expect(&[]);
    rejected_at(9_900).list(&[(DEAD, 1, false)]).expect(&[]);
    rejected_at(9_900).list(&[]).expect(&[(Kind::Lost, 1)]);
    rejected_at(9_900).list(&[(WORK, 1, true), (DEAD, 1, false)]).expect(&[(Kind::Doubled, 1)]);
    // Acked among the dead letters, so it is not back where it came from.
    let mut story = Story::confirmed(&[WORK], [1]);
    story.receive(WORK, 1).0.settled(WORK, id(1), Settled::Rejected);
    story.receive(DEAD, 1).settle(DEAD, 1, Settled::Acked, ms(9_000)).kill();
    story.list(&[(WORK, 1, true)]).expect(&[(Kind::Back, 1)]);
}

/// Consumed and published in one transaction: all messages have moved, or none.
#[test]
fn a_half_move_is_reported() {
    let moved = || {
        let mut story = Story::confirmed(&[DESK], 1..=2);
        for sequence in 1..=2 {
            story.receive(DESK, sequence).0.settled(DESK, id(sequence), Settled::Moved(9));
        }
        story
    };
    moved().kill().list(&[(MOVED, 1, false), (MOVED, 2, false)]).expect(&[]);
    moved().kill().list(&[(DESK, 1, true), (DESK, 2, true)]).expect(&[]);
    moved().kill().list(&[(DESK, 1, true), (MOVED, 2, false)]).expect(&[(Kind::Half, 2), (Kind::Half, 2)]);
    let mut story = moved();
    story.0.committed(9, ms(10_000));
    story.kill().list(&[(MOVED, 1, false), (DESK, 2, true)]).expect(&[(Kind::Doubled, 2), (Kind::Lost, 2)]);
}

/// What is not persistent ends with the broker, except on quorum queues.
#[test]
fn a_transient_message_that_survives_is_reported() {
    let mut story = Story::default();
    story.0.publish(id(1), ROUTE, (false, 0), None, ms(10_000));
    story.0.publish(id(2), &[QUORUM], (false, 0), None, ms(10_000));
    (1..=2).for_each(|sequence| story.0.confirmed(id(sequence)));
    story.kill().list(&[(PLAIN, 1, false)]).expect(&[(Kind::Back, 1), (Kind::Lost, 2)]);
}

/// A message that nobody published is none of ours.
#[test]
fn a_stranger_is_reported() {
    let mut story = Story::confirmed(ROUTE, [1]);
    story.receive(QUORUM, 1).expect(&[(Kind::Topology, 1)]);
}
