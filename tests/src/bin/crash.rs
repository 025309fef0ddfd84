//! `crash --cycles N --seed S`: kills a broker under load again and again, and checks what it has after each start.
#![expect(clippy::print_stdout, reason = "what it finds is its output")]

use std::path::PathBuf;
use std::process::ExitCode;

use leveret_tests::crash::{Options, run};
use leveret_tests::program;

const USAGE: &str = "usage: crash [--cycles N] [--seed S] [--leveret PATH] [--dir DIR]
  kills a broker N times (50) in the midst of a load that follows from S (1), and checks what it has after each start;
  --leveret is the program to judge (the one beside this one, or of the variable LEVERET); --dir is kept after a failure";

fn options() -> Option<Options> {
    let mut options = Options { leveret: PathBuf::new(), folder: PathBuf::new(), cycles: 50, seed: 1 };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let value = arguments.next()?;
        match argument.as_str() {
            "--cycles" => options.cycles = value.parse().ok()?,
            "--seed" => options.seed = value.parse().ok()?,
            "--leveret" => options.leveret = value.into(),
            "--dir" => options.folder = value.into(),
            _ => return None,
        }
    }
    if options.leveret.as_os_str().is_empty() {
        options.leveret = program();
    }
    if options.folder.as_os_str().is_empty() {
        let name = format!("leveret-crash-{}-{}", options.seed, std::process::id());
        options.folder = std::env::temp_dir().join(name);
    }
    Some(options)
}

fn main() -> ExitCode {
    let Some(options) = options() else {
        println!("{USAGE}");
        return ExitCode::from(2);
    };
    let report = match run(&options) {
        Ok(report) => report,
        Err(error) => {
            println!("{}: {error}", options.folder.display());
            return ExitCode::from(2);
        }
    };
    println!("seed {}: {report}", options.seed);
    report.faults.iter().for_each(|fault| println!("{fault}"));
    let failed = u32::from(!report.faults.is_empty());
    if failed == 0 {
        // It may have been there before, with something else in it.
        let _ = std::fs::remove_dir_all(options.folder.join("data"));
        let _ = std::fs::remove_file(options.folder.join("broker.log"));
        let _ = std::fs::remove_dir(&options.folder);
    } else {
        println!("the broker's directory and log are in {}", options.folder.display());
    }
    println!("{} passed, {failed} failed", report.good);
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
