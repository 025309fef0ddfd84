//! What a quiet pair feels: alone, and beside pairs that move small messages as fast as they can.

use clap::Args;
use serde_json::json;

use super::latency::check_rate;
use crate::bench::flow::{Flow, Plan, Terms};
use crate::bench::progress::Progress;
use crate::bench::report::{Part, Report};
use crate::bench::session::Session;
use crate::bench::trouble::Result;

#[derive(Args, Debug)]
pub(crate) struct Neighbour {
    /// Messages a second of the quiet pair
    #[arg(long, value_name = "N", default_value_t = 1000.0)]
    rate: f64,
    /// Bodies of the quiet pair, in bytes (at least 16)
    #[arg(long, value_name = "BYTES", default_value_t = 128)]
    size: usize,
    /// Producers that flood, with a queue and a consumer each
    #[arg(long, value_name = "N", default_value_t = 1)]
    pairs: usize,
    /// Their bodies, in bytes (at least 16)
    #[arg(long, value_name = "BYTES", default_value_t = 16)]
    flood_size: usize,
    /// Their publishes without a confirm at a time; 0 asks for no confirms
    #[arg(long, value_name = "N", default_value_t = 0)]
    confirms: usize,
}

impl Neighbour {
    pub(crate) async fn run(&self, session: &Session) -> Result<Report> {
        let settings = json!({
            "rate": self.rate, "size": self.size, "pairs": self.pairs, "flood_size": self.flood_size,
            "confirms": self.confirms,
        });
        let mut report = Report::new("neighbour", settings);
        let mut alone = self.quiet(session, "alone").await?;
        let stretch = alone.run(session, &Progress::new("alone", session.flow_ms())).await?;
        report.parts.push(quiet_part("alone", stretch.received, stretch.seconds, &alone));
        report.faults.extend(alone.faults);

        let mut beside = self.quiet(session, "beside").await?;
        let terms = Terms { confirms: self.confirms, ..Terms::bare(self.flood_size) };
        let pairs = self.pairs;
        let plan = Plan { producers: pairs, consumers: pairs, queues: pairs, ..Plan::new("flood", terms) };
        let mut flood = Flow::new(session, plan).await?;
        let progress = Progress::new("beside", session.flow_ms());
        let hidden = Progress::hidden();
        let (quiet, flooded) = tokio::join!(beside.run(session, &hidden), flood.run(session, &progress));
        let (quiet, flooded) = (quiet?, flooded?);
        report.parts.push(quiet_part("beside", quiet.received, quiet.seconds, &beside));
        report.parts.push(flooded.part("flood", flooded.received));
        report.faults.extend(beside.faults);
        report.faults.extend(flood.faults);
        Ok(report)
    }

    async fn quiet(&self, session: &Session, name: &'static str) -> Result<Flow> {
        let plan = Plan { rate: Some(check_rate(self.rate)?), ..Plan::new(name, Terms::bare(self.size)) };
        Flow::new(session, plan).await
    }
}

/// Without CPU time, which is nearly all the flood's.
fn quiet_part(name: &'static str, count: u64, seconds: f64, flow: &Flow) -> Part {
    Part { latency: flow.latency.summary(), ..Part::new(name, "messages", count, seconds) }
}
