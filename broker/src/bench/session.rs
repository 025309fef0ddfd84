//! What all scenarios of a run share: the broker, the time, and whose CPU and memory are looked at.

use std::sync::Arc;

use super::process::{Process, Usage};
use super::target::Target;

/// See the file's head.
pub(crate) struct Session {
    pub(crate) target: Arc<Target>,
    /// How long to measure.
    pub(crate) seconds: f64,
    /// The broker's process, if it is known.
    pub(crate) broker: Option<Process>,
}

impl Session {
    pub(crate) fn broker_usage(&self) -> Option<Usage> {
        self.broker.as_ref().map(Process::usage)
    }

    pub(crate) fn bench_usage(&self) -> Usage {
        Process::own().usage()
    }

    /// The length of a progress bar, in milliseconds, for a flow with its warm-up.
    pub(crate) fn flow_ms(&self) -> u64 {
        (self.seconds * (1.0 + super::flow::WARM_UP) * 1000.0) as u64
    }
}
