//! The part of leveret-client.

use std::collections::VecDeque;

use leveret_client::{Confirm, Connection, Consume, Publish, Qos, QueueDeclare, QueueDelete};

use crate::{Anything, BODY, Costs, Plan, QUEUE, WINDOW, Watch};

pub(crate) async fn run(plan: &Plan) -> Anything<Costs> {
    let connection = Connection::open(&plan.url).await?;
    let channel = connection.open_channel().await?;
    channel.queue_delete(QueueDelete::new(QUEUE)).await?;
    channel.queue_declare(QueueDeclare::new(QUEUE)).await?;
    channel.confirm_select().await?;

    let watch = Watch::start();
    let mut confirms: VecDeque<Confirm> = VecDeque::with_capacity(WINDOW);
    for _ in 0..plan.messages {
        if confirms.len() == WINDOW
            && let Some(confirm) = confirms.pop_front()
        {
            confirm.await?.into_result()?;
        }
        confirms.push_back(channel.publish_watched(Publish::to_queue(QUEUE).body(&BODY)).await?);
    }
    for confirm in confirms {
        confirm.await?.into_result()?;
    }
    let published = watch.stop();

    let watch = Watch::start();
    channel.qos(Qos::per_consumer(WINDOW as u16)).await?;
    let mut consumer = channel.consume(Consume::new(QUEUE)).await?;
    for _ in 0..plan.messages {
        consumer.next().await.ok_or("the consumer has ended")??.ack().await?;
    }
    let consumed = watch.stop();
    drop(consumer);
    connection.close().await?;
    Ok([published, consumed])
}
