//! An open connection: frames to channels, deliveries from the mailbox, pauses for a publisher that is far ahead.

use std::time::Duration;

use leveret_spec::frame::{self, Frame, FrameKind};
use leveret_spec::{Method, ShortStr, basic, channel, connection};

use super::channels::Channels;
use super::mistakes;
use super::{Next, OUTPUT_BYTES_MAX, Reason};
use crate::channel::{Channel, Content, Link, Outbox, opened_twice, plain_publish};
use crate::failure::{Failure, Hard, Soft};
use crate::node;
use crate::queue::{Inbox, Notice};
use crate::roster::{Bounds, Full, Presence};
use crate::time::Moment;

/// The method that content belongs to.
const PUBLISH: (u16, u16) = (basic::CLASS, 40);

/// The longest pause of a publisher that is far ahead of its consumers. The limit is the point: a consumer that is stuck
/// slows its publishers down and never stops them.
const PAUSE_MAX: Duration = Duration::from_millis(2);
/// How often as long it may be if many publishers share a queue, so that together they are no further ahead than one. Who
/// consumes on the same connection is not kept from acknowledging for so long.
const PAUSES_MAX: usize = 32;

pub(super) struct Running {
    pub(super) link: Link,
    presence: Presence,
    channels: Channels,
    channel_max: usize,
    /// Set while this publisher waits for consumers to catch up.
    paused_until: Option<Moment>,
    /// True while an alarm stops this publisher.
    blocked: bool,
    /// The inbox that is exchanged for the mailbox's.
    inbox: Inbox,
    repeated: Repeated,
}

/// The last basic.publish that was taken with its content, as it stood on the wire: publishers tend to send the same one
/// again, and what was understood of it once need not be read a second time.
#[derive(Default)]
struct Repeated {
    channel: u16,
    mandatory: bool,
    /// The whole frame; empty if there is none.
    frame: Vec<u8>,
}

/// A longer basic.publish is not worth remembering, in bytes.
const REPEATED_BYTES_MAX: usize = 256;

impl Running {
    pub(super) fn new(link: Link, presence: Presence, channel_max: usize) -> Self {
        Running {
            link,
            presence,
            channels: Channels::default(),
            channel_max,
            paused_until: None,
            blocked: false,
            inbox: Inbox::default(),
            repeated: Repeated::default(),
        }
    }

    pub(super) fn handle_bytes(&mut self, input: &[u8], _now: Moment) -> (usize, Option<Next>) {
        // RabbitMQ allows payloads of frame_max itself.
        let payload_max = frame::payload_max(self.link.frame_max).saturating_add(frame::FRAME_OVERHEAD);
        let mut used = 0;
        while self.link.out.len() < OUTPUT_BYTES_MAX {
            let rest = &input[used..];
            if let Some(length) = self.publish_again(rest, payload_max) {
                match length {
                    Ok(length) => used += length,
                    Err(reason) => return (used, Some(Next::Close(reason))),
                }
                continue;
            }
            let outcome = match frame::parse(rest, payload_max) {
                Ok(None) => break,
                Ok(Some((frame, length))) => self.frame(frame, rest, length, payload_max),
                Err(error) => Err(mistakes::bad_frame(error, self.link.frame_max)),
            };
            match outcome {
                Ok(Step::Used(length)) => used += length,
                Ok(Step::ClosedByClient(length)) => return (used + length, Some(Next::Answered)),
                Err(reason) => return (used, Some(Next::Close(reason))),
            }
        }
        (used, None)
    }

    /// The publish that came last, with other content: how many bytes it takes. `None` for anything else.
    #[inline]
    fn publish_again(&mut self, input: &[u8], payload_max: usize) -> Option<Result<usize, Reason>> {
        let Repeated { channel: number, mandatory, frame } = &self.repeated;
        if frame.is_empty() || !input.starts_with(frame) {
            return None;
        }
        let (number, length) = (*number, frame.len());
        let channel = self.channels.of_mut(number).filter(|c| !c.closing && c.is_between_messages())?;
        match channel.publish_plain(input, length, *mandatory, payload_max, &mut self.link).transpose()? {
            Ok(content) => Some(Ok(length + content)),
            Err(failure) => {
                let (class, method) = PUBLISH;
                // How much of the content there was does not matter: what follows on this channel is ignored, frame by frame.
                Some(self.settle_failure(Err(failure), number, class, method).map(|()| length))
            }
        }
    }

    fn remember(&mut self, publish: &[u8], channel: u16, mandatory: bool) {
        self.repeated.frame.clear();
        if publish.len() <= REPEATED_BYTES_MAX {
            self.repeated.frame.extend_from_slice(publish);
            self.repeated.channel = channel;
            self.repeated.mandatory = mandatory;
        }
    }

    /// One frame, or a whole publish of three.
    #[inline]
    fn frame(&mut self, frame: Frame<'_>, input: &[u8], length: usize, payload_max: usize) -> Result<Step, Reason> {
        match (frame.kind, frame.channel) {
            (FrameKind::Heartbeat, 0) if frame.payload.is_empty() => Ok(Step::Used(length)),
            (FrameKind::Heartbeat, 0) => Err(mistakes::unknown_frame(frame.kind as u8, frame.payload)),
            (FrameKind::Heartbeat, _) => Err(mistakes::misplaced_frame(frame)),
            (FrameKind::Method, 0) => self.connection_method(frame.payload, length),
            (_, 0) => Err(mistakes::misplaced_frame(frame)),
            _ => self.channel_frame(frame, input, length, payload_max).map(Step::Used),
        }
    }

    fn connection_method(&mut self, payload: &[u8], length: usize) -> Result<Step, Reason> {
        let method = Method::decode(payload).map_err(|e| mistakes::undecodable(e, payload))?;
        let row = method.row();
        match method {
            Method::Connection(connection::Method::Close(m)) => {
                tracing::info!(peer = &*self.link.client.peer, code = m.reply_code, text = %m.reply_text, "connection closed by client");
                self.shut_down();
                self.link.out.put_method(0, &connection::CloseOk {});
                return Ok(Step::ClosedByClient(length));
            }
            Method::Connection(connection::Method::UpdateSecret(_)) => {
                self.link.out.put_method(0, &connection::UpdateSecretOk {});
            }
            Method::Connection(connection::Method::CloseOk(_)) => {}
            _ => {
                let failure = Hard::channel_error("unexpected method in connection state running");
                return Err(Reason { class: row.class, method: row.method, ..Reason::of(failure) });
            }
        }
        Ok(Step::Used(length))
    }

    #[inline]
    fn channel_frame(
        &mut self,
        frame: Frame<'_>,
        input: &[u8],
        length: usize,
        payload_max: usize,
    ) -> Result<usize, Reason> {
        let Some(channel) = self.channels.of_mut(frame.channel) else {
            return self.open_channel(frame).map(|()| length);
        };
        if channel.closing {
            return self.closing_channel_frame(frame).map(|()| length);
        }
        let content = match frame.kind {
            FrameKind::Method => None,
            FrameKind::Header => Some(Content::Header(frame.payload)),
            _ => Some(Content::Body(frame.payload)),
        };
        if let Some(content) = content {
            // Without a publish before it there is no method that could be named.
            let (class, method) = if channel.is_between_messages() { (0, 0) } else { PUBLISH };
            let outcome = channel.content(content, &mut self.link);
            self.settle_failure(outcome, frame.channel, class, method)?;
            return Ok(length);
        }
        let (class, method) = PUBLISH;
        channel.check_between_messages().map_err(|failure| Reason { class, method, ..Reason::of(failure) })?;
        if let Some(mandatory) = plain_publish(frame.payload) {
            match channel.publish_plain(input, length, mandatory, payload_max, &mut self.link) {
                Ok(None) => {}
                Ok(Some(content)) => {
                    self.remember(&input[..length], frame.channel, mandatory);
                    return Ok(length + content);
                }
                Err(failure) => {
                    self.settle_failure(Err(failure), frame.channel, class, method)?;
                    return Ok(length);
                }
            }
        }
        let method = Method::decode(frame.payload).map_err(|e| mistakes::undecodable(e, frame.payload))?;
        let outcome = match &method {
            Method::Basic(basic::Method::Publish(publish)) => channel.publish(publish, input),
            Method::Basic(basic::Method::Ack(_) | basic::Method::Nack(_) | basic::Method::Reject(_)) => {
                channel.handle(method, &mut self.link)
            }
            Method::Channel(channel::Method::Close(m)) => {
                self.close_channel_for_client(frame.channel, m);
                Ok(())
            }
            _ => self.handle_alone(frame.channel, method),
        };
        if outcome.is_err() {
            let row = method.row();
            self.settle_failure(outcome, frame.channel, row.class, row.method)?;
        }
        Ok(length)
    }

    /// A method that has to find everything done that was sent before it.
    fn handle_alone(&mut self, number: u16, method: Method<'_>) -> Result<(), Failure> {
        self.settle();
        let changes = self.link.changes();
        let Some(channel) = self.channels.of_mut(number) else { return Ok(()) };
        let outcome = channel.handle(method, &mut self.link);
        channel.store_figures();
        self.presence.look_at(self.link.overdue_at);
        // What has been changed for good is answered when it is.
        self.link.hold_changes(changes);
        outcome
    }

    fn open_channel(&mut self, frame: Frame<'_>) -> Result<(), Reason> {
        if frame.kind != FrameKind::Method {
            return Err(Reason::of(Hard::unexpected_frame("expected method frame, got non method frame instead")));
        }
        let method = Method::decode(frame.payload).map_err(|e| mistakes::undecodable(e, frame.payload))?;
        let row = method.row();
        let caused = |failure| Reason { class: row.class, method: row.method, ..Reason::of(failure) };
        let Method::Channel(channel::Method::Open(_)) = method else {
            return Err(caused(Hard::channel_error("expected 'channel.open'")));
        };
        let (open, max) = (self.channels.len(), self.channel_max);
        if max != 0 && open >= max {
            return Err(Reason::of(Hard::not_allowed(format!(
                "number of channels opened ({open}) has reached the negotiated channel_max ({max})"
            ))));
        }
        let channel = Channel::new(frame.channel);
        let user = &self.link.client.user;
        let of_user = self.link.node.users.user(user).and_then(|user| user.channels_max);
        let bounds = Bounds { of_user, of_node: self.link.node.limits.channels_max, of_vhost: None };
        self.presence.open_channel(channel.figures().clone(), bounds).map_err(|full| {
            let (place, limit, most) = match full {
                Full::User(most) => (format!("for user '{user}'"), "user limit", most),
                Full::Node(most) | Full::Vhost(most) => (format!("on node '{}'", node::NAME), "limit", most),
            };
            // As with channel_max, and in RabbitMQ, it is no method's fault.
            Reason::of(Hard::not_allowed(format!(
                "number of channels opened {place} has reached the maximum allowed {limit} of {most}"
            )))
        })?;
        self.channels.add(channel);
        self.link.out.put_method(frame.channel, &channel::OpenOk::default());
        Ok(())
    }

    /// On a channel that the broker has closed only the end of it counts; the number is taken until then.
    fn closing_channel_frame(&mut self, frame: Frame<'_>) -> Result<(), Reason> {
        if frame.kind != FrameKind::Method {
            return Ok(());
        }
        match Method::decode(frame.payload) {
            Ok(Method::Channel(channel::Method::CloseOk(_))) => self.channels.remove(frame.channel),
            Ok(Method::Channel(channel::Method::Close(_))) => {
                self.link.out.put_method(frame.channel, &channel::CloseOk {});
            }
            Ok(method @ Method::Channel(channel::Method::Open(_))) => {
                let row = method.row();
                return Err(Reason { class: row.class, method: row.method, ..Reason::of(opened_twice()) });
            }
            _ => {}
        }
        Ok(())
    }

    fn close_channel_for_client(&mut self, number: u16, _close: &channel::Close<'_>) {
        self.settle();
        if let Some(channel) = self.channels.of_mut(number) {
            channel.shut_down(&mut self.link);
        }
        self.channels.remove(number);
        self.presence.close_channel(number);
        self.link.out.put_method(number, &channel::CloseOk {});
    }

    /// A soft failure closes the channel, a hard one is passed on.
    fn settle_failure(
        &mut self,
        outcome: Result<(), Failure>,
        number: u16,
        class: u16,
        method: u16,
    ) -> Result<(), Reason> {
        match outcome {
            Ok(()) => Ok(()),
            Err(Failure::Hard(failure)) => Err(Reason { class, method, ..Reason::of(failure) }),
            Err(Failure::Soft(failure)) => {
                self.close_channel(number, &failure, class, method);
                Ok(())
            }
        }
    }

    fn close_channel(&mut self, number: u16, failure: &Soft, class_id: u16, method_id: u16) {
        let text = failure.to_string();
        tracing::warn!(peer = &*self.link.client.peer, channel = number, reason = %text, "closing channel");
        self.settle();
        let Some(channel) = self.channels.of_mut(number) else { return };
        channel.shut_down(&mut self.link);
        channel.closing = true;
        self.presence.close_channel(number);
        let reply_text = ShortStr::cut(&text);
        let close = channel::Close { reply_code: failure.code.code(), reply_text, class_id, method_id };
        self.link.out.put_method(number, &close);
    }

    /// Tells queues and client what has come so far.
    fn settle(&mut self) {
        self.link.settle_publishes();
        let unsettled = self.link.take_unsettled();
        for &number in &unsettled {
            if let Some(channel) = self.channels.of_mut(number) {
                channel.end_turn(&mut self.link);
            }
        }
        self.link.publish_dead_letters();
        self.link.turn.hand_in();
        for &number in &unsettled {
            if let Some(channel) = self.channels.of_mut(number) {
                channel.confirm(&mut self.link);
            }
        }
        self.link.reuse_unsettled(unsettled);
    }

    pub(super) fn end_turn(&mut self, now: Moment) {
        self.settle();
        let far_ahead = std::mem::take(&mut self.link.far_ahead);
        if far_ahead > 0 {
            self.link.mailbox.take_publisher_resumed();
            // The more there are, the less of its queue's consumers each of them is owed.
            let shares = if self.channels.iter_mut().any(|channel| channel.has_consumers()) { 1 } else { far_ahead };
            self.paused_until = Some(now + PAUSE_MAX * shares.min(PAUSES_MAX) as u32);
        }
        let published = std::mem::take(&mut self.link.published);
        if published > 0 {
            self.count_published(published);
            if self.link.is_congested() {
                self.paused_until = Some(now + PAUSE_MAX);
            }
        }
        self.link.finish();
    }

    /// Sends what has waited for the message store and stays by now.
    pub(super) fn handle_durable(&mut self) -> Option<Next> {
        self.link.commit_here();
        let failed = self.link.store_has_failed();
        for number in std::mem::take(&mut self.link.confirming) {
            let Some(channel) = self.channels.of_mut(number).filter(|channel| !channel.closing) else { continue };
            if failed {
                channel.refuse_waiting(&mut self.link);
            } else if channel.confirm_durable(&mut self.link) {
                self.link.confirming.push(number);
            }
        }
        if failed && self.link.is_held() {
            // What is held promises what has not come true.
            self.link.out = Outbox::default();
            return Some(Next::End);
        }
        if self.link.waits_for_store() {
            self.link.wait_for_store();
        }
        None
    }

    /// True if anything waits for the message store.
    #[inline]
    pub(super) fn waits_for_store(&self) -> bool {
        self.link.waits_for_store()
    }

    /// True as long as nothing may be sent.
    pub(super) fn is_held(&self) -> bool {
        self.link.is_held()
    }

    fn count_published(&mut self, bytes: usize) {
        let alarms = &self.link.node.alarms;
        alarms.count(bytes);
        if alarms.is_on() && !self.blocked && alarms.block(&self.link.mailbox) {
            self.blocked = true;
            if self.link.client.hears_blocked {
                self.link.out.put_method(0, &connection::Blocked { reason: ShortStr::cut(alarms.reason()) });
            }
        }
    }

    fn unblock(&mut self) {
        if std::mem::take(&mut self.blocked) && self.link.client.hears_blocked {
            self.link.out.put_method(0, &connection::Unblocked {});
        }
    }

    /// True while an alarm stops this publisher: then it cannot be expected to be heard.
    pub(super) fn is_blocked(&self) -> bool {
        self.blocked
    }

    pub(super) fn is_paused(&self) -> bool {
        self.blocked || self.paused_until.is_some()
    }

    pub(super) fn deadline(&self) -> Option<Moment> {
        let overdue = self.link.overdue_at.and_then(|at| self.link.node.timeline.clock_at(at));
        match (self.paused_until, overdue) {
            (Some(paused), Some(overdue)) => Some(paused.min(overdue)),
            (paused, overdue) => paused.or(overdue),
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Moment) {
        if self.paused_until.is_some_and(|until| until <= now) {
            self.paused_until = self.link.is_congested().then_some(now + PAUSE_MAX);
        }
        let time = self.link.node.timeline.at(now);
        if self.link.overdue_at.take_if(|at| *at <= time).is_some() {
            self.link.turn.now = time;
            for channel in self.channels.iter_mut().filter(|channel| !channel.closing) {
                channel.cancel_overdue(&mut self.link);
            }
            self.link.finish();
            // Whoever advances the time waits for this, and may rely on all of it.
            self.presence.look_at(self.link.overdue_at);
        }
    }

    /// Sends what has been left in the mailbox, as far as output has room.
    pub(super) fn handle_mailbox(&mut self) -> Option<Next> {
        if self.link.out.len() >= OUTPUT_BYTES_MAX {
            return None;
        }
        let mut inbox = std::mem::take(&mut self.inbox);
        self.link.mailbox.collect(&mut inbox);
        let mut served = None;
        for delivery in inbox.deliveries.drain(..) {
            if served.is_some_and(|served| served != delivery.channel) {
                self.channels.store_unacked(served);
            }
            served = Some(delivery.channel);
            if let Some(channel) = self.channels.of_mut(delivery.channel) {
                channel.deliver(delivery, &mut self.link);
            }
        }
        self.channels.store_unacked(served);
        for (number, source) in inbox.stalled.drain(..) {
            if let Some(channel) = self.channels.of_mut(number) {
                channel.resume_consumer(source, &mut self.link);
            }
        }
        if self.link.has_unsettled() {
            self.settle();
        }
        let mut next = None;
        for notice in inbox.notices.drain(..) {
            match notice {
                Notice::QueueDeleted { channel, source } => {
                    if let Some(channel) = self.channels.of_mut(channel) {
                        channel.queue_deleted(source, &mut self.link);
                    }
                }
                Notice::Unblocked => self.unblock(),
                Notice::Close(failure) => next = Some(Next::Close(Reason::of(failure))),
            }
        }
        self.inbox = inbox;
        self.link.finish();
        next
    }

    /// Lets the publisher go on if its queue says so.
    pub(super) fn check_resumed(&mut self) {
        if self.paused_until.is_some() && self.link.mailbox.take_publisher_resumed() {
            self.paused_until = None;
        }
    }

    fn shut_down(&mut self) {
        self.settle();
        for channel in self.channels.iter_mut() {
            channel.shut_down(&mut self.link);
        }
        self.channels = Channels::default();
        self.link.delete_exclusive_queues();
        self.link.finish();
    }

    /// Ends everything; what still has to be written.
    pub(super) fn end(&mut self) -> Outbox {
        self.shut_down();
        std::mem::take(&mut self.link.out)
    }
}

/// How far a frame has led.
enum Step {
    /// Bytes used.
    Used(usize),
    ClosedByClient(usize),
}
