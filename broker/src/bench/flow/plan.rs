//! What a flow of messages is made of: the options that most scenarios share.

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use crate::bench::stamp;
use crate::bench::trouble::{Result, Trouble};

/// The kind of exchange that messages go through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    Default,
    Direct,
    Fanout,
    Topic,
    Headers,
}

impl Kind {
    /// AMQP's word.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Default => "default",
            Kind::Direct => "direct",
            Kind::Fanout => "fanout",
            Kind::Topic => "topic",
            Kind::Headers => "headers",
        }
    }
}

/// How messages are sent and taken.
#[derive(Args, Clone, Debug)]
pub(crate) struct Terms {
    /// The body of each message, in bytes (at least 16)
    #[arg(long, value_name = "BYTES", default_value_t = 100)]
    pub(crate) size: usize,
    /// Publishes without a confirm at a time, for each producer; 0 asks for no confirms
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub(crate) confirms: usize,
    /// Unacknowledged deliveries at a time, for each consumer; 0 is no limit
    #[arg(long, value_name = "N", default_value_t = 500)]
    pub(crate) prefetch: u16,
    /// Acknowledges every N deliveries together; 0 consumes without acknowledgements
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub(crate) ack: usize,
    /// Persistent messages in durable queues
    #[arg(long)]
    pub(crate) persistent: bool,
}

/// How many send and take them, and by how many queues.
#[derive(Args, Clone, Debug)]
pub(crate) struct Ends {
    /// Connections that publish
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) producers: usize,
    /// Connections that consume
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) consumers: usize,
    /// Queues, shared among producers and consumers
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) queues: usize,
}

/// A flow of messages from producers to consumers.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Part of the names of its queues.
    pub(crate) name: &'static str,
    pub(crate) terms: Terms,
    pub(crate) kind: Kind,
    /// Bindings to the exchange, shared among the queues.
    pub(crate) bindings: usize,
    pub(crate) producers: usize,
    pub(crate) consumers: usize,
    pub(crate) queues: usize,
    /// Messages a second, of all producers together; as many as possible otherwise.
    pub(crate) rate: Option<f64>,
    /// How many messages each producer sends; until it is stopped otherwise.
    pub(crate) quota: Option<u64>,
}

/// Queues for each consumer: it needs a channel for each, and RabbitMQ allows 2047.
const QUEUES_PER_CONSUMER_MAX: usize = 2000;

impl Terms {
    /// Without confirms, acknowledgements and limits.
    pub(crate) fn bare(size: usize) -> Self {
        Terms { size, confirms: 0, prefetch: 0, ack: 0, persistent: false }
    }
}

impl Plan {
    /// One producer, one consumer and one queue behind the default exchange.
    pub(crate) fn new(name: &'static str, terms: Terms) -> Self {
        let kind = Kind::Default;
        Plan { name, terms, kind, bindings: 0, producers: 1, consumers: 1, queues: 1, rate: None, quota: None }
    }

    /// # Errors
    /// What cannot work, in one sentence.
    pub(crate) fn check(&self) -> Result<()> {
        let Terms { size, prefetch, ack, .. } = self.terms;
        let wrong = if size < stamp::BYTES {
            format!("--size must be at least {}: each message carries a sequence number and a time", stamp::BYTES)
        } else if prefetch > 0 && ack > usize::from(prefetch) {
            String::from("--ack must not be above --prefetch, or the broker would wait for ever")
        } else if self.producers == 0 || self.consumers == 0 || self.queues == 0 {
            String::from("there must be at least one producer, one consumer and one queue")
        } else if self.producers > usize::from(u16::MAX) {
            format!("--producers must be at most {}", u16::MAX)
        } else if self.queues.div_ceil(self.consumers) > QUEUES_PER_CONSUMER_MAX {
            format!("--queues must be at most {QUEUES_PER_CONSUMER_MAX} for each consumer")
        } else if self.kind == Kind::Default && self.bindings > 0 {
            String::from("--bindings needs an exchange that can be bound to")
        } else {
            return Ok(());
        };
        Err(Trouble::new(wrong))
    }

    /// The queues that a consumer reads: its share, or one that it shares with others.
    pub(crate) fn queues_of(&self, consumer: usize) -> Vec<usize> {
        share(self.queues, self.consumers, consumer)
    }

    pub(crate) fn settings(&self) -> Value {
        let mut settings = json!({
            "size": self.terms.size,
            "confirms": self.terms.confirms,
            "prefetch": self.terms.prefetch,
            "ack": self.terms.ack,
            "persistent": self.terms.persistent,
            "exchange": self.kind.name(),
            "bindings": self.bindings,
            "producers": self.producers,
            "consumers": self.consumers,
            "queues": self.queues,
        });
        if let Some(rate) = self.rate {
            settings["rate"] = rate.into();
        }
        settings
    }
}

/// Distributes `things` among `takers`, as evenly as it goes; every taker gets one.
pub(crate) fn share(things: usize, takers: usize, taker: usize) -> Vec<usize> {
    if things > takers { (taker..things).step_by(takers).collect() } else { vec![taker % things] }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        Plan::new("t", Terms { ack: 50, prefetch: 100, ..Terms::bare(16) })
    }

    #[test]
    fn every_queue_has_a_consumer_and_every_consumer_a_queue() {
        assert_eq!([share(5, 2, 0), share(5, 2, 1)], [vec![0, 2, 4], vec![1, 3]]);
        assert_eq!([share(2, 3, 0), share(2, 3, 1), share(2, 3, 2)], [[0], [1], [0]]);
    }

    #[test]
    fn what_cannot_work_is_refused_with_the_reason() {
        assert!(plan().check().is_ok());
        let small = Plan { terms: Terms::bare(15), ..plan() };
        let stuck = Plan { terms: Terms { ack: 101, ..plan().terms }, ..plan() };
        let many = Plan { queues: 2001, ..plan() };
        let nobody = Plan { producers: 0, ..plan() };
        let unbound = Plan { bindings: 1, ..plan() };
        for (plan, word) in
            [(small, "16"), (stuck, "--prefetch"), (many, "2000"), (nobody, "at least one"), (unbound, "--bindings")]
        {
            let why = plan.check().unwrap_err().to_string();
            assert!(why.contains(word), "{why}");
        }
    }
}
