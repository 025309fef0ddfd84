//! The program: arguments to configuration, start, wait for a signal, end.

#[cfg(feature = "bench")]
mod bench;
mod commands;

use std::collections::HashMap;
use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgMatches, Command};
use leveret::Broker;
use leveret::config::{LogFormat, Program, SETTINGS};
use tokio::signal::unix::{SignalKind, signal};

/// Without huge pages (the feature `no_thp`): they make an idle broker 8 MiB larger and filling a queue half as fast, and
/// nothing faster.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Turns that a worker takes before it looks at the sockets again while it is busy: a quiet neighbour of a flood is heard
/// the sooner, and the flood does not become slower.
const EVENT_INTERVAL: u32 = 4;

/// The exit code for arguments that cannot be used.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let matches = command().get_matches();
    #[cfg(feature = "bench")]
    if let Some(matches) = matches.subcommand_matches(bench::NAME) {
        return bench::run(matches);
    }
    if let Some(code) = commands::run(&matches) {
        return code;
    }
    let serve = matches.subcommand_matches("serve").unwrap_or(&matches);
    let program = match assemble(serve) {
        Ok(program) => program,
        Err(error) => return fail(USAGE, &error),
    };
    start_log(&program);
    let runtime = tokio::runtime::Builder::new_multi_thread().event_interval(EVENT_INTERVAL).enable_all().build();
    match runtime {
        Ok(runtime) => runtime.block_on(serve_until_stopped(program)),
        Err(error) => fail(1, &error),
    }
}

fn fail(code: u8, error: &dyn std::fmt::Display) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "leveret: {error}");
    ExitCode::from(code)
}

/// The command line, from the table of settings.
fn command() -> Command {
    let flags = |command: Command| {
        let settings = SETTINGS.iter().filter_map(|setting| setting.flag.map(|flag| (flag, setting.help)));
        let command = settings.fold(command, |command, ((flag, value), help)| {
            let arg = Arg::new(flag).long(flag).help(help);
            command.arg(match value {
                "" => arg.action(ArgAction::SetTrue),
                value => arg.value_name(value).action(ArgAction::Append),
            })
        });
        command
            .arg(
                Arg::new("config")
                    .long("config")
                    .value_name("FILE")
                    .help("A file of `key = value` lines, as rabbitmq.conf"),
            )
            .arg(
                Arg::new("set")
                    .long("set")
                    .value_name("KEY=VALUE")
                    .action(ArgAction::Append)
                    .help("Set any configuration key"),
            )
    };
    let serve = Command::new("serve").about("Run the broker (what happens without a command, too)");
    let program = flags(Command::new("leveret"))
        .version(env!("CARGO_PKG_VERSION"))
        .about("An AMQP 0-9-1 message broker for RabbitMQ's clients")
        .args_conflicts_with_subcommands(true)
        .subcommand(flags(serve));
    #[cfg(feature = "bench")]
    let program = program.subcommand(bench::command());
    commands::add(program)
}

fn assemble(matches: &ArgMatches) -> Result<Program, leveret::config::UsageError> {
    let values = |name| matches.get_many::<String>(name).into_iter().flatten().cloned().collect::<Vec<_>>();
    let mut flags = vec![];
    for (flag, value) in SETTINGS.iter().filter_map(|setting| setting.flag) {
        let given = match value {
            "" if matches.get_flag(flag) => vec!["true".into()],
            "" => vec![],
            _ => values(flag),
        };
        if !given.is_empty() {
            flags.push((flag, given.join(",")));
        }
    }
    let variables: HashMap<_, _> = std::env::vars().filter(|(name, _)| name.starts_with("LEVERET_")).collect();
    let file = matches.get_one::<String>("config").cloned().or_else(|| variables.get("LEVERET_CONFIG").cloned());
    Program::assemble(file.map(Into::into), &flags, &values("set"), &variables)
}

fn start_log(program: &Program) {
    let log =
        tracing_subscriber::fmt().with_max_level(program.log_level).with_writer(std::io::stderr).with_target(false);
    match program.log_format {
        LogFormat::Text => log.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).init(),
        LogFormat::Json => log.json().init(),
    }
}

async fn serve_until_stopped(program: Program) -> ExitCode {
    let signals = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    let (Ok(mut terminate), Ok(mut interrupt)) = signals else { return fail(1, &"cannot listen for signals") };
    let broker = match Broker::start(program.broker).await {
        Ok(broker) => broker,
        Err(error) => return fail(1, &error),
    };
    announce(&broker);
    let fault = tokio::select! {
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
        fault = broker.failed() => Some(fault),
    };
    tracing::info!("shutting down");
    tokio::select! {
        outcome = broker.shutdown() => {
            if let Err(error) = outcome {
                tracing::warn!(%error);
            }
        }
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    fault.map_or(ExitCode::SUCCESS, |fault| fail(1, &fault))
}

/// The one line on standard output, which container tools and scripts wait for.
fn announce(broker: &Broker) {
    let amqp = listed(broker.amqp_addresses()).unwrap_or("off".into());
    #[cfg(feature = "tls")]
    let amqps = listed(broker.amqps_addresses()).map_or(String::new(), |addresses| format!(" amqps={addresses}"));
    #[cfg(not(feature = "tls"))]
    let amqps = "";
    let http = broker.http_address().map_or("off".into(), |address| address.to_string());
    let data = broker.data_dir().map_or("memory".into(), |directory| directory.display().to_string());
    let mut out = std::io::stdout().lock();
    // A closed standard output is no reason not to serve.
    let _ = writeln!(out, "Server startup complete; amqp={amqp} http={http} metrics=off{amqps} data={data}")
        .and_then(|()| out.flush());
}

fn listed(addresses: &[SocketAddr]) -> Option<String> {
    let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    (!addresses.is_empty()).then(|| addresses.join(","))
}
