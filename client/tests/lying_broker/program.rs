//! A program that uses a channel in every way there is, and looks into all that it gets.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use leveret_client::spec::{Array, Table, Value};
use leveret_client::{
    Channel, Connection, Consume, Delivery, ExchangeDeclare, Get, Message, Publish, Qos, QueueBind, QueueDeclare,
    QueueDelete, Result,
};
use proptest::prelude::*;
use proptest::sample::select;
use tokio::time::timeout;

/// What a program does next on a channel.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Call {
    Declare,
    /// Three calls at a time.
    Overlapping,
    DeclareExchange,
    Delete,
    Qos(u16),
    /// Reads and acknowledges so many deliveries, and cancels.
    Consume(u8),
    /// Reads until the consumer ends.
    ReadAll,
    /// A consumer that nobody reads, until the channel is left.
    Hold,
    Handle,
    Serve,
    Rpc,
    Get,
    Publish(u16),
    PublishConfirmed,
    PublishBatch(u8),
    /// Reads what comes back.
    Returns,
    Select,
    AllConfirmed,
    Recover,
    AckAll,
    Tx,
    Reopen,
}

/// For what a broker need not do.
const WHILE: Duration = Duration::from_secs(20);

pub(crate) fn call() -> impl Strategy<Value = Call> {
    use Call::*;
    let plain = select(
        &[
            Declare,
            Overlapping,
            DeclareExchange,
            Delete,
            ReadAll,
            Hold,
            Handle,
            Serve,
            Rpc,
            Get,
            PublishConfirmed,
            Returns,
            Select,
            AllConfirmed,
            Recover,
            AckAll,
            Tx,
            Reopen,
        ][..],
    );
    prop_oneof![
        18 => plain,
        1 => (0u16..10).prop_map(Qos),
        2 => (0u8..5).prop_map(Consume),
        2 => select(&[0, 1, 4080, 4088, 4089, 60_000][..]).prop_map(Publish),
        2 => (1u8..120).prop_map(PublishBatch),
    ]
}

/// Runs each list of calls on a channel of its own. Calls that fail do not end a list.
pub(crate) async fn run(connection: &Connection, lists: &[Vec<Call>]) {
    join_all(lists.iter().map(|calls| run_on_a_channel(connection, calls))).await;
}

async fn run_on_a_channel(connection: &Connection, calls: &[Call]) {
    let Ok(mut channel) = connection.open_channel().await else { return };
    let mut held = vec![];
    for call in calls {
        match call {
            Call::Hold => held.extend(channel.consume(Consume::new("q")).await),
            Call::Reopen => {
                let _ = channel.close().await;
                match connection.open_channel().await {
                    Ok(next) => channel = next,
                    Err(_) => return,
                }
            }
            // Its error, if it has one, is the next call's too.
            call => drop(make(&channel, *call).await),
        }
    }
    drop(held);
    let _ = channel.close().await;
}

async fn make(channel: &Channel, call: Call) -> Result<()> {
    match call {
        Call::Declare => channel.queue_declare(QueueDeclare::new("q")).await.map(drop)?,
        Call::Overlapping => {
            let bind = channel.queue_bind(QueueBind::new("q", "amq.topic"));
            let (declare, purge) = (channel.queue_declare(QueueDeclare::new("q")), channel.queue_purge("q"));
            let _ = tokio::join!(declare, purge, bind);
        }
        Call::DeclareExchange => channel.exchange_declare(ExchangeDeclare::new("x", "topic")).await?,
        Call::Delete => channel.queue_delete(QueueDelete::new("q")).await.map(drop)?,
        Call::Qos(prefetch) => channel.qos(Qos::per_consumer(prefetch)).await?,
        Call::Get => look(channel.get(Get::new("q")).await?).await?,
        Call::Publish(length) => channel.publish(Publish::to_queue("q").body(&vec![b'p'; length.into()])).await?,
        Call::PublishConfirmed => {
            channel.publish_confirmed(Publish::to_queue("q").mandatory().body("1")).await?.into_result()?;
        }
        Call::PublishBatch(count) => {
            let _ = channel.publish_batch((0..count).map(|_| Publish::to_queue("q").mandatory().body("1"))).await?;
        }
        Call::Select => channel.confirm_select().await?,
        Call::AllConfirmed => channel.all_confirmed().await?,
        Call::Recover => channel.recover(true).await?,
        Call::AckAll => channel.ack(0, true).await?,
        Call::Tx => {
            channel.tx_select().await?;
            channel.tx_commit().await?;
        }
        Call::Rpc => {
            let rpc = channel.rpc().await?.timeout(WHILE);
            let (first, second) = tokio::join!(rpc.call(Publish::to_queue("q")), rpc.call(Publish::to_queue("q")));
            read(&first?);
            read(&second?);
        }
        Call::Returns => {
            let mut returns = channel.returns();
            let _ = timeout(WHILE, async {
                while let Some(Ok(returned)) = returns.next().await {
                    read(&returned.message);
                }
            })
            .await;
        }
        Call::Consume(_) | Call::ReadAll | Call::Handle | Call::Serve => consume(channel, call).await?,
        Call::Hold | Call::Reopen => {}
    }
    Ok(())
}

async fn consume(channel: &Channel, call: Call) -> Result<()> {
    match call {
        Call::Consume(count) => {
            let mut consumer = channel.consume(Consume::new("q").tag("t")).await?;
            for _ in 0..count {
                match timeout(WHILE, consumer.next()).await {
                    Ok(Some(delivery)) => look(Some(delivery?)).await?,
                    _ => break,
                }
            }
            consumer.cancel().await?;
        }
        Call::ReadAll => {
            let mut consumer = channel.consume(Consume::new("q").no_ack()).await?;
            let _ = timeout(WHILE, async {
                while let Some(Ok(delivery)) = consumer.next().await {
                    look(Some(delivery)).await?;
                }
                Ok::<_, leveret_client::Error>(())
            })
            .await;
        }
        Call::Handle => {
            let mut consumer = channel.consume(Consume::new("q")).await?;
            let handler = |delivery: Arc<Delivery>| async move {
                if delivery.body().len().is_multiple_of(2) { Ok(()) } else { Err("odd") }
            };
            if let Ok(ended) = timeout(WHILE, consumer.for_each_concurrent(5, handler)).await {
                ended?;
            }
        }
        _ => {
            let echo = |request: Arc<Delivery>| async move { Ok::<_, leveret_client::Error>(request.body_bytes()) };
            if let Ok(ended) = timeout(WHILE, channel.serve("q", echo)).await {
                ended?;
            }
        }
    }
    Ok(())
}

async fn look(delivery: Option<Delivery>) -> Result<()> {
    let Some(delivery) = delivery else { return Ok(()) };
    let _ = (delivery.exchange(), delivery.routing_key(), delivery.body_bytes(), format!("{delivery:?}"));
    if let Some(headers) = delivery.properties().decode().headers {
        walk(headers);
    }
    match delivery.delivery_tag() % 4 {
        0 => delivery.ack().await,
        1 => delivery.nack_multiple(true).await,
        2 => delivery.ack_multiple().await,
        // Back to its queue.
        _ => Ok(()),
    }
}

/// Looks at everything that a message has.
fn read(message: &Message) {
    let _ = (message.exchange(), message.routing_key(), message.body_bytes(), format!("{message:?}"));
    if let Some(headers) = message.properties().decode().headers {
        walk(headers);
    }
}

fn walk(table: Table<'_>) {
    table.iter().for_each(|(_, value)| walk_value(value));
}

fn walk_value(value: Value<'_>) {
    match value {
        Value::Table(table) => walk(table),
        Value::Array(array) => Array::iter(array).for_each(walk_value),
        _ => {}
    }
}
