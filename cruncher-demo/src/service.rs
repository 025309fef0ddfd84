//! What all consuming services share: take a message, work on it, acknowledge it, until told to end.

use crate::error::Error;
use crate::stop::Stop;
use leveret_client::{Channel, Consume, Consumer, Delivery, Outcome, Publish, Qos};

/// A service that works through a queue.
pub trait Service: Send {
    /// Works on one message. It is acknowledged once this succeeds; an error ends the service and leaves the message
    /// in its queue. What is wrong with the message alone is reported, and no error.
    fn handle(&mut self, delivery: &Delivery) -> impl Future<Output = Result<(), Error>> + Send;

    /// Is there nothing more to wait for?
    fn is_done(&self) -> bool {
        false
    }
}

/// A consumer that gets one message at a time.
///
/// # Errors
/// When the broker refuses.
pub async fn one_at_a_time(channel: &Channel, consume: Consume<'_>) -> Result<Consumer, Error> {
    channel.qos(Qos::per_consumer(1)).await?;
    Ok(channel.consume(consume).await?)
}

/// Runs `service` over the messages of `consumer` until `stop`, or after `limit` messages. The message in hand is
/// finished first.
///
/// # Errors
/// What the service or the broker ended with.
pub async fn serve(
    mut service: impl Service,
    mut consumer: Consumer,
    mut stop: Stop,
    limit: Option<u64>,
) -> Result<(), Error> {
    let mut handled = 0;
    while limit.is_none_or(|limit| handled < limit) && !service.is_done() {
        let delivery = tokio::select! {
            biased;
            () = stop.asked() => break,
            delivery = consumer.next() => delivery,
        };
        let Some(delivery) = delivery.transpose()? else { break };
        service.handle(&delivery).await?;
        delivery.ack().await?;
        handled += 1;
    }
    consumer.cancel().await?;
    Ok(())
}

/// Publishes and waits until the broker has taken the message and a queue holds it.
///
/// # Errors
/// `NotTaken` when the broker refused it or no queue was there.
pub async fn hand_over(channel: &Channel, publish: Publish<'_>, what: &str) -> Result<(), Error> {
    match channel.publish_confirmed(publish.mandatory()).await? {
        Outcome::Acked => Ok(()),
        Outcome::Nacked | Outcome::Unknown => Err(Error::NotTaken(what.to_owned())),
        Outcome::Returned(returned) => Err(Error::NotTaken(format!("{what}: {}", returned.text))),
    }
}
