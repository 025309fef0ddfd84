//! One message to many queues.

use clap::Args;

use super::rates;
use crate::bench::flow::{Kind, Plan, Terms};
use crate::bench::report::Report;
use crate::bench::session::Session;
use crate::bench::trouble::Result;

#[derive(Args, Debug)]
pub(crate) struct Fanout {
    #[command(flatten)]
    terms: Terms,
    /// Queues that each message goes to
    #[arg(long, value_name = "N", default_value_t = 10)]
    queues: usize,
    /// Connections that consume
    #[arg(long, value_name = "N", default_value_t = 1)]
    consumers: usize,
}

impl Fanout {
    pub(crate) async fn run(&self, session: &Session) -> Result<Report> {
        let plan = Plan {
            kind: Kind::Fanout,
            queues: self.queues,
            consumers: self.consumers,
            ..Plan::new("fanout", self.terms.clone())
        };
        rates("fanout", plan, session).await
    }
}
