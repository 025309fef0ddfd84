//! Many queues that hold nothing: how fast they are declared and deleted, and what they weigh.

use std::time::Duration;

use clap::Args;
use serde_json::json;
use tokio::time::sleep;

use crate::bench::clock::now_ns;
use crate::bench::progress::Progress;
use crate::bench::report::{Part, Report};
use crate::bench::session::Session;
use crate::bench::trouble::Result;

/// How long the broker's memory is given to settle.
const SETTLE: Duration = Duration::from_millis(300);

#[derive(Args, Debug)]
pub(crate) struct Queues {
    /// Queues to declare, one after another
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    queues: usize,
    /// Durable queues
    #[arg(long)]
    durable: bool,
}

impl Queues {
    pub(crate) async fn run(&self, session: &Session) -> Result<Report> {
        let mut report = Report::new("queues", json!({ "queues": self.queues, "durable": self.durable }));
        let channel = session.target.channel().await?;
        let progress = Progress::new("queues", self.queues as u64);
        let (before, start) = (session.broker_usage(), now_ns());
        for index in 0..self.queues {
            let queue = session.target.name(&format!("queues.{index}"));
            session.target.declare_queue(&channel, &queue, self.durable).await?;
            if index % 64 == 0 {
                progress.show(index as u64, || format!("{index} queues"));
            }
        }
        let mut declared = Part::new("declare", "queues", self.queues as u64, (now_ns() - start) as f64 / 1e9);
        sleep(SETTLE).await;
        if let Some((before, after)) = before.zip(session.broker_usage()) {
            let each = |grown: f64| grown / self.queues.max(1) as f64;
            declared.memory_kib = Some(each(after.memory_kib - before.memory_kib));
            declared.broker_cpu_us = Some(each(after.cpu_us - before.cpu_us));
        }
        channel.connection().close().await?;
        let start = now_ns();
        let deleted = session.target.clean_up().await?;
        report.parts = vec![declared, Part::new("delete", "queues", deleted as u64, (now_ns() - start) as f64 / 1e9)];
        Ok(report)
    }
}
