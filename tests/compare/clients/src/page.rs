//! The page of benchmarks, of which the clients' table is the last section.

use std::fs;

use crate::Anything;

const TITLE: &str = "## Clients";

/// Puts `text` into the place of what the page has of clients, or behind everything.
pub(crate) fn replace(file: &str, text: &str) -> Anything {
    let page = fs::read_to_string(file)?;
    let before = page.split(TITLE).next().unwrap_or_default().trim_end();
    fs::write(file, format!("{before}\n\n{TITLE}\n\nWritten by `tests/compare/clients`. {text}"))?;
    Ok(())
}
