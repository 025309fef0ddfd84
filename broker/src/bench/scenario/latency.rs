//! The time from publish to delivery at a fixed rate. It counts from when each message was due, so that what a stall keeps
//! waiting is counted, too.

use clap::Args;

use crate::bench::flow::{Ends, Flow, Plan, Terms};
use crate::bench::progress::Progress;
use crate::bench::report::{Part, Report};
use crate::bench::session::Session;
use crate::bench::trouble::{Result, Trouble};

#[derive(Args, Debug)]
pub(crate) struct Latency {
    #[command(flatten)]
    terms: Terms,
    /// Messages a second, of all producers together
    #[arg(long, value_name = "N", default_value_t = 10_000.0)]
    rate: f64,
    #[command(flatten)]
    ends: Ends,
}

/// # Errors
/// The rate cannot be kept.
pub(super) fn check_rate(rate: f64) -> Result<f64> {
    if (1.0..=1e7).contains(&rate) {
        Ok(rate)
    } else {
        Err(Trouble::new("--rate must be between 1 and 10000000 messages a second"))
    }
}

impl Latency {
    pub(crate) async fn run(&self, session: &Session) -> Result<Report> {
        let plan = Plan {
            producers: self.ends.producers,
            consumers: self.ends.consumers,
            queues: self.ends.queues,
            rate: Some(check_rate(self.rate)?),
            ..Plan::new("latency", self.terms.clone())
        };
        let mut report = Report::new("latency", plan.settings());
        let progress = Progress::new("latency", session.flow_ms());
        let mut flow = Flow::new(session, plan).await?;
        let stretch = flow.run(session, &progress).await?;
        let mut delivered = stretch.part("delivered", stretch.received);
        delivered.latency = flow.latency.summary();
        report.parts.push(delivered);
        if self.terms.confirms > 0 {
            report.parts.push(Part::timed("confirmed", "messages", &flow.confirm_latency));
        }
        report.parts.push(Part::timed("bench late", "messages", &flow.lag));
        report.faults = flow.faults;
        Ok(report)
    }
}
