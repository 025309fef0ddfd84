//! What the roles of a flow tell whoever watches it, and what they are told.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Written once per batch, so that it costs nothing.
#[derive(Debug)]
pub(crate) struct Gauges {
    sent: AtomicU64,
    received: AtomicU64,
    last_received_ns: AtomicU64,
    /// Latencies count from here on ...
    from_ns: AtomicU64,
    /// ... to here.
    to_ns: AtomicU64,
    stopped: AtomicBool,
    closing: AtomicBool,
}

impl Gauges {
    /// No latency counts before `open_window`.
    pub(crate) fn new() -> Self {
        Gauges {
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
            last_received_ns: AtomicU64::new(0),
            from_ns: AtomicU64::new(u64::MAX),
            to_ns: AtomicU64::new(u64::MAX),
            stopped: AtomicBool::new(false),
            closing: AtomicBool::new(false),
        }
    }

    pub(crate) fn add_sent(&self, messages: u64) {
        self.sent.fetch_add(messages, Ordering::Relaxed);
    }

    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    pub(crate) fn add_received(&self, messages: u64, now_ns: u64) {
        self.last_received_ns.fetch_max(now_ns, Ordering::Relaxed);
        self.received.fetch_add(messages, Ordering::Release);
    }

    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Acquire)
    }

    pub(crate) fn last_received_ns(&self) -> u64 {
        self.last_received_ns.load(Ordering::Relaxed)
    }

    pub(crate) fn open_window(&self, now_ns: u64) {
        self.from_ns.store(now_ns, Ordering::Relaxed);
    }

    pub(crate) fn close_window(&self, now_ns: u64) {
        self.to_ns.store(now_ns, Ordering::Relaxed);
    }

    /// True for a message of that time if its latency counts.
    pub(crate) fn counts(&self, time_ns: u64) -> bool {
        time_ns >= self.from_ns.load(Ordering::Relaxed) && time_ns <= self.to_ns.load(Ordering::Relaxed)
    }

    /// Tells producers to end.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Tells consumers that what comes from now on comes because others leave.
    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::Release);
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_sent_within_the_window_counts() {
        let gauges = Gauges::new();
        assert!(!gauges.counts(5));
        gauges.open_window(5);
        gauges.close_window(9);
        assert_eq!([4, 5, 9, 10].map(|time| gauges.counts(time)), [false, true, true, false]);
    }
}
