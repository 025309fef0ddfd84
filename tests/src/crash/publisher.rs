//! Publishers: confirmed ones with a window, and those that use transactions.

use std::sync::Arc;
use std::time::Duration;

use leveret_client::{Channel, Confirm, Outcome, Publish};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::sleep;

use super::content::{self, Id};
use super::layout::{EXCHANGE, PRIORITY, PRIORITY_MAX, Queue, ROUTES};
use super::ledger::Kind;
use super::site::{Ended, Site, channel};
use crate::dice::Dice;

/// With so many copies in the broker, publishers wait.
const BACKLOG_MAX: usize = 20_000;
/// How long they do.
const WAIT: Duration = Duration::from_millis(20);
/// Publishes without a pause in between, at most.
const BURST_MAX: usize = 100;

/// How a publisher goes about it.
pub(super) struct Publisher {
    pub(super) number: u16,
    /// Messages between two pauses, and the pauses.
    burst: usize,
    pause: Duration,
    way: Way,
    /// One in so many messages is not persistent; 0 is none.
    transient: usize,
    dice: Dice,
}

enum Way {
    /// With at most so many unconfirmed.
    Confirmed(usize),
    /// In transactions of at most so many.
    Transactions(usize),
}

/// A message that was published, until the broker answers.
type Published = (Id, Confirm, OwnedSemaphorePermit);

impl Publisher {
    /// The first is always there, confirmed and steady: its confirms are the broker's signs of life.
    pub(super) fn new(number: u16, mut dice: Dice) -> Publisher {
        let steady = number == 0;
        let way = match dice.roll(4) {
            0 if !steady => Way::Transactions(1 + dice.roll(20)),
            _ => Way::Confirmed(1 + dice.roll(200)),
        };
        let pause = Duration::from_millis(if steady { 3 } else { dice.pick(&[0, 1, 5, 20]) });
        Publisher { number, burst: 1 + dice.roll(BURST_MAX), pause, way, transient: dice.pick(&[0, 0, 10]), dice }
    }

    /// Publishes until the broker ends.
    pub(super) async fn run(mut self, site: Arc<Site>, url: String) {
        let ended = match self.way {
            Way::Confirmed(window) => self.confirmed(&site, &url, window).await,
            Way::Transactions(size) => self.transactions(&site, &url, size).await,
        };
        site.ended(&format!("publisher {}", self.number), ended);
    }

    async fn confirmed(&mut self, site: &Arc<Site>, url: &str, window: usize) -> Ended {
        let channel = channel(url).await?;
        channel.confirm_select().await?;
        let room = Arc::new(Semaphore::new(window));
        let (published, unanswered) = mpsc::unbounded_channel();
        let answers = tokio::spawn(take_answers(site.clone(), unanswered));
        let ended = loop {
            for _ in 0..self.burst {
                let Ok(permit) = room.clone().acquire_owned().await else { break };
                let id = site.next_id(self.number);
                match self.publish(site, &channel, id, None).await {
                    Ok(Some(confirm)) => drop(published.send((id, confirm, permit))),
                    Ok(None) => {}
                    Err(error) => {
                        room.close();
                        drop(published);
                        // What the broker had confirmed before its end is read to the last.
                        let _ = answers.await;
                        return Err(error);
                    }
                }
            }
            if let Err(error) = self.rest(site, &channel).await {
                break error;
            }
        };
        drop(published);
        let _ = answers.await;
        Err(ended)
    }

    async fn transactions(&mut self, site: &Arc<Site>, url: &str, size: usize) -> Ended {
        let channel = channel(url).await?;
        channel.tx_select().await?;
        loop {
            let tx = site.number();
            for _ in 0..=self.dice.roll(size) {
                let id = site.next_id(self.number);
                self.publish(site, &channel, id, Some(tx)).await?;
            }
            if self.dice.one_in(20) {
                channel.tx_rollback().await?;
                site.ledger().rolled_back(tx);
            } else {
                let asked = site.now();
                channel.tx_commit().await?;
                site.ledger().committed(tx, asked);
            }
            self.rest(site, &channel).await?;
        }
    }

    async fn publish(
        &mut self,
        site: &Site,
        channel: &Channel,
        id: Id,
        tx: Option<u64>,
    ) -> Result<Option<Confirm>, leveret_client::Error> {
        let route: &'static [Queue] = self.dice.pick(&ROUTES);
        let persistent = self.transient == 0 || !self.dice.one_in(self.transient);
        let priority = self.dice.roll(usize::from(PRIORITY_MAX) + 1) as u8;
        let (name, body) = (id.to_string(), content::body(site.seed, id));
        let publish = match route {
            [queue] => Publish::to_queue(queue.name()),
            _ => Publish::to_exchange(EXCHANGE, ""),
        };
        let mut publish = publish.message_id(&name).body(&body);
        if persistent {
            publish = publish.persistent();
        }
        if route == [PRIORITY] {
            publish = publish.priority(priority);
        }
        site.ledger().publish(id, route, (persistent, priority), tx, site.now());
        match tx {
            Some(_) => channel.publish(publish).await.map(|()| None),
            None => channel.publish_watched(publish).await.map(Some),
        }
    }

    /// Pauses, and waits while there is a lot in the broker.
    async fn rest(&self, site: &Site, channel: &Channel) -> Ended {
        sleep(self.pause).await;
        while site.ledger().live() > BACKLOG_MAX {
            if !channel.is_open() {
                return Err(channel.connection().closed().await);
            }
            sleep(WAIT).await;
        }
        Ok(())
    }
}

/// Tells the ledger what the broker answers.
async fn take_answers(site: Arc<Site>, mut unanswered: mpsc::UnboundedReceiver<Published>) {
    while let Some((id, confirm, _permit)) = unanswered.recv().await {
        match confirm.await {
            Ok(Outcome::Acked) => site.ledger().confirmed(id),
            Ok(other) => {
                let text = format!("the publish was answered with {other:?}");
                site.ledger().fault(Kind::Refused, Some(id), None, text);
            }
            // The publisher hears of it.
            Err(_) => {}
        }
    }
}
