//! A program with a broker inside: its own parts talk over it without a socket, and others may connect over TCP.
//!
//!     cargo run -p leveret --example embed

use leveret::{Broker, Config};
use leveret_client::{Connection, Consume, Publish, QueueDeclare};

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Outcome<()> {
    // Config::durable("data") keeps what is declared durable. Without `listen`, nobody can connect from outside.
    let broker = Broker::start(Config::in_memory().listen("127.0.0.1:0".parse()?)).await?;
    show(&format!("other programs connect to {}", broker.amqp_url().unwrap_or_default()));

    let inside = Connection::over(broker.connect(), Default::default()).await?;
    let channel = inside.open_channel().await?;
    channel.queue_declare(QueueDeclare::new("tasks")).await?;
    let mut tasks = channel.consume(Consume::new("tasks")).await?;

    let outside = Connection::open(broker.amqp_url().unwrap_or_default()).await?;
    let publisher = outside.open_channel().await?;
    for n in 1..=3 {
        let task = format!("task {n}");
        let outcome = publisher.publish_confirmed(Publish::to_queue("tasks").body(&task)).await?;
        show(&format!("{task} is in: {}", outcome.is_acked()));
    }

    for _ in 0..3 {
        let Some(task) = tasks.next().await else { break };
        let task = task?;
        show(&format!("done: {}", String::from_utf8_lossy(task.body())));
        task.ack().await?;
    }
    outside.close().await?;
    inside.close().await?;
    broker.shutdown().await?;
    Ok(())
}

#[expect(clippy::print_stdout, reason = "an example shows what it does")]
fn show(line: &str) {
    println!("{line}");
}
