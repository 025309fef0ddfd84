//! One queue: what waits, in which order, for whom.
//!
//! Plain data behind one short lock, without a task, a timer or a buffer of its own. It holds ready messages only: what a
//! consumer has been given and not settled lives in the consumer's channel, which gives it back through `requeue`.

mod arguments;
mod consumers;
mod mailbox;
mod ready;

use std::sync::Arc;

use leveret_spec::TableBuf;
use parking_lot::Mutex;

use crate::failure::Soft;
use crate::message::Message;

pub(crate) use arguments::{Limits, argument_type, compared_arguments};
pub(crate) use consumers::{Consumer, ConsumerKey, SharedLimit};
pub(crate) use mailbox::{Delivery, Inbox, Mailbox, Notice, Wakes};
pub(crate) use ready::Entry;

use consumers::Consumers;
use ready::Ready;

/// Bytes that may be ready in a queue with consumers before its publishers pause (see `Paused` in the connection).
const AHEAD_BYTES_MAX: usize = 512 << 10;

/// Identifies a connection within its broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ConnectionId(pub(crate) u64);

/// What a queue was declared as: what a second declaration must equal.
#[derive(Clone, Debug, Default)]
pub(crate) struct Declaration {
    pub(crate) durable: bool,
    /// The connection that the queue belongs to and ends with.
    pub(crate) owner: Option<ConnectionId>,
    pub(crate) auto_delete: bool,
    pub(crate) arguments: TableBuf,
}

/// A queue.
pub(crate) struct Queue {
    pub(crate) name: Arc<str>,
    pub(crate) vhost: Arc<str>,
    pub(crate) declaration: Declaration,
    state: Mutex<State>,
}

struct State {
    ready: Ready,
    consumers: Consumers,
    /// Publishers that wait until the backlog has halved.
    paused: Vec<Arc<Mailbox>>,
    /// Messages that consumers and getters hold.
    unacked: usize,
    deleted: bool,
}

/// What a batch of publishes met.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Accepted {
    /// It is in the queue or on its way to consumers.
    Yes,
    /// So is this one, but its publisher is far ahead of consumers that keep up: it pauses.
    FarAhead,
    /// The queue is gone.
    Deleted,
}

impl Queue {
    pub(crate) fn new(name: Arc<str>, vhost: Arc<str>, declaration: Declaration, limits: &Limits) -> Self {
        let state = State {
            ready: Ready::new(limits.max_priority),
            consumers: Consumers::default(),
            paused: vec![],
            unacked: 0,
            deleted: false,
        };
        Queue { name, vhost, declaration, state: Mutex::new(state) }
    }

    /// Refuses everybody but the owner of an exclusive queue.
    pub(crate) fn check_owner(&self, connection: ConnectionId) -> Result<(), Soft> {
        match self.declaration.owner {
            Some(owner) if owner != connection => Err(self.locked()),
            _ => Ok(()),
        }
    }

    pub(crate) fn locked(&self) -> Soft {
        Soft::resource_locked(format!(
            "cannot obtain exclusive access to locked {self}. It could be originally declared on another connection or the \
             exclusive property value does not match that of the original declaration."
        ))
    }

    /// Appends a batch and hands out what consumers have credit for.
    pub(crate) fn publish(&self, batch: &mut Vec<Message>, publisher: &Arc<Mailbox>, wakes: &mut Wakes) -> Accepted {
        let mut state = self.state.lock();
        if state.deleted {
            drop(state);
            batch.clear();
            return Accepted::Deleted;
        }
        for message in batch.drain(..) {
            state.ready.push(message);
        }
        state.dispatch(wakes);
        if state.ready.bytes() > AHEAD_BYTES_MAX && !state.consumers.is_empty() {
            if !state.paused.iter().any(|p| Arc::ptr_eq(p, publisher)) {
                state.paused.push(publisher.clone());
            }
            return Accepted::FarAhead;
        }
        Accepted::Yes
    }

    /// Adds a consumer; the first deliveries may be in its mailbox when this returns.
    ///
    /// # Errors
    /// 403 beside an exclusive consumer or for one that is not alone, 404 if the queue has just been deleted.
    pub(crate) fn subscribe(
        &self,
        consumer: Consumer,
        exclusive: bool,
        wakes: &mut Wakes,
    ) -> Result<ConsumerKey, Soft> {
        let mut state = self.state.lock();
        if state.deleted {
            return Err(self.gone());
        }
        let Some(key) = state.consumers.add(consumer, exclusive) else {
            return Err(Soft::access_refused(format!("{self} in exclusive use")));
        };
        state.dispatch(wakes);
        Ok(key)
    }

    /// Removes a consumer: nothing more comes into its mailbox. `requeue` has to follow, with what it had or with nothing.
    /// True if it was the last one of a queue that lives as long as it has consumers.
    pub(crate) fn unsubscribe(&self, key: ConsumerKey) -> bool {
        let mut state = self.state.lock();
        state.consumers.remove(key);
        self.declaration.auto_delete && state.consumers.is_empty() && !state.deleted
    }

    /// Lets a consumer that was out of credit have messages again.
    pub(crate) fn resume(&self, key: ConsumerKey, wakes: &mut Wakes) {
        let mut state = self.state.lock();
        state.consumers.resume(key);
        state.dispatch(wakes);
    }

    /// `count` messages were acknowledged or dropped; if a consumer had them, it has room for as many again.
    pub(crate) fn settle(&self, key: Option<ConsumerKey>, count: usize, wakes: &mut Wakes) {
        let mut state = self.state.lock();
        state.unacked = state.unacked.saturating_sub(count);
        if let Some(key) = key {
            state.consumers.settle(key, count);
            state.dispatch(wakes);
        }
    }

    /// Puts messages back where they were; `unsettled` of them had been given to somebody who owed an answer: the consumer
    /// `key`, if it is still there.
    pub(crate) fn requeue(&self, key: Option<ConsumerKey>, entries: Vec<Entry>, unsettled: usize, wakes: &mut Wakes) {
        let mut state = self.state.lock();
        state.unacked = state.unacked.saturating_sub(unsettled);
        if let Some(key) = key {
            state.consumers.settle(key, unsettled);
        }
        if !state.deleted {
            state.ready.put_back(entries);
            state.dispatch(wakes);
        }
    }

    /// Takes the first message, and tells how many are ready after it.
    ///
    /// # Errors
    /// 404 if the queue has just been deleted.
    pub(crate) fn get(&self, no_ack: bool) -> Result<Option<(Entry, usize)>, Soft> {
        let mut state = self.state.lock();
        if state.deleted {
            return Err(self.gone());
        }
        let Some(entry) = state.ready.pop() else { return Ok(None) };
        state.unacked += usize::from(!no_ack);
        Ok(Some((entry, state.ready.len())))
    }

    /// Drops all ready messages; how many they were.
    pub(crate) fn purge(&self, wakes: &mut Wakes) -> usize {
        let mut state = self.state.lock();
        let purged = state.ready.clear();
        state.dispatch(wakes);
        purged
    }

    /// Ready messages and consumers, those out of credit included.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let state = self.state.lock();
        (state.ready.len(), state.consumers.len())
    }

    /// Ends the queue if `condition` allows it of (ready, consumers): drops its messages and tells its consumers. How many
    /// messages were ready, or `None` if it was gone already.
    pub(crate) fn delete(
        &self,
        condition: impl FnOnce(usize, usize) -> Result<(), Soft>,
        wakes: &mut Wakes,
    ) -> Result<Option<usize>, Soft> {
        let mut state = self.state.lock();
        if state.deleted {
            return Ok(None);
        }
        condition(state.ready.len(), state.consumers.len())?;
        state.deleted = true;
        let ready = state.ready.clear();
        for consumer in state.consumers.clear() {
            consumer.mailbox.notify(Notice::QueueDeleted { channel: consumer.channel, source: consumer.source }, wakes);
        }
        state.dispatch(wakes);
        Ok(Some(ready))
    }

    fn gone(&self) -> Soft {
        Soft::not_found(format!("no {self}"))
    }
}

/// As RabbitMQ's texts name it.
impl std::fmt::Display for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "queue '{}' in vhost '{}'", self.name, self.vhost)
    }
}

impl State {
    /// Hands messages to consumers with credit, then lets paused publishers go on if that has helped.
    fn dispatch(&mut self, wakes: &mut Wakes) {
        self.unacked += self.consumers.dispatch(&mut self.ready, wakes);
        if !self.paused.is_empty() && (self.ready.bytes() <= AHEAD_BYTES_MAX / 2 || self.consumers.is_empty()) {
            for publisher in self.paused.drain(..) {
                publisher.resume_publisher(wakes);
            }
        }
    }
}

#[cfg(test)]
mod tests;
