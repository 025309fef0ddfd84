//! What a scenario found out: figures for a table or for JSON, and what was wrong.

use serde_json::{Map, Value, json};

use super::histogram::{Latency, Summary};

/// The result of one scenario.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) scenario: &'static str,
    /// What was measured with, by option.
    pub(crate) settings: Map<String, Value>,
    pub(crate) parts: Vec<Part>,
    /// Sentences; none means that every check held.
    pub(crate) faults: Vec<String>,
}

/// The figures of one thing that was measured.
#[derive(Clone, Debug, Default)]
pub(crate) struct Part {
    pub(crate) name: &'static str,
    /// What is counted: messages, connections.
    pub(crate) unit: &'static str,
    pub(crate) count: u64,
    pub(crate) seconds: f64,
    pub(crate) latency: Option<Summary>,
    /// The broker's CPU time for each, in microseconds.
    pub(crate) broker_cpu_us: Option<f64>,
    /// This program's CPU time for each, in microseconds.
    pub(crate) bench_cpu_us: Option<f64>,
    /// The broker's memory for each, in KiB.
    pub(crate) memory_kib: Option<f64>,
    /// Figures that only this part has.
    pub(crate) more: Vec<(&'static str, f64)>,
}

impl Report {
    pub(crate) fn new(scenario: &'static str, settings: Value) -> Self {
        let settings = if let Value::Object(settings) = settings { settings } else { Map::new() };
        Report { scenario, settings, parts: vec![], faults: vec![] }
    }

    /// True if every check held.
    pub(crate) fn is_ok(&self) -> bool {
        self.faults.is_empty()
    }

    pub(crate) fn json(&self) -> Value {
        let parts: Map<String, Value> = self.parts.iter().map(|part| (part.name.to_owned(), part.json())).collect();
        json!({
            "scenario": self.scenario,
            "ok": self.is_ok(),
            "faults": self.faults,
            "settings": self.settings,
            "parts": parts,
        })
    }
}

impl Part {
    pub(crate) fn new(name: &'static str, unit: &'static str, count: u64, seconds: f64) -> Self {
        Part { name, unit, count, seconds, ..Part::default() }
    }

    /// Only times.
    pub(crate) fn timed(name: &'static str, unit: &'static str, latency: &Latency) -> Self {
        let latency = latency.summary();
        Part { name, unit, count: latency.map_or(0, |summary| summary.count), latency, ..Part::default() }
    }

    /// `None` if no time was taken.
    pub(crate) fn per_second(&self) -> Option<f64> {
        (self.seconds > 0.0).then(|| self.count as f64 / self.seconds)
    }

    fn json(&self) -> Value {
        let mut fields = Map::new();
        fields.insert(String::from("unit"), self.unit.into());
        fields.insert(String::from("count"), self.count.into());
        let figures = [
            ("seconds", Some(self.seconds).filter(|seconds| *seconds > 0.0)),
            ("per_second", self.per_second()),
            ("broker_cpu_us", self.broker_cpu_us),
            ("bench_cpu_us", self.bench_cpu_us),
            ("memory_kib", self.memory_kib),
        ];
        let more = self.more.iter().map(|&(name, value)| (name, Some(value)));
        for (name, value) in figures.into_iter().chain(more) {
            if let Some(value) = value {
                fields.insert(name.to_owned(), rounded(value).into());
            }
        }
        if let Some(latency) = &self.latency {
            fields.insert(String::from("latency"), latency.json());
        }
        Value::Object(fields)
    }
}

/// Three decimals are more than can be measured.
fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_has_every_figure_that_was_taken_and_no_other() {
        let mut report = Report::new("churn", json!({ "workers": 2 }));
        let mut part = Part::new("cycle", "cycles", 30, 2.0);
        part.more.push(("depth", 7.0));
        report.parts.push(part);
        let cycle = json!({ "unit": "cycles", "count": 30, "seconds": 2.0, "per_second": 15.0, "depth": 7.0 });
        let wanted = json!({
            "scenario": "churn", "ok": true, "faults": [], "settings": { "workers": 2 }, "parts": { "cycle": cycle }
        });
        assert_eq!(report.json(), wanted);
        report.faults.push(String::from("one was lost"));
        assert_eq!((report.json()["ok"].clone(), report.is_ok()), (json!(false), false));
    }

    #[test]
    fn a_part_of_times_has_no_rate() {
        let mut latency = Latency::default();
        latency.record(1_000_000);
        let part = Part::timed("confirm", "messages", &latency).json();
        assert_eq!((&part["count"], &part["latency"]["count"]), (&json!(1), &json!(1)));
        assert!(part.get("per_second").is_none());
    }
}
