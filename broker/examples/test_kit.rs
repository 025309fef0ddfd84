//! Tests of a program that meets RabbitMQ in production, with a broker of their own each, in their own process.
//!
//!     cargo test -p leveret --example test_kit
//!
//! The program below takes its broker's URL and nothing else, as any program does; here it uses leveret-client, and lapin,
//! amqprs or pika would be told the same URL.

use leveret_client::{Channel, Connection, Consume, Delivery, Publish, QueueDeclare, Result, spec::TableBuf};

/// How long a payment that has failed waits before it is tried again, in milliseconds.
const RETRY_AFTER_MS: i64 = 600_000;
/// How often a publish that the broker refuses is tried.
const TRIES: usize = 3;

/// The program: it takes payments, which fail now and then, and tries those again after ten minutes.
struct Payments {
    channel: Channel,
}

impl Payments {
    async fn open(url: &str) -> Result<Self> {
        let channel = Connection::open(url).await?.open_channel().await?;
        channel.queue_declare(QueueDeclare::new("payments").durable()).await?;
        let to_payments = TableBuf::new()
            .with("x-message-ttl", RETRY_AFTER_MS)
            .and_then(|table| table.with("x-dead-letter-exchange", ""))
            .and_then(|table| table.with("x-dead-letter-routing-key", "payments"))
            .unwrap_or_default();
        channel.queue_declare(QueueDeclare::new("payments.later").durable().arguments(to_payments)).await?;
        Ok(Payments { channel })
    }

    /// Takes a payment; true once the broker has it.
    async fn submit(&self, payment: &str) -> Result<bool> {
        for _ in 0..TRIES {
            let message = Publish::to_queue("payments").persistent().body(payment);
            if self.channel.publish_confirmed(message).await?.is_acked() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Does what there is to do, until the connection ends.
    async fn work(&self, pay: impl Fn(&Delivery) -> bool) -> Result<()> {
        let mut payments = self.channel.consume(Consume::new("payments")).await?;
        while let Some(payment) = payments.next().await {
            let payment = payment?;
            if !pay(&payment) {
                self.channel.publish(Publish::to_queue("payments.later").persistent().body(payment.body())).await?;
            }
            payment.ack().await?;
        }
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let url = std::env::var("AMQP_URL").unwrap_or_else(|_| "amqp://localhost".into());
    let payments = Payments::open(&url).await?;
    for payment in std::env::args().skip(1) {
        payments.submit(&payment).await?;
    }
    payments.work(|payment| !payment.body().is_empty()).await
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use leveret::{Broker, Config};

    use super::*;

    type Outcome = std::result::Result<(), Box<dyn std::error::Error>>;

    async fn start() -> std::result::Result<(Broker, Payments), Box<dyn std::error::Error>> {
        let broker = Broker::start(Config::in_memory().listen("127.0.0.1:0".parse()?).paused_clock()).await?;
        let payments = Payments::open(broker.amqp_url().ok_or("it listens")?).await?;
        Ok((broker, payments))
    }

    #[tokio::test]
    async fn a_payment_is_published_again_if_the_broker_refuses_it() -> Outcome {
        let (broker, payments) = start().await?;
        let published = broker.record();
        broker.faults().refuse_next_publishes(2);
        assert!(payments.submit("7 EUR").await?);
        assert_eq!(published.len(), 3);
        assert_eq!(broker.queue("/", "payments").ok_or("declared")?.ready(), 1);

        broker.faults().refuse_publishes(true);
        assert!(!payments.submit("8 EUR").await?);
        Ok(())
    }

    #[tokio::test]
    async fn a_payment_that_fails_is_tried_again_after_ten_minutes() -> Outcome {
        let (broker, payments) = start().await?;
        let tries = Arc::new(AtomicUsize::new(0));
        let count = tries.clone();
        assert!(payments.submit("7 EUR").await?);
        // The first try fails.
        tokio::spawn(async move { payments.work(|_| count.fetch_add(1, Ordering::SeqCst) > 0).await });
        let [now, later] = ["payments", "payments.later"].map(|name| broker.queue("/", name));
        let (now, later) = (now.ok_or("declared")?, later.ok_or("declared")?);

        broker.wait_until(|_| later.ready() == 1 && now.is_empty()).await?;
        broker.advance(Duration::from_secs(599)).await;
        assert_eq!((tries.load(Ordering::SeqCst), later.peek(1)[0].text()), (1, "7 EUR".into()));
        broker.advance(Duration::from_secs(1)).await;
        broker.wait_until(|_| now.is_empty() && tries.load(Ordering::SeqCst) == 2).await?;
        assert!(later.is_empty());
        Ok(())
    }

    #[tokio::test]
    async fn a_payment_is_not_lost_when_the_network_goes_in_the_middle_of_it() -> Outcome {
        let (broker, payments) = start().await?;
        assert!(payments.submit("7 EUR").await?);
        let queue = broker.queue("/", "payments").ok_or("declared")?;
        let mut deliveries = payments.channel.consume(Consume::new("payments")).await?;
        let _payment = deliveries.next().await.ok_or("a payment")??;
        assert_eq!(queue.unacked(), 1);
        broker.faults().refuse_connections(true);
        broker.faults().drop_connections().await;
        assert_eq!((queue.ready(), queue.unacked()), (1, 0));
        assert!(queue.peek(1)[0].redelivered());
        Ok(())
    }

    #[tokio::test]
    async fn a_payment_waits_while_the_broker_is_short_of_memory() -> Outcome {
        let (broker, payments) = start().await?;
        broker.faults().block_publishers(true);
        // The first publish is taken, and tells the broker that somebody publishes.
        assert!(payments.submit("7 EUR").await?);
        let queue = broker.queue("/", "payments").ok_or("declared")?;
        let submitted = tokio::spawn(async move { payments.submit("8 EUR").await });
        for _ in 0..10 {
            tokio::task::yield_now().await;
            assert!(queue.ready() == 1 && !submitted.is_finished());
        }
        broker.faults().block_publishers(false);
        assert!(submitted.await??);
        assert_eq!(queue.ready(), 2);
        Ok(())
    }
}
