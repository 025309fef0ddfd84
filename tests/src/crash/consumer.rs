//! Consumers: each settles in its own way.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use leveret_client::{Channel, Consume, Consumer as Stream, Delivery, Publish, Qos};
use tokio::time::{sleep, timeout};

use super::content::Id;
use super::layout::{DESK, Queue, WORK};
use super::ledger::{At, Settled};
use super::site::{Ended, Site, channel, ready};
use crate::dice::Dice;

/// How long a consumer waits for more before it settles what it has.
const IDLE: Duration = Duration::from_millis(5);
/// How often it asks for an answer that shows what the broker has handled.
const ASK_EVERY: Duration = Duration::from_millis(25);

/// How a consumer goes about it.
pub(super) struct Consumer {
    number: u64,
    queue: Queue,
    prefetch: u16,
    /// Deliveries that are settled together; 1 for each by itself.
    together: usize,
    pause: Duration,
    /// It leaves after so long.
    stays: At,
    dice: Dice,
}

/// A consumer at work.
struct Work<'a> {
    consumer: &'a mut Consumer,
    site: &'a Site,
    channel: Channel,
    /// Not settled, in the order of delivery.
    held: VecDeque<(Id, Delivery)>,
    /// Settled since the last answer.
    settled: Vec<Id>,
    asked: At,
}

impl Consumer {
    pub(super) fn new(number: u64, queue: Queue, is_slow: bool, mut dice: Dice) -> Consumer {
        let prefetch = dice.pick(&[1, 10, 100, 300]);
        Consumer {
            number,
            queue,
            prefetch,
            together: if dice.one_in(2) { 1 } else { 1 + dice.roll(usize::from(prefetch)) },
            pause: Duration::from_millis(if is_slow { 1 + dice.roll(10) as u64 } else { 0 }),
            stays: Duration::from_millis(if dice.one_in(4) { 50 + dice.roll(500) as u64 } else { 60_000 }),
            dice,
        }
    }

    /// Consumes until the broker ends.
    pub(super) async fn run(mut self, site: Arc<Site>, url: String) {
        let who = format!("consumer {} of {}", self.number, self.queue.name());
        let ended = match channel(&url).await {
            Ok(channel) => self.consume(&site, channel).await,
            Err(error) => Err(error),
        };
        if ended.is_err() {
            site.ledger().abandoned(self.queue, usize::from(self.prefetch));
        }
        site.ended(&who, ended);
    }

    async fn consume(&mut self, site: &Site, channel: Channel) -> Ended {
        channel.qos(Qos::per_consumer(self.prefetch)).await?;
        if self.queue == DESK {
            channel.tx_select().await?;
        }
        let mut stream = channel.consume(Consume::new(self.queue.name()).keep_dropped()).await?;
        let leaves = site.now() + self.stays;
        let asked = site.now();
        let mut work = Work { consumer: self, site, channel, held: VecDeque::new(), settled: vec![], asked };
        while site.now() < leaves {
            let is_idle = !work.receive(&mut stream).await?;
            if work.consumer.queue == DESK {
                work.pass_on(is_idle).await?;
            } else {
                work.settle(is_idle).await?;
            }
            if site.now() > work.asked + ASK_EVERY {
                work.ask().await?;
            }
            if !work.consumer.pause.is_zero() {
                sleep(work.consumer.pause).await;
            }
        }
        work.leave().await
    }
}

impl Work<'_> {
    /// Waits a moment for a delivery. False if none came.
    async fn receive(&mut self, stream: &mut Stream) -> Result<bool, leveret_client::Error> {
        let Ok(next) = timeout(IDLE, stream.next()).await else { return Ok(false) };
        let Some(delivery) = next.transpose()? else { return Err(self.channel.connection().closed().await) };
        if let Some(id) = self.site.received(self.consumer.number, self.consumer.queue, &delivery) {
            self.held.push_back((id, delivery));
        }
        Ok(true)
    }

    async fn settle(&mut self, is_idle: bool) -> Ended {
        if self.consumer.together > 1 {
            if is_idle || self.held.len() >= self.consumer.together {
                self.settle_together().await?;
            }
            return Ok(());
        }
        // Some are held for a while, and settled out of order.
        let patience = if is_idle { 0 } else { usize::from(self.consumer.prefetch) / 2 };
        while self.held.len() > patience || !self.held.is_empty() && self.consumer.dice.one_in(2) {
            let index = self.consumer.dice.roll(self.held.len().min(4));
            let Some((id, delivery)) = self.held.remove(index) else { break };
            self.settle_one(id, &delivery).await?;
        }
        Ok(())
    }

    async fn settle_one(&mut self, id: Id, delivery: &Delivery) -> Ended {
        let queue = self.consumer.queue;
        if self.consumer.dice.one_in(30) {
            self.site.ledger().returned(queue, id);
            return if self.consumer.dice.one_in(2) { delivery.nack(true).await } else { delivery.reject(true).await };
        }
        let rejects = self.consumer.dice.one_in(if queue == WORK { 4 } else { 40 });
        self.settled.push(id);
        if rejects {
            self.site.ledger().settled(queue, id, Settled::Rejected);
            return if self.consumer.dice.one_in(2) {
                delivery.nack(false).await
            } else {
                delivery.reject(false).await
            };
        }
        self.site.ledger().settled(queue, id, Settled::Acked);
        delivery.ack().await
    }

    async fn settle_together(&mut self) -> Ended {
        let queue = self.consumer.queue;
        let Some((_, last)) = self.held.back() else { return Ok(()) };
        let (returns, rejects) = (self.consumer.dice.one_in(20), self.consumer.dice.one_in(8));
        let ids = self.held.iter().map(|(id, _)| *id);
        if returns {
            ids.for_each(|id| self.site.ledger().returned(queue, id));
            last.nack_multiple(true).await?;
        } else {
            let how = if rejects { Settled::Rejected } else { Settled::Acked };
            self.settled.extend(ids.clone());
            ids.for_each(|id| self.site.ledger().settled(queue, id, how));
            if rejects { last.nack_multiple(false).await? } else { last.ack_multiple().await? }
        }
        self.held.clear();
        Ok(())
    }

    /// Publishes to the queue behind this one what came from it, in one transaction.
    async fn pass_on(&mut self, is_idle: bool) -> Ended {
        if self.held.is_empty() || !is_idle && self.held.len() < self.consumer.together {
            return Ok(());
        }
        let (tx, queue) = (self.site.number(), self.consumer.queue);
        let to = queue.next().map_or("", Queue::name);
        for (id, delivery) in self.held.drain(..) {
            self.site.ledger().settled(queue, id, Settled::Moved(tx));
            let properties = delivery.properties().decode();
            self.channel.publish(Publish::to_queue(to).properties(properties).body(delivery.body())).await?;
            delivery.ack().await?;
        }
        let asked = self.site.now();
        self.channel.tx_commit().await?;
        self.site.ledger().committed(tx, asked);
        Ok(())
    }

    /// What was settled on this channel before an answer was handled before it.
    async fn ask(&mut self) -> Ended {
        let settled = std::mem::take(&mut self.settled);
        ready(&self.channel, self.consumer.queue).await?;
        self.asked = self.site.now();
        let mut ledger = self.site.ledger();
        settled.into_iter().for_each(|id| ledger.handled(self.consumer.queue, id, self.asked));
        Ok(())
    }

    /// What it has not settled goes back, and so does what it has not read.
    async fn leave(mut self) -> Ended {
        self.site.ledger().abandoned(self.consumer.queue, usize::from(self.consumer.prefetch));
        for (id, _) in self.held.drain(..) {
            self.site.ledger().returned(self.consumer.queue, id);
        }
        self.channel.close().await
    }
}
