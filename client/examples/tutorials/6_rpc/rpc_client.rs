//! Tutorial 6: asks for a Fibonacci number. The answer comes without a queue, over direct reply-to.

use leveret_client::{Publish, Result};

pub(crate) async fn run(number: &str) -> Result<()> {
    let connection = crate::connect().await?;
    let rpc = connection.rpc().await?;
    let answer = rpc.call(Publish::to_queue("rpc_queue").body(number)).await?;
    println!("received {}", String::from_utf8_lossy(answer.body()));
    connection.close().await
}
