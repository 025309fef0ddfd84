//! Class basic, but for publish, deliver and settling: qos, consume, cancel, get.

use std::sync::Arc;

use leveret_spec::{ShortStr, Table, basic};

use super::settle::Verdict;
use super::sources::Source;
use super::{Channel, Link, unimplemented_method};
use crate::auth::{Access, Resource};
use crate::failure::{Failure, Hard, Soft};
use crate::message;
use crate::queue::{Consumer, ConsumerKey, Entry, Queue, Returning, argument_type};
use crate::roster;
use crate::vhost::{REPLY_PREFIX, REPLY_TO};

impl Channel {
    pub(super) fn handle_basic(&mut self, method: basic::Method<'_>, link: &mut Link) -> Result<(), Failure> {
        match method {
            basic::Method::Qos(m) => self.qos(m, link),
            basic::Method::Consume(m) => self.consume(m, link),
            basic::Method::Cancel(m) => self.cancel(m, link),
            // The answer to the server's own cancel: the consumer is gone already.
            basic::Method::CancelOk(_) => Ok(()),
            basic::Method::Get(m) => self.get(m, link),
            basic::Method::Ack(m) => Ok(self.ack(m, link)?),
            basic::Method::Nack(m) => Ok(self.judge(m.delivery_tag, m.multiple, refusal(m.requeue), link)?),
            basic::Method::Reject(m) => Ok(self.judge(m.delivery_tag, false, refusal(m.requeue), link)?),
            basic::Method::Recover(m) => {
                self.recover(m.requeue, link)?;
                self.reply(link, &basic::RecoverOk {});
                Ok(())
            }
            basic::Method::RecoverAsync(m) => Ok(self.recover(m.requeue, link)?),
            // Publishes are taken where their content is at hand.
            _ => Err(unimplemented_method()),
        }
    }

    fn qos(&mut self, m: basic::Qos, link: &mut Link) -> Result<(), Failure> {
        if m.prefetch_size != 0 {
            return Err(Hard::not_implemented(format!("prefetch_size!=0 ({})", m.prefetch_size)).into());
        }
        if m.global {
            self.shared.set(m.prefetch_count, self.sources.taken());
            self.resume_consumers(link);
        } else {
            self.prefetch = m.prefetch_count;
            if link.client.changes_running_prefetch {
                self.change_running_prefetch(link);
            }
        }
        self.reply(link, &basic::QosOk {});
        Ok(())
    }

    fn change_running_prefetch(&mut self, link: &mut Link) {
        self.figures.set_running_prefetch(self.prefetch);
        for (_, source) in self.sources.iter_mut() {
            if let Some(key) = source.key {
                source.queue.set_prefetch(key, self.prefetch, &mut link.turn);
            }
        }
    }

    fn consume(&mut self, m: basic::Consume<'_>, link: &mut Link) -> Result<(), Failure> {
        let queue_name = match &*m.queue {
            REPLY_TO => {
                self.check_replies(m.no_ack)?;
                REPLY_TO.into()
            }
            name => self.meant(name)?,
        };
        if !m.consumer_tag.is_empty() && self.consumers.contains_key(&*m.consumer_tag) {
            return Err(Hard::not_allowed(format!("attempt to reuse consumer tag '{}'", m.consumer_tag)).into());
        }
        let most = link.node.limits.consumers_per_channel_max;
        if let Some(most) = most.filter(|&most| self.consumers.len() >= most) {
            return Err(Hard::not_allowed(format!("reached maximum ({most}) of consumers per channel")).into());
        }
        let queue = match &*queue_name {
            REPLY_TO => self.open_replies(link),
            name => {
                link.rights()?.check(Access::Read, Resource::Queue(name))?;
                self.queue_meant(name, link)?
            }
        };
        let priority = consumer_priority(m.arguments, &queue)?;
        let tag: Box<str> = match &*m.consumer_tag {
            "" => link.node.entropy.name("amq.ctag-").into(),
            given => given.into(),
        };
        let wire_tag = [&[tag.len() as u8], tag.as_bytes()].concat().into();
        let source = self.sources.add(Source::new(queue.clone(), wire_tag, m.no_ack));
        let consumer = Consumer {
            channel: self.number,
            source,
            mailbox: link.mailbox.clone(),
            no_ack: m.no_ack,
            prefetch: self.prefetch,
            shared: self.shared.clone(),
            priority,
        };
        // The answer is in the output before the first delivery can be, for deliveries come through the mailbox.
        match queue.subscribe(consumer, m.exclusive, &mut link.turn) {
            Ok(key) => {
                if let Some(source) = self.sources.of_mut(source) {
                    source.key = Some(key);
                }
                self.list_consumer(&tag, &m, queue, key);
                self.watch(source, link);
            }
            Err(refused) => {
                self.sources.forget_if_idle(source);
                return Err(refused.into());
            }
        }
        if !m.no_wait {
            self.reply(link, &basic::ConsumeOk { consumer_tag: ShortStr::cut(&tag) });
        }
        self.consumers.insert(tag, source);
        Ok(())
    }

    /// Lets the roster know of a consumer, unless it waits for answers, which is nobody else's concern.
    fn list_consumer(&self, tag: &str, m: &basic::Consume<'_>, queue: Arc<Queue>, key: ConsumerKey) {
        if &*m.queue == REPLY_TO {
            return;
        }
        let (no_ack, exclusive, arguments) = (m.no_ack, m.exclusive, m.arguments.into());
        let consumer = roster::Consumer { queue, key, no_ack, exclusive, prefetch: self.prefetch, arguments };
        self.figures.add_consumer(tag, consumer);
    }

    /// A channel has one consumer for answers, which settles nothing.
    fn check_replies(&self, no_ack: bool) -> Result<(), Soft> {
        if !no_ack {
            return Err(Soft::precondition_failed("reply consumer cannot acknowledge"));
        }
        match self.reply_name {
            Some(_) => Err(Soft::precondition_failed("reply consumer already set")),
            None => Ok(()),
        }
    }

    /// The place for answers to this channel's requests.
    fn open_replies(&mut self, link: &mut Link) -> Arc<Queue> {
        let queue = link.vhost.open_reply_queue(&link.node.entropy.name(REPLY_PREFIX), link.turn.now);
        self.reply_name = Some(queue.name.clone());
        queue
    }

    fn cancel(&mut self, m: basic::Cancel<'_>, link: &mut Link) -> Result<(), Failure> {
        if let Some(source) = self.consumers.remove(&*m.consumer_tag) {
            self.figures.remove_consumer(&m.consumer_tag);
            self.end_consumer(source, link);
        }
        if !m.no_wait {
            self.reply(link, &basic::CancelOk { consumer_tag: m.consumer_tag });
        }
        Ok(())
    }

    /// Ends a consumer; what is on its way to it still arrives.
    fn end_consumer(&mut self, number: u32, link: &mut Link) {
        let Some(source) = self.sources.of_mut(number) else { return };
        let Some(key) = source.key.take() else { return };
        let queue = source.queue.clone();
        self.reply_name.take_if(|name| **name == *queue.name);
        let abandoned = queue.unsubscribe(key, link.turn.now);
        for delivery in link.mailbox.withdraw(self.number, Some(number)) {
            self.deliver(delivery, link);
        }
        self.sources.forget_if_idle(number);
        queue.requeue(None, Returning::default(), &mut link.turn);
        if abandoned {
            link.delete_if_unused(&queue);
        }
    }

    /// The queue of a consumer is gone. What it had stays unsettled; the client hears of it if it can.
    pub(crate) fn queue_deleted(&mut self, number: u32, link: &mut Link) {
        let Some(source) = self.sources.of_mut(number) else { return };
        if source.key.take().is_none() {
            return;
        }
        self.sources.forget_if_idle(number);
        self.tell_cancelled(number, link);
    }

    fn get(&mut self, m: basic::Get<'_>, link: &mut Link) -> Result<(), Failure> {
        link.rights()?.check(Access::Read, Resource::Queue(&self.meant(&m.queue)?))?;
        let queue = self.queue_meant(&m.queue, link)?;
        let Some((entry, left)) = queue.get(m.no_ack, &mut link.turn)? else {
            self.reply(link, &basic::GetEmpty::default());
            return Ok(());
        };
        if link.vhost.is_traced() {
            self.trace_deliver(&entry, &queue.name, link);
        }
        self.delivery_tag += 1;
        self.put_get_ok(&entry, left as u32, link);
        if !m.no_ack {
            if let Some(seq) = entry.stored() {
                queue.note_delivered(entry.returns() + 1, [seq].into_iter().collect(), &mut link.turn);
            }
            let number = self.sources.for_get(&queue);
            if let Some(source) = self.sources.of_mut(number) {
                source.unsettled += 1;
            }
            self.unacked.push(self.delivery_tag, number, entry);
        }
        Ok(())
    }

    fn put_get_ok(&self, entry: &Entry, message_count: u32, link: &mut Link) {
        let (exchange, routing_key) = message::split_address(entry.message.address());
        let (delivery_tag, redelivered) = (self.delivery_tag, entry.redelivered());
        let method = basic::GetOk { delivery_tag, redelivered, exchange, routing_key, message_count };
        self.reply(link, &method);
        let (channel, frame_max) = (self.number, link.frame_max);
        link.out.put_content(&entry.message, channel, frame_max);
    }

    /// A consumer found the window full and there is room again.
    pub(crate) fn resume_consumer(&mut self, number: u32, link: &mut Link) {
        if let Some(source) = self.sources.of_mut(number)
            && let Some(key) = source.key
        {
            source.queue.resume(key, &mut link.turn);
        }
    }

    /// Lets all consumers try again, after the limit that they share has changed or been freed: first the one that comes
    /// after the one served last, so that each gets its turn.
    pub(super) fn resume_consumers(&mut self, link: &mut Link) {
        for number in self.sources.numbers_after(self.served_last) {
            self.resume_consumer(number, link);
        }
    }
}

fn refusal(requeue: bool) -> Verdict {
    if requeue { Verdict::Requeued } else { Verdict::Rejected }
}

/// x-priority: the higher comes first; an integer of any width.
fn consumer_priority(arguments: Table<'_>, queue: &Queue) -> Result<i32, Soft> {
    let Some(value) = arguments.lookup("x-priority") else { return Ok(0) };
    let number = value.as_i64().map(|n| n.clamp(i32::MIN.into(), i32::MAX.into()) as i32);
    number.ok_or_else(|| {
        let text = format!("invalid arg 'x-priority' for {queue}: \"expected integer, got {}\"", argument_type(value));
        Soft::precondition_failed(text)
    })
}
