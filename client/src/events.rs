//! What happens to a connection, for those who want to know.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll};

use futures_core::Stream;

use crate::error::Error;
use crate::lock::locked;
use crate::mailbox::Mailbox;

/// Events that nobody has picked up; further ones are dropped.
const EVENTS_MAX: usize = 1_000;

/// What happened to a connection.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// It is lost, for this reason, and will be tried again.
    Lost(Error),
    /// A host could not be reached, or did not let this client in; or a new connection was lost before everything was
    /// restored.
    AttemptFailed {
        /// The host and its port.
        host: String,
        /// The reason.
        error: Error,
    },
    /// It is back, with everything but what `NotRestored` has named.
    Recovered,
    /// An exchange, queue, binding, consumer or channel could not be restored. A consumer ends with the same error.
    NotRestored {
        /// What it is, in words.
        what: String,
        /// The broker's reason.
        error: Error,
    },
    /// The broker has given a queue that it names another name. Calls that name the queue by an old name reach it, but
    /// messages that are published to that name do not.
    QueueRenamed {
        /// The name before.
        old: String,
        /// The name now.
        new: String,
    },
    /// The broker has stopped publishers, for this reason.
    Blocked(String),
    /// Publishers may go on.
    Unblocked,
}

/// A stream of what happens to a connection from now on, which ends with the connection.
///
/// At most 1,000 events wait to be read; what happens beyond that is dropped.
#[must_use = "a stream that is not read tells nothing"]
pub struct Events {
    mailbox: Arc<Mailbox<Event>>,
    ready: VecDeque<Event>,
}

impl Events {
    /// The next event; `None` after the end. Nothing is lost if the future is dropped.
    pub async fn next(&mut self) -> Option<Event> {
        poll_fn(|cx| self.poll_event(cx)).await
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        // It ends without an error.
        self.mailbox.poll_next(&mut self.ready, cx).map(|item| item.and_then(Result::ok))
    }
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        self.poll_event(cx)
    }
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}

/// Those who listen.
#[derive(Default)]
pub(crate) struct Audience(Mutex<Listeners>);

#[derive(Default)]
struct Listeners {
    mailboxes: Vec<Weak<Mailbox<Event>>>,
    ended: bool,
}

impl Audience {
    /// One more who listens.
    pub(crate) fn join(&self) -> Events {
        let mailbox = Arc::new(Mailbox::new());
        let mut listeners = locked(&self.0);
        if listeners.ended {
            mailbox.finish(None);
        }
        listeners.mailboxes.retain(|other| other.strong_count() > 0);
        listeners.mailboxes.push(Arc::downgrade(&mailbox));
        drop(listeners);
        Events { mailbox, ready: VecDeque::new() }
    }

    /// Tells everybody.
    pub(crate) fn tell(&self, event: &Event) {
        for mailbox in locked(&self.0).mailboxes.iter().filter_map(Weak::upgrade) {
            if mailbox.len() < EVENTS_MAX {
                mailbox.append(&mut VecDeque::from([event.clone()]));
            }
        }
    }

    /// Nothing more will happen.
    pub(crate) fn end(&self) {
        let mut listeners = locked(&self.0);
        listeners.ended = true;
        for mailbox in listeners.mailboxes.drain(..).filter_map(|mailbox| mailbox.upgrade()) {
            mailbox.finish(None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn everybody_hears_of_it_and_who_does_not_read_keeps_no_more_than_the_limit() {
        let audience = Audience::default();
        let (mut one, mut other) = (audience.join(), audience.join());
        drop(audience.join());
        for _ in 0..EVENTS_MAX + 10 {
            audience.tell(&Event::Recovered);
        }
        assert!(matches!(one.next().await, Some(Event::Recovered)));
        audience.end();
        let mut heard = 0;
        while other.next().await.is_some() {
            heard += 1;
        }
        assert_eq!(heard, EVENTS_MAX);
        assert!(audience.join().next().await.is_none());
    }
}
