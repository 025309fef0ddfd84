//! Who gets the next message: the consumers of one queue, their credit, and the turn among them.
//!
//! Consumers with credit stand in a ring for each priority; the front of the highest ring is next and goes to its back.
//! One that runs out of credit leaves its ring, and comes back when it has some again, so a message costs the same with one
//! consumer and with a thousand, whatever most of them wait for.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::mailbox::{Delivery, Mailbox, cost};
use super::ready::{Entry, Ready};
use super::turn::Turn;

/// A consumer as its queue sees it.
pub(crate) struct Consumer {
    pub(crate) channel: u16,
    /// Its number in the channel.
    pub(crate) source: u32,
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) no_ack: bool,
    /// Messages that it may hold unsettled; 0 is no limit.
    pub(crate) prefetch: u16,
    /// The limit that it shares with the rest of its channel.
    pub(crate) shared: Arc<SharedLimit>,
    /// The higher comes first (x-priority).
    pub(crate) priority: i32,
}

/// basic.qos with `global`: what all consumers of a channel may hold together.
#[derive(Default)]
pub(crate) struct SharedLimit {
    /// 0 is no limit.
    limit: AtomicU32,
    held: AtomicU32,
    /// Messages that basic.get had taken when the limit was set: RabbitMQ counts them until the limit is lifted.
    taken_before: AtomicU32,
}

impl SharedLimit {
    pub(crate) fn is_limited(&self) -> bool {
        self.limit.load(Ordering::Relaxed) != 0
    }

    /// 0 is no limit.
    pub(crate) fn limit(&self) -> u32 {
        self.limit.load(Ordering::Relaxed)
    }

    /// Sets the limit, where basic.get has taken messages that are not settled.
    pub(crate) fn set(&self, limit: u16, taken: u32) {
        if limit == 0 || !self.is_limited() {
            self.taken_before.store(if limit == 0 { 0 } else { taken }, Ordering::Relaxed);
        }
        self.limit.store(limit.into(), Ordering::Relaxed);
    }

    /// Counts messages, whether a limit is set or not, so that one that comes later finds the right figure.
    pub(crate) fn hold(&self, count: usize) {
        self.held.fetch_add(count as u32, Ordering::Relaxed);
    }

    pub(crate) fn release(&self, count: usize) {
        self.held.fetch_sub(count as u32, Ordering::Relaxed);
    }

    fn has_room(&self) -> bool {
        let limit = self.limit.load(Ordering::Relaxed);
        limit == 0 || self.held.load(Ordering::Relaxed) + self.taken_before.load(Ordering::Relaxed) < limit
    }

    /// Counts one message at once if that may use up the limit; otherwise the caller counts it with others.
    fn hold_if_limited(&self) -> bool {
        let limited = self.is_limited();
        if limited {
            self.hold(1);
        }
        limited
    }
}

/// Finds a consumer in its queue; outlives the consumer without harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ConsumerKey {
    slot: u32,
    /// How many consumers had come before it.
    born: u64,
}

struct Member {
    consumer: Consumer,
    born: u64,
    /// Messages that it holds unsettled.
    held: u32,
    /// False if it stands in no ring, for want of credit or of room in its mailbox.
    in_ring: bool,
    /// It stands in no ring for want of room in its mailbox.
    is_stalled: bool,
    /// What it gets from the dispatch that is under way.
    share: Vec<Entry>,
    share_bytes: usize,
    /// Messages taken that the shared limit does not know of yet.
    uncounted: usize,
}

/// The consumers of one queue.
#[derive(Default)]
pub(crate) struct Consumers {
    members: Vec<Option<Member>>,
    free: Vec<u32>,
    /// Rings by priority, the highest first.
    rings: Vec<(i32, VecDeque<u32>)>,
    /// Those that have a share of the dispatch that is under way.
    sharing: Vec<u32>,
    count: usize,
    /// Members that have credit, and no room in their mailboxes.
    stalled: usize,
    born: u64,
    exclusive: bool,
    /// x-single-active-consumer: only the active one is served, and the oldest comes after it.
    single: bool,
    active: Option<u32>,
}

impl Member {
    fn may_take(&self) -> bool {
        (self.consumer.no_ack || self.consumer.prefetch == 0 || self.held < u32::from(self.consumer.prefetch))
            && self.consumer.shared.has_room()
    }

    /// Counts a message that it is given.
    fn take(&mut self) {
        if !self.consumer.no_ack {
            self.held += 1;
            self.uncounted += usize::from(!self.consumer.shared.hold_if_limited());
        }
    }

    fn count_taken(&mut self) {
        if self.uncounted > 0 {
            self.consumer.shared.hold(std::mem::take(&mut self.uncounted));
        }
    }

    fn delivery(&self, entry: Entry) -> Delivery {
        Delivery { channel: self.consumer.channel, source: self.consumer.source, entry }
    }

    /// True if the window has room; otherwise the mailbox knows that this consumer wants to hear of it.
    fn has_window(&self, turn: &mut Turn) -> bool {
        let mailbox = &self.consumer.mailbox;
        if mailbox.room(self.share_bytes) {
            return true;
        }
        let mut filling = mailbox.open();
        if mailbox.room(self.share_bytes) {
            return true;
        }
        filling.stall(self.consumer.channel, self.consumer.source);
        drop(filling);
        // The mailbox may have just been emptied with its share still here: the notice must not wait for another.
        mailbox.mark(turn);
        false
    }

    /// Puts the share into the mailbox.
    fn send_share(&mut self, turn: &mut Turn) {
        if self.share.is_empty() {
            return;
        }
        let mut share = std::mem::take(&mut self.share);
        self.share_bytes = 0;
        self.count_taken();
        let mut filling = self.consumer.mailbox.open();
        for entry in share.drain(..) {
            filling.put(self.delivery(entry));
        }
        drop(filling);
        self.consumer.mailbox.mark(turn);
        self.share = share;
    }
}

impl Consumers {
    pub(crate) fn new(single_active: bool) -> Self {
        Consumers { single: single_active, ..Consumers::default() }
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// False for one that waits for the single active consumer to go.
    pub(crate) fn is_served(&self, key: ConsumerKey) -> bool {
        !self.single || self.active == Some(key.slot)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// True if one of them would take more at once if its connection took it.
    pub(crate) fn are_stalled(&self) -> bool {
        self.stalled > 0
    }

    /// Adds one, unless it or another wants to be alone.
    pub(crate) fn add(&mut self, consumer: Consumer, exclusive: bool) -> Option<ConsumerKey> {
        if self.exclusive || exclusive && (self.count > 0 || self.single) {
            return None;
        }
        self.exclusive = exclusive;
        self.count += 1;
        self.born += 1;
        let member = Member {
            consumer,
            born: self.born,
            held: 0,
            in_ring: false,
            is_stalled: false,
            share: vec![],
            share_bytes: 0,
            uncounted: 0,
        };
        let slot = match self.free.pop() {
            Some(slot) => {
                self.members[slot as usize] = Some(member);
                slot
            }
            None => {
                self.members.push(Some(member));
                (self.members.len() - 1) as u32
            }
        };
        let key = ConsumerKey { slot, born: self.born };
        if self.active.is_none() {
            self.activate_oldest();
        }
        self.resume(key);
        Some(key)
    }

    /// Gives the turn of a single active consumer to the one that has waited longest.
    fn activate_oldest(&mut self) {
        if !self.single {
            return;
        }
        let waiting = self.members.iter().enumerate().filter_map(|(slot, m)| Some((m.as_ref()?.born, slot as u32)));
        let Some((born, slot)) = waiting.min() else { return };
        self.active = Some(slot);
        self.resume(ConsumerKey { slot, born });
    }

    fn member(&mut self, key: ConsumerKey) -> Option<&mut Member> {
        self.members.get_mut(key.slot as usize)?.as_mut().filter(|m| m.born == key.born)
    }

    pub(crate) fn remove(&mut self, key: ConsumerKey) {
        let Some(member) = self.member(key) else { return };
        let (in_ring, priority, is_stalled) = (member.in_ring, member.consumer.priority, member.is_stalled);
        self.stalled -= usize::from(is_stalled);
        if in_ring && let Some((_, ring)) = self.rings.iter_mut().find(|(p, _)| *p == priority) {
            ring.retain(|&slot| slot != key.slot);
        }
        self.members[key.slot as usize] = None;
        self.free.push(key.slot);
        self.rings.retain(|(_, ring)| !ring.is_empty());
        self.count -= 1;
        if self.count == 0 {
            *self = Consumers { born: self.born, single: self.single, ..Consumers::default() };
        } else if self.active == Some(key.slot) {
            self.activate_oldest();
        }
    }

    /// Removes all of them.
    pub(crate) fn clear(&mut self) -> Vec<Consumer> {
        let members = std::mem::take(self).members;
        members.into_iter().flatten().map(|m| m.consumer).collect()
    }

    /// Puts one back into its ring.
    pub(crate) fn resume(&mut self, key: ConsumerKey) {
        if self.single && self.active != Some(key.slot) {
            return;
        }
        let Some(member) = self.member(key) else { return };
        if std::mem::replace(&mut member.in_ring, true) {
            return;
        }
        let (was_stalled, priority) = (std::mem::take(&mut member.is_stalled), member.consumer.priority);
        self.stalled -= usize::from(was_stalled);
        let at = self.rings.partition_point(|(p, _)| *p > priority);
        match self.rings.get_mut(at) {
            Some((p, ring)) if *p == priority => ring.push_back(key.slot),
            _ => self.rings.insert(at, (priority, VecDeque::from([key.slot]))),
        }
    }

    pub(crate) fn set_prefetch(&mut self, key: ConsumerKey, prefetch: u16) {
        if let Some(member) = self.member(key) {
            member.consumer.prefetch = prefetch;
        }
        self.resume(key);
    }

    /// It holds `count` messages less.
    pub(crate) fn settle(&mut self, key: ConsumerKey, count: usize) {
        let Some(member) = self.member(key) else { return };
        member.held = member.held.saturating_sub(count as u32);
        if !member.in_ring && member.may_take() {
            self.resume(key);
        }
    }

    /// Hands out ready messages as far as there is credit; how many of them have to be settled. Expired ones that stood in
    /// the way go to `dead`.
    pub(crate) fn dispatch(&mut self, ready: &mut Ready, turn: &mut Turn, dead: &mut Vec<Entry>) -> usize {
        let mut unsettled = 0;
        while ready.len() > 0 {
            let Some((_, ring)) = self.rings.first_mut() else { break };
            let alone = ring.len() == 1;
            let Some(&slot) = ring.front() else {
                self.rings.remove(0);
                continue;
            };
            let Some(member) = self.members[slot as usize].as_mut() else { break };
            let has_credit = member.may_take();
            if !has_credit || !member.has_window(turn) {
                (member.in_ring, member.is_stalled) = (false, has_credit);
                self.stalled += usize::from(has_credit);
                ring.pop_front();
            } else if alone {
                unsettled += give_all(member, ready, turn, dead);
            } else {
                if member.share.is_empty() {
                    self.sharing.push(slot);
                }
                unsettled += give_one(member, ready, turn, dead);
                ring.rotate_left(1);
            }
        }
        for slot in self.sharing.drain(..) {
            if let Some(member) = &mut self.members[slot as usize] {
                member.send_share(turn);
            }
        }
        unsettled
    }
}

/// One message to a consumer that shares its turn with others.
fn give_one(member: &mut Member, ready: &mut Ready, turn: &Turn, dead: &mut Vec<Entry>) -> usize {
    let Some(entry) = ready.pop_live(turn.now, dead) else { return 0 };
    member.take();
    member.share_bytes += cost(&entry);
    member.share.push(entry);
    usize::from(!member.consumer.no_ack)
}

/// As many messages as it has credit for to a consumer that is alone in its ring.
fn give_all(member: &mut Member, ready: &mut Ready, turn: &mut Turn, dead: &mut Vec<Entry>) -> usize {
    member.send_share(turn);
    let mailbox = member.consumer.mailbox.clone();
    let mut filling = mailbox.open();
    let mut given = 0;
    while member.may_take() && filling.has_room() {
        let Some(entry) = ready.pop_live(turn.now, dead) else { break };
        member.take();
        filling.put(member.delivery(entry));
        given += 1;
    }
    member.count_taken();
    drop(filling);
    mailbox.mark(turn);
    if member.consumer.no_ack { 0 } else { given }
}
