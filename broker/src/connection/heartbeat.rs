//! Heartbeats (section 4.2.7): one goes out after half an interval without output; two intervals without input end the
//! connection.

use std::time::Duration;

use crate::time::Moment;

pub(super) struct Heartbeat {
    /// Zero is off.
    interval: Duration,
    received: Moment,
    sent: Moment,
}

impl Heartbeat {
    pub(super) fn off(now: Moment) -> Self {
        Heartbeat::every(Duration::ZERO, now)
    }

    pub(super) fn every(interval: Duration, now: Moment) -> Self {
        Heartbeat { interval, received: now, sent: now }
    }

    pub(super) fn interval(&self) -> Duration {
        self.interval
    }

    pub(super) fn received(&mut self, now: Moment) {
        self.received = now;
    }

    pub(super) fn sent(&mut self, now: Moment) {
        self.sent = now;
    }

    fn on(&self) -> bool {
        !self.interval.is_zero()
    }

    fn due(&self) -> Moment {
        self.sent + self.interval / 2
    }

    fn silent(&self) -> Moment {
        self.received + self.interval * 2
    }

    pub(super) fn is_due(&self, now: Moment) -> bool {
        self.on() && self.due() <= now
    }

    pub(super) fn peer_is_silent(&self, now: Moment) -> bool {
        self.on() && self.silent() <= now
    }

    /// The next moment to look; a peer that is not read from cannot be silent.
    pub(super) fn deadline(&self, listening: bool) -> Option<Moment> {
        self.on().then(|| if listening { self.due().min(self.silent()) } else { self.due() })
    }
}
