//! How long brokers take to start and to stop.
//!
//!     cargo run --release -p leveret --example start_stop

use std::time::{Duration, Instant};

use leveret::{Broker, Config};
use leveret_client::{Connection, QueueDeclare};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// How often each is measured.
const TIMES: usize = 200;

fn listening() -> Outcome<Config> {
    Ok(Config::in_memory().listen("127.0.0.1:0".parse()?))
}

/// Middle, nearly the longest, the longest.
fn show(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |share: usize| times.get((times.len() - 1) * share / 100).copied().unwrap_or_default();
    line(&format!("{what:<42} {:>10.1?} {:>10.1?} {:>10.1?}", at(50), at(99), at(100)));
}

#[expect(clippy::print_stdout, reason = "that is what it is for")]
fn line(text: &str) {
    println!("{text}");
}

/// Start and stop, with a client in between that has declared a queue and is still there at the end, if there is one.
async fn measure(what: &str, config: Config, client: bool) -> Outcome<()> {
    let (mut starts, mut stops) = (vec![], vec![]);
    for _ in 0..TIMES {
        let begin = Instant::now();
        let broker = Broker::start(config.clone()).await?;
        starts.push(begin.elapsed());
        let connection = match (client, broker.amqp_url()) {
            (true, Some(url)) => Some(Connection::open(url).await?),
            (true, None) => Some(Connection::over(broker.connect(), Default::default()).await?),
            (false, _) => None,
        };
        if let Some(connection) = &connection {
            connection.open_channel().await?.queue_declare(QueueDeclare::new("q").durable()).await?;
        }
        let begin = Instant::now();
        broker.shutdown().await?;
        stops.push(begin.elapsed());
    }
    show(&format!("{what}: start"), starts);
    show(&format!("{what}: stop"), stops);
    Ok(())
}

async fn a_hundred_at_once() -> Outcome<()> {
    let begin = Instant::now();
    let mut brokers = vec![];
    for _ in 0..100 {
        brokers.push(Broker::start(listening()?).await?);
    }
    let started = begin.elapsed();
    for broker in brokers {
        broker.shutdown().await?;
    }
    line(&format!("{:<42} {started:>10.1?}", "a hundred at once: start"));
    line(&format!("{:<42} {:>10.1?}", "a hundred at once: stop", begin.elapsed() - started));
    Ok(())
}

#[tokio::main]
async fn main() -> Outcome<()> {
    line(&format!("{:<42} {:>10} {:>10} {:>10}", "", "median", "99 %", "max"));
    measure("in memory", Config::in_memory(), false).await?;
    measure("in memory, client", Config::in_memory(), true).await?;
    measure("in memory, TCP", listening()?, false).await?;
    measure("in memory, TCP, client", listening()?, true).await?;
    let directory = std::env::temp_dir().join(format!("leveret-start-stop-{}", std::process::id()));
    measure("durable, client", Config::durable(&directory), true).await?;
    std::fs::remove_dir_all(directory)?;
    a_hundred_at_once().await
}
