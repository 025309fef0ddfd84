//! A publisher and a consumer who exchange messages in batches: the path that all figures are about.

use std::io;

use leveret_spec::frame::{self, FrameKind};
use leveret_spec::{Properties, TableBuf, Value, basic, channel, confirm, exchange as exchanges, queue};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Awaited, Line, Part, broken, exchange, put_publish};
use crate::{default, short, table};

/// Where the messages go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// To one queue, over the default exchange.
    Default,
    /// To one queue with this x-max-priority, with all priorities in turn.
    Priorities(u8),
    /// To one queue, over a direct exchange.
    Direct,
    /// To one queue, over a topic exchange with so many bindings, with a hundred keys in turn.
    Topic(usize),
    /// To so many queues, over a fanout exchange.
    Fanout(usize),
}

/// How the consumer answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acks {
    /// Not at all: the broker counts a message as consumed once it is sent.
    Auto,
    /// Once for each batch.
    Multiple,
    /// Once for each message.
    Each,
}

/// What happens with each message.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Where it goes.
    pub route: Route,
    /// The length of its body.
    pub body_bytes: usize,
    /// True if the publisher wants to know that it has arrived.
    pub confirms: bool,
    /// How the consumer answers.
    pub acks: Acks,
}

/// The two at work.
#[derive(Debug)]
pub struct Flow<S> {
    plan: Plan,
    producer: Line<S>,
    consumer: Line<S>,
    /// Messages of a batch.
    batch: usize,
    /// A batch as it is published.
    publishes: Vec<u8>,
    /// Bytes and messages that the consumer gets for it.
    delivery_bytes: usize,
    deliveries: usize,
    published: u64,
    delivered: u64,
    /// The consumer's answers to the last batch, which go out with the next.
    answers: Vec<u8>,
}

/// Keys that the messages of `Route::Topic` have in turn.
const KEYS: usize = 100;
/// Consumer tags are `c000` and so on.
const TAG_BYTES: usize = 4;

impl Route {
    fn queues(self) -> usize {
        if let Route::Fanout(queues) = self { queues } else { 1 }
    }

    /// Name and type.
    fn exchange(self) -> Option<(&'static str, &'static str)> {
        match self {
            Route::Default | Route::Priorities(_) => None,
            Route::Direct => Some(("flow.direct", "direct")),
            Route::Topic(_) => Some(("flow.topic", "topic")),
            Route::Fanout(_) => Some(("flow.fanout", "fanout")),
        }
    }

    /// What binds the queue of that number.
    fn bindings(self) -> Vec<String> {
        match self {
            Route::Default | Route::Priorities(_) => vec![],
            Route::Direct | Route::Fanout(_) => vec!["key".into()],
            Route::Topic(bindings) => (0..bindings).map(|n| format!("order.{n:06}.*")).collect(),
        }
    }

    /// The routing key of a message.
    fn key(self, number: usize) -> String {
        match self {
            Route::Default | Route::Priorities(_) => queue_name(0),
            Route::Direct | Route::Fanout(_) => "key".into(),
            Route::Topic(bindings) => format!("order.{:06}.paid", number % KEYS.min(bindings)),
        }
    }

    fn queue_arguments(self) -> TableBuf {
        match self {
            Route::Priorities(max) => table([("x-max-priority", Value::U8(max))]),
            _ => TableBuf::new(),
        }
    }

    fn priority(self, number: usize) -> Option<u8> {
        match self {
            Route::Priorities(max) => Some((number % (usize::from(max) + 1)) as u8),
            _ => None,
        }
    }
}

fn queue_name(number: usize) -> String {
    format!("flow.{number:03}")
}

impl<S: AsyncRead + AsyncWrite + Unpin> Flow<S> {
    /// Makes what the plan needs, and lets one batch through, which is looked at.
    ///
    /// # Errors
    /// If the broker refuses any of it, or delivers anything else.
    pub async fn set_up(plan: Plan, batch: usize, producer: Line<S>, consumer: Line<S>) -> io::Result<Self> {
        let (publishes, delivery_bytes) = prepare(plan, batch);
        let deliveries = batch * plan.route.queues();
        let (published, delivered, answers) = (0, 0, vec![]);
        let mut flow = Flow {
            plan,
            producer,
            consumer,
            batch,
            publishes,
            delivery_bytes,
            deliveries,
            published,
            delivered,
            answers,
        };
        flow.declare().await?;
        flow.batch().await?;
        flow.look_at_deliveries()?;
        Ok(flow)
    }

    async fn declare(&mut self) -> io::Result<()> {
        let route = self.plan.route;
        if let Some((name, kind)) = route.exchange() {
            self.consumer.ask(1, &exchanges::Declare { exchange: short(name), kind: short(kind), ..default() }).await?;
        }
        let arguments = route.queue_arguments();
        for number in 0..route.queues() {
            let name = queue_name(number);
            let arguments = arguments.as_table();
            self.consumer.ask(1, &queue::Declare { queue: short(&name), arguments, ..default() }).await?;
            for key in route.bindings() {
                let (exchange, _) = route.exchange().unwrap_or_default();
                let (queue, exchange, routing_key) = (short(&name), short(exchange), short(&key));
                self.consumer.ask(1, &queue::Bind { queue, exchange, routing_key, ..default() }).await?;
            }
            let (tag, no_ack) = (format!("c{number:03}"), self.plan.acks == Acks::Auto);
            let consume = basic::Consume { queue: short(&name), consumer_tag: short(&tag), no_ack, ..default() };
            self.consumer.ask(1, &consume).await?;
        }
        if self.plan.confirms {
            self.producer.ask(1, &confirm::Select::default()).await?;
        }
        Ok(())
    }

    /// Publishes a batch and waits until all of it is delivered and, if so planned, confirmed.
    ///
    /// # Errors
    /// If the broker closes a connection.
    pub async fn batch(&mut self) -> io::Result<()> {
        self.published += self.batch as u64;
        let confirms = if self.plan.confirms { Awaited::Confirm(self.published) } else { Awaited::Bytes(0) };
        exchange([
            Part::of(&mut self.producer, &self.publishes, confirms),
            Part::of(&mut self.consumer, &self.answers, Awaited::Bytes(self.delivery_bytes)),
        ])
        .await?;
        self.answers.clear();
        let first = self.delivered + 1;
        self.delivered += self.deliveries as u64;
        match self.plan.acks {
            Acks::Auto => {}
            Acks::Multiple => self.answer(self.delivered, true),
            Acks::Each => (first..=self.delivered).for_each(|tag| self.answer(tag, false)),
        }
        Ok(())
    }

    fn answer(&mut self, delivery_tag: u64, multiple: bool) {
        frame::put_method(&mut self.answers, 1, &basic::Ack { delivery_tag, multiple });
    }

    /// Waits until the broker has done everything that it was sent.
    ///
    /// # Errors
    /// If the broker closes a connection.
    pub async fn settle(&mut self) -> io::Result<()> {
        self.producer.ask(1, &channel::Flow { active: true }).await?;
        self.consumer.ask(1, &channel::Flow { active: true }).await
    }

    /// The last batch, frame by frame.
    fn look_at_deliveries(&self) -> io::Result<()> {
        let (mut rest, mut headers, mut body_bytes) = (self.consumer.received(), 0, 0);
        while let Ok(Some((frame, length))) = frame::parse(rest, usize::MAX) {
            headers += usize::from(frame.kind == FrameKind::Header);
            body_bytes += if frame.kind == FrameKind::Body { frame.payload.len() } else { 0 };
            rest = &rest[length..];
        }
        let whole = headers == self.deliveries && body_bytes == self.deliveries * self.plan.body_bytes;
        if whole && rest.is_empty() { Ok(()) } else { Err(broken("has not delivered what was published")) }
    }
}

/// A batch as it is published, and the bytes of its deliveries.
fn prepare(plan: Plan, batch: usize) -> (Vec<u8>, usize) {
    let (exchange, _) = plan.route.exchange().unwrap_or_default();
    let body = vec![b'.'; plan.body_bytes];
    let mut publishes = vec![];
    for number in 0..batch {
        let properties = Properties { priority: plan.route.priority(number), ..default() };
        put_publish(&mut publishes, exchange, &plan.route.key(number), &properties, &body);
    }
    // basic.deliver has a consumer tag, a delivery tag and a bit where basic.publish has a short and two bits.
    let delivery_bytes = (publishes.len() + batch * (1 + TAG_BYTES + 9 - 3)) * plan.route.queues();
    (publishes, delivery_bytes)
}
