//! Tutorial 2: gives a task to one of several workers. It survives a restart of the broker.

use leveret_client::{QueueDeclare, Result};

pub(crate) async fn run(task: &str) -> Result<()> {
    let connection = crate::connect().await?;
    let channel = connection.open_channel().await?;
    channel.queue_declare(QueueDeclare::new("task_queue").durable()).await?;
    channel.publish_to_queue("task_queue").persistent().body(task).await?;
    println!("sent {task}");
    connection.close().await
}
