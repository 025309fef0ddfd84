//! What a turn has for the message store: all of it survives a crash, or nothing.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use super::log::Log;
use super::turn::Turn;
use crate::message::Message;
use crate::store::{Batch, MessageStore, Ref, Seqs, Ticket};

/// Records that are being collected.
pub(super) struct Records {
    store: Arc<dyn MessageStore>,
    batch: Batch,
    /// Messages that went to several queues: their bodies are written once.
    shared: Vec<(Message, Ref)>,
    publishes: bool,
}

impl Records {
    fn of(store: &Arc<dyn MessageStore>) -> Self {
        Records { store: store.clone(), batch: Batch::new(), shared: vec![], publishes: false }
    }

    fn hand_in(mut self) -> Ticket {
        let mut places = HashMap::<*const u8, (Message, Vec<Ref>)>::new();
        let mut order = vec![];
        for (message, place) in self.shared {
            let at = message.as_bytes().as_ptr();
            match places.entry(at) {
                Entry::Occupied(mut found) => found.get_mut().1.push(place),
                Entry::Vacant(new) => {
                    new.insert((message, vec![place]));
                    order.push(at);
                }
            }
        }
        for (message, refs) in order.iter().filter_map(|at| places.get(at)) {
            self.batch.publish(message, refs);
        }
        self.store.submit(self.batch)
    }
}

impl Turn {
    fn records(&mut self, log: &Log) -> &mut Records {
        self.records.get_or_insert_with(|| Box::new(Records::of(&log.store)))
    }

    /// A message that has to survive.
    #[inline]
    pub(super) fn keep(&mut self, log: &Log, message: &Message, place: Ref) {
        let records = self.records(log);
        records.publishes = true;
        if message.is_shared() {
            records.shared.push((message.clone(), place));
        } else {
            records.batch.publish(message, &[place]);
        }
    }

    /// Messages that are done with.
    pub(super) fn forget(&mut self, log: &Log, seqs: Seqs) {
        self.records(log).batch.ack(log.queue, seqs.ranges());
    }

    /// Messages that have been given out for the `deliveries`th time.
    pub(super) fn note_delivered(&mut self, log: &Log, deliveries: u16, seqs: Seqs) {
        self.records(log).batch.delivered(log.queue, deliveries, seqs.ranges());
    }

    /// Hands in what there is for the message store.
    #[inline]
    pub(crate) fn hand_in(&mut self) -> Option<Ticket> {
        let records = self.records.take()?;
        let publishes = records.publishes;
        let ticket = records.hand_in();
        if publishes {
            self.kept = ticket;
        }
        Some(ticket)
    }

    /// The last batch with messages that had to survive.
    #[inline]
    pub(crate) fn kept(&self) -> Ticket {
        self.kept
    }
}
