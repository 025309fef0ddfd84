//! `leveret bench`: measures a broker over the client, this one or another, and checks every message on its way.
//!
//! ```text
//! scenario -> flow (producers, consumers) -> crew (threads) -> target (the broker) -> leveret-client
//!          -> report -> table, JSON
//! ```

mod clock;
mod crew;
mod flow;
mod histogram;
mod ledger;
mod process;
mod progress;
mod report;
mod scenario;
mod session;
mod stamp;
mod table;
mod target;
mod trouble;

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{ArgMatches, Args, Command, FromArgMatches};

use process::Process;
use report::Report;
use scenario::Scenario;
use session::Session;
use target::Target;
use trouble::Result;

/// The command's name.
pub(crate) const NAME: &str = "bench";

/// Measure a broker, and check that it keeps every message
#[derive(Args, Debug)]
struct Bench {
    #[command(subcommand)]
    scenario: Scenario,
    /// The broker
    #[arg(long, global = true, value_name = "URL", default_value = "amqp://guest:guest@127.0.0.1:5672/%2F")]
    url: String,
    /// How long to measure, where the scenario has no end of its own [default: 5, or 1 for each of all]
    #[arg(long, global = true, value_name = "N", value_parser = seconds)]
    seconds: Option<f64>,
    /// Prints one JSON object for each scenario instead of a table
    #[arg(long, global = true)]
    json: bool,
    /// The broker's process on this machine, to measure its CPU time and memory
    #[arg(long, global = true, value_name = "PID")]
    server_pid: Option<u32>,
}

fn seconds(text: &str) -> std::result::Result<f64, String> {
    let seconds = text.parse().ok().filter(|seconds| (0.01..=86_400.0).contains(seconds));
    seconds.ok_or_else(|| String::from("it must be a number between 0.01 and 86400"))
}

/// The command for the program's command line. What is behind its name is only built when it is asked for.
pub(crate) fn command() -> Command {
    // For the list of commands; the help of this one has it from `Bench`.
    Command::new(NAME).about("Measure a broker, and check that it keeps every message").defer(Bench::augment_args)
}

/// Runs it: 0 if every check held, 1 if not or if nothing could be measured.
pub(crate) fn run(matches: &ArgMatches) -> ExitCode {
    let bench = match Bench::from_arg_matches(matches) {
        Ok(bench) => bench,
        Err(error) => error.exit(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(bench.run()),
        Err(error) => Err(error.into()),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(trouble) => super::fail(1, &trouble),
    }
}

impl Bench {
    /// True if every check held.
    async fn run(self) -> Result<bool> {
        let session = Session {
            target: Arc::new(Target::new(&self.url)),
            seconds: self.seconds.unwrap_or_else(|| self.scenario.default_seconds()),
            broker: self.server_pid.map(Process::of).transpose()?,
        };
        let mut reports = vec![];
        let mut outcome = Ok(());
        for scenario in self.scenario.expand() {
            match measure(&scenario, &session).await {
                Ok(report) => {
                    if self.json {
                        say(&format!("{}\n", report.json()));
                    }
                    reports.push(report);
                }
                Err(trouble) => {
                    outcome = Err(trouble);
                    break;
                }
            }
        }
        if !self.json && !reports.is_empty() {
            say(&table::table(&reports));
        }
        outcome?;
        for report in &reports {
            for fault in &report.faults {
                super::fail(1, &format!("{}: {fault}", report.scenario));
            }
        }
        Ok(reports.iter().all(Report::is_ok))
    }
}

/// Runs one scenario, and takes away what it has left at the broker, whatever came of it.
async fn measure(scenario: &Scenario, session: &Session) -> Result<Report> {
    let outcome = tokio::select! {
        outcome = scenario.run(session) => outcome,
        _ = tokio::signal::ctrl_c() => Err(trouble::Trouble::new("interrupted")),
    };
    match session.target.clean_up().await {
        Err(trouble) if outcome.is_ok() => Err(trouble),
        // The first trouble says more than what comes of it.
        _ => outcome,
    }
}

fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    // Nobody may be reading any more; that is no reason to fail.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &str) -> std::result::Result<Bench, clap::Error> {
        let matches = command().no_binary_name(true).try_get_matches_from(words.split(' '))?;
        Bench::from_arg_matches(&matches)
    }

    #[test]
    fn common_options_may_stand_before_and_behind_the_scenario() {
        for words in ["--seconds 2.5 --json throughput", "throughput --seconds 2.5 --json"] {
            let bench = parse(words).unwrap();
            assert!(bench.json && bench.seconds == Some(2.5) && bench.server_pid.is_none(), "{words}");
            assert_eq!(bench.url, "amqp://guest:guest@127.0.0.1:5672/%2F");
            assert!(matches!(bench.scenario, Scenario::Throughput(_)));
        }
    }

    #[test]
    fn every_option_of_a_scenario_is_read() {
        let words = "throughput --size 16 --producers 2 --consumers 3 --queues 4 --confirms 5 --prefetch 6 --ack 7 \
                     --persistent --exchange topic --bindings 8";
        assert!(parse(words).is_ok());
        assert!(parse("latency --rate 2.5 --server-pid 1").is_ok());
        assert!(parse("all").is_ok());
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for words in ["throughput --seconds 0", "throughput --exchange x", "nothing", "--json", "fanout --rate 1"] {
            assert!(parse(words).is_err(), "{words}");
        }
    }
}
