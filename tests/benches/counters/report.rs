//! The tables, and what the budget says to them.

use std::process::ExitCode;

use crate::CASES;

/// What one thing costs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// Each message.
    pub(crate) message: f64,
    /// Each batch, whatever is in it.
    pub(crate) batch: f64,
}

/// One column: something that was counted in every case, if it could be.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    /// What the budget allows a message of its own.
    pub(crate) limit: Option<f64>,
    pub(crate) costs: Vec<Option<Cost>>,
}

/// How far a figure may be above its limit: buffers that grow once, a batch that came in two pieces.
const TOLERANCE: f64 = 0.05;

/// Prints what was counted; fails if the budget is broken.
pub(crate) fn print(figures: &[Figure]) -> ExitCode {
    table("Of each message, besides its batch", figures, |cost| cost.message);
    table("Of each batch, however large", figures, |cost| cost.batch);
    let broken: Vec<String> = figures.iter().flat_map(broken).collect();
    match broken[..] {
        [] => println!("The budget holds (within {TOLERANCE})."),
        _ => println!("The budget is broken:\n{}", broken.join("\n")),
    }
    if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn table(title: &str, figures: &[Figure], part: fn(&Cost) -> f64) {
    let first = CASES.iter().map(|case| case.name.len()).max().unwrap_or_default().max(title.len());
    println!("\n{title:<first$}  {}", row(figures.iter().map(|figure| figure.name.to_owned()), figures));
    for (n, case) in CASES.iter().enumerate() {
        let costs = figures.iter().map(|figure| shown(figure.costs[n].as_ref().map(part)));
        println!("{:<first$}  {}", case.name, row(costs, figures));
    }
    println!();
}

fn row(cells: impl Iterator<Item = String>, figures: &[Figure]) -> String {
    let cells = cells.zip(figures).map(|(cell, figure)| format!("{cell:>0$}", figure.name.len().max(8)));
    cells.collect::<Vec<_>>().join("  ")
}

fn shown(cost: Option<f64>) -> String {
    match cost {
        None => "-".into(),
        // Not "-0.00".
        Some(cost) if cost.abs() < 0.005 => "0.00".into(),
        Some(cost) => format!("{cost:.2}"),
    }
}

fn broken(figure: &Figure) -> Vec<String> {
    let Some(limit) = figure.limit else { return vec![] };
    let costs = CASES.iter().zip(&figure.costs).filter_map(|(case, cost)| Some((case.name, cost.as_ref()?.message)));
    let above = costs.filter(|(_, cost)| *cost > limit + TOLERANCE);
    above.map(|(case, cost)| format!("  {case}: {} {cost:.2} instead of {limit}", figure.name)).collect()
}
