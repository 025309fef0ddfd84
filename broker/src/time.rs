//! Time as the core sees it: an argument. Only `server/clock.rs` reads a clock; tests make it up.

use std::ops::{Add, Sub};
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
