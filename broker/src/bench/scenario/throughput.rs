//! Messages a second, as fast as broker and bench can.

use clap::Args;

use crate::bench::flow::{Flow, Kind, Plan, Terms};
use crate::bench::progress::Progress;
use crate::bench::report::Report;
use crate::bench::session::Session;
use crate::bench::trouble::Result;

#[derive(Args, Debug)]
pub(crate) struct Throughput {
    #[command(flatten)]
    terms: Terms,
    /// Connections that publish
    #[arg(long, value_name = "N", default_value_t = 1)]
    producers: usize,
    /// Connections that consume
    #[arg(long, value_name = "N", default_value_t = 1)]
    consumers: usize,
    /// Queues, shared among producers and consumers
    #[arg(long, value_name = "N", default_value_t = 1)]
    queues: usize,
    /// The kind of exchange
    #[arg(long, value_enum, value_name = "KIND", default_value_t = Kind::Default)]
    exchange: Kind,
    /// Bindings to the exchange; one for each queue otherwise
    #[arg(long, value_name = "N", default_value_t = 0)]
    bindings: usize,
}

impl Throughput {
    pub(crate) async fn run(&self, session: &Session) -> Result<Report> {
        let plan = Plan {
            kind: self.exchange,
            bindings: self.bindings,
            producers: self.producers,
            consumers: self.consumers,
            queues: self.queues,
            ..Plan::new("throughput", self.terms.clone())
        };
        let mut report = Report::new("throughput", plan.settings());
        let progress = Progress::new("throughput", session.flow_ms());
        let mut flow = Flow::new(session, plan).await?;
        let stretch = flow.run(session, &progress).await?;
        let mut consumed = stretch.part("consumed", stretch.received);
        consumed.latency = flow.latency.summary();
        report.parts = vec![stretch.rate("published", stretch.sent), consumed];
        report.faults = flow.faults;
        Ok(report)
    }
}
