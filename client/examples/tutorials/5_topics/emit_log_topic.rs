//! Tutorial 5: sends a message under a routing key.

use leveret_client::{ExchangeDeclare, Result};

pub(crate) async fn run(routing_key: &str, message: &str) -> Result<()> {
    let connection = crate::connect().await?;
    let channel = connection.open_channel().await?;
    channel.exchange_declare(ExchangeDeclare::new("topic_logs", "topic")).await?;
    channel.publish_to_exchange("topic_logs", routing_key).body(message).await?;
    println!("sent {routing_key}:{message}");
    connection.close().await
}
