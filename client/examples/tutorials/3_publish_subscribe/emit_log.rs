//! Tutorial 3: sends a message for everyone who listens now.

use leveret_client::{ExchangeDeclare, Result};

pub(crate) async fn run(message: &str) -> Result<()> {
    let connection = crate::connect().await?;
    let channel = connection.open_channel().await?;
    channel.exchange_declare(ExchangeDeclare::new("logs", "fanout")).await?;
    channel.publish_to_exchange("logs", "").body(message).await?;
    println!("sent {message}");
    connection.close().await
}
