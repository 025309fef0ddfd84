//! The scenarios, one file each: its options, and what it measures.

mod all;
mod backlog;
mod churn;
mod connections;
mod fanout;
mod latency;
mod neighbour;
mod queues;
mod rpc;
mod throughput;
mod topic;

use clap::Subcommand;

use super::flow::{Flow, Plan};
use super::progress::Progress;
use super::report::Report;
use super::session::Session;
use super::trouble::{Result, Trouble};

/// What to measure.
#[derive(Debug, Subcommand)]
pub(crate) enum Scenario {
    /// Messages a second, as fast as broker and bench can
    Throughput(throughput::Throughput),
    /// Time from publish to delivery at a fixed rate, counted from when each message was due
    Latency(latency::Latency),
    /// One message to many queues
    Fanout(fanout::Fanout),
    /// A topic exchange with many bindings, beside a direct exchange with as many
    Topic(topic::Topic),
    /// Requests and replies, one at a time: over a reply queue, and over direct reply-to
    Rpc(rpc::Rpc),
    /// Connect, open a channel, declare a queue, close: as often as possible
    Churn(churn::Churn),
    /// Many connections that do nothing
    Connections(connections::Connections),
    /// Many queues that hold nothing
    Queues(queues::Queues),
    /// Fill a queue, then drain it
    Backlog(backlog::Backlog),
    /// What a quiet pair feels beside pairs that flood the broker
    Neighbour(neighbour::Neighbour),
    /// A short run of each
    All,
}

/// A flow as fast as it goes: what was published and what was consumed.
async fn rates(name: &'static str, plan: Plan, session: &Session) -> Result<Report> {
    let mut report = Report::new(name, plan.settings());
    let progress = Progress::new(name, session.flow_ms());
    let mut flow = Flow::new(session, plan).await?;
    let stretch = flow.run(session, &progress).await?;
    let mut consumed = stretch.part("consumed", stretch.received);
    consumed.latency = flow.latency.summary();
    report.parts = vec![stretch.rate("published", stretch.sent), consumed];
    report.faults = flow.faults;
    Ok(report)
}

impl Scenario {
    /// Itself, or all of them.
    pub(crate) fn expand(self) -> Vec<Scenario> {
        if let Scenario::All = self { all::short() } else { vec![self] }
    }

    /// Seconds to measure for if nobody has said.
    pub(crate) fn default_seconds(&self) -> f64 {
        if let Scenario::All = self { 1.0 } else { 5.0 }
    }

    /// # Errors
    /// Why nothing could be measured.
    pub(crate) async fn run(&self, session: &Session) -> Result<Report> {
        match self {
            Scenario::Throughput(throughput) => throughput.run(session).await,
            Scenario::Latency(latency) => latency.run(session).await,
            Scenario::Fanout(fanout) => fanout.run(session).await,
            Scenario::Topic(topic) => topic.run(session).await,
            Scenario::Rpc(rpc) => rpc.run(session).await,
            Scenario::Churn(churn) => churn.run(session).await,
            Scenario::Connections(connections) => connections.run(session).await,
            Scenario::Queues(queues) => queues.run(session).await,
            Scenario::Backlog(backlog) => backlog.run(session).await,
            Scenario::Neighbour(neighbour) => neighbour.run(session).await,
            Scenario::All => Err(Trouble::new("a run of all is a run of each")),
        }
    }
}
