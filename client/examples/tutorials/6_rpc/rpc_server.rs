//! Tutorial 6: answers requests for Fibonacci numbers.

use std::sync::Arc;

use leveret_client::{Delivery, Qos, QueueDeclare, Result};

pub(crate) async fn run() -> Result<()> {
    let channel = crate::connect().await?.open_channel().await?;
    channel.queue_declare(QueueDeclare::new("rpc_queue")).await?;
    channel.qos(Qos::per_consumer(1)).await?;
    println!("waiting");
    channel.serve("rpc_queue", answer).await
}

async fn answer(request: Arc<Delivery>) -> Result<String, Box<dyn std::error::Error>> {
    let number: u32 = std::str::from_utf8(request.body())?.parse()?;
    println!("asked for {number}");
    let (mut this, mut next) = (0u128, 1u128);
    for _ in 0..number {
        (this, next) = (next, this.checked_add(next).ok_or("too large a number")?);
    }
    Ok(this.to_string())
}
