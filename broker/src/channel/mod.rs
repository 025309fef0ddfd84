//! One channel of a connection: what was published on it, delivered through it and not yet settled.
//!
//! One file for each AMQP class that channels speak; each has a `handle` with an arm for every method that a client may send.

mod access;
mod basic;
mod confirm;
mod content;
mod exchange;
mod link;
mod outbox;
mod overdue;
mod publish;
mod queue;
mod routes;
mod settle;
mod sources;
mod trace;
mod transaction;
mod unacked;
mod watch;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use leveret_spec::method::MethodFrame;
use leveret_spec::{Method, channel};

use crate::failure::{Failure, Hard};
use crate::queue::{Delivery, SharedLimit};
use crate::roster;

pub(crate) use content::Content;
pub(crate) use link::{Client, Link};
pub(crate) use outbox::Outbox;
pub(crate) use publish::plain_publish;

use confirm::Confirms;
use content::Assembly;
use routes::Routes;
use sources::Sources;
use transaction::Transaction;
use unacked::Unacked;

/// A channel.
pub(crate) struct Channel {
    pub(crate) number: u16,
    /// Set once the broker has sent channel.close: everything but the answer is ignored.
    pub(crate) closing: bool,
    sources: Sources,
    /// Consumers by tag.
    consumers: BTreeMap<Box<str>, u32>,
    unacked: Unacked,
    delivery_tag: u64,
    /// basic.qos without `global`: the prefetch of consumers that start from now on.
    prefetch: u16,
    /// basic.qos with `global`.
    shared: Arc<SharedLimit>,
    /// The source of the last delivery that the client has to settle.
    served_last: u32,
    confirms: Option<Confirms>,
    transaction: Option<Box<Transaction>>,
    /// The publish whose content has not arrived whole.
    assembly: Option<Assembly>,
    /// The name that direct reply-to has given to this channel's consumer.
    reply_name: Option<Arc<str>>,
    /// The queue that an empty name stands for.
    last_queue: Option<Arc<str>>,
    routes: Routes,
    /// True if acknowledgements or confirms wait for the end of the turn.
    unsettled: bool,
    /// What the roster knows of it.
    figures: Arc<roster::Channel>,
}

impl Channel {
    pub(crate) fn new(number: u16) -> Self {
        Channel {
            number,
            closing: false,
            sources: Sources::default(),
            consumers: BTreeMap::new(),
            unacked: Unacked::default(),
            delivery_tag: 0,
            prefetch: 0,
            shared: Arc::default(),
            served_last: 0,
            confirms: None,
            transaction: None,
            assembly: None,
            reply_name: None,
            last_queue: None,
            routes: Routes::default(),
            unsettled: false,
            figures: Arc::new(roster::Channel::new(number)),
        }
    }

    /// What the roster knows of it.
    pub(crate) fn figures(&self) -> &Arc<roster::Channel> {
        &self.figures
    }

    /// True if anything is consumed on it.
    pub(crate) fn has_consumers(&self) -> bool {
        !self.consumers.is_empty()
    }

    /// Lets the roster know what a method may have changed.
    pub(crate) fn store_figures(&self) {
        self.figures.confirms.store(self.confirms.is_some(), Ordering::Relaxed);
        self.figures.transactional.store(self.transaction.is_some(), Ordering::Relaxed);
        self.figures.prefetch.store(self.prefetch, Ordering::Relaxed);
        self.figures.shared_prefetch.store(self.shared.limit(), Ordering::Relaxed);
        self.store_unacked();
    }

    /// Lets the roster know how many deliveries are not settled.
    #[inline]
    pub(crate) fn store_unacked(&self) {
        self.figures.store_unacked(self.unacked.len());
    }

    /// A method that a client sent on this channel.
    pub(crate) fn handle(&mut self, method: Method<'_>, link: &mut Link) -> Result<(), Failure> {
        match method {
            Method::Basic(method) => self.handle_basic(method, link),
            Method::Queue(method) => self.handle_queue(method, link),
            Method::Exchange(method) => self.handle_exchange(method, link),
            Method::Confirm(method) => self.handle_confirm(method, link),
            Method::Tx(method) => self.handle_tx(method, link),
            Method::Access(method) => self.handle_access(method, link),
            Method::Channel(method) => self.handle_channel(method, link),
            Method::Connection(_) => Err(unimplemented_method()),
        }
    }

    fn handle_channel(&mut self, method: channel::Method<'_>, link: &mut Link) -> Result<(), Failure> {
        match method {
            channel::Method::Open(_) => Err(opened_twice().into()),
            channel::Method::Flow(channel::Flow { active: true }) => {
                self.reply(link, &channel::FlowOk { active: true });
                Ok(())
            }
            channel::Method::Flow(_) => Err(Hard::not_implemented("active=false").into()),
            channel::Method::FlowOk(_) => Ok(()),
            // Open and close belong to the connection; what is left is none of the client's.
            _ => Err(unimplemented_method()),
        }
    }

    /// Sends a method on this channel.
    fn reply(&self, link: &mut Link, method: &impl MethodFrame) {
        link.out.put_method(self.number, method);
    }

    /// Ends the channel: its consumers go, and what was delivered and not settled goes back to its queues, in front of what
    /// anybody else might get.
    pub(crate) fn shut_down(&mut self, link: &mut Link) {
        self.assembly_ends(link);
        link.settle_publishes();
        let abandoned = self.unsubscribe_all(link);
        let mut returning = self.take_everything(link);
        for (number, mut source) in self.sources.drain() {
            let back = returning.remove(&number).unwrap_or_default();
            source.tell_queue(&mut link.turn);
            source.queue.requeue(None, back, &mut link.turn);
        }
        for queue in abandoned {
            link.delete_if_unused(&queue);
        }
        self.consumers.clear();
        self.figures.clear_consumers();
    }
}

fn unimplemented_method() -> Failure {
    Hard::command_invalid("unimplemented method").into()
}

/// channel.open on a number that is taken.
pub(crate) fn opened_twice() -> Hard {
    Hard::channel_error("second 'channel.open' seen")
}

impl Channel {
    /// Sends a delivery to the client.
    #[inline]
    pub(crate) fn deliver(&mut self, delivery: Delivery, link: &mut Link) {
        if link.vhost.is_traced() {
            self.trace_delivery(&delivery, link);
        }
        let Some(source) = self.sources.of_mut(delivery.source) else { return };
        self.delivery_tag += 1;
        link.out.put_delivery(self.number, &source.tag, self.delivery_tag, &delivery.entry, link.frame_max);
        let stored = delivery.entry.stored();
        if !source.no_ack {
            source.unsettled += 1;
            self.served_last = delivery.source;
            let again = delivery.entry.returns();
            self.unacked.push(self.delivery_tag, delivery.source, delivery.entry);
            if let Some(seq) = stored.filter(|_| again > 0) {
                source.queue.note_delivered(again + 1, [seq].into_iter().collect(), &mut link.turn);
                return;
            }
        }
        if let Some(seq) = stored
            && source.give(seq)
        {
            self.sources.settled.push(delivery.source);
            self.waits_for_end_of_turn(link);
        }
    }
}
