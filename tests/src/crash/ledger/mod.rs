//! The oracle: everything that clients did and saw, and whether the broker may have what it has.
//!
//! It knows nothing of sockets and clocks; the load tells it what happens and when. What a client does is told before it
//! is sent, what comes from the broker after it was received, so that a step is never seen before it is known.
//!
//! Rules, for each copy of a message (see `place`):
//!
//! - What was confirmed, or committed with an answer, is there until it is settled. What was not may be there or not.
//! - AMQP does not confirm settlements. One is sure if the broker handled it, as an answer to a later call on the same
//!   channel shows, [`GRACE`] before the last message that was confirmed was published, for the log has an order; others may
//!   be undone by a crash.
//! - What a crash undoes is the end of what happened: a rejected message that was acked among the dead letters is not back
//!   in its first queue if the ack is sure.
//! - What was received that long before the crash, and comes again, says that it was delivered before.

mod fault;
mod order;
mod place;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::time::Duration;

use super::content::Id;
use super::layout::{PRIORITY, Queue};

pub(super) use fault::{Fault, Kind};
use order::Order;
pub(super) use place::{At, Tx};
use place::{Copy, HERE, NOWHERE, Places, Step, THERE};

/// How long before the broker's end, or the last message that is known to be on the disk, a settlement or a delivery must have
/// been handled to be remembered. The store writes what nobody waits for within 10 ms; the rest is for a busy machine.
pub(super) const GRACE: Duration = Duration::from_millis(200);
/// Faults that are kept: one is often followed by many.
const FAULTS_MAX: usize = 20;
/// For how many lives of the broker the ends of copies are remembered, for a better report.
const FATES_KEPT: u32 = 20;

/// A copy: the message, and the queue it was published to.
type Key = (Id, Queue);

/// How the broker ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// By SIGKILL.
    Killed,
    /// By SIGTERM, with time to write everything.
    Asked,
}

/// How a delivery was settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settled {
    Acked,
    Rejected,
    /// Consumed and published anew in one transaction.
    Moved(Tx),
}

/// A transaction whose end nobody was told, or that runs.
#[derive(Default)]
struct Transaction {
    members: Vec<Key>,
    /// What a member has told, after a crash.
    done: Option<bool>,
}

/// See the head of this file.
#[derive(Default)]
pub(super) struct Ledger {
    cycle: u32,
    copies: HashMap<Key, Copy>,
    /// Copies that have ended, the life of the broker in which they did, and how.
    fates: HashMap<Key, (u32, &'static str)>,
    /// Where unconfirmed messages went, and when.
    unconfirmed: HashMap<Id, (&'static [Queue], At)>,
    transactions: HashMap<Tx, Transaction>,
    order: Order,
    /// By queue: deliveries that may have been on the way to a client when its connection ended.
    unread: HashMap<Queue, usize>,
    /// The latest that anybody has told.
    now: At,
    /// When the latest of the messages was published that the disk is known to have: what the broker handled before is in
    /// the log before it.
    last_kept: At,
    /// What had happened before then was to survive the last crash.
    horizon: At,
    /// The broker was asked to end, and ends one connection after the other.
    is_closing: bool,
    listing: u32,
    listed: HashMap<Queue, Vec<(Id, u8)>>,
    faults: Vec<Fault>,
    /// How much was checked.
    pub(super) counts: Counts,
}

/// How much was checked.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) published: u64,
    pub(super) confirmed: u64,
    pub(super) received: u64,
    pub(super) redelivered: u64,
    pub(super) settled: u64,
    pub(super) recovered: u64,
}

fn place_in(queue: Queue) -> Places {
    if queue.origin() == queue { HERE } else { THERE }
}

impl Ledger {
    pub(super) fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// Copies that may be in the broker.
    pub(super) fn live(&self) -> usize {
        self.copies.len()
    }

    pub(super) fn fault(&mut self, kind: Kind, id: Option<Id>, queue: Option<Queue>, text: String) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(Fault { kind, cycle: self.cycle, id, queue, text });
        }
    }

    /// A message is about to be published to all queues of a route.
    pub(super) fn publish(
        &mut self,
        id: Id,
        route: &'static [Queue],
        (persistent, priority): (bool, u8),
        tx: Option<Tx>,
        at: At,
    ) {
        self.counts.published += 1;
        for &queue in route {
            let priority = if queue == PRIORITY { priority } else { 0 };
            self.copies.insert((id, queue), Copy::new(persistent || queue.keeps_all(), priority, tx));
            if let Some(tx) = tx {
                self.transactions.entry(tx).or_default().members.push((id, queue));
            }
        }
        if tx.is_none() {
            self.unconfirmed.insert(id, (route, at));
        }
    }

    /// The broker has confirmed a message.
    pub(super) fn confirmed(&mut self, id: Id) {
        self.counts.confirmed += 1;
        let Some((route, published)) = self.unconfirmed.remove(&id) else { return };
        for queue in route {
            let Some(copy) = self.copies.get_mut(&(id, *queue)) else { continue };
            copy.make_sure(NOWHERE, At::ZERO);
            if copy.persistent {
                self.last_kept = self.last_kept.max(published);
            }
        }
    }

    /// The broker has committed a transaction, which it was asked to at a time.
    pub(super) fn committed(&mut self, tx: Tx, asked: At) {
        self.last_kept = self.last_kept.max(asked);
        for key in self.transactions.remove(&tx).unwrap_or_default().members {
            let Some(copy) = self.copies.get_mut(&key) else { continue };
            if let Some(step) = copy.steps.iter_mut().find(|step| step.tx == Some(tx)) {
                step.sure_from = Some(At::ZERO);
            }
            self.counts.confirmed += 1;
        }
    }

    /// A transaction of publishes is rolled back, before anybody could see them.
    pub(super) fn rolled_back(&mut self, tx: Tx) {
        for key in self.transactions.remove(&tx).unwrap_or_default().members {
            self.copies.remove(&key);
            self.fates.insert(key, (self.cycle, "rolled back"));
        }
    }

    /// A consumer has received a message, whose content was found as `altered` says.
    pub(super) fn received(
        &mut self,
        (consumer, queue): (u64, Queue),
        (id, altered): (Id, Option<String>),
        redelivered: bool,
        at: At,
    ) {
        self.now = self.now.max(at);
        self.counts.received += 1;
        self.counts.redelivered += u64::from(redelivered);
        if let Some(altered) = altered {
            self.fault(Kind::Altered, Some(id), Some(queue), altered);
        }
        let (key, place) = ((id, queue.origin()), place_in(queue));
        let Some(copy) = self.copies.get_mut(&key) else { return self.came_back(key, queue) };
        if self.is_closing {
            copy.undo_towards(place);
        }
        let (now, held_by) = (copy.now(), copy.held_by);
        if !now.has(place) {
            let kind = match (copy.tx, now) {
                (Some(_), _) => Kind::Half,
                (None, NOWHERE) => Kind::Back,
                (None, _) => Kind::Doubled,
            };
            let text = format!("it should be {now}; {}", self.known(key));
            return self.fault(kind, Some(id), Some(queue), text);
        }
        if let Some(other) = held_by.filter(|_| !self.is_closing) {
            let text =
                format!("consumer {consumer} gets it, which consumer {other} has unsettled; {}", self.known(key));
            return self.fault(Kind::Doubled, Some(id), Some(queue), text);
        }
        copy.held_by = Some(consumer);
        copy.history.push((at, if redelivered { "redelivered" } else { "delivered" }, consumer));
        copy.listing = self.listing;
        let (priority, mark) = (copy.priority, &mut copy.marks[place.index()]);
        let (must, may) = (mark.must(), mark.may());
        mark.receive(at);
        if copy.steps.is_empty() {
            self.found(key, place);
        }
        self.check_mark(key, queue, (must, may, redelivered));
        if !redelivered
            && place == HERE
            && let Some(other) = self.order.fresh(consumer, id, priority)
        {
            self.fault(Kind::Reordered, Some(id), Some(queue), format!("consumer {consumer} got {other} before it"));
        }
        self.listed.entry(queue).or_default().push((id, priority));
    }

    fn check_mark(&mut self, key: Key, queue: Queue, (must, may, is): (bool, bool, bool)) {
        if must && !is {
            let text = format!(
                "redelivered is false, though it was received before, and what happened before {} ms counts; {}",
                self.horizon.as_millis(),
                self.known(key)
            );
            self.fault(Kind::Unmarked, Some(key.0), Some(queue), text);
        }
        if is && !may && !self.is_closing {
            let left = self.unread.entry(queue).or_default();
            match left.checked_sub(1) {
                Some(less) => *left = less,
                None => {
                    let text = "redelivered is true, though nobody received it and nothing was on the way to anybody";
                    self.fault(Kind::Marked, Some(key.0), Some(queue), text.into());
                }
            }
        }
    }

    fn came_back(&mut self, key: Key, queue: Queue) {
        let (kind, text) = match self.fates.get(&key) {
            Some((cycle, how)) => (Kind::Back, format!("it was done with in cycle {cycle}: {how}")),
            None if self.cycle > FATES_KEPT => (Kind::Back, "it was done with long ago, or never published".into()),
            None => (Kind::Topology, "it was never published there".into()),
        };
        self.fault(kind, Some(key.0), Some(queue), text);
    }

    /// A consumer settles what it got, for good.
    pub(super) fn settled(&mut self, queue: Queue, id: Id, how: Settled) {
        self.counts.settled += 1;
        let key = (id, queue.origin());
        let Some(copy) = self.copies.get_mut(&key) else { return };
        let what = match how {
            Settled::Acked => "acked",
            Settled::Rejected => "rejected",
            Settled::Moved(_) => "moved",
        };
        copy.history.push((self.now, what, copy.held_by.unwrap_or_default()));
        let behind = if queue.next().is_some() { THERE } else { NOWHERE };
        match how {
            Settled::Acked => copy.step(Step::end(place_in(queue))),
            Settled::Rejected if place_in(queue) == THERE => copy.step(Step::end(THERE)),
            Settled::Rejected => copy.step(Step::pass_on(behind, None)),
            Settled::Moved(tx) => {
                copy.step(Step::pass_on(behind, Some(tx)));
                self.transactions.entry(tx).or_default().members.push(key);
            }
        }
    }

    /// A consumer gives back what it got, or its channel ends.
    pub(super) fn returned(&mut self, queue: Queue, id: Id) {
        if let Some(copy) = self.copies.get_mut(&(id, queue.origin())) {
            copy.history.push((self.now, "given back", copy.held_by.take().unwrap_or_default()));
            copy.marks[place_in(queue).index()].give_back();
        }
    }

    /// The broker has handled a settlement.
    pub(super) fn handled(&mut self, queue: Queue, id: Id, at: At) {
        if let Some(copy) = self.copies.get_mut(&(id, queue.origin())) {
            copy.make_sure(place_in(queue), at);
        }
    }

    /// So many deliveries may be on the way to a consumer that ends, or that loses its connection.
    pub(super) fn abandoned(&mut self, queue: Queue, deliveries: usize) {
        *self.unread.entry(queue).or_default() += deliveries;
    }

    /// The broker is about to be asked to end: what one consumer loses with its connection, another may still get.
    pub(super) fn closing(&mut self) {
        self.is_closing = true;
    }

    /// The broker has ended, and every client has read what it had sent.
    pub(super) fn crashed(&mut self, at: At, ending: Ending) {
        let horizon = match ending {
            // What a busy machine kept from both of them is not the broker's fault.
            Ending::Killed => at.min(self.last_kept).saturating_sub(GRACE),
            Ending::Asked => at,
        };
        self.horizon = horizon;
        let (cycle, fates) = (self.cycle, &mut self.fates);
        self.copies.retain(|key, copy| {
            let how = copy.steps.last().map_or("it was not there", |step| step.what);
            copy.crash(horizon, copy.persistent);
            copy.history.push((at, "the broker ended", 0));
            let live = copy.base != NOWHERE;
            if !live {
                fates.insert(*key, (cycle, if copy.persistent { how } else { "not persistent" }));
            }
            live
        });
        self.fates.retain(|_, (ended, _)| *ended + FATES_KEPT > cycle);
        self.unconfirmed.clear();
        self.order.forget_consumers();
        self.is_closing = false;
        self.cycle += 1;
    }

    /// How many messages a queue may have ready when nobody has any unsettled.
    pub(super) fn bounds(&self, queue: Queue) -> (u32, u32) {
        let (origin, place) = (queue.origin(), place_in(queue));
        let copies = self.copies.iter().filter(|((_, of), _)| *of == origin).map(|(_, copy)| copy.now());
        copies
            .filter(|now| now.has(place))
            .fold((0, 0), |(least, most), now| (least + u32::from(now == place), most + 1))
    }

    /// The broker says how many messages a queue has.
    pub(super) fn counted(&mut self, queue: Queue, ready: u32) {
        let (least, most) = self.bounds(queue);
        if ready < least || ready > most {
            let text = format!("it has {ready} messages; expected from {least} to {most}");
            self.fault(Kind::Miscounted, None, Some(queue), text);
        }
        self.counts.recovered += u64::from(ready);
    }

    /// From now on, until `end_listing`, every queue is read to its end, and nothing is published.
    pub(super) fn begin_listing(&mut self) {
        self.listing += 1;
        self.listed.clear();
    }

    /// Every message of every queue was received.
    pub(super) fn end_listing(&mut self) {
        for (queue, messages) in std::mem::take(&mut self.listed) {
            if let Some((id, other, why)) = self.order.list(queue, &messages) {
                self.fault(Kind::Reordered, Some(id), Some(queue), format!("{other} came before it: {why}"));
            }
        }
        let unseen = self.copies.iter().filter(|(_, copy)| copy.listing != self.listing).map(|(key, _)| *key);
        let mut unseen: Vec<Key> = unseen.collect();
        unseen.sort_unstable();
        // What is there tells how transactions ended, and was read first.
        for key in unseen {
            let Some(copy) = self.copies.get(&key) else { continue };
            let now = copy.now();
            if now.has(NOWHERE) {
                if copy.steps.is_empty() {
                    self.found(key, NOWHERE);
                }
                continue;
            }
            let kind = if copy.tx.is_some() { Kind::Half } else { Kind::Lost };
            let queue = if now == THERE { key.1.next() } else { Some(key.1) };
            let text = format!("it should be {now}, and is nowhere; {}", self.known(key));
            self.fault(kind, Some(key.0), queue, text);
        }
        self.transactions.clear();
        let cycle = self.cycle;
        let fates = &mut self.fates;
        self.copies.retain(|key, copy| {
            let live = copy.now() != NOWHERE || !copy.steps.is_empty();
            if !live {
                fates.insert(*key, (cycle, "it was not there when all were listed"));
            }
            live
        });
    }

    /// A copy was found in a place, or nowhere, which may tell how its transaction ended.
    fn found(&mut self, key: Key, place: Places) {
        let Some(copy) = self.copies.get_mut(&key) else { return };
        copy.base = place;
        let Some(doubt) = copy.doubt.take() else { return };
        let done = match (doubt.if_done.has(place), doubt.if_not.has(place)) {
            (true, false) => true,
            (false, true) => false,
            _ => return,
        };
        let Some(transaction) = self.transactions.get_mut(&doubt.tx) else { return };
        transaction.done = Some(done);
        for member in transaction.members.clone() {
            let Some(copy) = self.copies.get_mut(&member) else { continue };
            let Some(doubt) = copy.doubt.take_if(|other| other.tx == doubt.tx) else { continue };
            copy.base = if done { doubt.if_done } else { doubt.if_not };
            copy.tx = Some(doubt.tx);
        }
    }

    /// What is known of a copy.
    fn known(&self, (id, queue): Key) -> String {
        let Some(copy) = self.copies.get(&(id, queue)) else { return "nothing is known of it".into() };
        let tx = copy.tx.map(|tx| match self.transactions.get(&tx).and_then(|transaction| transaction.done) {
            Some(false) => format!("transaction {tx} was not carried out, as another message shows; "),
            _ => format!("transaction {tx} was carried out, as another message shows; "),
        });
        format!("{}{copy}", tx.unwrap_or_default())
    }
}
