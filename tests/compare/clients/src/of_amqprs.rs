//! The part of amqprs.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use amqprs::callbacks::ChannelCallback;
use amqprs::channel::{
    BasicAckArguments, BasicConsumeArguments, BasicPublishArguments, BasicQosArguments, Channel,
    ConfirmSelectArguments, QueueDeclareArguments, QueueDeleteArguments,
};
use amqprs::connection::{Connection, OpenConnectionArguments};
use amqprs::consumer::AsyncConsumer;
use amqprs::{Ack, BasicProperties, Cancel, CloseChannel, Deliver, Nack, Return};
use async_trait::async_trait;
use tokio::sync::{Notify, Semaphore};

use crate::{Anything, BODY, Costs, Plan, QUEUE, WINDOW, Watch};

/// Room for publishes, which confirms make.
struct Window {
    room: Arc<Semaphore>,
    confirmed: u64,
}

#[async_trait]
impl ChannelCallback for Window {
    async fn close(&mut self, _: &Channel, _: CloseChannel) -> Result<(), amqprs::error::Error> {
        self.room.close();
        Ok(())
    }

    async fn cancel(&mut self, _: &Channel, _: Cancel) -> Result<(), amqprs::error::Error> {
        Ok(())
    }

    async fn flow(&mut self, _: &Channel, active: bool) -> Result<bool, amqprs::error::Error> {
        Ok(active)
    }

    /// Both brokers confirm in order here, one publish or all up to it.
    async fn publish_ack(&mut self, _: &Channel, ack: Ack) {
        let up_to = ack.delivery_tag();
        self.room.add_permits(up_to.saturating_sub(self.confirmed) as usize);
        self.confirmed = self.confirmed.max(up_to);
    }

    async fn publish_nack(&mut self, _: &Channel, _: Nack) {
        self.room.close();
    }

    async fn publish_return(&mut self, _: &Channel, _: Return, _: BasicProperties, _: Vec<u8>) {
        self.room.close();
    }
}

struct Acknowledge {
    left: Arc<AtomicU64>,
    failed: Arc<OnceLock<amqprs::error::Error>>,
    done: Arc<Notify>,
}

#[async_trait]
impl AsyncConsumer for Acknowledge {
    async fn consume(&mut self, channel: &Channel, deliver: Deliver, _: BasicProperties, _: Vec<u8>) {
        match channel.basic_ack(BasicAckArguments::new(deliver.delivery_tag(), false)).await {
            Ok(()) if self.left.fetch_sub(1, Ordering::Relaxed) > 1 => return,
            Ok(()) => {}
            // Only the first one is of interest.
            Err(error) => drop(self.failed.set(error)),
        }
        self.done.notify_one();
    }
}

pub(crate) async fn run(plan: &Plan) -> Anything<Costs> {
    let connection = Connection::open(&OpenConnectionArguments::try_from(plan.url.as_str())?).await?;
    let channel = connection.open_channel(None).await?;
    channel.queue_delete(QueueDeleteArguments::new(QUEUE)).await?;
    channel.queue_declare(QueueDeclareArguments::new(QUEUE)).await?;
    let room = Arc::new(Semaphore::new(WINDOW));
    channel.register_callback(Window { room: room.clone(), confirmed: 0 }).await?;
    channel.confirm_select(ConfirmSelectArguments::default()).await?;

    let watch = Watch::start();
    for _ in 0..plan.messages {
        room.acquire().await?.forget();
        let arguments = BasicPublishArguments::new("", QUEUE);
        channel.basic_publish(BasicProperties::default(), BODY.to_vec(), arguments).await?;
    }
    room.acquire_many(WINDOW as u32).await?.forget();
    let published = watch.stop();

    let watch = Watch::start();
    channel.basic_qos(BasicQosArguments::new(0, WINDOW as u16, false)).await?;
    let (left, done) = (Arc::new(AtomicU64::new(plan.messages)), Arc::new(Notify::new()));
    let failed = Arc::new(OnceLock::new());
    let consumer = Acknowledge { left, failed: failed.clone(), done: done.clone() };
    channel.basic_consume(consumer, BasicConsumeArguments::new(QUEUE, "compare")).await?;
    done.notified().await;
    if let Some(error) = failed.get() {
        return Err(format!("an acknowledgement failed: {error}").into());
    }
    let consumed = watch.stop();
    connection.close().await?;
    Ok([published, consumed])
}
