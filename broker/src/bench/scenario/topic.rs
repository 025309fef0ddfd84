//! A topic exchange with many bindings, beside a direct exchange with as many: what matching patterns costs.

use clap::Args;

use crate::bench::flow::{Flow, Kind, Plan, Terms};
use crate::bench::progress::Progress;
use crate::bench::report::{Part, Report};
use crate::bench::session::Session;
use crate::bench::trouble::Result;

#[derive(Args, Debug)]
pub(crate) struct Topic {
    #[command(flatten)]
    terms: Terms,
    /// Bindings to the exchange; each message matches one
    #[arg(long, value_name = "N", default_value_t = 1000)]
    bindings: usize,
    /// Queues, shared among the bindings
    #[arg(long, value_name = "N", default_value_t = 1)]
    queues: usize,
}

impl Topic {
    pub(crate) async fn run(&self, session: &Session) -> Result<Report> {
        let mut report = Report::new("topic", self.plan("topic", Kind::Topic).settings());
        let direct = self.measure(session, "direct", Kind::Direct, &mut report).await?;
        let mut topic = self.measure(session, "topic", Kind::Topic, &mut report).await?;
        if let (Some(topic_rate), Some(direct_rate)) = (topic.per_second(), direct.per_second()) {
            topic.more.push(("ratio_to_direct", topic_rate / direct_rate.max(1.0)));
        }
        report.parts = vec![direct, topic];
        Ok(report)
    }

    fn plan(&self, name: &'static str, kind: Kind) -> Plan {
        Plan { kind, bindings: self.bindings, queues: self.queues, ..Plan::new(name, self.terms.clone()) }
    }

    async fn measure(&self, session: &Session, name: &'static str, kind: Kind, report: &mut Report) -> Result<Part> {
        let progress = Progress::new(name, session.flow_ms());
        let mut flow = Flow::new(session, self.plan(name, kind)).await?;
        let stretch = flow.run(session, &progress).await?;
        report.faults.extend(flow.faults.iter().map(|fault| format!("{name} exchange: {fault}")));
        session.target.clean_up().await?;
        let mut part = stretch.part(name, stretch.received);
        part.latency = flow.latency.summary();
        Ok(part)
    }
}
