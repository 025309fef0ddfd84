//! Tutorial 7: three ways to learn that the broker has taken what was published.

use leveret_client::{Outcome, Publish, QueueDeclare, Result};

pub(crate) async fn run() -> Result<()> {
    let connection = crate::connect().await?;
    let channel = connection.open_channel().await?;
    channel.queue_declare(QueueDeclare::new("confirmed").durable()).await?;

    // One at a time: simple, and a round trip for each.
    for number in 0..100 {
        channel.publish_to_queue("confirmed").body(&format!("alone {number}")).await?;
    }

    // Many at a time, and then the outcome of each.
    let bodies: Vec<String> = (0..100).map(|number| format!("together {number}")).collect();
    let outcomes = channel.publish_batch(bodies.iter().map(|body| Publish::to_queue("confirmed").body(body))).await?;
    outcomes.into_iter().try_for_each(Outcome::into_result)?;

    // As they come: publishing goes on while confirms arrive.
    let mut confirms = Vec::new();
    for number in 0..100 {
        let publish = Publish::to_queue("confirmed");
        confirms.push(channel.publish_watched(publish.body(&format!("watched {number}"))).await?);
    }
    for confirm in confirms {
        confirm.await?.into_result()?;
    }
    println!("confirmed 300");
    connection.close().await
}
