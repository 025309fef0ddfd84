//! Tutorial 2: works on one task at a time, a second for each dot in it, and acknowledges what is done.

use std::time::Duration;

use leveret_client::{Consume, Qos, QueueDeclare, Result};

pub(crate) async fn run() -> Result<()> {
    let channel = crate::connect().await?.open_channel().await?;
    channel.queue_declare(QueueDeclare::new("task_queue").durable()).await?;
    channel.qos(Qos::per_consumer(1)).await?;
    let mut tasks = channel.consume(Consume::new("task_queue")).await?;
    println!("waiting");
    while let Some(task) = tasks.next().await {
        let task = task?;
        let text = String::from_utf8_lossy(task.body());
        tokio::time::sleep(Duration::from_secs(text.matches('.').count() as u64)).await;
        task.ack().await?;
        println!("done {text}");
    }
    Ok(())
}
