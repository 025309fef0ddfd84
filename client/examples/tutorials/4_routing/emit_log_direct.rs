//! Tutorial 4: sends a message of a severity.

use leveret_client::{ExchangeDeclare, Result};

pub(crate) async fn run(severity: &str, message: &str) -> Result<()> {
    let connection = crate::connect().await?;
    let channel = connection.open_channel().await?;
    channel.exchange_declare(ExchangeDeclare::new("direct_logs", "direct")).await?;
    channel.publish_to_exchange("direct_logs", severity).body(message).await?;
    println!("sent {severity}:{message}");
    connection.close().await
}
