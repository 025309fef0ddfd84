//! What a small transient message costs on its whole way through the broker, in numbers that do not depend on the
//! machine's mood, against the budget of the design. It ends with status 1 when the budget is broken.
//!
//! Everything is counted with batches of two sizes. What grows with the batch is the message's own; what does not is the
//! batch's.
#![expect(clippy::print_stdout, reason = "a benchmark reports on standard output")]

mod heap;
mod report;
mod system;
mod valgrind;

use std::env;
use std::process::ExitCode;

use leveret_tests::in_process::{Acks, Plan, Route};

use report::{Cost, Figure};

/// Something to count.
#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    plan: Plan,
    /// Messages of a batch, fewer and more. The larger batch and its deliveries fit into one read (256 KiB).
    batches: [usize; 2],
}

/// Batches that are counted, after those that let buffers grow to their size.
const COUNTED: usize = 50;
const WARM_UP: usize = 10;

const CASES: &[Case] = &[
    case("16 B, auto-ack", Route::Default, 16, false, Acks::Auto, [250, 1000]),
    case("1 KiB, auto-ack", Route::Default, 1024, false, Acks::Auto, [50, 200]),
    case("16 B, confirms, acks at once", Route::Default, 16, true, Acks::Multiple, [250, 1000]),
    case("1 KiB, confirms, acks at once", Route::Default, 1024, true, Acks::Multiple, [50, 200]),
    case("16 B, confirms, single acks", Route::Default, 16, true, Acks::Each, [250, 1000]),
    case("16 B, direct exchange", Route::Direct, 16, false, Acks::Auto, [250, 1000]),
    case("16 B, topic, 1,000 bindings", Route::Topic(1000), 16, false, Acks::Auto, [250, 1000]),
    case("16 B, fan-out to 10", Route::Fanout(10), 16, false, Acks::Auto, [25, 100]),
];

/// Cases that differ in their bodies alone: what grows with the body is copied.
const BODIES: &[(usize, usize)] = &[(0, 1), (2, 3)];

const fn case(
    name: &'static str,
    route: Route,
    body_bytes: usize,
    confirms: bool,
    acks: Acks,
    batches: [usize; 2],
) -> Case {
    Case { name, plan: Plan { route, body_bytes, confirms, acks }, batches }
}

impl Case {
    /// What a message and a batch cost, if `count` says what `COUNTED` batches of a size cost.
    fn cost(&self, mut count: impl FnMut(Plan, usize) -> Option<f64>) -> Option<Cost> {
        let [few, many] = self.batches;
        let [less, more] = [count(self.plan, few)?, count(self.plan, many)?].map(|counted| counted / COUNTED as f64);
        let message = (more - less) / (many - few) as f64;
        Some(Cost { message, batch: less - message * few as f64 })
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        [] => count(true),
        ["--quick"] => count(false),
        // What the program calls itself with.
        ["serve"] => system::serve(),
        ["run", case, batch, count] => valgrind::run(case, batch, count),
        _ => {
            println!("cargo bench -p leveret-tests --bench counters [-- --quick]    --quick leaves valgrind out");
            ExitCode::from(2)
        }
    }
}

fn count(thorough: bool) -> ExitCode {
    let mut figures = [heap::figures(), system::figures()].concat();
    if thorough {
        figures.extend(valgrind::figures());
    }
    report::print(&figures)
}

/// A figure for each case.
fn figure(name: &'static str, limit: Option<f64>, of: impl FnMut(&Case) -> Option<Cost>) -> Figure {
    Figure { name, limit, costs: CASES.iter().map(of).collect() }
}
