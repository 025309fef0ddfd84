//! Messages on their way in: a method, a header, as many body frames as the header announces (section 4.2.6).

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use leveret_spec::frame::{self, FrameKind};
use leveret_spec::{ContentHeader, Method, basic};

use super::shared::Shared;
use crate::channel::{ChannelCore, Reply};
use crate::confirm::Returned;
use crate::consumer::Subscription;
use crate::delivery::Delivered;
use crate::error::{Error, Result};
use crate::message::{Message, MessageParts};

/// What the message is.
enum Role {
    Delivery { subscription: Arc<Subscription>, tag: u64, redelivered: bool },
    Return { code: u16, text: String },
    Got { tag: u64, redelivered: bool, messages_left: u32 },
}

/// A message of which something is missing.
pub(super) struct Incoming {
    role: Role,
    parts: MessageParts,
    /// Body bytes that are missing; unknown before the header.
    missing: Option<u64>,
}

/// A message that is complete.
pub(super) struct Complete {
    role: Role,
    message: Message,
}

/// The last consumer that got something, since the next delivery is mostly for the same.
pub(super) type LastConsumer = Option<Arc<Subscription>>;

impl Incoming {
    /// Begins a message on a channel with this base of its delivery tags. `rest` is what has arrived behind the method,
    /// so that one allocation of the right size can be made; what was only announced gets no memory.
    pub(super) fn begin(
        (core, tag_base): (&ChannelCore, u64),
        method: &basic::Method<'_>,
        rest: &[u8],
        last: &mut LastConsumer,
    ) -> Result<Option<Incoming>> {
        let (role, exchange, routing_key) = match method {
            basic::Method::Deliver(d) => {
                let subscription = find(core, &d.consumer_tag, last)?;
                let tag = tag_base.saturating_add(d.delivery_tag);
                let role = Role::Delivery { subscription, tag, redelivered: d.redelivered };
                (role, d.exchange, d.routing_key)
            }
            basic::Method::Return(r) => {
                let role = Role::Return { code: r.reply_code, text: r.reply_text.as_str().to_owned() };
                (role, r.exchange, r.routing_key)
            }
            basic::Method::GetOk(g) => {
                let tag = tag_base.saturating_add(g.delivery_tag);
                let (redelivered, messages_left) = (g.redelivered, g.message_count);
                (Role::Got { tag, redelivered, messages_left }, g.exchange, g.routing_key)
            }
            _ => return Ok(None),
        };
        let parts = MessageParts::new(&exchange, &routing_key, arrived_bytes(rest));
        Ok(Some(Incoming { role, parts, missing: None }))
    }

    /// Takes the header; true if the message is complete.
    pub(super) fn header(&mut self, payload: &[u8], body_bytes_max: u64) -> Result<bool> {
        let header = ContentHeader::decode(payload).map_err(|why| Error::Protocol(why.to_string()))?;
        if self.missing.is_some() || header.class != basic::CLASS {
            return Err(Error::Protocol(String::from("a content header out of turn")));
        }
        if header.body_size > body_bytes_max {
            return Err(Error::MessageTooLarge { body_bytes: header.body_size, body_bytes_max });
        }
        self.parts.put_properties(header.properties);
        self.missing = Some(header.body_size);
        Ok(header.body_size == 0)
    }

    /// Takes a piece of the body; true if the message is complete.
    pub(super) fn body(&mut self, payload: &[u8]) -> Result<bool> {
        let left = self.missing.and_then(|missing| missing.checked_sub(payload.len() as u64));
        let left = left.ok_or_else(|| Error::Protocol(String::from("a content body out of turn or too long")))?;
        self.parts.put_body(payload);
        self.missing = Some(left);
        Ok(left == 0)
    }

    pub(super) fn complete(self) -> Complete {
        Complete { role: self.role, message: self.parts.finish() }
    }
}

fn find(core: &ChannelCore, tag: &str, last: &mut LastConsumer) -> Result<Arc<Subscription>> {
    if let Some(subscription) = last
        && &*subscription.tag == tag
    {
        return Ok(subscription.clone());
    }
    let unknown = || Error::Protocol(format!("a delivery for consumer '{tag}', which does not exist"));
    let subscription = core.subscription(tag).ok_or_else(unknown)?;
    *last = Some(subscription.clone());
    Ok(subscription)
}

/// How much of properties and body has arrived, if `rest` begins with the header.
fn arrived_bytes(rest: &[u8]) -> usize {
    let Ok(Some((header, length))) = frame::parse(rest, rest.len()) else { return 0 };
    if header.kind != FrameKind::Header {
        return 0;
    }
    let announced = leveret_spec::content::body_size(header.payload).unwrap_or(0);
    let body = usize::try_from(announced).unwrap_or(usize::MAX).min(rest.len() - length);
    header.payload.len().saturating_sub(ContentHeader::FIXED) + body
}

/// Deliveries of one consumer that came in a row: they go over under one lock and with one wake-up.
#[derive(Default)]
pub(super) struct Run {
    to: Option<(Arc<ChannelCore>, Arc<Subscription>)>,
    deliveries: VecDeque<Delivered>,
}

impl Run {
    /// Hands a complete message to who waits for it.
    pub(super) fn push(&mut self, shared: &Shared, core: &Arc<ChannelCore>, complete: Complete) -> Result<()> {
        let Complete { role, message } = complete;
        match role {
            Role::Delivery { subscription, tag, redelivered } => {
                if !self.to.as_ref().is_some_and(|(_, to)| Arc::ptr_eq(to, &subscription)) {
                    self.hand_over(shared)?;
                    self.to = Some((core.clone(), subscription));
                }
                self.deliveries.push_back(Delivered { message, tag, redelivered });
            }
            Role::Return { code, text } => core.handle_returned(Returned { code, text, message }),
            Role::Got { tag, redelivered, messages_left } => {
                core.note_delivered(tag);
                let got = Box::new((Delivered { message, tag, redelivered }, messages_left));
                core.handle_reply(shared, &Method::from(basic::GetOk::default()), Reply::Got(Some(got)))?;
            }
        }
        Ok(())
    }

    /// Ends the run. What comes for a consumer that was dropped goes back to the queue.
    pub(super) fn hand_over(&mut self, shared: &Shared) -> Result<()> {
        let Some((core, subscription)) = self.to.take() else { return Ok(()) };
        if let Some(last) = self.deliveries.back() {
            core.note_delivered(last.tag);
        }
        let waiting = subscription.mailbox.append(&mut self.deliveries);
        if waiting > subscription.unread_max.load(Ordering::Relaxed) {
            core.check_prefetch(&subscription)?;
        }
        if self.deliveries.is_empty() {
            return Ok(());
        }
        let unread = self.deliveries.drain(..);
        if !subscription.no_ack {
            core.requeue(shared, unread.map(|delivered| delivered.tag));
        }
        Ok(())
    }
}
