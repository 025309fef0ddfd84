//! The only place that reads a clock.

use tokio::time::Instant;

use crate::time::Moment;

/// Now, in milliseconds since 1970.
pub(super) fn epoch_ms() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// Time since a broker's start.
#[derive(Clone, Copy)]
pub(super) struct Clock {
    start: Instant,
}

impl Clock {
    pub(super) fn start() -> Self {
        Clock { start: Instant::now() }
    }

    pub(super) fn now(self) -> Moment {
        Moment::after_start(self.start.elapsed())
    }

    /// The runtime's instant for a moment.
    pub(super) fn instant(self, moment: Moment) -> Instant {
        self.start + moment.since_start()
    }
}
