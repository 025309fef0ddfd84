//! Handlers of deliveries that run side by side.

use std::fmt::Display;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, ready};

use futures_core::Stream;
use futures_util::stream::FuturesUnordered;
use tracing::Instrument;

use crate::consumer::Consumer;
use crate::delivery::Delivery;
use crate::error::{Error, Result};

impl Consumer {
    /// Handles each delivery, up to `concurrency` of them at a time, and settles it by the result: acknowledged on `Ok`;
    /// on `Err` back to its queue, or dead-lettered with `Consume::discard_failed`. Returns when the consumer has ended
    /// and the last handler is done.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use leveret_client::{Connection, Consume, Qos, QueueDeclare};
    /// # let broker = leveret::Broker::start(leveret::Config::in_memory()).await?;
    /// # let connection = Connection::over(broker.connect(), Default::default()).await?;
    /// # let channel = connection.open_channel().await?;
    /// # channel.queue_declare(QueueDeclare::new("jobs")).await?;
    /// # for job in ["1", "2", "3"] { channel.publish_to_queue("jobs").body(job).await?; }
    /// channel.qos(Qos::per_consumer(10)).await?;
    /// let mut jobs = channel.consume(Consume::new("jobs").discard_failed()).await?;
    /// # jobs.cancel().await?; // What has come is still handled.
    /// jobs.for_each_concurrent(10, |job| async move {
    ///     let number: u32 = std::str::from_utf8(job.body())?.parse()?;
    ///     println!("job {number}");
    ///     Ok::<_, Box<dyn std::error::Error>>(())
    /// })
    /// .await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// The handlers share this task: what computes for long belongs into `spawn_blocking`. A handler must not settle the
    /// delivery itself. The prefetch (`Channel::qos`) should be at least `concurrency`, and is what bounds memory.
    ///
    /// If the future is dropped, running handlers are dropped with it where they wait, and their deliveries go back to
    /// the queue; the consumer stays as it is.
    ///
    /// # Errors
    /// What ended the consumer, if that was not this program. Handlers that run then come to their end first.
    pub async fn for_each_concurrent<F, Handled, E>(&mut self, concurrency: usize, handler: F) -> Result<()>
    where
        F: Fn(Arc<Delivery>) -> Handled,
        Handled: Future<Output = std::result::Result<(), E>>,
        E: Display,
    {
        let mut running = FuturesUnordered::new();
        let mut end = None;
        poll_fn(|cx| {
            loop {
                match Pin::new(&mut running).poll_next(cx) {
                    Poll::Ready(Some(settled)) => {
                        if let Err(error) = settled {
                            // Who closes the channel under running handlers wants no settlement any more.
                            end.get_or_insert(if Error::is_closed_here(&error) { Ok(()) } else { Err(error) });
                        }
                        continue;
                    }
                    Poll::Ready(None) if end.is_some() => return Poll::Ready(end.take().unwrap_or(Ok(()))),
                    Poll::Ready(None) | Poll::Pending => {}
                }
                if end.is_some() || running.len() >= concurrency.max(1) {
                    return Poll::Pending;
                }
                match ready!(self.poll_delivery(cx)) {
                    Some(Ok(delivery)) => {
                        let delivery = Arc::new(delivery);
                        running.push(settle(delivery.clone(), handler(delivery)));
                    }
                    Some(Err(error)) => end = Some(Err(error)),
                    None => end = Some(Ok(())),
                }
            }
        })
        .await
    }
}

async fn settle<E: Display>(
    delivery: Arc<Delivery>,
    handled: impl Future<Output = std::result::Result<(), E>>,
) -> Result<()> {
    let (consumer, tag) = (delivery.consumer_tag(), delivery.delivery_tag());
    let span = tracing::debug_span!("handle", consumer, tag, redelivered = delivery.redelivered());
    async { delivery.settle_by(handled.await).await }.instrument(span).await
}
