//! What valgrind counts, if it is installed: instructions, turns and wake-ups of tasks, and bytes copied.
//!
//! This program runs itself under callgrind, with more batches and with fewer, and under DHAT, which knows the callers of every
//! memcpy and memmove of the C library.

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::{env, fs};

use leveret_tests::in_process::InProcess;
use serde_json::Value;

use crate::report::{Cost, Figure};
use crate::system::{Scratch, installed};
use crate::{BODIES, CASES, COUNTED, Case, WARM_UP, figure};

pub(crate) fn figures() -> Vec<Figure> {
    if !installed("valgrind") {
        println!("valgrind is not installed: instructions, wake-ups and copies are not counted");
        return vec![];
    }
    let runs: Vec<[Option<Calls>; 2]> = CASES.iter().map(|case| case.batches.map(|n| callgrind(case, n))).collect();
    let of = |name, limit, part: fn(&Calls) -> f64| {
        let mut runs = runs.iter();
        figure(name, limit, |case| {
            let mut run = runs.next()?.iter();
            case.cost(|_, _| run.next()?.as_ref().map(part))
        })
    };
    vec![
        of("instructions", None, |calls| calls.instructions),
        of("polls", Some(0.0), |calls| calls.polls),
        of("wake-ups", Some(0.0), |calls| calls.wake_ups),
        copies(),
    ]
}

/// Lets batches through for the sake of whoever is watching.
pub(crate) fn run(case: &str, batch: &str, count: &str) -> ExitCode {
    let case = CASES.iter().find(|other| other.name == case);
    let (Some(case), Ok(batch), Ok(count)) = (case, batch.parse(), count.parse::<usize>()) else {
        return ExitCode::from(2);
    };
    let process = InProcess::start();
    let mut flow = process.flow(case.plan, batch);
    let done = process.run(async move {
        for _ in 0..count {
            flow.batch().await?;
        }
        std::io::Result::Ok(())
    });
    if done.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What was called how often.
#[derive(Clone, Copy, Default)]
struct Calls {
    instructions: f64,
    polls: f64,
    wake_ups: f64,
}

/// What the batches that are counted cost: with them, less without them.
fn callgrind(case: &Case, batch: usize) -> Option<Calls> {
    let [before, after] = [WARM_UP, WARM_UP + COUNTED].map(|count| {
        let out = Scratch::new("callgrind");
        watched(&["--tool=callgrind"], "--callgrind-out-file", &out.0, case, batch, count)?;
        Some(Calls::read(&fs::read_to_string(&out.0).ok()?))
    });
    let (before, after) = (before?, after?);
    Some(Calls {
        instructions: after.instructions - before.instructions,
        polls: after.polls - before.polls,
        wake_ups: after.wake_ups - before.wake_ups,
    })
}

impl Calls {
    /// From callgrind's format: `fn=(7) name` and `cfn=(7) name` name a function at its first use and number it from then
    /// on, and the line after `cfn` says `calls=count`.
    fn read(text: &str) -> Self {
        let (mut calls, mut kinds, mut callee) = (Calls::default(), std::collections::HashMap::new(), Kind::Other);
        for line in text.lines() {
            if let Some(function) = line.strip_prefix("fn=").or_else(|| line.strip_prefix("cfn=")) {
                let (number, name) = function.split_once(' ').unwrap_or((function, ""));
                callee = *kinds.entry(number).or_insert_with(|| Kind::of(name));
            } else if let Some(count) = line.strip_prefix("calls=") {
                let count = count.split(' ').next().and_then(|count| count.parse().ok()).unwrap_or(0.0);
                match callee {
                    Kind::Poll => calls.polls += count,
                    Kind::Wake => calls.wake_ups += count,
                    Kind::Other => {}
                }
            } else if let Some(total) = line.strip_prefix("totals: ") {
                calls.instructions = total.trim().parse().unwrap_or(0.0);
            }
        }
        calls
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Poll,
    Wake,
    Other,
}

impl Kind {
    /// These are entries of tokio's tables of functions, so none of them is ever inlined.
    fn of(function: &str) -> Self {
        match function {
            _ if function.starts_with("tokio::runtime::task::raw::poll") => Kind::Poll,
            _ if function.starts_with("tokio::runtime::task::waker::wake_by") => Kind::Wake,
            _ => Kind::Other,
        }
    }
}

/// How often the broker copies a body.
fn copies() -> Figure {
    let mut costs = vec![None; CASES.len()];
    for &(small, large) in BODIES {
        let copied = |n: usize| copied(&CASES[n], CASES[large].batches[1]);
        if let (Some(less), Some(more)) = (copied(small), copied(large)) {
            let bytes = CASES[large].plan.body_bytes - CASES[small].plan.body_bytes;
            let message = (more - less) / bytes as f64;
            // With less than one the message would never have left the read buffer: callers were not recognised.
            costs[large] = (message > 0.9).then_some(Cost { message, batch: 0.0 });
        }
    }
    Figure { name: "copies", limit: Some(2.0), costs }
}

/// Bytes that the broker copies for a message. What its streams do stands for the kernel's part and does not count.
fn copied(case: &Case, batch: usize) -> Option<f64> {
    let out = Scratch::new("dhat");
    watched(&["--tool=dhat", "--mode=copy"], "--dhat-out-file", &out.0, case, batch, COUNTED)?;
    let profile: Value = serde_json::from_str(&fs::read_to_string(&out.0).ok()?).ok()?;
    let frames = profile.get("ftbl")?.as_array()?;
    let mut bytes = 0;
    for place in profile.get("pps")?.as_array()? {
        let mut callers =
            place.get("fs")?.as_array()?.iter().filter_map(|n| frames.get(n.as_u64()? as usize)?.as_str());
        let first = callers.find(|caller| is_stream(caller) || caller.contains("leveret"));
        if first.is_some_and(|caller| !is_stream(caller) && caller.contains("leveret::")) {
            bytes += place.get("tb")?.as_u64()?;
        }
    }
    // The first batch is a test.
    Some(bytes as f64 / ((1 + COUNTED) * batch) as f64)
}

/// By the name, or by the file if the function was inlined.
fn is_stream(caller: &str) -> bool {
    caller.contains("tokio::io::") || caller.contains("io/util/mem.rs")
}

/// Runs a case under valgrind.
fn watched(tool: &[&str], out: &str, file: &Path, case: &Case, batch: usize, count: usize) -> Option<()> {
    let mut valgrind = Command::new("valgrind");
    valgrind.args(tool).arg(format!("{out}={}", file.display())).arg(env::current_exe().ok()?);
    valgrind.args(["run", case.name, &batch.to_string(), &count.to_string()]);
    // An instruction that repeats itself for every byte would count as many times.
    valgrind.env("GLIBC_TUNABLES", "glibc.cpu.x86_rep_movsb_threshold=1073741824");
    valgrind.stdout(Stdio::null()).stderr(Stdio::null()).status().ok()?.success().then_some(())
}
