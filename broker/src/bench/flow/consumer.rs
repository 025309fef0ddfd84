//! A consumer: reads its queues, each on a channel of its own, and keeps account of what came.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use leveret_client::{Connection, Consume, Consumer, Delivery, Qos};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::gauges::Gauges;
use super::plan::Terms;
use super::site::Site;
use crate::bench::clock::now_ns;
use crate::bench::crew::Start;
use crate::bench::histogram::Latency;
use crate::bench::ledger::{Ledger, Order, Tally};
use crate::bench::stamp::Stamp;
use crate::bench::trouble::{Result, Trouble};

/// Deliveries that are handled before others may have a turn, and for which one look at the clock is enough.
const BATCH_MAX: u64 = 64;
/// Deliveries that are fewer than an acknowledgement is for are acknowledged when nothing has come for so long.
const IDLE: Duration = Duration::from_millis(20);

/// What a consumer has seen.
#[derive(Default)]
pub(crate) struct Consumed {
    pub(crate) received: Ledger,
    /// Messages that came behind a later one.
    pub(crate) late: u64,
    /// Messages that no producer of this run has sent.
    pub(crate) strange: u64,
    pub(crate) latency: Latency,
}

/// Consumes until its connection is closed.
pub(crate) async fn consume(site: Arc<Site>, index: usize, gauges: Arc<Gauges>, start: Start) -> Result<Consumed> {
    let connection = site.target.connect(1).await?;
    let latency = Arc::new(Mutex::new(Latency::default()));
    let mut readers = JoinSet::new();
    for queue in site.plan.queues_of(index) {
        let consumer = subscribe(&connection, &site, queue).await?;
        let terms = site.plan.terms.clone();
        let tallies = vec![Tally::default(); site.plan.producers];
        let (latency, gauges) = (latency.clone(), gauges.clone());
        let reader = Reader { queue, terms, gauges, latency, tallies, order: Order::default(), strange: 0, unacked: 0 };
        readers.spawn(reader.read(consumer));
    }
    start.report(connection);
    let mut consumed = Consumed::default();
    while let Some(read) = readers.join_next().await {
        let read = read.map_err(|_| Trouble::new("a task of the measurement has ended"))??;
        for (producer, &tally) in (0u16..).zip(&read.tallies) {
            consumed.received.enter(read.queue, producer, tally);
        }
        consumed.late += read.order.late;
        consumed.strange += read.strange;
    }
    consumed.latency = locked(&latency).clone();
    Ok(consumed)
}

async fn subscribe(connection: &Connection, site: &Site, queue: usize) -> Result<Consumer> {
    let terms = &site.plan.terms;
    let channel = connection.open_channel().await?;
    if terms.prefetch > 0 && terms.ack > 0 {
        channel.qos(Qos::per_consumer(terms.prefetch)).await?;
    }
    let consume = Consume::new(site.queues.get(queue).map_or("", String::as_str)).keep_dropped();
    Ok(channel.consume(if terms.ack == 0 { consume.no_ack() } else { consume }).await?)
}

fn locked(latency: &Mutex<Latency>) -> MutexGuard<'_, Latency> {
    latency.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The reader of one queue.
struct Reader {
    queue: usize,
    terms: Terms,
    gauges: Arc<Gauges>,
    /// Of all readers of this consumer, which share a thread.
    latency: Arc<Mutex<Latency>>,
    tallies: Vec<Tally>,
    order: Order,
    strange: u64,
    unacked: usize,
}

impl Reader {
    async fn read(mut self, mut consumer: Consumer) -> Result<Reader> {
        let channel = consumer.channel().clone();
        let mut last_tag = 0;
        loop {
            let next = match self.unacked {
                0 => consumer.next().await,
                _ => match timeout(IDLE, consumer.next()).await {
                    Ok(next) => next,
                    Err(_) => {
                        channel.ack(last_tag, true).await?;
                        self.unacked = 0;
                        continue;
                    }
                },
            };
            let Some(first) = next.transpose()? else { return Ok(self) };
            if self.gauges.is_closing() {
                continue;
            }
            let acked = self.take(first, &mut consumer, &mut last_tag);
            if acked > 0 {
                channel.ack(acked, true).await?;
            }
        }
    }

    /// Takes what has come. Returns the tag up to which it is to be acknowledged, or 0.
    fn take(&mut self, first: Delivery, consumer: &mut Consumer, last_tag: &mut u64) -> u64 {
        let now = now_ns();
        let (mut acked, mut count) = (0, 0);
        let mut next = Some(first);
        let shared = self.latency.clone();
        let mut latency = locked(&shared);
        while let Some(delivery) = next {
            self.see(delivery.body(), now, &mut latency);
            count += 1;
            *last_tag = delivery.delivery_tag();
            if self.terms.ack > 0 {
                self.unacked += 1;
                if self.unacked >= self.terms.ack {
                    (self.unacked, acked) = (0, *last_tag);
                    break;
                }
            }
            next = if count < BATCH_MAX { consumer.next_ready() } else { None };
        }
        self.gauges.add_received(count, now);
        acked
    }

    fn see(&mut self, body: &[u8], now: u64, latency: &mut Latency) {
        let stamp = Stamp::read(body);
        let tally = stamp.and_then(|stamp| self.tallies.get_mut(usize::from(stamp.producer)));
        let (Some(stamp), Some(tally)) = (stamp, tally) else {
            self.strange += 1;
            return;
        };
        tally.add(stamp.sequence);
        self.order.see(stamp.producer, stamp.sequence);
        if self.gauges.counts(stamp.time_ns) {
            latency.record(now.saturating_sub(stamp.time_ns));
        }
    }
}
