//! Publishing with confirms and consuming with acks: Leveret's client beside lapin and amqprs, on one broker.
//!
//!     cargo run --release --manifest-path tests/compare/clients/Cargo.toml -- amqp://guest:guest@127.0.0.1:5672 \
//!         [--messages N] [--rounds N] [--load AMQPLOAD] [--page tests/BENCHMARKS.md]
//!
//! Each round lets one client after the other publish and consume the same messages, so that a change of the machine meets
//! all of them, and each round begins with another one; the table has the medians. The CPU time is this process's, without
//! the broker. With `--load` the load generator's own cost stands beside them, as what the least code can do. With `--page`
//! the table also replaces the page's section of clients.

mod load;
mod of_amqprs;
mod of_lapin;
mod of_leveret;
mod page;

use std::error::Error;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

pub(crate) type Anything<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

/// Unconfirmed publishes, and unacknowledged deliveries.
pub(crate) const WINDOW: usize = 1_000;
pub(crate) const QUEUE: &str = "compare-clients";
pub(crate) const BODY: [u8; 100] = [7; 100];

/// What is to be done.
pub(crate) struct Plan {
    pub(crate) url: String,
    pub(crate) messages: u64,
    /// The load generator's program.
    pub(crate) load: Option<String>,
}

/// Time and CPU time of one client's part.
#[derive(Clone, Copy)]
pub(crate) struct Cost {
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
}

/// Publishing and consuming.
pub(crate) type Costs = [Cost; 2];

/// A running measurement.
pub(crate) struct Watch(Instant, Duration);

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

impl Watch {
    pub(crate) fn start() -> Watch {
        Watch(Instant::now(), cpu_time())
    }

    pub(crate) fn stop(&self) -> Cost {
        Cost { wall: self.0.elapsed(), cpu: cpu_time() - self.1 }
    }
}

/// Those that are compared: each publishes and consumes the plan's messages.
const CLIENTS: [&str; 5] = [
    "leveret-client",
    "leveret-client: `publish_all`, `ack_multiple`",
    "lapin",
    "amqprs",
    "the load generator, `amqpload`",
];

async fn run(client: usize, plan: &Plan) -> Anything<Option<Costs>> {
    Ok(Some(match client {
        0 => of_leveret::run(plan).await?,
        1 => of_leveret::run_in_bulk(plan).await?,
        2 => of_lapin::run(plan).await?,
        3 => of_amqprs::run(plan).await?,
        _ => return load::run(plan).await,
    }))
}

/// What the command line asks for.
struct Asked {
    plan: Plan,
    rounds: usize,
    page: Option<String>,
}

fn asked() -> Anything<Asked> {
    let usage = "usage: compare-clients AMQP_URL [--messages N] [--rounds N] [--load AMQPLOAD] [--page FILE]";
    let mut words = std::env::args().skip(1);
    let url = words.next().ok_or(usage)?;
    let mut asked = Asked { plan: Plan { url, messages: 100_000, load: None }, rounds: 3, page: None };
    while let Some(option) = words.next() {
        let value = words.next().ok_or(usage)?;
        match option.as_str() {
            "--messages" => asked.plan.messages = value.parse()?,
            "--rounds" => asked.rounds = value.parse()?,
            "--load" => asked.plan.load = Some(value),
            "--page" => asked.page = Some(value),
            _ => return Err(usage.into()),
        }
    }
    Ok(asked)
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Anything {
    let Asked { plan, rounds, page } = asked()?;
    let mut runs: [Vec<Costs>; CLIENTS.len()] = Default::default();
    for turn in (0..rounds).flat_map(|round| (0..CLIENTS.len()).map(move |place| round + place)) {
        let client = turn % CLIENTS.len();
        runs[client].extend(run(client, &plan).await?);
    }
    let broker = leveret_client::Connection::open(&plan.url).await?;
    let properties = broker.server_properties();
    let said = |key| properties.lookup(key).and_then(|value| value.as_str()).unwrap_or("?");
    let (messages, bytes) = (plan.messages, BODY.len());
    let mut text = format!(
        "{messages} messages of {bytes} bytes to {} {}, {rounds} rounds in which each has its turn: medians. At most {WINDOW}\n\
         publishes are unconfirmed and as many deliveries unacknowledged. Each message is published by itself and acknowledged by\n\
         itself, but for the second and the last row. CPU time is the client's alone, for each message.\n\n\
         | client | publish, messages/s | CPU, us | consume, messages/s | CPU, us |\n|---|---|---|---|---|\n",
        said("product"),
        said("version"),
    );
    for (name, costs) in CLIENTS.iter().zip(&runs).filter(|(_, costs)| !costs.is_empty()) {
        let [publish, consume] = [0, 1].map(|part| cells(costs, part, messages));
        text += &format!("| {name} | {publish} | {consume} |\n");
    }
    print!("{text}");
    if let Some(file) = page {
        page::replace(&file, &text)?;
    }
    Ok(())
}

/// Messages a second, and microseconds of CPU for each: the medians.
fn cells(costs: &[Costs], part: usize, messages: u64) -> String {
    let median = |number: fn(&Cost) -> Duration| {
        let mut sorted: Vec<f64> = costs.iter().map(|costs| number(&costs[part]).as_secs_f64()).collect();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
    };
    let rate = messages as f64 / median(|cost| cost.wall);
    let cpu_us = median(|cost| cost.cpu) * 1e6 / messages as f64;
    format!("{rate:.0} | {cpu_us:.2}")
}
