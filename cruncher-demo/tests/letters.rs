//! The table of the example letters in README.md says what the crunchers really find.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use cruncher_demo::find::{fast, slow};
use cruncher_demo::letters;
use std::collections::BTreeSet;

const README: &str = include_str!("../README.md");
const HEAD: &str = "| letter | addresses | fast | slow | why |\n|---|---|---|---|---|\n";

/// One row: which letter, the addresses, found by the fast one, found by the slow one.
struct Row {
    letter: &'static str,
    addresses: Vec<&'static str>,
    fast: bool,
    slow: bool,
}

fn table() -> Vec<Row> {
    let (_, rows) = README.split_once(HEAD).unwrap();
    rows.lines().take_while(|line| line.starts_with('|')).map(row).collect()
}

fn row(line: &'static str) -> Row {
    let cells: Vec<_> = line.trim_matches('|').split(" | ").map(str::trim).collect();
    let [letter, addresses, fast, slow, why] = cells[..] else { unreachable!("{line}") };
    assert!(!why.is_empty(), "{line}");
    let quoted = addresses.split('`').skip(1).step_by(2).collect();
    Row { letter, addresses: quoted, fast: yes(fast), slow: yes(slow) }
}

fn yes(cell: &str) -> bool {
    assert!(["yes", "no"].contains(&cell), "{cell}");
    cell == "yes"
}

fn said<'t>(table: &'t [Row], letter: &str, cruncher: impl Fn(&Row) -> bool) -> BTreeSet<&'t str> {
    table.iter().filter(|row| row.letter == letter && cruncher(row)).flat_map(|row| row.addresses.clone()).collect()
}

fn set(found: &[String]) -> BTreeSet<&str> {
    found.iter().map(String::as_str).collect()
}

#[test]
fn the_table_says_what_each_cruncher_finds_in_each_letter() {
    let table = table();
    for (letter, text) in letters::all() {
        assert_eq!(said(&table, letter, |row| row.fast), set(&fast::find(text)), "fast: {letter}");
        assert_eq!(said(&table, letter, |row| row.slow), set(&slow::find(text)), "slow: {letter}");
    }
}

#[test]
fn every_row_is_about_a_letter_and_every_address_has_one_row_in_it() {
    let names: BTreeSet<_> = letters::all().map(|(name, _)| name).collect();
    let mut seen = BTreeSet::new();
    for row in table() {
        assert!(names.contains(row.letter), "{}", row.letter);
        assert!(!row.addresses.is_empty() && (row.fast || row.slow), "{:?}", row.addresses);
        for address in row.addresses {
            assert!(seen.insert((row.letter, address)), "{address} twice in {}", row.letter);
        }
    }
}
