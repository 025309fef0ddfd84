//! Tutorial 4: receives messages of some severities, in a queue of its own.

use leveret_client::{Consume, ExchangeDeclare, QueueBind, QueueDeclare, Result};

pub(crate) async fn run(severities: &[&str]) -> Result<()> {
    let channel = crate::connect().await?.open_channel().await?;
    channel.exchange_declare(ExchangeDeclare::new("direct_logs", "direct")).await?;
    let queue = channel.queue_declare(QueueDeclare::new("").exclusive()).await?.name;
    for severity in severities {
        channel.queue_bind(QueueBind::new(&queue, "direct_logs").routing_key(severity)).await?;
    }
    let mut messages = channel.consume(Consume::new(&queue).no_ack()).await?;
    println!("waiting");
    while let Some(message) = messages.next().await {
        let message = message?;
        println!("received {}:{}", message.routing_key(), String::from_utf8_lossy(message.body()));
    }
    Ok(())
}
