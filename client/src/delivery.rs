//! A message for a consumer, and its settlement.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use leveret_spec::RawProperties;

use crate::channel::{Channel, Settlement};
use crate::error::Result;
use crate::message::Message;

/// A delivery as the I/O task hands it over.
#[derive(Debug)]
pub(crate) struct Delivered {
    pub(crate) message: Message,
    pub(crate) tag: u64,
    pub(crate) redelivered: bool,
}

/// What all deliveries of a consumer have in common.
#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) channel: Channel,
    /// Empty for `Channel::get`.
    pub(crate) consumer_tag: Arc<str>,
    pub(crate) no_ack: bool,
    /// What is dropped unsettled goes back to its queue at once.
    pub(crate) requeues_dropped: bool,
    /// What a handler fails with goes back to its queue.
    pub(crate) requeues_failed: bool,
}

/// The duty to settle one delivery. Dropped without that, it gives the delivery back to its queue.
#[derive(Debug)]
struct Duty {
    origin: Arc<Origin>,
    tag: u64,
    done: AtomicBool,
}

impl Drop for Duty {
    fn drop(&mut self) {
        if self.origin.requeues_dropped && !*self.done.get_mut() {
            let channel = &self.origin.channel;
            channel.core().requeue(channel.shared(), std::iter::once(self.tag));
        }
    }
}

/// A message for a consumer, or from `Channel::get`.
///
/// It stays with this channel until it is settled: acknowledged, or refused with `nack` or `reject`. Dropped before
/// that, for example because an error or a panic cut its handling short, it goes back to its queue at once, unless
/// `Consume::keep_dropped` says otherwise; nothing is waited for then. It keeps the channel open.
///
/// If the connection is lost before that, the message is back in its queue, and is delivered again. To settle or drop this
/// one does nothing then, and is no error.
#[derive(Debug)]
pub struct Delivery {
    message: Message,
    redelivered: bool,
    duty: Duty,
    messages_left: Option<u32>,
}

impl Delivery {
    pub(crate) fn new(delivered: Delivered, origin: Arc<Origin>) -> Self {
        let Delivered { message, tag, redelivered } = delivered;
        let duty = Duty { origin, tag, done: AtomicBool::new(false) };
        Delivery { message, redelivered, duty, messages_left: None }
    }

    pub(crate) fn got(delivered: Delivered, origin: Arc<Origin>, messages_left: u32) -> Self {
        Delivery { messages_left: Some(messages_left), ..Delivery::new(delivered, origin) }
    }

    /// The exchange it was published to; empty is the default exchange.
    pub fn exchange(&self) -> Cow<'_, str> {
        self.message.exchange()
    }

    /// The routing key it was published with.
    pub fn routing_key(&self) -> Cow<'_, str> {
        self.message.routing_key()
    }

    /// The properties, decoded one by one when they are asked for.
    pub fn properties(&self) -> RawProperties<'_> {
        self.message.properties()
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        self.message.body()
    }

    /// The body, shared with this delivery instead of copied.
    pub fn body_bytes(&self) -> Bytes {
        self.message.body_bytes()
    }

    /// The message alone. Settle the delivery first: what is not settled now stays with the channel until it closes,
    /// or until `Channel::ack` settles it by its number.
    pub fn into_message(self) -> Message {
        self.duty.done.store(true, Ordering::Relaxed);
        self.message
    }

    /// True if it was delivered before, to this consumer or another one, and not acknowledged.
    pub fn redelivered(&self) -> bool {
        self.redelivered
    }

    /// Its number on this channel. Numbers go on when the connection is lost and comes back, although the broker counts
    /// anew.
    pub fn delivery_tag(&self) -> u64 {
        self.duty.tag
    }

    /// The consumer's tag; empty if it came from `Channel::get`.
    pub fn consumer_tag(&self) -> &str {
        &self.duty.origin.consumer_tag
    }

    /// How many messages were ready behind it, if it came from `Channel::get`.
    pub fn messages_left(&self) -> Option<u32> {
        self.messages_left
    }

    /// Acknowledges it. Without effect if the consumer said `no_ack`.
    ///
    /// The acknowledgement is on its way when this returns; the broker does not answer. Settling twice makes it close
    /// the channel with 406 PRECONDITION_FAILED.
    ///
    /// # Errors
    /// What closed the channel or connection, or `Timeout` if that is lost and does not come back in time; the message
    /// will be delivered again.
    pub async fn ack(&self) -> Result<()> {
        self.settle(Settlement::Ack { multiple: false }).await
    }

    /// Acknowledges it and everything unsettled that was delivered on this channel before it.
    ///
    /// Keep the earlier deliveries until then, or consume with `Consume::keep_dropped`: one that is dropped before goes
    /// back to its queue. Afterwards they are settled, and may be dropped but not settled again.
    ///
    /// # Errors
    /// As `ack`.
    pub async fn ack_multiple(&self) -> Result<()> {
        self.settle(Settlement::Ack { multiple: true }).await
    }

    /// Refuses it: back to its queue with `requeue`, else dead-lettered or dropped.
    ///
    /// # Errors
    /// As `ack`.
    pub async fn nack(&self, requeue: bool) -> Result<()> {
        self.settle(Settlement::Nack { multiple: false, requeue }).await
    }

    /// Refuses it and everything unsettled that was delivered on this channel before it (RabbitMQ). Earlier deliveries
    /// have to be kept until then, as for `ack_multiple`.
    ///
    /// # Errors
    /// As `ack`.
    pub async fn nack_multiple(&self, requeue: bool) -> Result<()> {
        self.settle(Settlement::Nack { multiple: true, requeue }).await
    }

    /// Refuses it as AMQP 0-9-1 without extensions does.
    ///
    /// # Errors
    /// As `ack`.
    pub async fn reject(&self, requeue: bool) -> Result<()> {
        self.settle(Settlement::Reject { requeue }).await
    }

    async fn settle(&self, settlement: Settlement) -> Result<()> {
        if !self.duty.origin.no_ack {
            self.duty.origin.channel.settle(self.duty.tag, settlement).await?;
        }
        self.duty.done.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Settles it by what became of its handling.
    pub(crate) async fn settle_by<E: std::fmt::Display>(&self, handled: std::result::Result<(), E>) -> Result<()> {
        match handled {
            Ok(()) => self.ack().await,
            Err(error) => {
                let (tag, requeue) = (self.delivery_tag(), self.duty.origin.requeues_failed);
                tracing::warn!(consumer = self.consumer_tag(), tag, requeue, %error, "a delivery's handler failed");
                self.nack(requeue).await
            }
        }
    }
}
