//! Messages a second, as fast as broker and bench can.

use clap::Args;

use super::rates;
use crate::bench::flow::{Ends, Kind, Plan, Terms};
use crate::bench::report::Report;
use crate::bench::session::Session;
use crate::bench::trouble::Result;

#[derive(Args, Debug)]
pub(crate) struct Throughput {
    #[command(flatten)]
    terms: Terms,
    #[command(flatten)]
    ends: Ends,
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
            producers: self.ends.producers,
            consumers: self.ends.consumers,
            queues: self.ends.queues,
            ..Plan::new("throughput", self.terms.clone())
        };
        rates("throughput", plan, session).await
    }
}
