//! Which delivery is a cruncher's last. Pure, so that a run with the same files is harmed in the same way.

/// From one kill to the next, in deliveries.
const EVERY: u64 = 2;

/// What becomes of a cruncher that has a file in its hands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Nothing.
    Lives,
    /// It is killed before its result is out: the file comes again.
    DiesBefore,
    /// It is killed when the broker has its result but not its acknowledgement: the result comes twice.
    DiesAfter,
}

/// The fates of one kind of cruncher, delivery by delivery.
#[derive(Debug, Default)]
pub(super) struct Plan {
    deliveries: u64,
    kills: u64,
}

impl Plan {
    /// The fate of the next delivery. Whoever gets a file again lives, so that all comes to an end.
    pub(super) fn next(&mut self, redelivered: bool) -> Fate {
        if redelivered {
            return Fate::Lives;
        }
        self.deliveries += 1;
        if self.deliveries % EVERY != 1 {
            return Fate::Lives;
        }
        self.kills += 1;
        if self.kills % 2 == 1 { Fate::DiesBefore } else { Fate::DiesAfter }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_second_file_kills_before_and_after_the_result_by_turns() {
        let mut plan = Plan::default();
        let fates: Vec<_> = (0..8).map(|_| plan.next(false)).collect();
        use Fate::{DiesAfter, DiesBefore, Lives};
        assert_eq!(fates, [DiesBefore, Lives, DiesAfter, Lives, DiesBefore, Lives, DiesAfter, Lives]);
    }

    #[test]
    fn a_file_that_comes_again_kills_nobody() {
        let mut plan = Plan::default();
        assert!((0..8).all(|_| plan.next(true) == Fate::Lives));
    }
}
