//! A channel between a connection that is lost and the next one.
//!
//! ```text
//! live --(lost)--> down --(put on the wire)--> restoring --(all is as it was)--> live
//!                   ^---(lost, or closed by the broker)---'
//! ```

use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard};

use leveret_spec::method::MethodFrame;
use leveret_spec::{ShortStr, basic, channel};

use super::core::{Answer, ChannelCore, ChannelState, Phase, Prefetch, Waiting};
use super::reply::Reply;
use crate::confirm::Confirms;
use crate::connection::Shared;
use crate::consumer::Subscription;
use crate::error::{Error, Result};
use crate::rpc::Calls;

/// What a channel was.
pub(crate) struct Former {
    pub(crate) prefetch: Prefetch,
    pub(crate) confirms: bool,
    pub(crate) consumers: Vec<Arc<Subscription>>,
}

impl ChannelCore {
    /// True if the broker may send something for it.
    pub(crate) fn is_on_the_wire(&self) -> bool {
        self.state().phase != Phase::Down
    }

    /// The connection is lost, or the broker has closed the channel while it was being restored. What was under way has
    /// failed; consumers, confirm mode and prefetch are kept. False if the channel is over.
    pub(crate) fn suspend(&self, shared: &Shared, error: &Error) -> bool {
        self.suspend_in(self.state(), shared, error)
    }

    /// `suspend` for who holds the lock.
    pub(super) fn suspend_in(&self, mut state: MutexGuard<'_, ChannelState>, shared: &Shared, error: &Error) -> bool {
        if state.end.is_some() || state.transactional || !state.opened {
            drop(state);
            self.close(shared, error);
            return false;
        }
        state.phase = Phase::Down;
        state.losses += 1;
        state.paused = false;
        state.cancelling.clear();
        state.last_queue.former = true;
        let base = self.delivered_up_to.load(Ordering::Relaxed);
        self.tag_base.store(base, Ordering::Relaxed);
        state.settled_up_to = base;
        for waiting in std::mem::take(&mut state.waiting) {
            waiting.lose(error);
        }
        let ended: Vec<_> = state.consumers.extract_if(|_, subscription| !subscription.suspend()).collect();
        if let Some(confirms) = &mut state.confirms {
            confirms.lose();
        }
        let calls = state.calls.clone();
        drop(state);
        for (_, subscription) in ended {
            subscription.leave_queue(shared);
        }
        if let Some(calls) = calls {
            Calls::fail(&calls, error);
        }
        true
    }

    /// Opens the channel on the new connection. `None` if the program has closed it meanwhile.
    pub(crate) fn begin_restoring(&self, shared: &Shared) -> Result<Option<(Former, Answer)>> {
        let mut state = self.state();
        if state.end.is_some() {
            return Ok(None);
        }
        let opened = self.start_call_in(&mut state, shared, &channel::Open { reserved: ShortStr::default() })?;
        state.phase = Phase::Restoring;
        let last_queue = shared.topology().current(&state.last_queue.name).into_owned();
        state.last_queue.name = last_queue.into();
        let mut consumers: Vec<_> = state.consumers.values().cloned().collect();
        consumers.sort_by_key(|subscription| subscription.number);
        let former = Former { prefetch: state.prefetch, confirms: state.confirms.is_some(), consumers };
        Ok(Some((former, opened)))
    }

    /// A call of the restoring.
    pub(crate) fn restoring_call(&self, shared: &Shared, method: &impl MethodFrame) -> Result<Answer> {
        let mut state = self.state();
        state.check_open()?;
        self.start_call_in(&mut state, shared, method)
    }

    /// Starts a consumer again. `None` if the program has dropped it meanwhile.
    pub(crate) fn restore_consumer(&self, shared: &Shared, consumer: &Arc<Subscription>) -> Result<Option<Answer>> {
        let mut state = self.state();
        state.check_open()?;
        if !state.consumers.get(&consumer.tag).is_some_and(|held| Arc::ptr_eq(held, consumer)) {
            return Ok(None);
        }
        let queue = shared.topology().current(&consumer.queue()).into_owned();
        consumer.follow_queue(&queue);
        let started = self.start_call_in(&mut state, shared, &consumer.method(&queue)?)?;
        consumer.mark_asked_for();
        Ok(Some(started))
    }

    /// A consumer could not be started again: it ends.
    pub(crate) fn give_up_consumer(&self, shared: &Shared, consumer: &Arc<Subscription>, error: &Error) {
        let mut state = self.state();
        if state.consumers.get(&consumer.tag).is_some_and(|held| Arc::ptr_eq(held, consumer)) {
            state.consumers.remove(&consumer.tag);
        }
        drop(state);
        consumer.leave_queue(shared);
        consumer.mailbox.finish(Some(error.clone()));
    }

    /// The channel is what it was.
    pub(crate) fn finish_restoring(&self) {
        let mut state = self.state();
        if state.phase == Phase::Restoring {
            state.phase = Phase::Live;
        }
    }

    /// True if the program, or a mistake, has ended it.
    pub(crate) fn is_over(&self) -> bool {
        self.state().end.is_some()
    }
}

impl ChannelState {
    /// Puts the channel into confirm mode, if it is not.
    pub(super) fn confirm(&mut self) -> &mut Confirms {
        self.confirms.get_or_insert_with(Confirms::new)
    }
}

impl Waiting {
    /// The answer will not come. What is cancelled is gone with the connection.
    fn lose(self, error: &Error) {
        let answer = if self.row == basic::Cancel::ROW { Ok(Reply::Done) } else { Err(error.clone()) };
        // The caller may have stopped waiting.
        let _ = self.answer.send(answer);
    }
}
