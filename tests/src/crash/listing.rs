//! What the broker has: declared, counted, and read to the end of every queue.

use std::time::Duration;

use leveret_client::{Channel, Consume, Error, ExchangeDeclare, QueueBind};
use tokio::time::timeout;

use super::layout::{COPIES, EXCHANGE, Queue};
use super::ledger::{Kind, Settled};
use super::site::{Ended, Site, channel, ready};

/// How long the next message of a queue that has some may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Declares everything. A crash must not undo it, so this is done once.
pub(super) async fn declare(url: &str) -> Ended {
    let channel = channel(url).await?;
    for queue in Queue::all() {
        channel.queue_declare(queue.declaration()).await?;
    }
    channel.exchange_declare(ExchangeDeclare::new(EXCHANGE, "fanout").durable()).await?;
    for queue in COPIES {
        channel.queue_bind(QueueBind::new(queue.name(), EXCHANGE)).await?;
    }
    channel.queue_bind(QueueBind::new(COPIES[0].name(), EXCHANGE).routing_key("again")).await?;
    channel.connection().close().await
}

/// Everything that was declared is there, as it was declared, and has as many messages as it may.
pub(super) async fn count(site: &Site, url: &str) -> Ended {
    let channel = channel(url).await?;
    channel.exchange_declare(ExchangeDeclare::new(EXCHANGE, "fanout").passive()).await?;
    for queue in Queue::all() {
        let messages = ready(&channel, queue).await?;
        site.ledger().counted(queue, messages);
        // It would be closed with 406 if its arguments were others; and nobody sees a new queue with a backlog.
        if messages > 0 {
            channel.queue_declare(queue.declaration()).await?;
        }
    }
    channel.connection().close().await
}

/// Reads every queue to its end. What it has is settled if `drain`, or given back.
pub(super) async fn list(site: &Site, url: &str, drain: bool) -> Ended {
    site.ledger().begin_listing();
    let channels = channel(url).await?;
    let connection = channels.connection().clone();
    for queue in Queue::all() {
        list_queue(site, &connection.open_channel().await?, queue, drain).await?;
    }
    site.ledger().end_listing();
    connection.close().await
}

async fn list_queue(site: &Site, channel: &Channel, queue: Queue, drain: bool) -> Ended {
    let (number, count) = (site.number(), ready(channel, queue).await?);
    let mut consumer = channel.consume(Consume::new(queue.name()).keep_dropped()).await?;
    let mut ids = vec![];
    let mut last = None;
    for got in 0..count {
        let Ok(next) = timeout(PATIENCE, consumer.next()).await else {
            let text = format!("it has {count} messages ready, and gave out {got}");
            site.ledger().fault(Kind::Miscounted, None, Some(queue), text);
            return Err(Error::Timeout("delivery"));
        };
        let Some(delivery) = next.transpose()? else { break };
        ids.extend(site.received(number, queue, &delivery));
        last = Some(delivery);
    }
    // Anything more would come before the answer.
    let left = ready(channel, queue).await?;
    let more = consumer.next_ready().is_some();
    if left > 0 || more {
        let text = format!("it had {count} messages ready, and has {left} more; one more came: {more}");
        site.ledger().fault(Kind::Miscounted, None, Some(queue), text);
    }
    if drain {
        ids.iter().for_each(|id| site.ledger().settled(queue, *id, Settled::Acked));
        if let Some(last) = last {
            last.ack_multiple().await?;
        }
        ready(channel, queue).await?;
        ids.iter().for_each(|id| site.ledger().handled(queue, *id, site.now()));
    } else {
        ids.iter().for_each(|id| site.ledger().returned(queue, *id));
    }
    drop(consumer);
    channel.close().await
}
