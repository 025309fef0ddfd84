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
use crate::confirm::{Confirms, Returned};
use crate::connection::Shared;
use crate::consumer::Subscription;
use crate::error::{Error, Result, Scope};
use crate::lock::locked;
use crate::mailbox::Mailbox;

/// Returned messages that nobody has picked up; further ones are dropped.
const RETURNS_MAX: usize = 10_000;

/// A call that waits for the broker's answer. Answers come in the order of the calls.
pub(crate) struct Waiting {
    pub(crate) row: Row,
    pub(crate) answer: oneshot::Sender<Result<Reply>>,
}

/// What a call waits for.
pub(crate) type Answer = oneshot::Receiver<Result<Reply>>;

#[derive(Default)]
pub(crate) struct ChannelState {
    /// Why the channel can no longer be used: set when closing begins.
    pub(crate) end: Option<Error>,
    /// channel.close was sent by this side; only its answer is still of interest.
    pub(crate) closing: bool,
    pub(crate) waiting: VecDeque<Waiting>,
    pub(crate) consumers: HashMap<Arc<str>, Arc<Subscription>>,
    pub(crate) confirms: Option<Confirms>,
    pub(crate) returns: Option<Arc<Mailbox<Returned>>>,
    /// The broker sent channel.flow with active = false.
    pub(crate) paused: bool,
    tags_made: u64,
    /// Deliveries up to this number were settled together: who still holds one must not give it back.
    settled_up_to: u64,
}

/// See the file's head.
pub(crate) struct ChannelCore {
    pub(crate) id: u16,
    state: Mutex<ChannelState>,
    /// The highest number of a delivery that has come.
    delivered_up_to: AtomicU64,
}

impl ChannelCore {
    pub(crate) fn new(id: u16) -> Self {
        ChannelCore { id, state: Mutex::default(), delivered_up_to: AtomicU64::new(0) }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, ChannelState> {
        locked(&self.state)
    }

    /// Sends a method and registers for its answer.
    pub(crate) fn start_call<M: MethodFrame>(&self, shared: &Shared, method: &M) -> Result<Answer> {
        let mut state = self.state();
        state.check_open()?;
        self.start_call_in(&mut state, shared, method)
    }

    /// `start_call` for who holds the lock already.
    pub(crate) fn start_call_in<M: MethodFrame>(
        &self,
        state: &mut ChannelState,
        shared: &Shared,
        method: &M,
    ) -> Result<Answer> {
        let (answer, receiver) = oneshot::channel();
        shared.append_method(self.id, method)?;
        state.waiting.push_back(Waiting { row: M::ROW, answer });
        Ok(receiver)
    }

    /// Asks the broker to end a consumer, if it runs and was not asked before; nothing is waited for. The answer takes
    /// the consumer off the channel; until then late deliveries must find it.
    pub(crate) fn start_cancel(&self, shared: &Shared, subscription: &Arc<Subscription>) {
        let mut state = self.state();
        let running = state.consumers.get(&subscription.tag).is_some_and(|s| Arc::ptr_eq(s, subscription));
        if running && state.end.is_none() && !subscription.given_up.swap(true, Ordering::Relaxed) {
            let cancel = basic::Cancel { consumer_tag: ShortStr::cut(&subscription.tag), no_wait: false };
            // If the connection is closed, so is the consumer.
            let _ = self.start_call_in(&mut state, shared, &cancel);
        }
    }

    /// Begins to close the channel, if it is open.
    pub(crate) fn start_close(&self, shared: &Shared) -> Result<Answer> {
        let mut state = self.state();
        state.check_open()?;
        let close = channel::Close { reply_code: 200, reply_text: ShortStr::cut("closed"), class_id: 0, method_id: 0 };
        let receiver = self.start_call_in(&mut state, shared, &close)?;
        state.end = Some(Error::closed_here(Scope::Channel));
        state.closing = true;
        Ok(receiver)
    }

    /// Notes a delivery before anybody gets it.
    pub(crate) fn note_delivered(&self, tag: u64) {
        self.delivered_up_to.fetch_max(tag, Ordering::Relaxed);
    }

    /// Sends a settlement of deliveries, unless the outbox is full. `up_to` is the number if it settles everything up
    /// to that, 0 everything that was delivered.
    pub(crate) fn try_settle(
        &self,
        shared: &Shared,
        method: &impl MethodFrame,
        up_to: Option<u64>,
    ) -> Result<Option<()>> {
        let mut state = self.state();
        state.check_open()?;
        shared.append(|outbox| {
            if outbox.is_full() {
                return Ok(None);
            }
            frame::put_method(&mut outbox.bytes, self.id, method);
            match up_to {
                Some(0) => self.mark_all_settled(&mut state),
                Some(tag) => state.settled_up_to = state.settled_up_to.max(tag),
                None => {}
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
        let tags = tags.filter(|&tag| tag > state.settled_up_to);
        let nack = |delivery_tag| basic::Nack { delivery_tag, multiple: false, requeue: true };
        // The connection may be closed, which requeues them too.
        let _ = shared.append(|outbox| {
            tags.for_each(|tag| frame::put_method(&mut outbox.bytes, self.id, &nack(tag)));
            Ok(())
        });
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

    /// The broker has closed the channel while this side was closing it: only that close will still be answered.
    pub(crate) fn forget_calls_before_close(&mut self, error: &Error) {
        while let Some(waiting) = self.waiting.pop_front_if(|w| w.row != channel::Close::ROW) {
            // The caller may have stopped waiting.
            let _ = waiting.answer.send(Err(error.clone()));
        }
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
