//! A short run of each scenario, with numbers that any broker masters in a few seconds.

use clap::{Command, FromArgMatches, Subcommand};

use super::Scenario;

const SHORT: &[&[&str]] = &[
    &["throughput"],
    &["latency", "--rate", "2000"],
    &["fanout"],
    &["topic", "--bindings", "300"],
    &["rpc"],
    &["churn"],
    &["connections", "--connections", "200"],
    &["queues", "--queues", "500"],
    &["backlog", "--messages", "50000"],
    &["neighbour"],
];

/// Each scenario, as its options are read.
pub(super) fn short() -> Vec<Scenario> {
    let parse = |words: &&[&str]| {
        let command = Scenario::augment_subcommands(Command::new("short").no_binary_name(true));
        Scenario::from_arg_matches(&command.try_get_matches_from(*words).ok()?).ok()
    };
    SHORT.iter().filter_map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_scenario_has_its_short_run() {
        let names = Scenario::augment_subcommands(Command::new("short"));
        let scenarios = names.get_subcommands().count() - 1;
        assert_eq!((short().len(), SHORT.len()), (scenarios, scenarios));
    }
}
