//! Many connections that do nothing: how fast they come, and what they weigh.

use std::collections::VecDeque;
use std::time::Duration;

use clap::Args;
use leveret_client::{Channel, Connection};
use rustix::process::{Resource, getrlimit, setrlimit};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::bench::clock::now_ns;
use crate::bench::progress::Progress;
use crate::bench::report::{Part, Report};
use crate::bench::session::Session;
use crate::bench::trouble::{Result, Trouble};

/// Connections that are opened at a time.
const AT_A_TIME: usize = 8;
/// Files that this program has open besides.
const OTHER_FILES: u64 = 100;
/// How long the broker's memory is given to settle.
const SETTLE: Duration = Duration::from_millis(300);

#[derive(Args, Debug)]
pub(crate) struct Connections {
    /// Connections to open
    #[arg(long, value_name = "N", default_value_t = 1000)]
    connections: usize,
    /// Channels to open on each
    #[arg(long, value_name = "N", default_value_t = 0)]
    channels: usize,
}

type Opened = (Connection, Vec<Channel>);

impl Connections {
    pub(crate) async fn run(&self, session: &Session) -> Result<Report> {
        allow_files(self.connections as u64 + OTHER_FILES)?;
        let settings = json!({ "connections": self.connections, "channels": self.channels });
        let mut report = Report::new("connections", settings);
        let before = session.broker_usage();
        let start = now_ns();
        let opened = self.open(session).await?;
        let seconds = (now_ns() - start) as f64 / 1e9;
        sleep(SETTLE).await;
        let mut part = Part::new("open", "connections", opened.len() as u64, seconds);
        if let Some((before, after)) = before.zip(session.broker_usage()) {
            let each = |grown: f64| grown / opened.len().max(1) as f64;
            part.memory_kib = Some(each(after.memory_kib - before.memory_kib));
            part.broker_cpu_us = Some(each(after.cpu_us - before.cpu_us));
        }
        report.parts.push(part);
        let lost = opened.iter().filter(|(connection, _)| !connection.is_open()).count();
        if lost > 0 {
            report.faults.push(format!("{lost} idle connections were lost"));
        }
        report.parts.push(close(opened).await);
        Ok(report)
    }

    async fn open(&self, session: &Session) -> Result<Vec<Opened>> {
        let progress = Progress::new("connections", self.connections as u64);
        let mut opening = JoinSet::new();
        let mut opened = Vec::with_capacity(self.connections);
        let mut started = 0;
        while opened.len() < self.connections {
            while started < self.connections && opening.len() < AT_A_TIME {
                let (target, channels) = (session.target.clone(), self.channels);
                opening.spawn(async move {
                    let connection = target.connect(1).await?;
                    let mut open = Vec::with_capacity(channels);
                    for _ in 0..channels {
                        open.push(connection.open_channel().await?);
                    }
                    Ok::<Opened, Trouble>((connection, open))
                });
                started += 1;
            }
            let Some(next) = opening.join_next().await else { break };
            opened.push(next.map_err(|_| Trouble::new("a task of the measurement has ended"))??);
            progress.show(opened.len() as u64, || format!("{} connections", opened.len()));
        }
        Ok(opened)
    }
}

async fn close(opened: Vec<Opened>) -> Part {
    let count = opened.len() as u64;
    let mut opened = VecDeque::from(opened);
    let start = now_ns();
    let mut closing = JoinSet::new();
    while !opened.is_empty() || !closing.is_empty() {
        while closing.len() < AT_A_TIME
            && let Some((connection, channels)) = opened.pop_front()
        {
            closing.spawn(async move {
                // One that was lost has been counted.
                let _ = connection.close().await;
                drop(channels);
            });
        }
        closing.join_next().await;
    }
    Part::new("close", "connections", count, (now_ns() - start) as f64 / 1e9)
}

/// Each connection is an open file, of which a program may have few unless it asks.
fn allow_files(needed: u64) -> Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).map_err(std::io::Error::from)?;
    match limit.maximum {
        Some(maximum) if maximum < needed => {
            Err(Trouble::new(format!("this system allows {maximum} open files, and {needed} are needed")))
        }
        _ => Ok(()),
    }
}
