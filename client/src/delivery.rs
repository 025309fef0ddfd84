//! A message for a consumer, and its settlement.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use leveret_spec::{RawProperties, basic};

use crate::channel::Channel;
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
}

/// A message for a consumer, or from `Channel::get`.
///
/// It stays with this channel until it is settled: acknowledged, or refused with `nack` or `reject`. What is never
/// settled goes back to its queue when the channel closes; dropping the value does nothing. It keeps the channel open.
#[derive(Debug)]
pub struct Delivery {
    delivered: Delivered,
    origin: Arc<Origin>,
    messages_left: Option<u32>,
}

impl Delivery {
    pub(crate) fn new(delivered: Delivered, origin: Arc<Origin>) -> Self {
        Delivery { delivered, origin, messages_left: None }
    }

    pub(crate) fn got(delivered: Delivered, origin: Arc<Origin>, messages_left: u32) -> Self {
        Delivery { delivered, origin, messages_left: Some(messages_left) }
    }

    /// The exchange it was published to; empty is the default exchange.
    pub fn exchange(&self) -> Cow<'_, str> {
        self.delivered.message.exchange()
    }

    /// The routing key it was published with.
    pub fn routing_key(&self) -> Cow<'_, str> {
        self.delivered.message.routing_key()
    }

    /// The properties, decoded one by one when they are asked for.
    pub fn properties(&self) -> RawProperties<'_> {
        self.delivered.message.properties()
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        self.delivered.message.body()
    }

    /// The body, shared with this delivery instead of copied.
    pub fn body_bytes(&self) -> Bytes {
        self.delivered.message.body_bytes()
    }

    /// The message alone. Settle the delivery first.
    pub fn into_message(self) -> Message {
        self.delivered.message
    }

    /// True if it was delivered before, to this consumer or another one, and not acknowledged.
    pub fn redelivered(&self) -> bool {
        self.delivered.redelivered
    }

    /// Its number on this channel.
    pub fn delivery_tag(&self) -> u64 {
        self.delivered.tag
    }

    /// The consumer's tag; empty if it came from `Channel::get`.
    pub fn consumer_tag(&self) -> &str {
        &self.origin.consumer_tag
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
    /// What closed the channel or connection; the message will be delivered again.
    pub async fn ack(&self) -> Result<()> {
        self.settle(&basic::Ack { delivery_tag: self.delivered.tag, multiple: false }).await
    }

    /// Acknowledges it and everything delivered on this channel before it.
    ///
    /// # Errors
    /// As `ack`.
    pub async fn ack_multiple(&self) -> Result<()> {
        self.settle(&basic::Ack { delivery_tag: self.delivered.tag, multiple: true }).await
    }

    /// Refuses it: back to its queue with `requeue`, else dead-lettered or dropped.
    ///
    /// # Errors
    /// As `ack`.
    pub async fn nack(&self, requeue: bool) -> Result<()> {
        self.settle(&basic::Nack { delivery_tag: self.delivered.tag, multiple: false, requeue }).await
    }

    /// Refuses it and everything unsettled that was delivered on this channel before it (RabbitMQ).
    ///
    /// # Errors
    /// As `ack`.
    pub async fn nack_multiple(&self, requeue: bool) -> Result<()> {
        self.settle(&basic::Nack { delivery_tag: self.delivered.tag, multiple: true, requeue }).await
    }

    /// Refuses it as AMQP 0-9-1 without extensions does.
    ///
    /// # Errors
    /// As `ack`.
    pub async fn reject(&self, requeue: bool) -> Result<()> {
        self.settle(&basic::Reject { delivery_tag: self.delivered.tag, requeue }).await
    }

    async fn settle(&self, method: &impl leveret_spec::method::MethodFrame) -> Result<()> {
        if self.origin.no_ack { Ok(()) } else { self.origin.channel.settle(method).await }
    }
}
