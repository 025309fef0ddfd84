//! What the kernel is asked for: a broker in a process of its own, over TCP.
//!
//! Its system calls are counted by strace, line by line, if that is installed; how often its thread sleeps and has to be
//! woken, the kernel counts itself.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::{env, fs, io};

use leveret::Config;
use leveret_tests::Own;
use leveret_tests::in_process::{Flow, Line, Plan};
use tokio::net::TcpStream;

use crate::report::Figure;
use crate::{COUNTED, WARM_UP, figure};

pub(crate) fn figures() -> Vec<Figure> {
    vec![
        figure("system calls", Some(0.0), |case| case.cost(system_calls)),
        figure("sleeps", Some(0.0), |case| case.cost(sleeps)),
    ]
}

/// Is the broker until standard input ends.
pub(crate) fn serve() -> ExitCode {
    let broker = Own::start(Config::in_memory());
    println!("{}", broker.address());
    // Whatever ends it.
    let _ = io::stdin().read(&mut [0]);
    ExitCode::SUCCESS
}

fn system_calls(plan: Plan, batch: usize) -> Option<f64> {
    if !installed("strace") {
        return None;
    }
    let trace = Scratch::new("strace");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-o"]).arg(&trace.0);
    counted(strace, plan, batch, |_| lines(&trace.0))
}

/// Calls that have begun.
fn lines(trace: &Path) -> Option<usize> {
    let text = fs::read_to_string(trace).ok()?;
    Some(text.lines().filter(|line| !line.contains(" resumed>")).count())
}

fn sleeps(plan: Plan, batch: usize) -> Option<f64> {
    counted(Command::new("env"), plan, batch, voluntary_switches)
}

/// How often the threads of a process have given the processor away of their own accord.
fn voluntary_switches(pid: u32) -> Option<usize> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    threads
        .map(|thread| {
            let status = fs::read_to_string(thread.ok()?.path().join("status")).ok()?;
            status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?.trim().parse::<usize>().ok()
        })
        .sum()
}

/// Lets batches through a broker that `under` starts, and says by how much what `look` sees has grown.
fn counted(under: Command, plan: Plan, batch: usize, look: impl Fn(u32) -> Option<usize>) -> Option<f64> {
    let server = Server::start(under).expect("this program starts itself");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let outcome = runtime.block_on(async {
        let (producer, consumer) = (server.connect().await?, server.connect().await?);
        let mut flow = Flow::set_up(plan, batch, producer, consumer).await?;
        for _ in 0..WARM_UP {
            flow.batch().await?;
        }
        flow.settle().await?;
        let before = look(server.child.id());
        for _ in 0..COUNTED {
            flow.batch().await?;
        }
        flow.settle().await?;
        let after = look(server.child.id());
        io::Result::Ok((before, after))
    });
    let (before, after) = outcome.expect("the broker takes what is published");
    Some((after? - before?) as f64)
}

/// This program as a broker. It ends with its standard input.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn start(mut under: Command) -> io::Result<Self> {
        let child = under.arg(env::current_exe()?).arg("serve").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = child.spawn()?;
        let mut line = String::new();
        if let Some(output) = child.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        let address = line.trim().parse().map_err(io::Error::other)?;
        Ok(Server { child, address })
    }

    async fn connect(&self) -> io::Result<Line<TcpStream>> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        Line::open(stream).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.stdin.take();
        // How it ends is not what is counted.
        let _ = self.child.wait();
    }
}

/// A file that ends with its use.
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Self {
        Scratch(env::temp_dir().join(format!("leveret-counters-{name}-{}", std::process::id())))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // It may never have been there.
        let _ = fs::remove_file(&self.0);
    }
}

/// True if a program answers to `--version`.
pub(crate) fn installed(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}
