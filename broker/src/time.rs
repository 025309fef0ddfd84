//! Time as the core sees it: an argument. Only `server/clock.rs` reads a clock; tests make it up.

use std::ops::{Add, Sub};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A moment, in microseconds since the broker's start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(u64);

impl Moment {
    /// Later than any other.
    pub(crate) const NEVER: Moment = Moment(u64::MAX);

    /// The moment that long after the broker's start.
    pub(crate) fn after_start(elapsed: Duration) -> Self {
        Moment(elapsed.as_micros() as u64)
    }

    /// The moment as a number, for `from_bits`.
    pub(crate) fn to_bits(self) -> u64 {
        self.0
    }

    /// What `to_bits` has made a number of.
    pub(crate) fn from_bits(bits: u64) -> Self {
        Moment(bits)
    }

    /// How long after the broker's start it is.
    pub(crate) fn since_start(self) -> Duration {
        Duration::from_micros(self.0)
    }
}

impl Add<Duration> for Moment {
    type Output = Moment;
    fn add(self, later: Duration) -> Moment {
        Moment(self.0.saturating_add(later.as_micros() as u64))
    }
}

/// Zero if `earlier` is not earlier.
impl Sub for Moment {
    type Output = Duration;
    fn sub(self, earlier: Moment) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

/// How a broker's own time goes beside the shell's clock: with it, ahead of it, or only as it is told. Messages, queues and
/// consumers live by it. Heartbeats, handshakes and pauses are between the broker and a socket, and go by the clock.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    /// It stands still unless it is advanced.
    paused: bool,
    /// How far it is ahead of the clock, or of the broker's start if it is paused, in microseconds.
    ahead: AtomicU64,
}

impl Timeline {
    /// One that stands still.
    pub(crate) fn paused() -> Self {
        Timeline { paused: true, ..Timeline::default() }
    }

    /// The broker's time when the clock says `clock`.
    #[inline]
    pub(crate) fn at(&self, clock: Moment) -> Moment {
        let ahead = self.ahead.load(Ordering::Relaxed);
        Moment(if self.paused { ahead } else { clock.0.saturating_add(ahead) })
    }

    /// What the clock says when it is `moment` in the broker; none if that never comes by itself.
    pub(crate) fn clock_at(&self, moment: Moment) -> Option<Moment> {
        let ahead = self.ahead.load(Ordering::Relaxed);
        match self.paused {
            true => (moment.0 <= ahead).then(Moment::default),
            false => Some(Moment(moment.0.saturating_sub(ahead))),
        }
    }

    /// Lets it be `moment` in the broker, if that is not over, when the clock says `clock`. One at a time does this.
    pub(crate) fn advance_to(&self, moment: Moment, clock: Moment) {
        self.ahead.fetch_add((moment - self.at(clock)).as_micros() as u64, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::after_start(Duration::from_secs(seconds))
    }

    #[test]
    fn time_that_was_advanced_goes_on_from_there() {
        let timeline = Timeline::default();
        assert_eq!((timeline.at(at(5)), timeline.clock_at(at(7))), (at(5), Some(at(7))));
        timeline.advance_to(at(105), at(5));
        assert_eq!((timeline.at(at(6)), timeline.clock_at(at(107))), (at(106), Some(at(7))));
        assert_eq!(timeline.clock_at(at(50)), Some(at(0)), "it is over");
        timeline.advance_to(at(50), at(6));
        assert_eq!(timeline.at(at(6)), at(106), "it never goes back");
    }

    #[test]
    fn time_that_is_paused_comes_when_it_is_told() {
        let timeline = Timeline::paused();
        assert_eq!((timeline.at(at(5)), timeline.clock_at(at(1))), (at(0), None));
        timeline.advance_to(at(60), at(5));
        assert_eq!(
            (timeline.at(at(9)), timeline.clock_at(at(60)), timeline.clock_at(at(61))),
            (at(60), Some(at(0)), None)
        );
    }
}
