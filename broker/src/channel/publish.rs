//! basic.publish: from the wire to the queues' batches, along the routes that this channel remembers.

use std::sync::Arc;

use leveret_spec::frame::FRAME_HEADER;
use leveret_spec::{ContentHeader, Properties, RawProperties, ReplyCode, ShortBytes, ShortStr, Table, Value, basic};

use super::content::{self, Assembly};
use super::exchange::check_topic;
use super::{Channel, Link, watch};
use crate::auth::{Access, Resource};
use crate::failure::{Failure, Hard, Soft};
use crate::message::{self, Message};
use crate::queue::{Accepted, Mailbox, Queue, Turn, argument_type};
use crate::vhost::{REPLY_TO, Routed, copies, is_reply_name};

/// Queues that a connection may have batches for before it starts anew.
const BATCHES_MAX: usize = 256;
/// A time to live of more milliseconds is refused: ten years, as with RabbitMQ.
const EXPIRATION_MS_MAX: u64 = 315_360_000_000;
/// Where basic.publish's exchange stands in its frame: behind the frame's head, the ids and the reserved short.
const ADDRESS_AT: usize = FRAME_HEADER + 4 + 2;

/// A publish that waits for its transaction to be committed.
pub(super) struct Publish {
    pub(super) message: Message,
    mandatory: bool,
    /// Where it goes.
    queues: Vec<Arc<Queue>>,
}

/// What was published in a turn, by queue.
#[derive(Default)]
pub(super) struct Batches {
    list: Vec<(Arc<Queue>, Vec<Message>)>,
    /// Those that are not empty.
    filled: Vec<u32>,
    /// The virtual host's generation that the routes belong to.
    generation: u64,
    /// Changes whenever remembered routes lose their meaning.
    epoch: u64,
}

impl Batches {
    fn add(&mut self, batch: u32, message: Message) {
        let messages = &mut self.list[batch as usize].1;
        if messages.is_empty() {
            self.filled.push(batch);
        }
        messages.push(message);
    }

    fn of(&mut self, queue: &Arc<Queue>) -> u32 {
        let found = self.list.iter().position(|(other, _)| Arc::ptr_eq(other, queue));
        found.unwrap_or_else(|| {
            self.list.push((queue.clone(), vec![]));
            self.list.len() - 1
        }) as u32
    }

    /// Hands a message to one queue at once, behind what was published before it. True if the queue refuses it.
    fn send_one(&mut self, batch: u32, message: Message, publisher: &Arc<Mailbox>, turn: &mut Turn) -> bool {
        let (queue, messages) = &mut self.list[batch as usize];
        messages.push(message);
        queue.publish(messages, publisher, turn) == Accepted::Refused
    }

    /// Hands every batch to its queue. How many of the shortest pauses the publisher owes them, at the queue where it owes most.
    pub(super) fn send(&mut self, publisher: &Arc<Mailbox>, turn: &mut Turn) -> usize {
        let mut far_ahead = 0;
        for batch in self.filled.drain(..) {
            let (queue, messages) = &mut self.list[batch as usize];
            if let Accepted::FarAhead(pauses) = queue.publish(messages, publisher, turn) {
                far_ahead = far_ahead.max(pauses);
            }
        }
        far_ahead
    }

    /// Forgets the routes, after what they led to was sent.
    fn start_anew(&mut self, generation: u64) {
        self.list.clear();
        self.generation = generation;
        self.epoch += 1;
    }
}

/// Whether the payload is basic.publish and no more, and if so, whether it is mandatory. One that says immediate is left to
/// be read as a whole.
#[inline]
pub(crate) fn plain_publish(payload: &[u8]) -> Option<bool> {
    const PUBLISH: [u8; 4] = [0, 60, 0, 40];
    let address = payload.strip_prefix(&PUBLISH)?.get(2..)?;
    let exchange = usize::from(*address.first()?);
    let key = usize::from(*address.get(1 + exchange)?);
    match address.get(2 + exchange + key..)? {
        [bits @ 0..=1] => Some(*bits == 1),
        _ => None,
    }
}

impl Channel {
    /// basic.publish at the beginning of `input`, whose content is still to come.
    pub(crate) fn publish(&mut self, method: &basic::Publish<'_>, input: &[u8]) -> Result<(), Failure> {
        if method.immediate {
            return Err(Hard::not_implemented("immediate=true").into());
        }
        let address = &input[ADDRESS_AT..ADDRESS_AT + 2 + method.exchange.len() + method.routing_key.len()];
        self.assembly = Some(Assembly::of(address, method.mandatory));
        Ok(())
    }

    /// basic.publish and no more at the beginning of `input`, `length` bytes long, and its content: how many bytes of content
    /// that is. `None`, and nothing done, if the content has not arrived whole. A message is kept as it stands on the wire,
    /// so nothing may stand between its parts that does not belong there.
    #[inline]
    pub(crate) fn publish_plain(
        &mut self,
        input: &[u8],
        length: usize,
        mandatory: bool,
        payload_max: usize,
        link: &mut Link,
    ) -> Result<Option<usize>, Failure> {
        let Some(whole) = content::whole(&input[length..], self.number, payload_max) else { return Ok(None) };
        self.check_room(whole.body_size, link)?;
        let message = Message::from_wire(&input[ADDRESS_AT..length + whole.length]);
        match &whole.header[ContentHeader::FIXED..] {
            [0, 0] => self.take(message, mandatory, link)?,
            _ => self.accept(message, mandatory, link)?,
        }
        Ok(Some(whole.length))
    }

    /// A message that has arrived whole.
    #[inline]
    pub(super) fn accept(&mut self, mut message: Message, mandatory: bool, link: &mut Link) -> Result<(), Failure> {
        let mut checked = check_properties(&message.header()[ContentHeader::FIXED..], link);
        let awaits_reply = message.properties().reply_to().is_some_and(|name| *name == *REPLY_TO.as_bytes());
        if awaits_reply && self.reply_name.is_none() && !matches!(checked, Err(Failure::Hard(_))) {
            checked = Err(Soft::precondition_failed("fast reply consumer does not exist").into());
        }
        if let Err(Failure::Soft(_)) = checked {
            // What is wrong with the exchange comes first.
            routed(&message, link)?;
        }
        checked?;
        message.normalize_headers().map_err(|why| Hard::frame_error(why.0))?;
        if awaits_reply {
            message = self.with_reply_name(&message);
        }
        self.take(message, mandatory, link)
    }

    /// The same for one whose properties say nothing to the broker.
    #[inline]
    fn take(&mut self, message: Message, mandatory: bool, link: &mut Link) -> Result<(), Failure> {
        link.published += message.size();
        if self.transaction.is_some() {
            return self.hold_back(message, mandatory, link);
        }
        let refused = self.route(message, mandatory, link)?;
        self.count_publish(refused, link);
        Ok(())
    }

    /// A message that did not come over the wire; true if it went to any queue.
    pub(crate) fn publish_whole(&mut self, message: Message, link: &mut Link) -> Result<bool, Failure> {
        self.check_room(message.body_len() as u64, link)?;
        let before = link.out.len();
        self.accept(message, true, link)?;
        // What nobody takes is returned.
        Ok(link.out.len() == before)
    }

    /// A request under the name that answers to this channel's consumer have to bear.
    fn with_reply_name(&self, message: &Message) -> Message {
        let name = self.reply_name.as_deref().unwrap_or_default();
        let properties = message.properties().decode();
        let (exchange, key) = message::split_address(message.address());
        let reply_to = ShortBytes::try_from(name).ok();
        message.readdressed(exchange, key, &Properties { reply_to, ..properties })
    }

    /// In a transaction the message waits. Whether it may be published at all is told at once, and where it goes is
    /// settled.
    fn hold_back(&mut self, message: Message, mandatory: bool, link: &mut Link) -> Result<(), Failure> {
        let queues = self.routed_and_traced(&message, link)?.queues;
        if let Some(transaction) = &mut self.transaction {
            transaction.publish(Publish { message, mandatory, queues });
        }
        Ok(())
    }

    /// What was held back goes where it would have gone, if that is still there. True if a queue refuses it.
    pub(super) fn release(&mut self, publish: Publish, link: &mut Link) -> bool {
        let Publish { message, mandatory, queues } = publish;
        let queues: Vec<_> = queues.iter().filter_map(|queue| link.vhost.queue_or_replies(&queue.name)).collect();
        if link.vhost.is_tested() && watch::is_refused(&message, &queues, link) {
            return true;
        }
        self.start_anew_if_changed(link);
        let batches: Vec<u32> = queues.iter().map(|queue| link.batches.of(queue)).collect();
        if queues.iter().any(|queue| queue.may_refuse()) {
            return self.publish_singly(&batches, message, mandatory, link);
        }
        spread(&batches, message.without_blind_copies(), mandatory, self.number, link)
    }

    /// Adds a message to the batches of the queues it goes to. True if one of them refuses it.
    #[inline]
    pub(super) fn route(&mut self, message: Message, mandatory: bool, link: &mut Link) -> Result<bool, Failure> {
        self.start_anew_if_changed(link);
        if link.vhost.is_watched() || has_copies(&message) {
            return self.route_anew(message, mandatory, link);
        }
        match self.routes.find(message.address(), link.batches.epoch) {
            Some(batches) => Ok(spread(batches, message, mandatory, self.number, link)),
            None => self.route_anew(message, mandatory, link),
        }
    }

    /// Forgets routes that may not be right any more.
    #[inline]
    fn start_anew_if_changed(&mut self, link: &mut Link) {
        let generation = link.vhost.generation();
        if link.batches.generation != generation || link.batches.list.len() > BATCHES_MAX {
            link.settle_publishes();
            link.batches.start_anew(generation);
        }
    }

    fn routed_and_traced(&self, message: &Message, link: &mut Link) -> Result<Routed, Soft> {
        let routed = routed(message, link)?;
        if link.vhost.is_traced() {
            self.trace_publish(message, routed.queues.iter().map(|queue| &**queue), link);
        }
        Ok(routed)
    }

    fn route_anew(&mut self, message: Message, mandatory: bool, link: &mut Link) -> Result<bool, Failure> {
        let routed = self.routed_and_traced(&message, link)?;
        if link.vhost.is_tested() && watch::is_refused(&message, &routed.queues, link) {
            return Ok(true);
        }
        let batches: Vec<u32> = routed.queues.iter().map(|queue| link.batches.of(queue)).collect();
        if routed.queues.iter().any(|queue| queue.may_refuse()) {
            return Ok(self.publish_singly(&batches, message, mandatory, link));
        }
        if routed.repeatable && !has_copies(&message) {
            self.routes.remember(message.address(), link.batches.epoch, batches.clone());
        }
        let message = message.without_blind_copies();
        Ok(spread(&batches, message, mandatory, self.number, link))
    }

    /// For queues that may refuse a message: each is asked at once.
    fn publish_singly(&self, batches: &[u32], message: Message, mandatory: bool, link: &mut Link) -> bool {
        link.settle_publishes();
        if batches.is_empty() {
            return spread(batches, message, mandatory, self.number, link);
        }
        let message = message.without_blind_copies();
        let mut refused = false;
        for &batch in batches {
            refused |= link.batches.send_one(batch, message.clone(), &link.mailbox, &mut link.turn);
        }
        refused
    }
}

/// True if the headers may have further keys in them, which the address does not show.
#[inline]
fn has_copies(message: &Message) -> bool {
    message.has_properties()
        && message.properties().checked_headers().is_some_and(|h| h.lookup("CC").is_some() || h.lookup("BCC").is_some())
}

/// The queues for a message, if this user may publish it.
fn routed(message: &Message, link: &mut Link) -> Result<Routed, Soft> {
    let (exchange, key) = message::split_address(message.address());
    let name = String::from_utf8_lossy(&exchange);
    link.rights()?.check(Access::Write, Resource::Exchange(&name))?;
    if !exchange.is_empty() {
        check_topic(link, Access::Write, &name, &key)?;
        for copy in message.properties().checked_headers().into_iter().flat_map(copies) {
            check_topic(link, Access::Write, &name, copy)?;
        }
    }
    link.vhost.route(&exchange, &key, message)
}

/// Adds a message to each batch, or sends it back if there is none and somebody has to know. Never refused.
#[inline]
fn spread(batches: &[u32], message: Message, mandatory: bool, channel: u16, link: &mut Link) -> bool {
    match batches.split_last() {
        Some((&last, others)) => {
            for &batch in others {
                link.batches.add(batch, message.clone());
            }
            link.batches.add(last, message);
        }
        // An answer that nobody waits for any more is nobody's concern.
        None if mandatory && !is_reply_name(&message::split_address(message.address()).1) => {
            send_back(&message, channel, link)
        }
        None => {}
    }
    false
}

/// basic.return with RabbitMQ's bare text.
fn send_back(message: &Message, channel: u16, link: &mut Link) {
    let (exchange, routing_key) = message::split_address(message.address());
    let reply_text = ShortStr::cut(ReplyCode::NoRoute.name());
    let method = basic::Return { reply_code: ReplyCode::NoRoute.code(), reply_text, exchange, routing_key };
    link.out.put_method(channel, &method);
    let frame_max = link.frame_max;
    link.out.put_content(message, channel, frame_max);
}

/// Checks what the broker has to understand of the properties.
fn check_properties(raw: &[u8], link: &mut Link) -> Result<(), Failure> {
    let properties = RawProperties::of(raw).map_err(|why| Hard::frame_error(why.0))?;
    properties.validate().map_err(|why| Hard::frame_error(format!("cannot decode properties: {why}")))?;
    if let Some(user) = properties.user_id()
        && *user != *link.client.user.as_bytes()
        && !link.rights()?.impersonator
    {
        let text = format!("user_id property set to '{user}' but authenticated user was '{}'", link.client.user);
        return Err(Soft::precondition_failed(text).into());
    }
    if let Some(expiration) = properties.expiration() {
        check_expiration(&expiration.to_string())
            .map_err(|why| Soft::precondition_failed(format!("invalid expiration '{expiration}': {why}")))?;
    }
    if let Some(headers) = properties.checked_headers() {
        check_copies(headers)?;
    }
    Ok(())
}

/// CC and BCC are arrays; what in them is no long string is passed over.
fn check_copies(headers: Table<'_>) -> Result<(), Soft> {
    for name in ["CC", "BCC"] {
        let wrong = headers.lookup(name).filter(|value| !matches!(value, Value::Array(_)));
        if let Some(value) = wrong {
            let found = argument_type(value);
            let text = format!("invalid message: {{unacceptable_type_in_header,\"{name}\",{found}}}");
            return Err(Soft::precondition_failed(text));
        }
    }
    Ok(())
}

/// Decimal digits, up to ten years. The reasons are in RabbitMQ's words.
fn check_expiration(text: &str) -> Result<(), String> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    let (number, rest) = digits.split_at(end);
    if number.is_empty() {
        return Err("no_integer".into());
    }
    if !rest.is_empty() {
        return Err(format!("{{leftover_string,\"{rest}\"}}"));
    }
    if text.starts_with('-') {
        return Err(format!("{{value_negative,{text}}}"));
    }
    match number.parse::<u64>() {
        Ok(ms) if ms <= EXPIRATION_MS_MAX => Ok(()),
        _ => Err(format!("{{value_too_large,{number}}}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expiration_is_decimal_digits_up_to_ten_years() {
        for good in ["0", "1000", "315360000000"] {
            assert_eq!(check_expiration(good), Ok(()));
        }
        for (bad, why) in [
            ("", "no_integer"),
            ("abc", "no_integer"),
            ("10abc", "{leftover_string,\"abc\"}"),
            ("-1", "{value_negative,-1}"),
            ("315360000001", "{value_too_large,315360000001}"),
        ] {
            assert_eq!(check_expiration(bad), Err(why.into()));
        }
    }
}
