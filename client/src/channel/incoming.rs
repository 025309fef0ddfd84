//! What the broker says to a channel, apart from messages: answers, confirms, cancels, flow, close.

use std::sync::Arc;

use leveret_spec::method::MethodFrame;
use leveret_spec::{Method, basic, channel};

use super::core::{ChannelCore, LastQueue, Phase, Waiting};
use super::reply::Reply;
use crate::confirm::Returned;
use crate::connection::Shared;
use crate::consumer::Subscription;
use crate::error::{Error, Result, Scope};

/// Whether the channel lives on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    Open,
    /// Its number is free.
    Closed,
    /// The broker has closed it, and it will be opened again.
    Suspended,
}

impl ChannelCore {
    /// Takes a method without content.
    ///
    /// # Errors
    /// What the broker should not have sent; it ends the connection.
    pub(crate) fn handle_method(&self, shared: &Shared, method: &Method<'_>) -> Result<After> {
        match method {
            Method::Basic(basic::Method::Ack(ack)) => self.handle_confirm(shared, ack.delivery_tag, ack.multiple, true),
            Method::Basic(basic::Method::Nack(n)) => self.handle_confirm(shared, n.delivery_tag, n.multiple, false),
            Method::Basic(basic::Method::Cancel(cancel)) => self.handle_cancel(shared, cancel),
            Method::Basic(basic::Method::CancelOk(ok)) => {
                if let Some(subscription) = self.end_cancelled(ok.consumer_tag.as_str())? {
                    subscription.leave_queue(shared);
                }
                self.handle_reply(shared, method, Reply::Done)?;
            }
            Method::Basic(basic::Method::ConsumeOk(ok)) => {
                let state = self.state();
                if let Some(subscription) = state.consumers.get(ok.consumer_tag.as_str()) {
                    subscription.start(shared, &state.last_queue.name);
                }
                drop(state);
                self.handle_reply(shared, method, Reply::Done)?;
            }
            Method::Channel(channel::Method::OpenOk(_)) => {
                self.state().opened = true;
                self.handle_reply(shared, method, Reply::Done)?;
            }
            Method::Basic(basic::Method::RecoverOk(_)) => {
                self.mark_all_settled(&mut self.state());
                self.handle_reply(shared, method, Reply::Done)?;
            }
            Method::Channel(channel::Method::Close(close)) => return Ok(self.handle_close(shared, close)),
            Method::Channel(channel::Method::CloseOk(_)) => {
                self.handle_reply(shared, method, Reply::Done)?;
                self.close(shared, &Error::closed_here(Scope::Channel));
                shared.room.notify_waiters();
                return Ok(After::Closed);
            }
            Method::Channel(channel::Method::Flow(flow)) => self.handle_flow(shared, flow.active),
            _ => self.handle_reply(shared, method, Reply::of(method))?,
        }
        Ok(After::Open)
    }

    /// Gives an answer to the call that waits for it.
    pub(crate) fn handle_reply(&self, shared: &Shared, method: &Method<'_>, reply: Reply) -> Result<()> {
        let row = method.row();
        let mut state = self.state();
        let wanted = |w: &Waiting| w.row.class == row.class && w.row.replies.contains(&row.method);
        // RabbitMQ's queues answer these two by themselves, so that answers to later calls may overtake them.
        let overtaken = |w: &Waiting| [basic::Consume::ROW, basic::Cancel::ROW].contains(&w.row);
        let found = state.waiting.iter().position(|w| wanted(w) || !overtaken(w));
        let found = found.filter(|index| state.waiting.get(*index).is_some_and(wanted));
        let Some(index) = found else {
            return Err(Error::Protocol(format!("{} answers nothing on channel {}", row.name, self.id)));
        };
        let Some(Waiting { answer, change, .. }) = state.waiting.remove(index) else { return Ok(()) };
        if let Reply::Queue(status) = &reply {
            state.last_queue = LastQueue { name: status.name.as_str().into(), former: false };
        }
        if let Some(mut change) = change {
            change.name_queue(&state.last_queue.name);
            drop(state);
            shared.topology().apply(*change, &reply);
        }
        // The caller may have stopped waiting.
        let _ = answer.send(Ok(reply));
        Ok(())
    }

    fn handle_confirm(&self, shared: &Shared, tag: u64, multiple: bool, acked: bool) {
        let mut state = self.state();
        let Some(confirms) = &mut state.confirms else { return };
        // Who waits for room gets half of it at once: a wake-up for each confirm would cost more than the message.
        let half = shared.limits.unconfirmed_max / 2;
        let was_above = confirms.unanswered() > half;
        confirms.settle(tag, multiple, acked);
        let has_room = was_above && confirms.unanswered() <= half;
        let all_done = confirms.unanswered() == 0;
        drop(state);
        if has_room || all_done {
            shared.room.notify_waiters();
        }
    }

    /// The broker has ended a consumer that it was asked to end. If it names another one, who asked would read on for ever.
    fn end_cancelled(&self, consumer_tag: &str) -> Result<Option<Arc<Subscription>>> {
        let mut state = self.state();
        match state.cancelling.iter().position(|asked| &**asked == consumer_tag) {
            Some(at) => drop(state.cancelling.remove(at)),
            None if state.cancelling.is_empty() => {}
            None => {
                let text = format!("basic.cancel-ok for consumer '{consumer_tag}', which was not cancelled");
                return Err(Error::Protocol(text));
            }
        }
        let ended = state.consumers.remove(consumer_tag);
        if let Some(subscription) = &ended {
            subscription.mailbox.finish(None);
        }
        Ok(ended)
    }

    /// The broker ends a consumer.
    fn handle_cancel(&self, shared: &Shared, cancel: &basic::Cancel<'_>) {
        let mut state = self.state();
        let consumer_tag = cancel.consumer_tag.as_str();
        if let Some(subscription) = state.consumers.remove(consumer_tag) {
            let consumer_tag = consumer_tag.to_owned();
            subscription.mailbox.finish(Some(Error::Cancelled { consumer_tag }));
            shared.topology().forget_queue(&subscription.queue());
        }
        if !cancel.no_wait && state.end.is_none() {
            shared.answer(self.id, &basic::CancelOk { consumer_tag: cancel.consumer_tag });
        }
    }

    fn handle_flow(&self, shared: &Shared, active: bool) {
        let mut state = self.state();
        state.paused = !active;
        shared.answer(self.id, &channel::FlowOk { active });
        drop(state);
        shared.room.notify_waiters();
    }

    /// The broker closes the channel. If this side was closing it too, the broker still answers that close, and only
    /// then is the number free.
    fn handle_close(&self, shared: &Shared, close: &channel::Close<'_>) -> After {
        let error = Error::Closed {
            scope: Scope::Channel,
            code: close.reply_code,
            text: close.reply_text.as_str().to_owned(),
            class_id: close.class_id,
            method_id: close.method_id,
        };
        let mut state = self.state();
        let crossed = state.closing;
        let restoring = state.phase == Phase::Restoring && state.end.is_none();
        if !restoring {
            state.end.get_or_insert_with(|| error.clone());
        }
        shared.answer(self.id, &channel::CloseOk {});
        if restoring {
            // In one go: nothing may be sent on a channel that is closed.
            return if self.suspend_in(state, shared, &error) { After::Suspended } else { After::Closed };
        }
        drop(state);
        if crossed {
            self.state().forget_calls_before_close(&error);
            return After::Open;
        }
        self.close(shared, &error);
        shared.room.notify_waiters();
        After::Closed
    }

    /// The consumer of that tag.
    pub(crate) fn subscription(&self, tag: &str) -> Option<Arc<Subscription>> {
        self.state().consumers.get(tag).cloned()
    }

    /// A message came back.
    pub(crate) fn handle_returned(&self, returned: Returned) {
        let mut state = self.state();
        let unwatched = match &mut state.confirms {
            Some(confirms) => confirms.keep_returned(returned),
            None => Some(returned),
        };
        if let Some(returned) = unwatched {
            state.hand_out_returned(returned);
        }
    }
}
