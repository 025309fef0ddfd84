//! The whole demo over its own broker, as a program: what it prints last is what happened.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod chaos;
mod letters;

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// Runs the demo to its end, with its mails in a folder.
fn up(out: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cruncher-demo"));
    command.env_remove("AMQP_URL").args(["up", "--once", "--json", "--patience", "120", "--out"]);
    command.arg(out).args(arguments).output().unwrap()
}

/// What it has printed last.
fn totals(output: &Output) -> Value {
    let printed = String::from_utf8_lossy(&output.stdout);
    let remarks = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{printed}{remarks}");
    serde_json::from_str(printed.lines().last().unwrap()).unwrap()
}

/// The names of the mails in a folder.
fn mails(out: &Path) -> Vec<String> {
    let names = std::fs::read_dir(out).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}
