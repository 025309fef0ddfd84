//! The totals at the end of `up`: for people, or as one line of JSON.

use super::chaos::Check;
use crate::crunch::Kind;
use crate::screen::Screen;
use crate::tally::Tally;
use serde::Serialize;
use std::path::Path;

/// What there is to tell.
pub(super) struct Summary<'s> {
    pub(super) tally: &'s Tally,
    pub(super) files: usize,
    pub(super) warned: usize,
    pub(super) out: &'s Path,
    pub(super) check: Option<&'s Check>,
}

#[derive(Serialize)]
struct Totals<'t> {
    files: usize,
    addresses: usize,
    by_cruncher: ByCruncher,
    domain: &'t str,
    new_in_domain: Vec<&'t str>,
    warned: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    chaos: Option<&'t Check>,
}

#[derive(Serialize)]
struct ByCruncher {
    fast: usize,
    slow: usize,
}

impl Summary<'_> {
    /// Prints it; as JSON it is the last line of all.
    pub(super) fn print(&self, screen: &Screen, json: bool) {
        let totals = self.totals();
        let Totals { files, addresses, by_cruncher, domain, new_in_domain, warned, chaos } = &totals;
        let ByCruncher { fast, slow } = by_cruncher;
        screen.line(&format!("up: {files} files, {addresses} addresses (fast {fast}, slow {slow})"));
        screen.line(&format!("up: {} in {domain}: {}", new_in_domain.len(), new_in_domain.join(", ")));
        screen.line(&format!("up: {warned} warned, see {}", self.out.display()));
        if let Some(check) = chaos {
            screen.line(&format!("up: chaos: {check}"));
        }
        if json {
            screen.line(&as_json(&totals));
        }
    }

    fn totals(&self) -> Totals<'_> {
        let by_cruncher =
            ByCruncher { fast: self.tally.found_by(Kind::Fast.name()), slow: self.tally.found_by(Kind::Slow.name()) };
        Totals {
            files: self.files,
            addresses: self.tally.addresses(),
            by_cruncher,
            domain: self.tally.domain(),
            new_in_domain: self.tally.new_in_domain().collect(),
            warned: self.warned,
            chaos: self.check,
        }
    }
}

fn as_json(totals: &Totals<'_>) -> String {
    // Numbers, texts and lists always become JSON.
    serde_json::to_string(totals).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_totals_are_one_line_of_json() {
        let mut tally = Tally::new("apple.com");
        tally.record("fast", &["bob@apple.com".to_owned(), "ann@apple.com".to_owned()]);
        tally.record("slow", &["carl@orchard.org".to_owned()]);
        let summary = Summary { tally: &tally, files: 1, warned: 2, out: Path::new("out"), check: None };
        assert_eq!(
            as_json(&summary.totals()),
            r#"{"files":1,"addresses":3,"by_cruncher":{"fast":2,"slow":1},"domain":"apple.com","new_in_domain":["ann","bob"],"warned":2}"#
        );
    }
}
