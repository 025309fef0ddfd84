//! Tutorial 5: receives messages under keys that fit some patterns, in a queue of its own.

use leveret_client::{Consume, ExchangeDeclare, QueueBind, QueueDeclare, Result};

pub(crate) async fn run(patterns: &[&str]) -> Result<()> {
    let channel = crate::connect().await?.open_channel().await?;
    channel.exchange_declare(ExchangeDeclare::new("topic_logs", "topic")).await?;
    let queue = channel.queue_declare(QueueDeclare::new("").exclusive()).await?.name;
    for pattern in patterns {
        channel.queue_bind(QueueBind::new(&queue, "topic_logs").routing_key(pattern)).await?;
    }
    let mut messages = channel.consume(Consume::new(&queue).no_ack()).await?;
    println!("waiting");
    while let Some(message) = messages.next().await {
        let message = message?;
        println!("received {}:{}", message.routing_key(), String::from_utf8_lossy(message.body()));
    }
    Ok(())
}
