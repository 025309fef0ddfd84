//! Latencies, with three digits of each kept.

use hdrhistogram::Histogram;
use serde_json::{Value, json};

/// Times in nanoseconds, from one to an hour.
#[derive(Clone, Debug)]
pub(crate) struct Latency(Histogram<u64>);

const HOUR_NS: u64 = 3_600_000_000_000;
const DIGITS: u8 = 3;

impl Default for Latency {
    fn default() -> Self {
        let mut times = Histogram::new(DIGITS).unwrap_or_else(|_| unreachable!("between 0 and 5 digits"));
        times.auto(true);
        Latency(times)
    }
}

impl Latency {
    /// Adds one; what is above an hour counts as an hour.
    pub(crate) fn record(&mut self, time_ns: u64) {
        // Within the bounds it grows as it must.
        let _ = self.0.record(time_ns.clamp(1, HOUR_NS));
    }

    pub(crate) fn merge(&mut self, other: &Latency) {
        // Both have the same bounds.
        let _ = self.0.add(&other.0);
    }

    /// `None` if there are none.
    pub(crate) fn summary(&self) -> Option<Summary> {
        let at = |quantile| self.0.value_at_quantile(quantile).min(self.0.max()) as f64 / 1000.0;
        (!self.0.is_empty()).then(|| Summary {
            count: self.0.len(),
            p50_us: at(0.5),
            p90_us: at(0.9),
            p99_us: at(0.99),
            p999_us: at(0.999),
            max_us: self.0.max() as f64 / 1000.0,
        })
    }
}

/// How long it took: half of all, nine in ten and so on, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Summary {
    pub(crate) count: u64,
    pub(crate) p50_us: f64,
    pub(crate) p90_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) p999_us: f64,
    pub(crate) max_us: f64,
}

impl Summary {
    pub(crate) fn json(&self) -> Value {
        json!({
            "count": self.count,
            "p50_us": self.p50_us,
            "p90_us": self.p90_us,
            "p99_us": self.p99_us,
            "p99_9_us": self.p999_us,
            "max_us": self.max_us,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(value: f64, wanted: f64) -> bool {
        (value - wanted).abs() <= wanted / 1000.0
    }

    #[test]
    fn quantiles_are_right_to_three_digits() {
        let (mut low, mut high) = (Latency::default(), Latency::default());
        (1..=5000).for_each(|us| low.record(us * 1000));
        (5001..=10_000).for_each(|us| high.record(us * 1000));
        low.merge(&high);
        let summary = low.summary().unwrap();
        assert_eq!(summary.count, 10_000);
        assert!(near(summary.p50_us, 5000.0) && near(summary.p90_us, 9000.0) && near(summary.p99_us, 9900.0));
        assert!(near(summary.p999_us, 9990.0) && near(summary.max_us, 10_000.0), "{summary:?}");
    }

    #[test]
    fn nothing_has_no_quantiles_and_nothing_is_out_of_bounds() {
        let mut latency = Latency::default();
        assert_eq!(latency.summary(), None);
        latency.record(0);
        latency.record(u64::MAX);
        assert_eq!(latency.summary().unwrap().count, 2);
    }
}
