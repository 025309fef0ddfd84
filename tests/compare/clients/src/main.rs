//! Publishing with confirms and consuming with acks: Leveret's client beside lapin and amqprs, on one broker.
//!
//!     cargo run --release --manifest-path tests/compare/clients/Cargo.toml -- amqp://guest:guest@127.0.0.1:5672 [MESSAGES] [ROUNDS]
//!
//! Each round lets one client after the other publish and consume the same messages, so that a change of the machine meets
//! all of them, and each round begins with another one; the table has the medians. The CPU time is this process's, without the broker.

mod of_amqprs;
mod of_lapin;
mod of_leveret;

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
}

/// Time and CPU time of one client's part.
#[derive(Clone, Copy)]
pub(crate) struct Cost {
    wall: Duration,
    cpu: Duration,
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

const CLIENTS: [&str; 3] = ["leveret-client", "lapin", "amqprs"];

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Anything {
    let mut words = std::env::args().skip(1);
    let url = words.next().ok_or("usage: compare-clients AMQP_URL [MESSAGES] [ROUNDS]")?;
    let messages = words.next().map_or(Ok(100_000), |word| word.parse())?;
    let rounds = words.next().map_or(Ok(3), |word| word.parse())?;
    let plan = Plan { url, messages };
    let mut runs: [Vec<Costs>; 3] = Default::default();
    for turn in (0..rounds).flat_map(|round| (0..CLIENTS.len()).map(move |place| round + place)) {
        let client = turn % CLIENTS.len();
        runs[client].push(match client {
            0 => of_leveret::run(&plan).await?,
            1 => of_lapin::run(&plan).await?,
            _ => of_amqprs::run(&plan).await?,
        });
    }
    println!(
        "| {messages} messages of {} bytes, {rounds} rounds | publish, messages/s | CPU, us | consume, messages/s | CPU, us |",
        BODY.len()
    );
    println!("|---|---|---|---|---|");
    for (name, costs) in CLIENTS.iter().zip(&runs) {
        let [publish, consume] = [0, 1].map(|part| cells(costs, part, messages));
        println!("| {name} | {publish} | {consume} |");
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
