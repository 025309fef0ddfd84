//! The part of leveret-client.

use std::collections::VecDeque;

use leveret_client::{Channel, Confirm, Connection, Consume, Publish, Qos, QueueDeclare, QueueDelete};

use crate::{Anything, BODY, Costs, Plan, QUEUE, WINDOW, Watch};

/// A channel in confirm mode, and a queue with nothing in it.
async fn begin(connection: &Connection) -> Anything<Channel> {
    let channel = connection.open_channel().await?;
    channel.queue_delete(QueueDelete::new(QUEUE)).await?;
    channel.queue_declare(QueueDeclare::new(QUEUE)).await?;
    channel.confirm_select().await?;
    Ok(channel)
}

/// Each message for itself.
pub(crate) async fn run(plan: &Plan) -> Anything<Costs> {
    let connection = Connection::open(&plan.url).await?;
    let channel = begin(&connection).await?;

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

/// With the calls for much at once.
pub(crate) async fn run_in_bulk(plan: &Plan) -> Anything<Costs> {
    let connection = Connection::open_with(&plan.url, |options| options.unconfirmed_max(WINDOW)).await?;
    let channel = begin(&connection).await?;

    let watch = Watch::start();
    channel.publish_all((0..plan.messages).map(|_| Publish::to_queue(QUEUE).body(&BODY))).await?;
    channel.all_confirmed().await?;
    let published = watch.stop();

    let watch = Watch::start();
    channel.qos(Qos::per_consumer(WINDOW as u16)).await?;
    let mut consumer = channel.consume(Consume::new(QUEUE).keep_dropped()).await?;
    let mut left = plan.messages;
    while left > 0 {
        let mut last = consumer.next().await.ok_or("the consumer has ended")??;
        left -= 1;
        while let Some(delivery) = consumer.next_ready() {
            last = delivery;
            left -= 1;
        }
        last.ack_multiple().await?;
    }
    let consumed = watch.stop();
    drop(consumer);
    connection.close().await?;
    Ok([published, consumed])
}
