//! How consumers and channels end at this program's wish.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use leveret_spec::{ShortStr, basic, channel};

use super::core::{Answer, ChannelCore, ChannelState, Phase};
use crate::connection::Shared;
use crate::consumer::Subscription;
use crate::error::{Error, Result, Scope};

impl ChannelCore {
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
        // If the connection is closed, so is the consumer.
        let _ = self.start_cancel_in(&mut state, shared, &subscription.tag);
    }

    /// Sends basic.cancel.
    fn start_cancel_in(&self, state: &mut ChannelState, shared: &Shared, tag: &Arc<str>) -> Result<Answer> {
        let cancel = basic::Cancel { consumer_tag: ShortStr::cut(tag), no_wait: false };
        let answer = self.start_call_in(state, shared, &cancel)?;
        state.cancelling.push_back(tag.clone());
        Ok(answer)
    }

    /// Asks the broker to end a consumer and registers for the answer. The inner `None` if there is nothing to ask: the
    /// consumer is over, or was on a connection that is lost; the outer one while one has to wait.
    pub(crate) fn try_cancel(&self, shared: &Shared, tag: &str) -> Result<Option<Option<Answer>>> {
        let mut state = self.state();
        state.check_open()?;
        let Some(subscription) = state.consumers.get(tag).cloned() else { return Ok(Some(None)) };
        match state.phase {
            Phase::Live => {
                let started = self.start_cancel_in(&mut state, shared, &subscription.tag)?;
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
            shared.room.notify_waiters();
            return Ok(None);
        }
        let close = channel::Close { reply_code: 200, reply_text: ShortStr::cut("closed"), class_id: 0, method_id: 0 };
        let receiver = self.start_call_in(&mut state, shared, &close)?;
        state.end = Some(Error::closed_here(Scope::Channel));
        state.closing = true;
        Ok(Some(receiver))
    }

    /// Ends the channel and its consumers, and what depends on these.
    pub(crate) fn close(&self, shared: &Shared, error: &Error) {
        let consumers: Vec<_> = self.state().consumers.values().cloned().collect();
        self.end(error);
        for subscription in consumers {
            subscription.leave_queue(shared);
        }
    }
}
