//! A consumer: a stream of deliveries.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::{Context, Poll};

use futures_core::Stream;

use crate::channel::Channel;
use crate::delivery::{Delivered, Delivery, Origin};
use crate::error::Result;
use crate::mailbox::Mailbox;

/// The I/O task's side of a consumer.
pub(crate) struct Subscription {
    pub(crate) tag: Arc<str>,
    pub(crate) no_ack: bool,
    pub(crate) mailbox: Mailbox<Delivered>,
    /// Its reader is gone, and the broker was told so.
    pub(crate) given_up: AtomicBool,
}

impl Subscription {
    pub(crate) fn new(tag: Arc<str>, no_ack: bool) -> Self {
        Subscription { tag, no_ack, mailbox: Mailbox::new(), given_up: AtomicBool::new(false) }
    }
}

/// Deliveries from a queue, as a `Stream` or through `next`.
///
/// It ends without an error after `cancel`, or when this program closes the channel or connection. When the broker
/// closes one of them the last item is that error, and `Cancelled` if the broker ended the consumer alone, because its
/// queue was deleted. Dropping the consumer cancels it; what it had not handed out goes back to the queue.
///
/// Without a prefetch (`Channel::qos`) the broker sends as fast as it can, and what is not read waits in memory.
#[must_use = "a consumer that is dropped is cancelled"]
pub struct Consumer {
    subscription: Arc<Subscription>,
    origin: Arc<Origin>,
    ready: VecDeque<Delivered>,
}

impl Consumer {
    pub(crate) fn new(origin: Origin, subscription: Arc<Subscription>) -> Self {
        Consumer { subscription, origin: Arc::new(origin), ready: VecDeque::new() }
    }

    /// Its tag, which is unique on the channel.
    pub fn tag(&self) -> &str {
        &self.origin.consumer_tag
    }

    /// The channel it is on.
    pub fn channel(&self) -> &Channel {
        &self.origin.channel
    }

    pub(crate) fn subscription(&self) -> &Arc<Subscription> {
        &self.subscription
    }

    /// The next delivery; `None` after the end. Nothing is lost if the future is dropped.
    pub async fn next(&mut self) -> Option<Result<Delivery>> {
        poll_fn(|cx| self.poll_delivery(cx)).await
    }

    /// A delivery that has come already; `None` if there is none now, or after the end, which `next` tells apart. With
    /// it the deliveries of a burst can be handled together, and settled with one `Delivery::ack_multiple` on the last:
    /// keep the others until then, or consume with `Consume::keep_dropped`.
    pub fn next_ready(&mut self) -> Option<Delivery> {
        let delivered = self.subscription.mailbox.next_ready(&mut self.ready)?;
        Some(Delivery::new(delivered, self.origin.clone()))
    }

    /// Asks the broker to send no more, and waits for its answer. What it had sent before can still be read.
    ///
    /// # Errors
    /// What closed the channel or connection.
    pub async fn cancel(&self) -> Result<()> {
        self.origin.channel.cancel(self.tag()).await
    }

    pub(crate) fn poll_delivery(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Delivery>>> {
        let next = self.subscription.mailbox.poll_next(&mut self.ready, cx);
        next.map(|item| item.map(|delivered| delivered.map(|d| Delivery::new(d, self.origin.clone()))))
    }
}

impl Stream for Consumer {
    type Item = Result<Delivery>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Delivery>>> {
        self.poll_delivery(cx)
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        let (core, shared) = (self.origin.channel.core(), self.origin.channel.shared());
        let unread = self.subscription.mailbox.abandon();
        core.start_cancel(shared, &self.subscription);
        if !self.subscription.no_ack {
            core.requeue(shared, self.ready.drain(..).chain(unread).map(|delivered| delivered.tag));
        }
    }
}

impl std::fmt::Debug for Consumer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Consumer").field("tag", &self.tag()).finish_non_exhaustive()
    }
}
