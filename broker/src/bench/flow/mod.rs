//! Messages from producers through a broker to consumers, with the time that it takes and a check of every one.

mod consumer;
mod gauges;
mod plan;
mod producer;
mod site;
mod stretch;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::clock::now_ns;
use super::crew::Crew;
use super::histogram::Latency;
use super::ledger::Ledger;
use super::progress::Progress;
use super::session::Session;
use super::table::grouped;
use super::trouble::{Result, Trouble};

use consumer::{Consumed, consume};
use gauges::Gauges;
use producer::{Produced, produce};
use site::Site;
use stretch::Reading;

pub(crate) use plan::{Ends, Kind, Plan, Terms};
pub(crate) use stretch::Stretch;

/// Without any progress for so long a run is given up.
const STALL: Duration = Duration::from_secs(30);
/// How long a message may take to come a second time.
const AFTERMATH: Duration = Duration::from_millis(60);
/// How often the gauges are looked at.
const LOOK: Duration = Duration::from_millis(5);
/// How much of the time is not measured: connections and caches warm up.
pub(crate) const WARM_UP: f64 = 0.2;

/// A flow that is set up.
pub(crate) struct Flow {
    site: Arc<Site>,
    gauges: Arc<Gauges>,
    producers: Option<Crew<Produced>>,
    consumers: Option<Crew<Consumed>>,
    sent: Ledger,
    received: Ledger,
    /// What the consumers have measured.
    pub(crate) latency: Latency,
    /// What the producers have measured at a fixed rate.
    pub(crate) confirm_latency: Latency,
    pub(crate) lag: Latency,
    /// What was wrong.
    pub(crate) faults: Vec<String>,
}

impl Flow {
    /// Declares what the plan needs.
    pub(crate) async fn new(session: &Session, plan: Plan) -> Result<Flow> {
        Ok(Flow {
            site: Site::build(&session.target, plan).await?,
            gauges: Arc::new(Gauges::new()),
            producers: None,
            consumers: None,
            sent: Ledger::default(),
            received: Ledger::default(),
            latency: Latency::default(),
            confirm_latency: Latency::default(),
            lag: Latency::default(),
            faults: vec![],
        })
    }

    /// Runs it for the session's time. The stretch is what was measured; producers and consumers have done their work.
    pub(crate) async fn run(&mut self, session: &Session, progress: &Progress) -> Result<Stretch> {
        self.start_consumers().await?;
        self.start_producers().await?;
        self.watch(session.seconds * WARM_UP, 0.0, progress).await?;
        let from = self.reading(session);
        self.gauges.open_window(from.time_ns);
        self.watch(session.seconds, session.seconds * WARM_UP, progress).await?;
        let to = self.reading(session);
        self.gauges.close_window(to.time_ns);
        self.gauges.stop();
        self.finish_producers(progress).await?;
        self.finish_consumers(progress).await?;
        Ok(Stretch::between(from, to))
    }

    /// Publishes the quotas of all producers while nobody consumes.
    pub(crate) async fn fill(&mut self, session: &Session, progress: &Progress) -> Result<Stretch> {
        self.start_producers().await?;
        let from = self.reading(session);
        self.finish_producers(progress).await?;
        Ok(Stretch::between(from, self.reading(session)))
    }

    /// Consumes what is there.
    pub(crate) async fn drain(&mut self, session: &Session, progress: &Progress) -> Result<Stretch> {
        let from = self.reading(session);
        self.start_consumers().await?;
        self.finish_consumers(progress).await?;
        let to = self.reading(session);
        Ok(Stretch::between(from, Reading { time_ns: self.gauges.last_received_ns(), ..to }))
    }

    async fn start_producers(&mut self) -> Result<()> {
        let (site, gauges) = (&self.site, &self.gauges);
        let role = |index, start| produce(site.clone(), index, gauges.clone(), start);
        let mut crew = Crew::start(site.plan.producers, role)?;
        crew.ready().await?;
        crew.go();
        self.producers = Some(crew);
        Ok(())
    }

    async fn start_consumers(&mut self) -> Result<()> {
        let (site, gauges) = (&self.site, &self.gauges);
        let role = |index, start| consume(site.clone(), index, gauges.clone(), start);
        let mut crew = Crew::start(site.plan.consumers, role)?;
        crew.ready().await?;
        self.consumers = Some(crew);
        Ok(())
    }

    fn reading(&self, session: &Session) -> Reading {
        Reading {
            time_ns: now_ns(),
            sent: self.gauges.sent(),
            received: self.gauges.received(),
            broker: session.broker_usage(),
            bench: session.bench_usage(),
        }
    }

    /// Notices what has ended.
    fn check(&mut self) -> Result<()> {
        self.producers.as_mut().map_or(Ok(()), Crew::check)?;
        self.consumers.as_mut().map_or(Ok(()), Crew::check)
    }

    /// Lets it run for that many seconds, and shows how it goes; `shown` are the seconds that were shown before.
    async fn watch(&mut self, seconds: f64, shown: f64, progress: &Progress) -> Result<()> {
        let start = now_ns();
        loop {
            self.check()?;
            let passed = (now_ns() - start) as f64 / 1e9;
            progress.show(((shown + passed) * 1000.0) as u64, || self.progress());
            if passed >= seconds {
                return Ok(());
            }
            sleep(Duration::from_secs_f64((seconds - passed).min(0.1))).await;
        }
    }

    fn progress(&self) -> String {
        let (sent, received) = (self.gauges.sent() as f64, self.gauges.received() as f64);
        format!("{} sent, {} received", grouped(sent), grouped(received))
    }

    /// Waits for the producers to end.
    async fn finish_producers(&mut self, progress: &Progress) -> Result<()> {
        let mut stall = Stall::new();
        while !self.producers.as_ref().is_none_or(Crew::is_done) {
            self.check()?;
            stall.look(self.gauges.sent() + self.gauges.received(), "the broker takes nothing any more")?;
            if self.site.plan.quota.is_some() {
                progress.show(self.gauges.sent(), || self.progress());
            }
            sleep(LOOK).await;
        }
        let Some(crew) = self.producers.take() else { return Ok(()) };
        for produced in crew.join().await? {
            self.sent.merge(&produced.sent);
            self.confirm_latency.merge(&produced.confirm_latency);
            self.lag.merge(&produced.lag);
            if let Some(counts) = produced.confirms {
                let (sent, acked) = (counts.published, counts.acked);
                if acked != sent || counts.nacked + counts.unexpected > 0 {
                    let (nacked, unexpected) = (counts.nacked, counts.unexpected);
                    self.faults.push(format!(
                        "of {sent} publishes {acked} were confirmed and {nacked} refused, and {unexpected} confirms were \
                         for nothing"
                    ));
                }
            }
        }
        Ok(())
    }

    /// Waits until everything that was sent has come, or nothing comes any more, and compares.
    async fn finish_consumers(&mut self, progress: &Progress) -> Result<()> {
        let expected = self.sent.count();
        let mut stall = Stall::new();
        while self.gauges.received() < expected {
            self.check()?;
            let received = self.gauges.received();
            // What is missing is found by the comparison.
            if stall.look(received, "").is_err() {
                break;
            }
            if self.site.plan.quota.is_some() {
                progress.show(received, || self.progress());
            }
            sleep(LOOK).await;
        }
        sleep(AFTERMATH).await;
        self.check()?;
        self.gauges.close();
        let Some(crew) = self.consumers.take() else { return Ok(()) };
        crew.close().await?;
        let (mut late, mut strange) = (0, 0);
        for consumed in crew.join().await? {
            self.received.merge(&consumed.received);
            self.latency.merge(&consumed.latency);
            late += consumed.late;
            strange += consumed.strange;
        }
        self.faults.extend(self.sent.faults(&self.received));
        if late > 0 {
            self.faults.push(format!("{late} messages came behind a later one of their producer"));
        }
        if strange > 0 {
            self.faults.push(format!("{strange} messages came that nobody of this run had sent"));
        }
        Ok(())
    }
}

/// Notices that a number does not grow any more.
struct Stall {
    number: u64,
    since_ns: u64,
}

impl Stall {
    fn new() -> Self {
        Stall { number: 0, since_ns: now_ns() }
    }

    fn look(&mut self, number: u64, trouble: &str) -> Result<()> {
        let now = now_ns();
        if number != self.number {
            *self = Stall { number, since_ns: now };
        }
        let stalled = now - self.since_ns > STALL.as_nanos() as u64;
        if stalled { Err(Trouble::new(trouble)) } else { Ok(()) }
    }
}
