//! Tutorial 3: receives every message from now on, in a queue of its own.

use leveret_client::{Consume, ExchangeDeclare, QueueBind, QueueDeclare, Result};

pub(crate) async fn run() -> Result<()> {
    let channel = crate::connect().await?.open_channel().await?;
    channel.exchange_declare(ExchangeDeclare::new("logs", "fanout")).await?;
    let queue = channel.queue_declare(QueueDeclare::new("").exclusive()).await?.name;
    channel.queue_bind(QueueBind::new(&queue, "logs")).await?;
    let mut messages = channel.consume(Consume::new(&queue).no_ack()).await?;
    println!("waiting");
    while let Some(message) = messages.next().await {
        println!("received {}", String::from_utf8_lossy(message?.body()));
    }
    Ok(())
}
