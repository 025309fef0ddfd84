//! The program `leveret` as a process: started on a directory, killed, started again.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, SystemTime};

/// How long a start or an end may take. Only a broker that hangs meets it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where the program is: the variable LEVERET names it, or it lies beside the tests that run. One that is older than its
/// sources, or missing, is built.
///
/// # Panics
/// If it cannot be built.
pub fn program() -> PathBuf {
    if let Some(path) = std::env::var_os("LEVERET") {
        return path.into();
    }
    let own = std::env::current_exe().expect("a test knows its own file");
    let folder = own.ancestors().find(|folder| folder.join("deps").is_dir()).expect("tests lie in a target folder");
    let path = folder.join("leveret");
    if written(&path).is_none_or(|built| built < newest_source()) {
        build(folder);
    }
    path
}

fn written(path: &Path) -> Option<SystemTime> {
    path.metadata().and_then(|metadata| metadata.modified()).ok()
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn newest_source() -> SystemTime {
    let mut newest = SystemTime::UNIX_EPOCH;
    let mut folders: Vec<PathBuf> = ["spec/src", "client/src", "broker/src"].map(|f| workspace().join(f)).into();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                newest = newest.max(written(&path).unwrap_or(newest));
            }
        }
    }
    newest
}

fn build(folder: &Path) {
    let profile = if folder.file_name().is_some_and(|name| name == "release") { "release" } else { "dev" };
    let target = folder.parent().unwrap_or(folder);
    let built = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()))
        .args(["build", "--quiet", "--locked", "--package", "leveret", "--bin", "leveret", "--profile", profile])
        .arg("--target-dir")
        .arg(target)
        .current_dir(workspace())
        .status();
    assert!(built.is_ok_and(|status| status.success()), "the program leveret cannot be built");
}

/// A running broker, and where it listens. It is killed when this is dropped.
#[derive(Debug)]
pub struct Program {
    child: Child,
    address: SocketAddr,
    /// The rest of its standard output, when it has ended.
    rest: mpsc::Receiver<String>,
}

/// Why a broker did not start.
#[derive(Debug)]
pub struct NotStarted {
    /// How it ended; none if it hung.
    pub status: Option<ExitStatus>,
    /// What happened.
    pub text: String,
}

impl Program {
    /// Starts `command`, a leveret with its arguments, on a free port of this machine, and waits until it is ready. What it
    /// logs goes to the end of the file `log`.
    ///
    /// # Errors
    /// It ended before it was ready, or never was.
    pub fn start(command: &mut Command, log: &Path) -> Result<Program, NotStarted> {
        let cannot = |error: io::Error| NotStarted { status: None, text: format!("it cannot be started: {error}") };
        let log: File = OpenOptions::new().create(true).append(true).open(log).map_err(cannot)?;
        command.args(["--listen", "127.0.0.1:0", "--http", "off", "--metrics", "off"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().map_err(cannot)?;
        let (said, lines) = mpsc::channel();
        if let Some(output) = child.stdout.take() {
            thread::spawn(move || {
                let mut output = BufReader::new(output);
                let (mut line, mut rest) = (String::new(), String::new());
                let _ = output.read_line(&mut line).map(|_| said.send(line));
                let _ = output.read_to_string(&mut rest).map(|_| said.send(rest));
            });
        }
        let line = lines.recv_timeout(PATIENCE).unwrap_or_default();
        match address(&line) {
            Some(address) => Ok(Program { child, address, rest: lines }),
            None => Err(not_started(child, &line)),
        }
    }

    /// Where it listens for AMQP.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL for guests.
    pub fn url(&self) -> String {
        format!("amqp://guest:guest@{}", self.address)
    }

    /// Its process's number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Ends it without a chance to do anything.
    ///
    /// # Errors
    /// It had ended by itself.
    pub fn kill(mut self) -> Result<(), ExitStatus> {
        if let Some(status) = self.ended() {
            return Err(status);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        Ok(())
    }

    /// Asks it to end, and waits.
    ///
    /// # Errors
    /// It did not, it failed, or it printed more than its line.
    pub fn terminate(mut self) -> Result<(), String> {
        let asked = Command::new("kill").args(["-TERM", &self.pid().to_string()]).status();
        if !asked.is_ok_and(|status| status.success()) {
            return Err("it was gone before it was asked to end".into());
        }
        let status = self.wait().ok_or("it did not end when it was asked to")?;
        let rest = self.rest.recv_timeout(PATIENCE).unwrap_or_default();
        match (status.success(), rest.is_empty()) {
            (true, true) => Ok(()),
            (true, false) => Err(format!("it printed more than its line: {rest}")),
            (false, _) => Err(format!("asked to end, it ended with {status}")),
        }
    }

    /// Waits until it has ended by itself; none if it does not.
    pub fn wait(&mut self) -> Option<ExitStatus> {
        wait(&mut self.child)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn wait(child: &mut Child) -> Option<ExitStatus> {
    let pause = Duration::from_millis(5);
    for _ in 0..PATIENCE.as_millis() / pause.as_millis() {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        thread::sleep(pause);
    }
    None
}

/// The address in the ready line.
fn address(line: &str) -> Option<SocketAddr> {
    let words = line.strip_prefix("Server startup complete; amqp=")?;
    words.split_whitespace().next()?.parse().ok()
}

fn not_started(mut child: Child, line: &str) -> NotStarted {
    let status = if line.is_empty() { wait(&mut child) } else { None };
    let _ = child.kill();
    let _ = child.wait();
    let text = match status {
        Some(status) => format!("it ended with {status} before it was ready"),
        None => format!("it was not ready in time; it said '{line}'"),
    };
    NotStarted { status, text }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The one line on standard output.
    #[test]
    fn the_ready_line_names_the_address() {
        let line = "Server startup complete; amqp=127.0.0.1:38213 http=off metrics=off data=/tmp/x\n";
        assert_eq!(address(line), Some(SocketAddr::from(([127, 0, 0, 1], 38213))));
        assert_eq!(address(""), None);
    }
}
