//! Commands for a data directory: `leveret store verify|info DIR`, `leveret backup DIR TARGET`.

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command, value_parser};
use leveret::DataReport;

/// The socket of a broker that runs, in its data directory.
const SOCKET: &str = "control.sock";

/// Adds them to the command line.
pub(crate) fn add(program: Command) -> Command {
    let path = |name: &'static str, help: &'static str| {
        Arg::new(name).value_name(name).help(help).required(true).value_parser(value_parser!(PathBuf))
    };
    let directory = || path("DIR", "The data directory");
    let store = Command::new("store")
        .about("Look at a data directory that no broker has open")
        .subcommand_required(true)
        .subcommand(
            Command::new("verify").about("Read everything and check it; status 1 if it is damaged").arg(directory()),
        )
        .subcommand(Command::new("info").about("Tell what is in it").arg(directory()));
    let backup = Command::new("backup")
        .about("Copy all that is durable of a broker that runs")
        .arg(directory())
        .arg(path("TARGET", "Where the copy goes: a directory that is not there yet, or is empty"));
    program.subcommand(store).subcommand(backup)
}

/// Runs the one that was given, if any was.
pub(crate) fn run(matches: &ArgMatches) -> Option<ExitCode> {
    let path = |matches: &ArgMatches, name| matches.get_one::<PathBuf>(name).cloned().unwrap_or_default();
    let outcome = match matches.subcommand()? {
        ("backup", matches) => backup(&path(matches, "DIR"), &path(matches, "TARGET")),
        ("store", matches) => match matches.subcommand()? {
            ("verify", matches) => verify(&path(matches, "DIR")),
            (_, matches) => info(&path(matches, "DIR")),
        },
        _ => return None,
    };
    Some(outcome.unwrap_or_else(|error| crate::fail(1, &error)))
}

fn print(text: &str) -> ExitCode {
    // A closed standard output is nobody's fault.
    let _ = io::stdout().lock().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

fn verify(directory: &Path) -> Result<ExitCode, String> {
    let report = leveret::inspect(directory).map_err(|error| error.to_string())?;
    if report.damage.is_empty() {
        let (messages, queues) = (messages(&report), report.queues.len());
        return Ok(print(&format!(
            "{}: all is as it was written: {messages} messages in {queues} queues\n",
            directory.display()
        )));
    }
    let lines = report.damage.iter().fold(String::new(), |lines, damage| lines + damage + "\n");
    print(&lines);
    Err(format!("{} is damaged in {} places", directory.display(), report.damage.len()))
}

fn messages(report: &DataReport) -> u64 {
    report.queues.iter().map(|queue| queue.messages).sum()
}

fn info(directory: &Path) -> Result<ExitCode, String> {
    let report = leveret::inspect(directory).map_err(|error| error.to_string())?;
    let DataReport { vhosts, users, policies, exchanges, bindings, ref queues, forgotten, segments, .. } = report;
    let (used, prepared) = segments;
    let mut text = format!(
        "virtual hosts  {vhosts}\nusers          {users}\npolicies       {policies}\nexchanges      {exchanges}\n\
         bindings       {bindings}\nqueues         {}\nmessages       {}\nlog            {} bytes in {used} segments, {} \
         bytes of them messages; {prepared} segments prepared\n",
        queues.len(),
        messages(&report),
        report.log_bytes,
        report.message_bytes,
    );
    if forgotten > 0 {
        let _ = writeln!(text, "forgotten      {forgotten} messages of queues that were deleted");
    }
    for damage in &report.damage {
        let _ = writeln!(text, "damaged        {damage}");
    }
    if queues.iter().any(|queue| queue.messages > 0) {
        text += "\nmessages  queue\n";
    }
    for queue in queues.iter().filter(|queue| queue.messages > 0) {
        let _ = writeln!(text, "{:>8}  {} in {}", queue.messages, queue.name, queue.vhost);
    }
    Ok(print(&text))
}

fn backup(directory: &Path, target: &Path) -> Result<ExitCode, String> {
    let shown = directory.display();
    let target = std::path::absolute(target).map_err(|error| format!("{}: {error}", target.display()))?;
    let target =
        target.to_str().filter(|path| !path.contains('\n')).ok_or("the target's name has to be one line of text")?;
    let mut stream = UnixStream::connect(directory.join(SOCKET)).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            format!("no broker runs on {shown}; a directory that nobody has open is copied as it is")
        }
        _ => format!("{shown}: {error}"),
    })?;
    let lost = |error: io::Error| format!("{shown}: the broker does not answer: {error}");
    stream.write_all(format!("backup {target}\n").as_bytes()).map_err(lost)?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).map_err(lost)?;
    match answer.trim_end() {
        "ok" => Ok(print(&format!("copied to {target}\n"))),
        "" => Err(format!("{shown}: the broker has ended")),
        why => Err(why.to_owned()),
    }
}
