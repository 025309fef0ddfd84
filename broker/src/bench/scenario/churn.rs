//! Connections that come and go: connect, open a channel, declare a queue, close, as often as possible.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use clap::Args;
use leveret_client::QueueDeclare;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::bench::clock::now_ns;
use crate::bench::histogram::Latency;
use crate::bench::progress::Progress;
use crate::bench::report::{Part, Report};
use crate::bench::session::Session;
use crate::bench::table::grouped;
use crate::bench::target::Target;
use crate::bench::trouble::{Result, Trouble};

#[derive(Args, Debug)]
pub(crate) struct Churn {
    /// Connections at a time
    #[arg(long, value_name = "N", default_value_t = 4)]
    workers: usize,
}

/// The steps of a cycle, and the cycle.
const STEPS: [&str; 5] = ["connect", "open", "declare", "close", "cycle"];

impl Churn {
    pub(crate) async fn run(&self, session: &Session) -> Result<Report> {
        if self.workers == 0 {
            return Err(Trouble::new("--workers must be at least 1"));
        }
        let mut report = Report::new("churn", json!({ "workers": self.workers }));
        let progress = Progress::new("churn", (session.seconds * 1000.0) as u64);
        let stop = Arc::new(AtomicBool::new(false));
        let cycles = Arc::new(AtomicU64::new(0));
        let (broker, bench, start) = (session.broker_usage(), session.bench_usage(), now_ns());
        let mut workers = JoinSet::new();
        for _ in 0..self.workers {
            workers.spawn(churn(session.target.clone(), stop.clone(), cycles.clone()));
        }
        let mut steps: [Latency; STEPS.len()] = Default::default();
        while let left = session.seconds - (now_ns() - start) as f64 / 1e9
            && left > 0.0
        {
            let done = cycles.load(Ordering::Relaxed) as f64;
            progress.show(((session.seconds - left) * 1000.0) as u64, || format!("{} cycles", grouped(done)));
            tokio::select! {
                () = sleep(Duration::from_secs_f64(left.min(0.1))) => {}
                Some(ended) = workers.join_next() => add(&mut steps, ended)?,
            }
        }
        stop.store(true, Ordering::Relaxed);
        while let Some(ended) = workers.join_next().await {
            add(&mut steps, ended)?;
        }
        let seconds = (now_ns() - start) as f64 / 1e9;
        let broker_end = session.broker_usage();
        let bench_cpu = session.bench_usage().cpu_us - bench.cpu_us;
        report.parts = STEPS.iter().zip(&steps).map(|(name, latency)| Part::timed(name, "cycles", latency)).collect();
        if let Some(cycle) = report.parts.last_mut() {
            let each = |cpu_us: f64| cpu_us / cycle.count.max(1) as f64;
            cycle.seconds = seconds;
            cycle.broker_cpu_us = broker.zip(broker_end).map(|(from, to)| each(to.cpu_us - from.cpu_us));
            cycle.bench_cpu_us = Some(each(bench_cpu));
        }
        Ok(report)
    }
}

type Steps = [Latency; STEPS.len()];

fn add(steps: &mut Steps, ended: std::result::Result<Result<Steps>, tokio::task::JoinError>) -> Result<()> {
    let ended = ended.map_err(|_| Trouble::new("a task of the measurement has ended"))??;
    steps.iter_mut().zip(&ended).for_each(|(step, more)| step.merge(more));
    Ok(())
}

async fn churn(target: Arc<Target>, stop: Arc<AtomicBool>, cycles: Arc<AtomicU64>) -> Result<Steps> {
    let mut steps = Steps::default();
    while !stop.load(Ordering::Relaxed) {
        let mut times = vec![now_ns()];
        let connection = target.connect(1).await?;
        times.push(now_ns());
        let channel = connection.open_channel().await?;
        times.push(now_ns());
        channel.queue_declare(QueueDeclare::new("").exclusive()).await?;
        times.push(now_ns());
        connection.close().await?;
        times.push(now_ns());
        let passed = times.windows(2).map(|pair| pair.iter().rev().copied().reduce(|end, start| end - start));
        let cycle = times.last().zip(times.first()).map(|(end, start)| end - start);
        for (step, passed) in steps.iter_mut().zip(passed.chain([cycle])) {
            step.record(passed.unwrap_or(0));
        }
        cycles.fetch_add(1, Ordering::Relaxed);
    }
    Ok(steps)
}
