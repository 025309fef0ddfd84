//! Reports as a table for people.

use super::report::{Part, Report};

const HEADS: [&str; 10] =
    ["", "per second", "p50", "p90", "p99", "p99.9", "max", "broker CPU", "bench CPU", "memory each"];

/// The table, with a line for each part, and below it the figures that only one part has. Columns that nobody fills are
/// left out.
pub(crate) fn table(reports: &[Report]) -> String {
    let mut rows = vec![HEADS.map(String::from)];
    for report in reports {
        rows.extend(report.parts.iter().map(|part| row(report.scenario, part)));
    }
    let width = |column: usize| {
        let used = rows.iter().skip(1).any(|row| row.get(column).is_some_and(|cell| !cell.is_empty()));
        let widest = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
        if used { widest.unwrap_or(0) } else { 0 }
    };
    let widths: Vec<usize> = (0..HEADS.len()).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        text += line(row, &widths).trim_end();
        text.push('\n');
    }
    for report in reports {
        for (name, value) in report.parts.iter().flat_map(|part| &part.more) {
            text += &format!("{}: {} {value:.2}\n", report.scenario, name.replace('_', " "));
        }
    }
    text
}

fn line(row: &[String], widths: &[usize]) -> String {
    let mut cells = row.iter().zip(widths);
    let first = cells.next().map_or(String::new(), |(name, &width)| format!("{name:<width$}"));
    cells.filter(|(_, width)| **width > 0).fold(first, |line, (cell, &width)| line + &format!("  {cell:>width$}"))
}

fn row(scenario: &str, part: &Part) -> [String; HEADS.len()] {
    let name = if part.name == scenario { scenario.to_owned() } else { format!("{scenario}: {}", part.name) };
    let rate = part.per_second().map_or(String::new(), |rate| format!("{} {}", grouped(rate), part.unit));
    let time = |value: Option<f64>| value.map_or(String::new(), duration);
    let latency = part.latency;
    [
        name,
        rate,
        time(latency.map(|l| l.p50_us)),
        time(latency.map(|l| l.p90_us)),
        time(latency.map(|l| l.p99_us)),
        time(latency.map(|l| l.p999_us)),
        time(latency.map(|l| l.max_us)),
        time(part.broker_cpu_us),
        time(part.bench_cpu_us),
        part.memory_kib.map_or(String::new(), |kib| format!("{kib:.2} KiB")),
    ]
}

/// With three digits, in the unit that fits.
fn duration(us: f64) -> String {
    let (value, unit) = match us {
        ..1e3 => (us, "us"),
        ..1e6 => (us / 1e3, "ms"),
        _ => (us / 1e6, "s"),
    };
    let decimals = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.decimals$} {unit}")
}

/// Whole, with commas between groups of three digits.
pub(crate) fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.max(0.0));
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!([0.4, 999.0, 1234.5, 12_345_678.0].map(grouped), ["0", "999", "1,234", "12,345,678"]);
        let times = [0.5, 12.34, 123.4, 1500.0, 2_500_000.0].map(duration);
        assert_eq!(times, ["0.50 us", "12.3 us", "123 us", "1.50 ms", "2.50 s"]);
    }

    #[test]
    fn columns_line_up_and_empty_ones_are_left_out() {
        let mut report = Report::new("churn", json!({}));
        report.parts.push(Part::new("churn", "cycles", 3000, 2.0));
        let more = vec![("ratio_to_y", 0.5)];
        report.parts.push(Part { memory_kib: Some(1.5), more, ..Part::new("x", "y", 1, 1.0) });
        let wanted = "            per second  memory each\n\
                      churn     1,500 cycles\n\
                      churn: x           1 y     1.50 KiB\n\
                      churn: ratio to y 0.50\n";
        assert_eq!(table(&[report]), wanted);
    }
}
