//! Tutorial 1: sends a message to a queue.

use leveret_client::{QueueDeclare, Result};

pub(crate) async fn run() -> Result<()> {
    let connection = crate::connect().await?;
    let channel = connection.open_channel().await?;
    channel.queue_declare(QueueDeclare::new("hello")).await?;
    channel.publish_to_queue("hello").body("Hello World!").await?;
    println!("sent Hello World!");
    connection.close().await
}
