//! Requests and replies, one at a time: over a reply queue of the client's, and over direct reply-to.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Args;
use leveret_client::{Consume, Publish, QueueDeclare};
use serde_json::json;
use tokio::time::{sleep, timeout};

use crate::bench::clock::now_ns;
use crate::bench::crew::{Crew, Start};
use crate::bench::histogram::Latency;
use crate::bench::progress::Progress;
use crate::bench::report::{Part, Report};
use crate::bench::session::Session;
use crate::bench::stamp::{self, Stamp};
use crate::bench::target::Target;
use crate::bench::trouble::{Result, Trouble};

/// The name that RabbitMQ has given to consuming replies without a queue.
const DIRECT: &str = "amq.rabbitmq.reply-to";
/// How long a reply may take.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Args, Debug)]
pub(crate) struct Rpc {
    /// Bodies of requests and replies, in bytes (at least 16)
    #[arg(long, value_name = "BYTES", default_value_t = 100)]
    size: usize,
    /// Clients, each with one request under way; one server answers them
    #[arg(long, value_name = "N", default_value_t = 1)]
    clients: usize,
}

/// What a client has seen.
struct Asked {
    latency: Latency,
    /// Replies that were not to its request.
    wrong: u64,
}

impl Rpc {
    pub(crate) async fn run(&self, session: &Session) -> Result<Report> {
        if self.size < stamp::BYTES || self.clients == 0 {
            return Err(Trouble::new(format!("--size must be at least {} and --clients at least 1", stamp::BYTES)));
        }
        let mut report = Report::new("rpc", json!({ "size": self.size, "clients": self.clients }));
        for (name, direct) in [("queue", false), ("direct", true)] {
            let part = self.measure(session, name, direct, &mut report).await?;
            report.parts.push(part);
        }
        Ok(report)
    }

    async fn measure(&self, session: &Session, name: &'static str, direct: bool, report: &mut Report) -> Result<Part> {
        let target = &session.target;
        let requests: Arc<str> = target.name(&format!("rpc.{name}")).into();
        let admin = target.channel().await?;
        target.declare_queue(&admin, &requests, false).await?;
        let stop = Arc::new(AtomicBool::new(false));
        let mut servers = Crew::start(1, |_, start| serve(target.clone(), requests.clone(), start))?;
        servers.ready().await?;
        let size = self.size;
        let role = |_, start| ask(target.clone(), requests.clone(), size, direct, stop.clone(), start);
        let mut clients = Crew::start(self.clients, role)?;
        clients.ready().await?;
        let (broker, bench, start) = (session.broker_usage(), session.bench_usage(), now_ns());
        clients.go();
        let progress = Progress::new(name, (session.seconds * 1000.0) as u64);
        while let left = session.seconds - (now_ns() - start) as f64 / 1e9
            && left > 0.0
        {
            clients.check()?;
            servers.check()?;
            progress.show(((session.seconds - left) * 1000.0) as u64, String::new);
            sleep(Duration::from_secs_f64(left.min(0.1))).await;
        }
        let (broker_end, bench_end, seconds) =
            (session.broker_usage(), session.bench_usage(), (now_ns() - start) as f64 / 1e9);
        stop.store(true, Ordering::Relaxed);
        let (mut latency, mut wrong) = (Latency::default(), 0);
        for asked in clients.join().await? {
            latency.merge(&asked.latency);
            wrong += asked.wrong;
        }
        servers.close().await?;
        admin.connection().close().await?;
        if wrong > 0 {
            report.faults.push(format!("{wrong} replies over {name} were not to the request under way"));
        }
        let mut part = Part::timed(name, "round trips", &latency);
        part.seconds = seconds;
        let each = |cpu_us: f64| cpu_us / part.count.max(1) as f64;
        part.broker_cpu_us = broker.zip(broker_end).map(|(from, to)| each(to.cpu_us - from.cpu_us));
        part.bench_cpu_us = Some(each(bench_end.cpu_us - bench.cpu_us));
        Ok(part)
    }
}

/// Sends every request back to who asked.
async fn serve(target: Arc<Target>, requests: Arc<str>, start: Start) -> Result<()> {
    let channel = target.channel().await?;
    let mut consumer = channel.consume(Consume::new(&requests).no_ack()).await?;
    start.report(channel.connection().clone());
    while let Some(request) = consumer.next().await {
        let request = request?;
        let properties = request.properties();
        let text = |bytes: Option<leveret_client::spec::ShortBytes<'_>>| {
            bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
        };
        let (reply_to, correlation_id) = (text(properties.reply_to()), text(properties.correlation_id()));
        let reply = Publish::to_queue(&reply_to).correlation_id(&correlation_id).body(request.body());
        channel.publish(reply).await?;
    }
    Ok(())
}

/// Asks until it is stopped.
async fn ask(
    target: Arc<Target>,
    requests: Arc<str>,
    size: usize,
    direct: bool,
    stop: Arc<AtomicBool>,
    mut start: Start,
) -> Result<Asked> {
    let channel = target.channel().await?;
    let mut reply_to = String::from(DIRECT);
    if !direct {
        reply_to = channel.queue_declare(QueueDeclare::new("").exclusive()).await?.name;
    }
    let mut replies = channel.consume(Consume::new(&reply_to).no_ack()).await?;
    start.report(channel.connection().clone());
    start.wait().await;
    let mut asked = Asked { latency: Latency::default(), wrong: 0 };
    let mut body = vec![b'x'; size];
    let mut sequence = 0;
    while !stop.load(Ordering::Relaxed) {
        let correlation_id = sequence.to_string();
        let time_ns = now_ns();
        Stamp { producer: 0, sequence, time_ns }.write(&mut body);
        let request = Publish::to_queue(&requests).reply_to(&reply_to).correlation_id(&correlation_id);
        channel.publish(request.body(&body)).await?;
        let reply = timeout(PATIENCE, replies.next()).await;
        let reply = reply.map_err(|_| Trouble::new("a reply did not come in time"))?.transpose()?;
        let reply = reply.ok_or_else(|| Trouble::new("the broker has ended a consumer"))?;
        asked.latency.record(now_ns() - time_ns);
        let answers = reply.properties().correlation_id().is_some_and(|id| &*id == correlation_id.as_bytes());
        asked.wrong += u64::from(!answers || reply.body() != body);
        sequence += 1;
    }
    channel.connection().close().await?;
    Ok(asked)
}
