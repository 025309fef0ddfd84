//! Filling a queue that nobody reads, then draining it.

use clap::Args;

use crate::bench::flow::{Flow, Plan, Terms};
use crate::bench::progress::Progress;
use crate::bench::report::Report;
use crate::bench::session::Session;
use crate::bench::trouble::{Result, Trouble};

#[derive(Args, Debug)]
pub(crate) struct Backlog {
    #[command(flatten)]
    terms: Terms,
    /// Messages in the queue at most
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    messages: u64,
}

impl Backlog {
    pub(crate) async fn run(&self, session: &Session) -> Result<Report> {
        if self.messages == 0 {
            return Err(Trouble::new("--messages must be at least 1"));
        }
        let plan = Plan { quota: Some(self.messages), ..Plan::new("backlog", self.terms.clone()) };
        let mut report = Report::new("backlog", plan.settings());
        report.settings.insert(String::from("messages"), self.messages.into());
        let mut flow = Flow::new(session, plan).await?;
        let before = session.broker_usage();
        let fill = flow.fill(session, &Progress::new("fill", self.messages)).await?;
        let full = session.broker_usage();
        let drain = flow.drain(session, &Progress::new("drain", self.messages)).await?;
        let mut filled = fill.part("fill", fill.sent);
        let grown = before.zip(full).map(|(before, full)| full.memory_kib - before.memory_kib);
        filled.memory_kib = grown.map(|kib| kib / self.messages as f64);
        report.parts = vec![filled, drain.part("drain", drain.received)];
        report.faults = flow.faults;
        Ok(report)
    }
}
