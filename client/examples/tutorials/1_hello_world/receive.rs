//! Tutorial 1: receives what comes to a queue.

use leveret_client::{Consume, QueueDeclare, Result};

pub(crate) async fn run() -> Result<()> {
    let channel = crate::connect().await?.open_channel().await?;
    channel.queue_declare(QueueDeclare::new("hello")).await?;
    let mut messages = channel.consume(Consume::new("hello").no_ack()).await?;
    println!("waiting");
    while let Some(message) = messages.next().await {
        println!("received {}", String::from_utf8_lossy(message?.body()));
    }
    Ok(())
}
