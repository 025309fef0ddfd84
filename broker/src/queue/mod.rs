//! One queue: what waits, in which order, for whom.
//!
//! Plain data behind one short lock, without a task, a timer or a buffer of its own. It holds ready messages only: what a
//! consumer has been given and not settled lives in the consumer's channel, which gives it back through `requeue`.

mod consumers;
mod dead_letter;
mod kind;
mod line;
mod log;
mod mailbox;
mod packed;
mod ready;
mod records;
mod settings;
mod timers;
mod turn;
mod view;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use leveret_spec::TableBuf;
use parking_lot::Mutex;

use crate::failure::Soft;
use crate::message::Message;
use crate::policy::{Applied, Target};
use crate::store::{QueueId, RecoveredQueue, Seqs};
use crate::time::Moment;

pub(crate) use consumers::{Consumer, ConsumerKey, SharedLimit};
pub(crate) use dead_letter::{DeadLetter, Death};
pub(crate) use kind::{check_properties, check_unnamed};
pub(crate) use log::Log;
pub(crate) use mailbox::{Delivery, Inbox, Mailbox, Notice};
pub(crate) use ready::Entry;
pub(crate) use settings::{Overflow, Settings, argument_type, compared_arguments};
pub(crate) use timers::Timers;
pub(crate) use turn::Turn;

use consumers::Consumers;
use ready::Ready;

/// Bytes that may be ready in a queue with consumers before its publishers pause.
const AHEAD_BYTES_MAX: usize = 512 << 10;
/// Bytes at which they go on.
const AHEAD_BYTES_HALF: usize = AHEAD_BYTES_MAX / 2;
/// How often as long as the shortest a pause may be if consumers take whatever their sockets take: they end it themselves, and a
/// shorter one would only let the backlog grow as long as many connections share the processor.
const PAUSES_FOR_SOCKETS: usize = 32;

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
    /// Where persistent messages are kept, for a durable queue of a broker with a message store.
    log: Option<Arc<Log>>,
    may_refuse: AtomicBool,
    timers: Arc<Timers>,
    me: Weak<Queue>,
    state: Mutex<State>,
}

struct State {
    /// What holds: the arguments, and the policy beside them.
    settings: Settings,
    /// What the arguments alone say.
    arguments: Settings,
    applied: Option<Arc<Applied>>,
    ready: Ready,
    consumers: Consumers,
    /// Publishers that wait until the backlog has halved.
    paused: VecDeque<Arc<Mailbox>>,
    /// Messages that consumers and getters hold.
    unacked: usize,
    /// When the queue was last declared, consumed from or got from.
    used: Moment,
    /// The earliest timer that is set for it.
    armed: Moment,
    deleted: bool,
}

/// What a batch of publishes met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accepted {
    /// It is in the queue or on its way to consumers.
    Yes,
    /// The same, but its publisher is far ahead of the consumers and pauses, so many times the shortest pause: as many as
    /// there are such publishers, or more if the consumers' sockets are what holds them up.
    FarAhead(usize),
    /// The queue is full and refuses it.
    Refused,
    /// The queue is gone.
    Deleted,
}

impl Queue {
    pub(crate) fn new(
        name: Arc<str>,
        vhost: Arc<str>,
        declaration: Declaration,
        settings: Settings,
        timers: Arc<Timers>,
        now: Moment,
        log: Option<Log>,
    ) -> Arc<Self> {
        let log = log.map(|log| Arc::new(Log { quorum: settings.quorum, ..log }));
        let may_refuse = AtomicBool::new(settings.overflow != Overflow::DropHead);
        let state = State {
            ready: Ready::new(settings.max_priority, log.clone()),
            consumers: Consumers::new(settings.single_active_consumer),
            paused: VecDeque::new(),
            unacked: 0,
            used: now,
            armed: Moment::NEVER,
            deleted: false,
            arguments: settings.clone(),
            applied: None,
            settings,
        };
        let queue = Arc::new_cyclic(|me| Queue {
            name,
            vhost,
            declaration,
            log,
            may_refuse,
            timers,
            me: me.clone(),
            state: Mutex::new(state),
        });
        queue.arm(&mut queue.state.lock());
        queue
    }

    /// Takes in what the message store had when the broker started.
    pub(crate) fn recover(&self, recovered: RecoveredQueue, turn: &mut Turn) {
        let mut state = self.state.lock();
        state.ready.restore(recovered.next_seq, recovered.has_expiries);
        if state.settings.max_length_bytes.is_some() {
            state.ready.measure();
        }
        self.settle_down(&mut state, turn);
    }

    /// Its number in the catalog and in the message store, if it is in them.
    pub(crate) fn id(&self) -> Option<QueueId> {
        self.log.as_ref().map(|log| log.queue)
    }

    /// True if it refuses messages when it is full: then every publish has to wait for its answer.
    pub(crate) fn may_refuse(&self) -> bool {
        self.may_refuse.load(Ordering::Acquire)
    }

    /// How long a consumer may keep a delivery; zero is for ever, none is as long as the broker says.
    pub(crate) fn consumer_timeout(&self) -> Option<Duration> {
        self.state.lock().settings.consumer_timeout
    }

    /// What policies see in it.
    pub(crate) fn policy_target(&self) -> Target {
        if self.state.lock().arguments.quorum { Target::QuorumQueue } else { Target::ClassicQueue }
    }

    /// The policy that holds.
    pub(crate) fn applied(&self) -> Option<Arc<Applied>> {
        self.state.lock().applied.clone()
    }

    /// Lets a policy hold, or none; what is in the queue has to fit at once.
    pub(crate) fn apply_policy(&self, applied: Option<Arc<Applied>>, turn: &mut Turn) {
        let mut state = self.state.lock();
        if state.applied == applied {
            return;
        }
        state.settings = match &applied {
            Some(applied) => state.arguments.with_policy(&applied.definition),
            None => state.arguments.clone(),
        };
        state.applied = applied;
        self.may_refuse.store(state.settings.overflow != Overflow::DropHead, Ordering::Release);
        self.settle_down(&mut state, turn);
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

    fn gone(&self) -> Soft {
        Soft::not_found(format!("no {self}"))
    }

    /// Appends a batch and hands out what consumers have credit for.
    pub(crate) fn publish(&self, batch: &mut Vec<Message>, publisher: &Arc<Mailbox>, turn: &mut Turn) -> Accepted {
        let mut state = self.state.lock();
        if state.deleted {
            drop(state);
            batch.clear();
            return Accepted::Deleted;
        }
        if state.settings.overflow != Overflow::DropHead {
            return self.publish_or_refuse(&mut state, batch, turn);
        }
        let served = !state.consumers.is_empty();
        state.ready.expect(batch.len(), served);
        for message in batch.drain(..) {
            self.push(&mut state, message, turn);
        }
        self.settle_down(&mut state, turn);
        if state.ready.bytes() > AHEAD_BYTES_MAX && !state.consumers.is_empty() {
            if !state.paused.iter().any(|p| Arc::ptr_eq(p, publisher)) {
                // Those whose connections have ended wait for nothing.
                state.paused.retain(|paused| Arc::strong_count(paused) > 1);
                state.paused.push_back(publisher.clone());
            }
            let for_sockets = if state.consumers.are_stalled() { PAUSES_FOR_SOCKETS } else { 0 };
            return Accepted::FarAhead(state.paused.len().max(for_sockets));
        }
        Accepted::Yes
    }

    /// Appends a message, and has the message store keep it if it has to survive.
    #[inline]
    fn push(&self, state: &mut State, message: Message, turn: &mut Turn) {
        let expires = state.settings.expiry_of(&message, turn.now);
        let log = self.log.as_ref().filter(|log| log.keeps(&message));
        if let Some(log) = log {
            turn.keep(log, &message, log.place(state.ready.next_arrival(), expires));
        }
        state.ready.push(message, expires, log.is_some());
    }

    /// Adds a consumer; the first deliveries may be in its mailbox when this returns.
    ///
    /// # Errors
    /// 403 beside an exclusive consumer or for one that is not alone, 404 if the queue has just been deleted.
    pub(crate) fn subscribe(&self, consumer: Consumer, exclusive: bool, turn: &mut Turn) -> Result<ConsumerKey, Soft> {
        let mut state = self.state.lock();
        if state.deleted {
            return Err(self.gone());
        }
        let Some(key) = state.consumers.add(consumer, exclusive) else {
            return Err(Soft::access_refused(format!("{self} in exclusive use")));
        };
        self.settle_down(&mut state, turn);
        Ok(key)
    }

    /// Removes a consumer: nothing more comes into its mailbox. `requeue` has to follow, with what it had or with nothing.
    /// True if it was the last one of a queue that lives as long as it has consumers.
    pub(crate) fn unsubscribe(&self, key: ConsumerKey, now: Moment) -> bool {
        let mut state = self.state.lock();
        state.consumers.remove(key);
        state.used = now;
        self.arm(&mut state);
        self.declaration.auto_delete && state.consumers.is_empty() && !state.deleted
    }

    /// Lets a consumer that was out of credit have messages again.
    pub(crate) fn resume(&self, key: ConsumerKey, turn: &mut Turn) {
        let mut state = self.state.lock();
        state.consumers.resume(key);
        self.settle_down(&mut state, turn);
    }

    /// Changes the prefetch of a consumer.
    pub(crate) fn set_prefetch(&self, key: ConsumerKey, prefetch: u16, turn: &mut Turn) {
        let mut state = self.state.lock();
        state.consumers.set_prefetch(key, prefetch);
        self.settle_down(&mut state, turn);
    }

    /// `count` messages were acknowledged or dropped; if a consumer had them, it has room for as many again. The message store
    /// may forget those in `done`.
    pub(crate) fn settle(&self, key: Option<ConsumerKey>, count: usize, done: Seqs, turn: &mut Turn) {
        self.forget(done, turn);
        let mut state = self.state.lock();
        state.unacked = state.unacked.saturating_sub(count);
        if let Some(key) = key {
            state.consumers.settle(key, count);
            self.settle_down(&mut state, turn);
        }
    }

    /// Has the message store forget messages.
    #[inline]
    fn forget(&self, seqs: Seqs, turn: &mut Turn) {
        if let Some(log) = self.log.as_ref().filter(|_| !seqs.is_empty()) {
            turn.forget(log, seqs);
        }
    }

    /// Consumers have been given these messages, which the message store has too, for the `deliveries`th time.
    pub(crate) fn note_delivered(&self, deliveries: u16, seqs: Seqs, turn: &mut Turn) {
        if let Some(log) = self.log.as_ref().filter(|_| !seqs.is_empty()) {
            turn.note_delivered(log, deliveries, seqs);
        }
    }

    /// Puts messages back where they were; `unsettled` of them had been given to somebody who owed an answer: the consumer
    /// `key`, if it is still there. Those come back as delivered, unless that has happened too often.
    pub(crate) fn requeue(&self, key: Option<ConsumerKey>, mut returning: Returning, turn: &mut Turn) {
        let mut state = self.state.lock();
        state.unacked = state.unacked.saturating_sub(returning.settled + returning.delivered.len());
        if let Some(key) = key {
            state.consumers.settle(key, returning.delivered.len());
        }
        if state.deleted {
            return;
        }
        let mut hopeless = vec![];
        for mut entry in returning.delivered {
            let returns = entry.mark_returned();
            if state.settings.delivery_limit.is_some_and(|limit| returns > limit) {
                hopeless.push(entry);
                continue;
            }
            if state.settings.quorum {
                entry.message = entry.message.with_delivery_count(returns);
            }
            returning.undelivered.push(entry);
        }
        state.ready.put_back(returning.undelivered);
        self.bury(&state, hopeless, Death::DeliveryLimit, turn);
        if state.settings.overflow == Overflow::DropHead {
            // What has come back has to fit before anybody gets it again, as with RabbitMQ.
            self.drop_head(&mut state, turn);
        }
        self.settle_down(&mut state, turn);
    }

    /// Consumers have refused these messages. They count as settled elsewhere.
    pub(crate) fn reject(&self, entries: Vec<Entry>, turn: &mut Turn) {
        self.bury(&self.state.lock(), entries, Death::Rejected, turn);
    }

    /// Takes the first message, and tells how many are ready after it.
    ///
    /// # Errors
    /// 404 if the queue has just been deleted, 405 for a quorum queue with a single active consumer.
    pub(crate) fn get(&self, no_ack: bool, turn: &mut Turn) -> Result<Option<(Entry, usize)>, Soft> {
        let mut state = self.state.lock();
        if state.deleted {
            return Err(self.gone());
        }
        if state.settings.quorum && state.settings.single_active_consumer {
            return Err(Soft::resource_locked(format!(
                "cannot obtain access to locked {self}. basic.get operations are not supported by quorum queues with \
                 single active consumer"
            )));
        }
        state.used = turn.now;
        let mut expired = vec![];
        let entry = state.ready.pop_live(turn.now, &mut expired);
        self.bury(&state, expired, Death::Expired, turn);
        if let Some(seq) = entry.as_ref().filter(|_| no_ack).and_then(Entry::stored) {
            self.forget([seq].into_iter().collect(), turn);
        }
        state.unacked += usize::from(entry.is_some() && !no_ack);
        self.settle_down(&mut state, turn);
        Ok(entry.map(|entry| (entry, state.ready.len())))
    }

    /// Drops all ready messages; how many they were.
    pub(crate) fn purge(&self, turn: &mut Turn) -> usize {
        let mut state = self.state.lock();
        self.forget(state.ready.stored(), turn);
        let purged = state.ready.clear();
        self.settle_down(&mut state, turn);
        purged
    }

    /// A declaration of a queue that exists keeps it from expiring.
    pub(crate) fn renew(&self, now: Moment) {
        self.state.lock().used = now;
    }

    /// Ends the queue if `condition` allows it of (ready, consumers): drops its messages and tells its consumers. How many
    /// messages were ready, or `None` if it was gone already.
    pub(crate) fn delete(
        &self,
        condition: impl FnOnce(usize, usize) -> Result<(), Soft>,
        turn: &mut Turn,
    ) -> Result<Option<usize>, Soft> {
        let mut state = self.state.lock();
        if state.deleted {
            return Ok(None);
        }
        condition(state.ready.len(), state.consumers.len())?;
        state.deleted = true;
        let ready = state.ready.clear();
        for consumer in state.consumers.clear() {
            consumer.mailbox.notify(Notice::QueueDeleted { channel: consumer.channel, source: consumer.source }, turn);
        }
        self.settle_down(&mut state, turn);
        Ok(Some(ready))
    }

    /// A timer that was set for this queue is over. True if the queue has been unused for as long as it may be.
    pub(crate) fn handle_timeout(&self, turn: &mut Turn) -> bool {
        let mut state = self.state.lock();
        state.armed = Moment::NEVER;
        self.settle_down(&mut state, turn);
        let idle_until = state.settings.expires.map(|expires| state.used + expires);
        !state.deleted && state.consumers.is_empty() && idle_until.is_some_and(|until| until <= turn.now)
    }

    /// What follows every change: hands out messages, drops what has expired or is too much, lets paused publishers go on,
    /// and sets the timer.
    fn settle_down(&self, state: &mut State, turn: &mut Turn) {
        let mut expired = vec![];
        state.unacked += state.consumers.dispatch(&mut state.ready, turn, &mut expired);
        state.ready.expire(turn.now, &mut expired);
        self.bury(state, expired, Death::Expired, turn);
        if state.settings.overflow == Overflow::DropHead {
            self.drop_head(state, turn);
        }
        if !state.paused.is_empty() {
            Self::resume_publishers(state, turn);
        }
        self.arm(state);
    }

    /// Lets one publisher go on when the backlog has halved, for many at once would be far ahead again; all of them when there
    /// is none left.
    fn resume_publishers(state: &mut State, turn: &mut Turn) {
        let resumed = match state.ready.bytes() {
            bytes if bytes == 0 || state.consumers.is_empty() => state.paused.len(),
            ..=AHEAD_BYTES_HALF => 1,
            _ => 0,
        };
        for publisher in state.paused.drain(..resumed) {
            publisher.resume_publisher(turn);
        }
    }

    /// Brings a queue that is too long back to its length.
    fn drop_head(&self, state: &mut State, turn: &mut Turn) {
        let mut dropped = vec![];
        while state.is_over_full() {
            match state.ready.pop() {
                Some(entry) => dropped.push(entry),
                None => break,
            }
        }
        self.bury(state, dropped, Death::MaxLength, turn);
    }

    /// Appends what the queue has room for, whether a consumer waits or not.
    fn publish_or_refuse(&self, state: &mut State, batch: &mut Vec<Message>, turn: &mut Turn) -> Accepted {
        let mut accepted = Accepted::Yes;
        self.settle_down(state, turn);
        for message in batch.drain(..) {
            if !state.has_room_for(&message) {
                accepted = Accepted::Refused;
                if state.settings.overflow == Overflow::RejectPublishDeadLetter {
                    self.bury(state, vec![Entry::refused(message)], Death::MaxLength, turn);
                }
                continue;
            }
            self.push(state, message, turn);
            self.settle_down(state, turn);
        }
        accepted
    }

    /// Messages that leave the queue unconsumed go to its dead-letter exchange, if it has one.
    fn bury(&self, state: &State, entries: Vec<Entry>, death: Death, turn: &mut Turn) {
        if entries.is_empty() {
            return;
        }
        self.forget(entries.iter().filter_map(Entry::stored).collect(), turn);
        let Some(to) = &state.settings.dead_letter else { return };
        for Entry { message, .. } in entries {
            turn.dead.push_back(DeadLetter { message, death, queue: self.name.clone(), to: to.clone() });
        }
    }

    /// Sets the timer for what happens next by itself.
    #[inline]
    fn arm(&self, state: &mut State) {
        let expiry = state.ready.next_expiry().unwrap_or(Moment::NEVER);
        let unused = match state.settings.expires {
            Some(expires) if state.consumers.is_empty() => state.used + expires,
            _ => Moment::NEVER,
        };
        let next = expiry.min(unused);
        if next < state.armed && !state.deleted {
            state.armed = next;
            self.timers.add(next, self.me.clone());
        }
    }
}

/// Messages that come back to a queue.
#[derive(Default)]
pub(crate) struct Returning {
    /// Those that somebody has had.
    pub(crate) delivered: Vec<Entry>,
    /// Those that nobody has seen.
    pub(crate) undelivered: Vec<Entry>,
    /// How many messages besides `delivered` are not unacknowledged any more.
    pub(crate) settled: usize,
}

impl State {
    /// True if the queue may have one more ready message.
    fn has_room_for(&self, message: &Message) -> bool {
        let (messages, bytes) = (self.ready.len() + 1, self.ready.body_bytes() + message.body_len());
        self.settings.max_length.is_none_or(|max| messages <= max)
            && self.settings.max_length_bytes.is_none_or(|max| bytes <= max)
    }

    /// True with more ready messages, or bytes of them, than the queue may have.
    fn is_over_full(&self) -> bool {
        self.settings.max_length.is_some_and(|max| self.ready.len() > max)
            || self.settings.max_length_bytes.is_some_and(|max| self.ready.body_bytes() > max)
    }
}

impl Settings {
    /// When a message that comes now expires: the earlier of the queue's time and its own.
    #[inline]
    fn expiry_of(&self, message: &Message, now: Moment) -> Moment {
        let own = message.time_to_live();
        match (self.message_ttl, own) {
            (None, None) => Moment::NEVER,
            (Some(ttl), None) | (None, Some(ttl)) => now + ttl,
            (Some(a), Some(b)) => now + a.min(b),
        }
    }
}

/// As RabbitMQ's texts name it.
impl std::fmt::Display for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "queue '{}' in vhost '{}'", self.name, self.vhost)
    }
}

#[cfg(test)]
mod tests;
