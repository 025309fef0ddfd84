//! What a channel's handles and the I/O task share: who waits for which answer, consumers, confirms, and whether the
//! channel is open. Its lock is taken before the outbox's, so what is recorded here and what is on the wire agree.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use leveret_spec::frame;
use leveret_spec::method::{MethodFrame, Row};
use leveret_spec::{ShortStr, basic, channel};
use tokio::sync::oneshot;

use super::reply::Reply;
use super::settlement::Settlement;
use crate::confirm::{Confirms, Returned};
use crate::connection::Shared;
use crate::consumer::Subscription;
use crate::error::{Error, Result, Scope};
use crate::lock::locked;
use crate::mailbox::Mailbox;
use crate::rpc::Calls;
use crate::topology::Change;

/// Returned messages that nobody has picked up; further ones are dropped.
const RETURNS_MAX: usize = 10_000;

/// A call that waits for the broker's answer. Answers come in the order of the calls.
pub(crate) struct Waiting {
    pub(crate) row: Row,
    pub(crate) answer: oneshot::Sender<Result<Reply>>,
    /// What is noted when the broker agrees.
    pub(super) change: Option<Box<Change>>,
}

/// What a call waits for.
pub(crate) type Answer = oneshot::Receiver<Result<Reply>>;

/// Whether the broker knows the channel, and the program may use it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Phase {
    #[default]
    Live,
    /// It is open on a new connection, and being made what it was; calls wait.
    Restoring,
    /// The connection is lost. Nothing may be sent, and everything that can wait does.
    Down,
}

#[derive(Default)]
pub(crate) struct ChannelState {
    pub(crate) phase: Phase,
    /// The broker has agreed to open it, so it will be opened again.
    pub(super) opened: bool,
    /// It has transactions, which cannot be restored.
    pub(super) transactional: bool,
    pub(super) prefetch: Prefetch,
    /// Why the channel can no longer be used: set when closing begins.
    pub(crate) end: Option<Error>,
    /// channel.close was sent by this side; only its answer is still of interest.
    pub(crate) closing: bool,
    pub(crate) waiting: VecDeque<Waiting>,
    pub(crate) consumers: HashMap<Arc<str>, Arc<Subscription>>,
    pub(crate) confirms: Option<Confirms>,
    pub(crate) returns: Option<Arc<Mailbox<Returned>>>,
    pub(super) last_queue: LastQueue,
    /// The calls of the channel's `Rpc`.
    pub(crate) calls: Option<Arc<Mutex<Calls>>>,
    /// The broker sent channel.flow with active = false.
    pub(crate) paused: bool,
    tags_made: u64,
    consumers_made: u64,
    /// Deliveries up to this number were settled together, or came over a connection that is lost: who still holds one
    /// must not give it back.
    pub(super) settled_up_to: u64,
}

/// What `Channel::qos` has set, as far as it has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Prefetch {
    pub(crate) per_consumer: u16,
    pub(crate) per_channel: u16,
}

/// The queue that the channel declared last, which an empty name means.
#[derive(Debug, Default)]
pub(super) struct LastQueue {
    pub(super) name: Box<str>,
    /// That was on a connection that is lost: the broker does not know what an empty name means.
    pub(super) former: bool,
}

/// See the file's head.
pub(crate) struct ChannelCore {
    pub(crate) id: u16,
    state: Mutex<ChannelState>,
    /// The highest number of a delivery that has come.
    pub(super) delivered_up_to: AtomicU64,
    /// What the program's numbers of deliveries are above the broker's, which counts from 1 on each connection. Numbers
    /// up to this one are of connections that are lost.
    pub(super) tag_base: AtomicU64,
}

impl ChannelCore {
    pub(crate) fn new(id: u16) -> Self {
        ChannelCore { id, state: Mutex::default(), delivered_up_to: AtomicU64::new(0), tag_base: AtomicU64::new(0) }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, ChannelState> {
        locked(&self.state)
    }

    /// Sends a method and registers for its answer; `None` while the connection is lost.
    pub(crate) fn try_call<M: MethodFrame>(
        &self,
        shared: &Shared,
        method: &M,
        change: Option<Box<Change>>,
    ) -> Result<Option<Answer>> {
        let mut state = self.state();
        if !state.check_live()? {
            return Ok(None);
        }
        let answer = self.start_call_in(&mut state, shared, method)?;
        if let Some(last) = state.waiting.back_mut() {
            last.change = change;
        }
        Ok(Some(answer))
    }

    /// Sends a method for who holds the lock and has looked at the phase.
    pub(crate) fn start_call_in<M: MethodFrame>(
        &self,
        state: &mut ChannelState,
        shared: &Shared,
        method: &M,
    ) -> Result<Answer> {
        let (answer, receiver) = oneshot::channel();
        shared.append_method(self.id, method)?;
        state.waiting.push_back(Waiting { row: M::ROW, answer, change: None });
        Ok(receiver)
    }

    /// Asks the broker to end a consumer, if it runs and was not asked before; nothing is waited for. The answer takes
    /// the consumer off the channel; until then late deliveries must find it.
    pub(crate) fn start_cancel(&self, shared: &Shared, subscription: &Arc<Subscription>) {
        let mut state = self.state();
        let running = state.consumers.get(&subscription.tag).is_some_and(|s| Arc::ptr_eq(s, subscription));
        if !running || state.end.is_some() || subscription.given_up.swap(true, Ordering::Relaxed) {
            return;
        }
        if !subscription.is_asked_for() {
            state.consumers.remove(&subscription.tag);
            drop(state);
            return subscription.leave_queue(shared);
        }
        let cancel = basic::Cancel { consumer_tag: ShortStr::cut(&subscription.tag), no_wait: false };
        // If the connection is closed, so is the consumer.
        let _ = self.start_call_in(&mut state, shared, &cancel);
    }

    /// Asks the broker to end a consumer and registers for the answer. The inner `None` if there is nothing to ask: the
    /// consumer is over, or was on a connection that is lost; the outer one while one has to wait.
    pub(crate) fn try_cancel(&self, shared: &Shared, tag: &str) -> Result<Option<Option<Answer>>> {
        let mut state = self.state();
        let Some(subscription) = state.consumers.get(tag).cloned() else { return Ok(Some(None)) };
        state.check_open()?;
        match state.phase {
            Phase::Live => {
                let cancel = basic::Cancel { consumer_tag: ShortStr::cut(tag), no_wait: false };
                let started = self.start_call_in(&mut state, shared, &cancel)?;
                subscription.given_up.store(true, Ordering::Relaxed);
                Ok(Some(Some(started)))
            }
            Phase::Restoring => Ok(None),
            Phase::Down => {
                state.consumers.remove(tag);
                drop(state);
                subscription.mailbox.finish(None);
                subscription.leave_queue(shared);
                Ok(Some(None))
            }
        }
    }

    /// Begins to close the channel, if it is open. `None` if the broker need not be asked, so that it is closed.
    pub(crate) fn start_close(&self, shared: &Shared) -> Result<Option<Answer>> {
        let mut state = self.state();
        state.check_open()?;
        if state.phase == Phase::Down {
            drop(state);
            self.close(shared, &Error::closed_here(Scope::Channel));
            shared.remove_channel(self);
            return Ok(None);
        }
        let close = channel::Close { reply_code: 200, reply_text: ShortStr::cut("closed"), class_id: 0, method_id: 0 };
        let receiver = self.start_call_in(&mut state, shared, &close)?;
        state.end = Some(Error::closed_here(Scope::Channel));
        state.closing = true;
        Ok(Some(receiver))
    }

    /// Notes a delivery before anybody gets it.
    pub(crate) fn note_delivered(&self, tag: u64) {
        self.delivered_up_to.fetch_max(tag, Ordering::Relaxed);
    }

    /// Sends a settlement of a delivery, or of all up to it, unless the outbox is full. Deliveries of a connection that
    /// is lost are back in their queues: nothing is left to settle.
    pub(crate) fn try_settle(&self, shared: &Shared, tag: u64, settlement: Settlement) -> Result<Option<()>> {
        let mut state = self.state();
        state.check_open()?;
        let base = self.tag_base();
        let stale = if tag == 0 { state.phase == Phase::Down } else { tag <= base };
        if stale {
            return Ok(Some(()));
        }
        if state.phase != Phase::Live {
            return Ok(None);
        }
        shared.append(|outbox| {
            if outbox.is_full() {
                return Ok(None);
            }
            settlement.encode(&mut outbox.bytes, self.id, tag.saturating_sub(base));
            match tag {
                _ if !settlement.is_multiple() => {}
                0 => self.mark_all_settled(&mut state),
                tag => state.settled_up_to = state.settled_up_to.max(tag),
            }
            Ok(Some(()))
        })
    }

    /// What was delivered so far is settled.
    pub(super) fn mark_all_settled(&self, state: &mut ChannelState) {
        state.settled_up_to = state.settled_up_to.max(self.delivered_up_to.load(Ordering::Relaxed));
    }

    /// Gives deliveries back that nobody will read. A closed channel has given them back already, and settling one a
    /// second time would make the broker close the channel.
    pub(crate) fn requeue(&self, shared: &Shared, tags: impl Iterator<Item = u64>) {
        let state = self.state();
        // What comes before the answer to basic.recover was sent before the broker recovered it.
        if state.end.is_some() || state.waiting.iter().any(|waiting| waiting.row == basic::Recover::ROW) {
            return;
        }
        let base = self.tag_base();
        let tags = tags.filter(|&tag| tag > state.settled_up_to).map(|tag| tag.saturating_sub(base));
        let nack = |delivery_tag| basic::Nack { delivery_tag, multiple: false, requeue: true };
        // The connection may be closed, which requeues them too.
        let _ = shared.append(|outbox| {
            tags.for_each(|tag| frame::put_method(&mut outbox.bytes, self.id, &nack(tag)));
            Ok(())
        });
    }

    /// Ends the channel and its consumers, and what depends on these.
    pub(crate) fn close(&self, shared: &Shared, error: &Error) {
        let consumers: Vec<_> = self.state().consumers.values().cloned().collect();
        self.end(error);
        for subscription in consumers {
            subscription.leave_queue(shared);
        }
    }

    /// Ends every wait with this error.
    pub(crate) fn end(&self, error: &Error) {
        let mut state = self.state();
        state.end.get_or_insert_with(|| error.clone());
        let error = state.end.clone();
        let ended = std::mem::take(&mut *state);
        state.end = error.clone();
        drop(state);
        if let Some(error) = error {
            ended.finish(&error);
        }
    }
}

impl ChannelState {
    pub(crate) fn check_open(&self) -> Result<()> {
        self.end.clone().map_or(Ok(()), Err)
    }

    /// False while the connection is lost and everything has to wait.
    pub(crate) fn check_live(&self) -> Result<bool> {
        self.check_open()?;
        Ok(self.phase == Phase::Live)
    }

    /// The broker has closed the channel while this side was closing it: only that close will still be answered.
    pub(crate) fn forget_calls_before_close(&mut self, error: &Error) {
        while let Some(waiting) = self.waiting.pop_front_if(|w| w.row != channel::Close::ROW) {
            // The caller may have stopped waiting.
            let _ = waiting.answer.send(Err(error.clone()));
        }
    }

    /// The next consumer's number: they are restored in the order in which they began.
    pub(super) fn number_consumer(&mut self) -> u64 {
        self.consumers_made += 1;
        self.consumers_made
    }

    /// A consumer tag that this channel has not made up before, nor given away.
    pub(crate) fn make_tag(&mut self) -> String {
        loop {
            self.tags_made += 1;
            let tag = format!("leveret-{}", self.tags_made);
            if !self.consumers.contains_key(tag.as_str()) {
                return tag;
            }
        }
    }

    /// A message came back that no confirm waits for.
    pub(crate) fn hand_out_returned(&self, returned: Returned) {
        if let Some(returns) = &self.returns
            && returns.len() < RETURNS_MAX
        {
            returns.append(&mut VecDeque::from([returned]));
        }
    }

    /// Tells everybody. A channel that this program closed ends streams without an error.
    fn finish(mut self, error: &Error) {
        for waiting in self.waiting {
            // The caller may have stopped waiting.
            let _ = waiting.answer.send(Err(error.clone()));
        }
        let error_item = (!error.is_closed_here()).then(|| error.clone());
        for subscription in self.consumers.values() {
            subscription.mailbox.finish(error_item.clone());
        }
        if let Some(confirms) = &mut self.confirms {
            confirms.end(error);
        }
        if let Some(returns) = &self.returns {
            returns.finish(error_item);
        }
    }
}
