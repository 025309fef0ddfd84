//! Rates out of totals, over the last seconds. Pure: time is an argument.

use crate::up::board::Board;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How far back a rate looks.
const WINDOW: Duration = Duration::from_secs(3);
/// How many samples that may be.
const SAMPLES_MAX: usize = 64;

/// Messages per second.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Rates {
    pub(super) files: f64,
    pub(super) fast: f64,
    pub(super) slow: f64,
    pub(super) results: f64,
    pub(super) warnings: f64,
}

impl Rates {
    /// All messages that services take from queues.
    pub(super) fn consumed(&self) -> f64 {
        self.fast + self.slow + self.results + self.warnings
    }
}

/// Totals of the last seconds.
#[derive(Debug, Default)]
pub(super) struct Meter {
    samples: VecDeque<(Instant, [u64; 5])>,
}

impl Meter {
    pub(super) fn sample(&mut self, now: Instant, board: &Board) {
        let warnings = board.spammers.written + board.spammers.given_up;
        let totals = [board.files as u64, board.fast.handled, board.slow.handled, board.status.results, warnings];
        self.samples.push_back((now, totals));
        let is_old = |sample: &(Instant, _)| now.duration_since(sample.0) > WINDOW;
        while self.samples.len() > SAMPLES_MAX || self.samples.front().is_some_and(is_old) {
            self.samples.pop_front();
        }
    }

    pub(super) fn rates(&self) -> Rates {
        let (Some((from, first)), Some((to, last))) = (self.samples.front(), self.samples.back()) else {
            return Rates::default();
        };
        // A rate over a moment would leap.
        let seconds = to.duration_since(*from).as_secs_f64().max(1.0);
        let [files, fast, slow, results, warnings] = std::array::from_fn(|which| {
            let of = |totals: &[u64; 5]| totals.get(which).copied().unwrap_or(0);
            of(last).saturating_sub(of(first)) as f64 / seconds
        });
        Rates { files, fast, slow, results, warnings }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_what_was_added_within_the_window() {
        let (mut meter, mut board, start) = (Meter::default(), Board::default(), Instant::now());
        assert_eq!(meter.rates(), Rates::default());
        for second in 0..10 {
            board.fast.handled = 4 * second;
            meter.sample(start + Duration::from_secs(second), &board);
        }
        assert_eq!(meter.rates().fast, 4.0);
        for second in 10..14 {
            meter.sample(start + Duration::from_secs(second), &board);
        }
        assert_eq!((meter.rates().fast, meter.rates().consumed()), (0.0, 0.0));
    }

    #[test]
    fn many_samples_take_no_more_room() {
        let (mut meter, start) = (Meter::default(), Instant::now());
        for _ in 0..10 * SAMPLES_MAX {
            meter.sample(start, &Board::default());
        }
        assert_eq!(meter.samples.len(), SAMPLES_MAX);
    }
}
