//! A consumer: a stream of deliveries.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use leveret_spec::{TableBuf, basic};

use crate::arguments::short;
use crate::channel::Channel;
use crate::connection::Shared;
use crate::delivery::{Delivered, Delivery, Origin};
use crate::error::Result;
use crate::lock::locked;
use crate::mailbox::Mailbox;

/// Deliveries beyond the prefetch that a broker is forgiven.
const UNASKED_MAX: usize = 1_000;

/// How many unsettled deliveries a broker that keeps the prefetch leaves unread.
fn unread_max(prefetch: u16) -> usize {
    if prefetch == 0 { usize::MAX } else { usize::from(prefetch) + UNASKED_MAX }
}

/// The I/O task's side of a consumer.
pub(crate) struct Subscription {
    pub(crate) tag: Arc<str>,
    /// Those of a channel in the order in which they began.
    pub(crate) number: u64,
    /// The prefetch per consumer that held when it began.
    pub(crate) prefetch: u16,
    pub(crate) no_ack: bool,
    pub(crate) source: Source,
    pub(crate) mailbox: Mailbox<Delivered>,
    /// Deliveries that may wait to be read, beyond those that are settled.
    pub(crate) unread_max: AtomicUsize,
    /// Its reader is gone or has asked for its end, and the broker was told so.
    pub(crate) given_up: AtomicBool,
    /// basic.consume is on its way, or was, over the connection that there is now.
    asked_for: AtomicBool,
    /// The queue's name on the last connection, known since the broker has agreed: so it will be started again.
    queue: Mutex<Option<Box<str>>>,
    /// The queue was told that it has lost this consumer.
    left: AtomicBool,
}

impl std::fmt::Display for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "consumer '{}' of queue '{}'", self.tag, self.queue())
    }
}

/// What a consumer asks for.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) queue: Box<str>,
    pub(crate) no_local: bool,
    pub(crate) no_ack: bool,
    pub(crate) exclusive: bool,
    pub(crate) arguments: TableBuf,
}

impl Subscription {
    pub(crate) fn new(tag: Arc<str>, (number, prefetch): (u64, u16), source: Source) -> Self {
        let unread_max = if source.no_ack { usize::MAX } else { unread_max(prefetch) };
        Subscription {
            tag,
            number,
            prefetch,
            no_ack: source.no_ack,
            source,
            mailbox: Mailbox::new(),
            unread_max: AtomicUsize::new(unread_max),
            given_up: AtomicBool::new(false),
            asked_for: AtomicBool::new(false),
            queue: Mutex::default(),
            left: AtomicBool::new(false),
        }
    }

    /// Another prefetch for consumers that start from now on. RabbitMQ leaves it at that; with other brokers it is the running
    /// ones' too.
    pub(crate) fn allow(&self, prefetch: u16) {
        self.unread_max.fetch_max(unread_max(prefetch), Ordering::Relaxed);
    }

    /// The method that starts it, with the queue's name of now.
    pub(crate) fn method<'a>(&'a self, queue: &'a str) -> Result<basic::Consume<'a>> {
        Ok(basic::Consume {
            reserved: 0,
            queue: short("the queue's name", queue)?,
            consumer_tag: short("the consumer tag", &self.tag)?,
            no_local: self.source.no_local,
            no_ack: self.no_ack,
            exclusive: self.source.exclusive,
            no_wait: false,
            arguments: self.source.arguments.as_table(),
        })
    }

    pub(crate) fn is_asked_for(&self) -> bool {
        self.asked_for.load(Ordering::Relaxed)
    }

    pub(crate) fn mark_asked_for(&self) {
        self.asked_for.store(true, Ordering::Relaxed);
    }

    /// The broker has agreed. `last_queue` is what an empty name means.
    pub(crate) fn start(&self, shared: &Shared, last_queue: &str) {
        let mut queue = locked(&self.queue);
        if queue.is_none() {
            let name = if self.source.queue.is_empty() { last_queue } else { &self.source.queue };
            *queue = Some(name.into());
            shared.topology().consumer_started(name);
        }
    }

    /// The queue, by a name that it has had.
    pub(crate) fn queue(&self) -> Box<str> {
        locked(&self.queue).as_ref().unwrap_or(&self.source.queue).clone()
    }

    /// The queue has this name now.
    pub(crate) fn follow_queue(&self, name: &str) {
        *locked(&self.queue) = Some(name.into());
    }

    /// The consumer is over.
    pub(crate) fn leave_queue(&self, shared: &Shared) {
        let queue = locked(&self.queue).clone();
        if let Some(queue) = queue
            && !self.left.swap(true, Ordering::Relaxed)
        {
            shared.topology().consumer_ended(&queue);
        }
    }

    /// The connection is lost. Deliveries that were not read come again, but for those that count as settled. False if
    /// the consumer has ended with it.
    pub(crate) fn suspend(&self) -> bool {
        self.asked_for.store(false, Ordering::Relaxed);
        if !self.no_ack {
            self.mailbox.clear();
        }
        let goes_on = locked(&self.queue).is_some() && !self.given_up.load(Ordering::Relaxed);
        if !goes_on {
            self.mailbox.finish(None);
        }
        goes_on
    }
}

/// Deliveries from a queue, as a `Stream` or through `next`.
///
/// It goes on when the connection is lost and comes back: what was not settled is delivered again then. It ends without an
/// error after `cancel`, or when this program closes the channel or connection. When the broker
/// closes one of them the last item is that error, and `Cancelled` if the broker ended the consumer alone, because its
/// queue was deleted; after a recovery, when the broker does not let it begin again, with the reason. Dropping the consumer cancels it; what it had not handed out goes back to the queue.
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
        loop {
            let delivered = self.subscription.mailbox.next_ready(&mut self.ready)?;
            if !self.is_stale(&delivered) {
                return Some(Delivery::new(delivered, self.origin.clone()));
            }
        }
    }

    /// True if it came over a connection that is lost, so that it comes again.
    fn is_stale(&self, delivered: &Delivered) -> bool {
        !self.origin.no_ack && delivered.tag <= self.origin.channel.core().tag_base()
    }

    /// Asks the broker to send no more, and waits for its answer. What it had sent before can still be read.
    ///
    /// # Errors
    /// What closed the channel or connection.
    pub async fn cancel(&self) -> Result<()> {
        self.origin.channel.cancel(self.tag()).await
    }

    pub(crate) fn poll_delivery(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Delivery>>> {
        loop {
            let next = match ready!(self.subscription.mailbox.poll_next(&mut self.ready, cx)) {
                Some(Ok(delivered)) if self.is_stale(&delivered) => continue,
                next => next,
            };
            return Poll::Ready(next.map(|item| item.map(|delivered| Delivery::new(delivered, self.origin.clone()))));
        }
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
