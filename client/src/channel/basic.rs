//! Receiving: qos, consume, cancel, get, settle, recover.

use std::sync::Arc;

use leveret_spec::basic;

use super::core::Answer;
use super::{Channel, Reply, Settlement, unexpected};
use crate::arguments::{Arguments, argument_methods, flags, short};
use crate::consumer::{Consumer, Source, Subscription};
use crate::delivery::{Delivery, Origin};
use crate::error::{Error, Result};

/// How many deliveries may be unsettled at a time.
#[derive(Clone, Copy, Debug)]
#[must_use = "pass it to Channel::qos"]
pub struct Qos {
    prefetch_count: u16,
    global: bool,
}

impl Qos {
    /// So many for each consumer that starts afterwards (RabbitMQ's reading of `global` = false); 0 is no limit.
    /// A broker that leaves over 1,000 more than that unread with a consumer has its connection closed.
    pub fn per_consumer(prefetch_count: u16) -> Self {
        Qos { prefetch_count, global: false }
    }

    /// So many for all consumers of the channel together, from now on; 0 is no limit.
    pub fn per_channel(prefetch_count: u16) -> Self {
        Qos { prefetch_count, global: true }
    }
}

/// A consumer to start.
#[derive(Clone, Debug, Default)]
#[must_use = "pass it to Channel::consume"]
pub struct Consume<'a> {
    queue: &'a str,
    tag: &'a str,
    no_local: bool,
    no_ack: bool,
    exclusive: bool,
    keep_dropped: bool,
    discard_failed: bool,
    arguments: Arguments,
}

impl<'a> Consume<'a> {
    /// A consumer of this queue, which settles its deliveries.
    pub fn new(queue: &'a str) -> Self {
        Consume { queue, ..Consume::default() }
    }

    /// Its tag. One is made up otherwise.
    pub fn tag(mut self, tag: &'a str) -> Self {
        self.tag = tag;
        self
    }

    /// Lets consumers with a higher priority go first as long as they have room in their prefetch (RabbitMQ).
    pub fn priority(self, priority: i32) -> Self {
        self.argument("x-priority", priority)
    }

    flags! {
        /// Deliveries count as settled when they are sent: faster, and lost if this program fails.
        no_ack
        /// Nobody else may consume from the queue; fails with 403 if someone does.
        exclusive
        /// Nothing that this connection published. RabbitMQ ignores it.
        no_local
        /// A delivery that is dropped before it is settled stays with the channel instead of going back to its queue:
        /// for those who settle several together (`Delivery::ack_multiple`) or by number (`Channel::ack`).
        keep_dropped
        /// A delivery whose handler fails (`Consumer::for_each_concurrent`) is dead-lettered or dropped instead of going
        /// back to its queue.
        discard_failed
    }
    argument_methods!();

    /// What the broker is told.
    fn source(&self, queue: &str) -> Result<Source> {
        Ok(Source {
            queue: queue.into(),
            no_local: self.no_local,
            no_ack: self.no_ack,
            exclusive: self.exclusive,
            arguments: self.arguments.table()?.into(),
        })
    }
}

/// A message to get.
#[derive(Clone, Copy, Debug)]
#[must_use = "pass it to Channel::get"]
pub struct Get<'a> {
    queue: &'a str,
    no_ack: bool,
    keep_dropped: bool,
}

impl<'a> Get<'a> {
    /// One message from this queue, which will be settled.
    pub fn new(queue: &'a str) -> Self {
        Get { queue, no_ack: false, keep_dropped: false }
    }

    flags! {
        /// The message counts as settled when it is sent.
        no_ack
        /// As `Consume::keep_dropped`.
        keep_dropped
    }
}

impl Channel {
    /// Limits unsettled deliveries.
    ///
    /// # Errors
    /// What closed the channel or connection.
    pub async fn qos(&self, qos: Qos) -> Result<()> {
        let Qos { prefetch_count, global } = qos;
        let method = basic::Qos { prefetch_size: 0, prefetch_count, global };
        let attempt = || {
            let mut state = self.core().state();
            if !state.check_live()? {
                return Ok(None);
            }
            let started = self.core().start_call_in(&mut state, self.shared(), &method)?;
            if global {
                state.prefetch.per_channel = prefetch_count;
            } else {
                state.set_prefetch(prefetch_count);
            }
            Ok(Some(started))
        };
        self.call_when_live(attempt).await.map(drop)
    }

    /// Starts a consumer. If the future is dropped, so is the consumer.
    ///
    /// # Errors
    /// The channel is closed with 404 if the queue does not exist, 403 if it has an exclusive consumer, 405 if it is
    /// exclusive to another connection. `Usage` if the tag is in use on this channel.
    pub async fn consume(&self, consume: Consume<'_>) -> Result<Consumer> {
        let (consumer, started) = self.shared().when_there_is_room(|| self.start_consumer(&consume)).await?;
        self.answer(started).await?;
        Ok(consumer)
    }

    /// Makes the consumer known before the broker answers, since deliveries may come right behind the answer.
    fn start_consumer(&self, consume: &Consume<'_>) -> Result<Option<(Consumer, Answer)>> {
        let queue = self.current_queue(consume.queue);
        let mut state = self.core().state();
        if !state.check_live()? {
            return Ok(None);
        }
        let tag: Arc<str> = if consume.tag.is_empty() { state.make_tag().into() } else { consume.tag.into() };
        if state.consumers.contains_key(&tag) {
            return Err(Error::Usage("the consumer tag is in use on this channel"));
        }
        let order = (state.number_consumer(), state.prefetch.per_consumer);
        let subscription = Subscription::new(tag.clone(), order, consume.source(&queue)?);
        let started = self.core().start_call_in(&mut state, self.shared(), &subscription.method(&queue)?)?;
        subscription.mark_asked_for();
        let subscription = Arc::new(subscription);
        state.consumers.insert(tag.clone(), subscription.clone());
        let origin = Origin {
            channel: self.clone(),
            consumer_tag: tag,
            no_ack: consume.no_ack,
            requeues_dropped: !consume.no_ack && !consume.keep_dropped,
            requeues_failed: !consume.discard_failed,
        };
        Ok(Some((Consumer::new(origin, subscription), started)))
    }

    /// Ends a consumer.
    pub(crate) async fn cancel(&self, tag: &str) -> Result<()> {
        let started = self.shared().when_there_is_room(|| self.core().try_cancel(self.shared(), tag)).await?;
        match started {
            Some(started) => self.answer(started).await.map(drop),
            None => Ok(()),
        }
    }

    /// Asks for one message; `None` if the queue has none ready. A consumer is cheaper for more than a few.
    ///
    /// If the future is dropped after it was polled, a message that comes for it stays unsettled until the channel
    /// closes.
    ///
    /// # Errors
    /// The channel is closed with 404 if the queue does not exist.
    pub async fn get(&self, get: Get<'_>) -> Result<Option<Delivery>> {
        let Get { queue, no_ack, keep_dropped } = get;
        let attempt = || {
            let queue = self.current_queue(queue);
            let method = basic::Get { reserved: 0, queue: short("the queue's name", &queue)?, no_ack };
            self.core().try_call(self.shared(), &method, None)
        };
        match self.call_when_live(attempt).await? {
            Reply::Got(Some(got)) => {
                let (delivered, messages_left) = *got;
                let origin = Origin {
                    channel: self.clone(),
                    consumer_tag: "".into(),
                    no_ack,
                    requeues_dropped: !no_ack && !keep_dropped,
                    requeues_failed: true,
                };
                Ok(Some(Delivery::got(delivered, Arc::new(origin), messages_left)))
            }
            Reply::Got(None) => Ok(None),
            _ => Err(unexpected()),
        }
    }

    /// Acknowledges by number, for those who keep numbers instead of deliveries. `multiple` means everything up to it,
    /// and with 0 everything that the broker has sent, also what is still on its way here.
    ///
    /// Consume with `Consume::keep_dropped`, or take deliveries apart with `Delivery::into_message`: one that is dropped
    /// before goes back to its queue, and one that is dropped after its own number was acknowledged is settled twice. What
    /// `multiple` covers, and has come, may be dropped afterwards. Numbers from before the connection was lost say nothing.
    ///
    /// # Errors
    /// What closed the channel or connection. An unknown number makes the broker close the channel with 406.
    pub async fn ack(&self, delivery_tag: u64, multiple: bool) -> Result<()> {
        self.settle(delivery_tag, Settlement::Ack { multiple }).await
    }

    /// Puts everything that is unsettled on this channel back into its queues. Deliveries that are still held are settled
    /// with that: nothing happens when they are dropped, and they must not be settled again.
    ///
    /// # Errors
    /// RabbitMQ closes the connection with 540 if `requeue` is false.
    pub async fn recover(&self, requeue: bool) -> Result<()> {
        self.done(&basic::Recover { requeue }).await
    }

    pub(crate) async fn settle(&self, delivery_tag: u64, settlement: Settlement) -> Result<()> {
        let everything = (delivery_tag == 0).then(|| self.core().everything());
        let attempt = || self.core().try_settle(self.shared(), delivery_tag, (settlement, everything));
        self.shared().when_there_is_room(attempt).await
    }
}
