//! What a channel's handles and the I/O task share: who waits for which answer, consumers, confirms, and whether the
//! channel is open. Its lock is taken before the outbox's, so what is recorded here and what is on the wire agree.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard};

use leveret_spec::channel;
use leveret_spec::method::{MethodFrame, Row};
use tokio::sync::oneshot;

use super::reply::Reply;
use crate::confirm::{Confirms, Returned};
use crate::connection::Shared;
use crate::consumer::Subscription;
use crate::error::{Error, Result};
use crate::lock::locked;
use crate::mailbox::Mailbox;
use crate::rpc::Calls;
use crate::topology::Change;

/// Returned messages that nobody has picked up; further ones are dropped.
const RETURNS_MAX: usize = 10_000;
/// The same in bytes, so that large ones count for more. One is kept however large it is.
const RETURNS_BYTES_MAX: usize = 16 << 20;

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
    /// The consumers that the broker was asked to end, in the order of the calls.
    pub(crate) cancelling: VecDeque<Arc<str>>,
    pub(crate) confirms: Option<Confirms>,
    pub(crate) returns: Option<Arc<Mailbox<Returned>>>,
    /// The bodies among the returned messages that wait.
    returned_bytes: usize,
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
    /// How often the connection has been lost.
    pub(super) losses: u64,
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
        self.cancelling.clear();
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
    pub(crate) fn hand_out_returned(&mut self, returned: Returned) {
        let Some(returns) = &self.returns else { return };
        let waiting = returns.len();
        // The reader takes all of them at a time.
        let before = if waiting == 0 { 0 } else { self.returned_bytes };
        let bytes = before.saturating_add(returned.message.body().len());
        if waiting == 0 || (waiting < RETURNS_MAX && bytes <= RETURNS_BYTES_MAX) {
            self.returned_bytes = bytes;
            returns.append(&mut VecDeque::from([returned]));
        }
    }

    /// The prefetch of consumers that start from now on.
    pub(crate) fn set_prefetch(&mut self, prefetch: u16) {
        self.prefetch.per_consumer = prefetch;
        self.consumers.values().for_each(|subscription| subscription.allow(prefetch));
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
