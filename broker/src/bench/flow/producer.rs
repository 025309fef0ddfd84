//! A producer: as fast as the broker takes it, or at its part of a fixed rate.

use std::sync::Arc;

use leveret_client::{Channel, Confirm, ConfirmCounts, Publish};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::STALL;
use super::gauges::Gauges;
use super::plan::{Kind, Terms};
use super::site::Site;
use crate::bench::clock::{Alarm, Pace, now_ns};
use crate::bench::crew::Start;
use crate::bench::histogram::Latency;
use crate::bench::ledger::{Ledger, Tally};
use crate::bench::stamp::Stamp;
use crate::bench::trouble::{Result, Trouble};

/// Messages that are stamped and handed to the client at a time.
const BATCH_MAX: usize = 64;
/// Bytes of them.
const BATCH_BYTES: usize = 64 << 10;

/// What a producer has done.
pub(crate) struct Produced {
    pub(crate) sent: Ledger,
    /// What the broker said of it, if that was asked for.
    pub(crate) confirms: Option<ConfirmCounts>,
    /// From the time that a message was due to its confirm, at a fixed rate.
    pub(crate) confirm_latency: Latency,
    /// From the time that a message was due until it was handed to the client, at a fixed rate.
    pub(crate) lag: Latency,
}

/// Publishes until it is stopped or its quota is used up, then waits for the broker to have taken everything.
pub(crate) async fn produce(site: Arc<Site>, index: usize, gauges: Arc<Gauges>, mut start: Start) -> Result<Produced> {
    let plan = &site.plan;
    let confirms = plan.terms.confirms;
    let connection = site.target.connect(if confirms > 0 { confirms } else { usize::MAX }).await?;
    let channel = connection.open_channel().await?;
    if confirms > 0 {
        channel.confirm_select().await?;
    }
    start.report(connection.clone());
    let mut work = Work::new(&site, index, &gauges);
    start.wait().await;
    let (mut lag, mut confirm_latency) = (Latency::default(), Latency::default());
    match plan.rate {
        None => work.flood(&channel).await?,
        Some(rate) => {
            let pace = Pace::new(now_ns(), rate, plan.producers, index);
            if confirms > 0 {
                (lag, confirm_latency) = work.pace_watched(&channel, pace).await?;
            } else {
                lag = work.pace(&channel, pace).await?;
            }
        }
    }
    let sent = work.ledger();
    let mut counts = None;
    if confirms > 0 {
        let all = timeout(STALL, channel.all_confirmed()).await;
        if let Ok(confirmed) = all {
            confirmed?;
        }
        counts = channel.confirm_counts();
    }
    // The broker answers behind everything that it was sent.
    connection.close().await?;
    Ok(Produced { sent, confirms: counts, confirm_latency, lag })
}

/// What a producer has at hand.
struct Work<'a> {
    gauges: &'a Arc<Gauges>,
    site: &'a Site,
    producer: u16,
    publishes: Vec<(usize, Publish<'a>)>,
    /// The route of the next message.
    turn: usize,
    /// By queue.
    tallies: Vec<Tally>,
    left: u64,
    /// Room for the bodies of a batch.
    bodies: Vec<u8>,
    size: usize,
    /// The routes of a batch.
    picked: Vec<usize>,
}

impl<'a> Work<'a> {
    fn new(site: &'a Site, index: usize, gauges: &'a Arc<Gauges>) -> Self {
        let size = site.plan.terms.size;
        let batch = batch(&site.plan.terms);
        Work {
            gauges,
            site,
            producer: index as u16,
            publishes: site.publishes(index),
            turn: 0,
            tallies: vec![Tally::default(); site.plan.queues],
            left: site.plan.quota.unwrap_or(u64::MAX),
            bodies: vec![b'x'; size * batch],
            size,
            picked: Vec::with_capacity(batch),
        }
    }

    fn is_over(&self) -> bool {
        self.left == 0 || self.gauges.is_stopped()
    }

    /// Stamps up to `wanted` messages and returns how many; they lie in `bodies`.
    fn stamp(&mut self, wanted: usize, mut time_of: impl FnMut(u64) -> u64) -> usize {
        self.picked.clear();
        let wanted = wanted.min(usize::try_from(self.left).unwrap_or(usize::MAX));
        for (index, body) in (0u64..).zip(self.bodies.chunks_exact_mut(self.size).take(wanted)) {
            let Some((queue, _)) = self.publishes.get(self.turn) else { break };
            let Some(tally) = self.tallies.get_mut(*queue) else { break };
            let stamp = Stamp { producer: self.producer, sequence: tally.count, time_ns: time_of(index) };
            stamp.write(body);
            tally.add(stamp.sequence);
            self.picked.push(self.turn);
            self.turn = if self.turn + 1 == self.publishes.len() { 0 } else { self.turn + 1 };
        }
        self.left -= self.picked.len() as u64;
        self.picked.len()
    }

    /// The messages that were stamped.
    fn stamped(&self) -> impl Iterator<Item = Publish<'_>> {
        let bodies = self.bodies.chunks_exact(self.size);
        self.picked.iter().zip(bodies).filter_map(|(&route, body)| Some(self.publishes.get(route)?.1.body(body)))
    }

    async fn flood(&mut self, channel: &Channel) -> Result<()> {
        while !self.is_over() {
            let now = now_ns();
            let sent = self.stamp(usize::MAX, |_| now);
            channel.publish_all(self.stamped()).await?;
            self.gauges.add_sent(sent as u64);
        }
        Ok(())
    }

    /// At a fixed rate; returns how late it was.
    async fn pace(&mut self, channel: &Channel, pace: Pace) -> Result<Latency> {
        let (alarm, mut lag, mut sent) = (Alarm::new()?, Latency::default(), 0);
        while !self.is_over() {
            let now = now_ns();
            let due = pace.due(now) - sent;
            if due == 0 {
                alarm.sleep_until(pace.time_of(sent)).await?;
                continue;
            }
            lag.record(now.saturating_sub(pace.time_of(sent)));
            let count = self.stamp(usize::try_from(due).unwrap_or(usize::MAX), |index| pace.time_of(sent + index));
            channel.publish_all(self.stamped()).await?;
            sent += count as u64;
            self.gauges.add_sent(count as u64);
        }
        Ok(lag)
    }

    /// `pace`, and the time of each confirm.
    async fn pace_watched(&mut self, channel: &Channel, pace: Pace) -> Result<(Latency, Latency)> {
        let (alarm, mut lag, mut sent) = (Alarm::new()?, Latency::default(), 0);
        let (watched, confirms) = mpsc::unbounded_channel();
        let watching = tokio::spawn(watch(confirms, self.gauges.clone()));
        while !self.is_over() {
            let (now, time) = (now_ns(), pace.time_of(sent));
            if now < time {
                alarm.sleep_until(time).await?;
                continue;
            }
            lag.record(now - time);
            self.stamp(1, |_| time);
            for publish in self.stamped() {
                let confirm = channel.publish_watched(publish).await?;
                // It listens as long as this sender is there.
                let _ = watched.send((time, confirm));
            }
            sent += 1;
            self.gauges.add_sent(1);
        }
        drop(watched);
        let late = |_| Trouble::new("the broker has stopped confirming");
        let times = timeout(STALL, watching).await.map_err(late)?;
        Ok((lag, times.map_err(|_| Trouble::new("a task of the measurement has ended"))??))
    }

    /// What was sent, by queue.
    fn ledger(&self) -> Ledger {
        let mut ledger = Ledger::default();
        let fanout = self.site.plan.kind == Kind::Fanout;
        for queue in 0..self.site.plan.queues {
            let tally = self.tallies.get(if fanout { 0 } else { queue });
            ledger.enter(queue, self.producer, tally.copied().unwrap_or_default());
        }
        ledger
    }
}

/// Small batches for small windows: a batch that waits for confirms half-way has old times on its other half.
fn batch(terms: &Terms) -> usize {
    let window = if terms.confirms > 0 { terms.confirms / 4 } else { BATCH_MAX };
    BATCH_MAX.min(window).min(BATCH_BYTES / terms.size).max(1)
}

/// Takes the time of confirms as they come.
async fn watch(mut confirms: mpsc::UnboundedReceiver<(u64, Confirm)>, gauges: Arc<Gauges>) -> Result<Latency> {
    let mut latency = Latency::default();
    while let Some((time, confirm)) = confirms.recv().await {
        // What it says is counted by the channel.
        let _ = confirm.await?;
        if gauges.counts(time) {
            latency.record(now_ns().saturating_sub(time));
        }
    }
    Ok(latency)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_fits_the_window_and_the_buffers() {
        let terms = |size, confirms| Terms { confirms, ..Terms::bare(size) };
        let batches = [terms(16, 0), terms(16, 1), terms(16, 100), terms(4096, 0), terms(1 << 20, 0)];
        assert_eq!(batches.map(|terms| batch(&terms)), [64, 1, 25, 16, 1]);
    }
}
