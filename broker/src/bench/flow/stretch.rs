//! What happened in a flow between two looks at it.

use crate::bench::process::Usage;
use crate::bench::report::Part;

/// The gauges at a time.
#[derive(Clone, Copy)]
pub(crate) struct Reading {
    pub(crate) time_ns: u64,
    pub(crate) sent: u64,
    pub(crate) received: u64,
    pub(crate) broker: Option<Usage>,
    pub(crate) bench: Usage,
}

/// What happened between two times.
pub(crate) struct Stretch {
    pub(crate) seconds: f64,
    pub(crate) sent: u64,
    pub(crate) received: u64,
    broker_cpu_us: Option<f64>,
    bench_cpu_us: f64,
}

impl Stretch {
    pub(crate) fn between(from: Reading, to: Reading) -> Stretch {
        let broker = from.broker.zip(to.broker);
        Stretch {
            seconds: to.time_ns.saturating_sub(from.time_ns) as f64 / 1e9,
            sent: to.sent - from.sent,
            received: to.received - from.received,
            broker_cpu_us: broker.map(|(from, to)| to.cpu_us - from.cpu_us),
            bench_cpu_us: to.bench.cpu_us - from.bench.cpu_us,
        }
    }

    /// `count` messages in this time, without what they cost.
    pub(crate) fn rate(&self, name: &'static str, count: u64) -> Part {
        Part::new(name, "messages", count, self.seconds)
    }

    /// `count` messages in this time, and what each cost.
    pub(crate) fn part(&self, name: &'static str, count: u64) -> Part {
        let each = |cpu_us: f64| cpu_us / count.max(1) as f64;
        Part {
            broker_cpu_us: self.broker_cpu_us.map(each),
            bench_cpu_us: Some(each(self.bench_cpu_us)),
            ..self.rate(name, count)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_for_each_message_of_the_stretch() {
        let usage = |cpu_us| Usage { cpu_us, memory_kib: 0.0 };
        let from = Reading { time_ns: 0, sent: 10, received: 5, broker: Some(usage(100.0)), bench: usage(0.0) };
        let to =
            Reading { time_ns: 2_000_000_000, sent: 30, received: 15, broker: Some(usage(200.0)), bench: usage(50.0) };
        let stretch = Stretch::between(from, to);
        assert_eq!((stretch.seconds, stretch.sent, stretch.received), (2.0, 20, 10));
        let part = stretch.part("x", stretch.received);
        assert_eq!((part.broker_cpu_us, part.bench_cpu_us, part.per_second()), (Some(10.0), Some(5.0), Some(5.0)));
        assert_eq!(Stretch::between(Reading { broker: None, ..from }, to).part("x", 1).broker_cpu_us, None);
    }
}
