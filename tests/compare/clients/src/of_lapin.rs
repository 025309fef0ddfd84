//! The part of lapin.

use std::collections::VecDeque;

use futures_lite::StreamExt;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
    QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Connection, ConnectionProperties};

use crate::{Anything, BODY, Costs, Plan, QUEUE, WINDOW, Watch};

pub(crate) async fn run(plan: &Plan) -> Anything<Costs> {
    let (properties, runtime) = (ConnectionProperties::default(), async_rs::Runtime::tokio_current());
    let connection = Connection::connect_with_runtime(&plan.url, properties, runtime).await?;
    let channel = connection.create_channel().await?;
    channel.queue_delete(QUEUE.into(), QueueDeleteOptions::default()).await?;
    channel.queue_declare(QUEUE.into(), QueueDeclareOptions::default(), FieldTable::default()).await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;

    let watch = Watch::start();
    let mut confirms = VecDeque::with_capacity(WINDOW);
    for _ in 0..plan.messages {
        if confirms.len() == WINDOW
            && let Some(confirm) = confirms.pop_front()
        {
            acked(confirm).await?;
        }
        let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
        confirms.push_back(channel.basic_publish("".into(), QUEUE.into(), options, &BODY, properties).await?);
    }
    for confirm in confirms {
        acked(confirm).await?;
    }
    let published = watch.stop();

    let watch = Watch::start();
    channel.basic_qos(WINDOW as u16, BasicQosOptions::default()).await?;
    let (options, arguments) = (BasicConsumeOptions::default(), FieldTable::default());
    let mut consumer = channel.basic_consume(QUEUE.into(), "compare".into(), options, arguments).await?;
    for _ in 0..plan.messages {
        let delivery = consumer.next().await.ok_or("the consumer has ended")??;
        delivery.ack(BasicAckOptions::default()).await?;
    }
    let consumed = watch.stop();
    connection.close(200, "done".into()).await?;
    Ok([published, consumed])
}

async fn acked(confirm: impl Future<Output = lapin::Result<lapin::Confirmation>>) -> Anything {
    let confirmation = confirm.await?;
    if confirmation.is_ack() { Ok(()) } else { Err(format!("{confirmation:?}").into()) }
}
