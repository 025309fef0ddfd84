//! Why somebody looks at every publish of a virtual host: as long as nobody does, it costs one look at one byte.

use std::sync::atomic::{AtomicU8, Ordering};

use super::Vhost;

/// A reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watch {
    /// The firehose is on.
    Traced = 1,
    /// Publishes are recorded.
    Recorded = 2,
    /// Publishes are refused.
    Refused = 4,
}

/// The reasons that there are.
#[derive(Debug, Default)]
pub(crate) struct Watches(AtomicU8);

impl Watches {
    /// Adds a reason or takes it away.
    pub(crate) fn set(&self, watch: Watch, on: bool) {
        match on {
            true => self.0.fetch_or(watch as u8, Ordering::Relaxed),
            false => self.0.fetch_and(!(watch as u8), Ordering::Relaxed),
        };
    }

    /// True if the reason is there.
    #[inline]
    pub(crate) fn has(&self, watch: Watch) -> bool {
        self.0.load(Ordering::Relaxed) & watch as u8 != 0
    }

    /// True if there is any.
    #[inline]
    pub(crate) fn any(&self) -> bool {
        self.0.load(Ordering::Relaxed) != 0
    }
}

impl Vhost {
    /// True if somebody looks at publishes.
    #[inline]
    pub(crate) fn is_watched(&self) -> bool {
        self.watches.any()
    }

    /// True if a test looks at publishes.
    pub(crate) fn is_tested(&self) -> bool {
        self.watches.has(Watch::Recorded) || self.watches.has(Watch::Refused)
    }

    /// True while the firehose is on.
    #[inline]
    pub(crate) fn is_traced(&self) -> bool {
        self.watches.has(Watch::Traced)
    }

    /// Switches the firehose.
    pub(crate) fn set_traced(&self, traced: bool) {
        self.watches.set(Watch::Traced, traced);
    }

    /// Has publishes looked at, or not any more.
    pub(crate) fn set_watched(&self, watch: Watch, on: bool) {
        self.watches.set(watch, on);
    }
}
