//! What channels have of their connection: its virtual host, its output, its mailbox, and the batches that a turn collects.

use std::sync::Arc;
use std::task::Waker;

use crate::auth::Rights;
use crate::catalog::{self, Catalog};
use crate::failure::Soft;
use crate::node::Node;
use crate::queue::{ConnectionId, Mailbox, Queue, Turn};
use crate::store::{MessageStore, Ticket};
use crate::time::Moment;
use crate::vhost::{DeleteCondition, Vhost};

use super::outbox::Outbox;
use super::publish::Batches;

/// A running connection as its channels see it.
pub(crate) struct Link {
    pub(crate) id: ConnectionId,
    pub(crate) node: Arc<Node>,
    pub(crate) vhost: Arc<Vhost>,
    pub(crate) client: Client,
    rights: Arc<Rights>,
    /// The users' epoch that the rights are of.
    rights_epoch: u64,
    /// It is the broker itself: no user, whose rights could change.
    pub(crate) is_broker: bool,
    pub(crate) out: Outbox,
    pub(crate) mailbox: Arc<Mailbox>,
    /// The turn that is under way.
    pub(crate) turn: Turn,
    /// Bytes of the largest frame, 0 = no limit.
    pub(crate) frame_max: usize,
    pub(super) batches: Batches,
    /// Channels with acknowledgements or confirms that wait for the end of the turn.
    pub(super) unsettled: Vec<u16>,
    /// How many publishers are far ahead of their consumers with this one; 0 if this one is not.
    pub(crate) far_ahead: usize,
    /// When the earliest consumer timeout has to be looked at.
    pub(crate) overdue_at: Option<Moment>,
    /// Bytes published in this turn.
    pub(crate) published: usize,
    /// Bytes of publishes that have not arrived whole.
    pub(super) assembling: usize,
    exclusive: Vec<Arc<Queue>>,
    /// Where messages are kept that have to survive.
    store: Option<Arc<dyn MessageStore>>,
    /// Where queues, exchanges and bindings are kept that have to survive.
    catalog: Option<Arc<Catalog>>,
    /// Channels with confirms that wait for the message store.
    pub(crate) confirming: Vec<u16>,
    /// Nothing is sent before this batch stays, and these changes of the catalog.
    held: Ticket,
    changed: catalog::Ticket,
    /// The connection is woken when this batch stays, and that change.
    awaited: Ticket,
    awaited_change: catalog::Ticket,
}

/// What the client said of itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Client {
    pub(crate) user: Arc<str>,
    /// The connection's name: `peer:port -> host:port`.
    pub(crate) peer: Arc<str>,
    /// It understands basic.cancel from the server.
    pub(crate) consumer_cancel_notify: bool,
    /// It understands connection.blocked.
    pub(crate) hears_blocked: bool,
    /// It has one prefetch for all consumers of a channel and expects basic.qos to change those that run already, as Celery
    /// does for tasks with a time and for autoscaling.
    pub(crate) changes_running_prefetch: bool,
}

impl Link {
    pub(crate) fn new(
        id: ConnectionId,
        node: Arc<Node>,
        vhost: Arc<Vhost>,
        client: Client,
        rights: Arc<Rights>,
        mailbox: Arc<Mailbox>,
        frame_max: usize,
    ) -> Self {
        Link {
            id,
            store: node.message_store(),
            catalog: node.catalog(),
            changed: catalog::Ticket::default(),
            confirming: vec![],
            held: Ticket::default(),
            awaited: Ticket::default(),
            awaited_change: catalog::Ticket::default(),
            rights,
            // Older than any: the first look brings them up to date.
            rights_epoch: u64::MAX,
            is_broker: false,
            node,
            vhost,
            client,
            out: Outbox::default(),
            mailbox,
            turn: Turn::default(),
            frame_max,
            batches: Batches::default(),
            unsettled: vec![],
            far_ahead: 0,
            overdue_at: None,
            published: 0,
            assembling: 0,
            exclusive: vec![],
        }
    }

    /// What this connection's user may do now.
    ///
    /// # Errors
    /// 403 if he may not do anything here any more.
    pub(crate) fn rights(&mut self) -> Result<&Rights, Soft> {
        let epoch = self.node.users.epoch();
        if self.rights_epoch != epoch && !self.is_broker {
            let rights = self.node.users.rights(&self.client.user, &self.vhost.name);
            self.rights = rights.ok_or_else(|| {
                let (vhost, user) = (&self.vhost.name, &self.client.user);
                Soft::access_refused(format!("access to vhost '{vhost}' refused for user '{user}'"))
            })?;
            self.rights_epoch = epoch;
        }
        Ok(&self.rights)
    }

    /// Lets consumer timeouts be looked at then, if not before.
    pub(super) fn look_at(&mut self, moment: Moment) {
        self.overdue_at = Some(self.overdue_at.map_or(moment, |at| at.min(moment)));
    }

    /// Gives every queue what was published to it in this turn.
    pub(crate) fn settle_publishes(&mut self) {
        self.far_ahead = self.far_ahead.max(self.batches.send(&self.mailbox, &mut self.turn));
    }

    /// Lets what has died in this turn go where the dead letters go.
    #[inline]
    pub(crate) fn publish_dead_letters(&mut self) {
        if !self.turn.dead.is_empty() {
            self.vhost.publish_dead_letters(&mut self.turn, self.node.epoch_s);
        }
    }

    /// The last batch that stays.
    #[inline]
    pub(super) fn durable(&self) -> Ticket {
        self.store.as_ref().map_or(Ticket::default(), |store| store.durable())
    }

    /// Nothing more is sent until all that this turn has for the message store stays.
    pub(super) fn hold(&mut self) {
        self.publish_dead_letters();
        if let Some(ticket) = self.turn.hand_in() {
            self.held = ticket;
        }
    }

    /// The last change that anybody has handed to the catalog.
    pub(crate) fn changes(&self) -> catalog::Ticket {
        self.catalog.as_ref().map_or(catalog::Ticket::default(), |catalog| catalog.submitted())
    }

    /// Nothing more is sent until the changes since `before` stay, if there are any.
    pub(crate) fn hold_changes(&mut self, before: catalog::Ticket) {
        let changes = self.changes();
        if changes > before {
            self.changed = changes;
        }
    }

    fn awaits_catalog(&self) -> bool {
        self.catalog.as_ref().is_some_and(|catalog| self.changed > catalog.durable())
    }

    /// True as long as nothing may be sent.
    #[inline]
    pub(crate) fn is_held(&self) -> bool {
        self.store.is_some() && (self.held > self.durable() || self.awaits_catalog())
    }

    /// True if anything waits for the message store.
    #[inline]
    pub(crate) fn waits_for_store(&self) -> bool {
        !self.confirming.is_empty() || self.is_held()
    }

    /// Has little written at once.
    pub(crate) fn commit_here(&self) {
        if let Some(store) = &self.store {
            store.commit_here();
        }
    }

    /// Has the connection woken when more of what it waits for stays.
    pub(crate) fn wait_for_store(&mut self) {
        if let Some(catalog) = self.catalog.as_ref().filter(|catalog| self.changed > catalog.durable()) {
            // At most once for each change.
            if self.awaited_change < self.changed {
                self.awaited_change = self.changed;
                catalog.wake_when_durable(self.changed, &Waker::from(self.mailbox.clone()));
            }
        }
        if self.confirming.is_empty() && self.held <= self.durable() {
            return;
        }
        if let Some(store) = self.store.as_ref().filter(|store| store.durable() >= self.awaited) {
            self.awaited = Ticket::after(store.durable());
            store.wake_when_durable(self.awaited, &Waker::from(self.mailbox.clone()));
        }
    }

    /// True if nothing becomes durable any more.
    pub(crate) fn store_has_failed(&self) -> bool {
        self.store.as_ref().is_some_and(|store| store.failed().is_some())
            || self.catalog.as_ref().is_some_and(|catalog| catalog.failed().is_some())
    }

    /// True if so much waits for the disk that nothing more should be published for now.
    pub(crate) fn is_congested(&self) -> bool {
        self.store.as_ref().is_some_and(|store| store.is_congested())
    }

    /// Does what the turn has left: dead letters, then wake-ups.
    pub(crate) fn finish(&mut self) {
        self.publish_dead_letters();
        self.turn.finish();
    }

    /// The channels that wait for the end of the turn.
    pub(crate) fn take_unsettled(&mut self) -> Vec<u16> {
        std::mem::take(&mut self.unsettled)
    }

    /// True if any channel waits for it.
    #[inline]
    pub(crate) fn has_unsettled(&self) -> bool {
        !self.unsettled.is_empty()
    }

    /// Gives the list back, to be used again.
    pub(crate) fn reuse_unsettled(&mut self, mut list: Vec<u16>) {
        list.clear();
        self.unsettled = list;
    }

    /// Deletes an auto-delete queue that has lost its last consumer.
    pub(super) fn delete_if_unused(&mut self, queue: &Queue) {
        // That it is in use again, or gone, is what the condition is for.
        let condition = DeleteCondition { unused: true, empty: false };
        let _ = self.vhost.delete_queue(queue, condition, &mut self.turn);
    }

    pub(super) fn owns(&mut self, queue: Arc<Queue>) {
        self.exclusive.push(queue);
    }

    /// Deletes the queues that are exclusive to this connection.
    pub(crate) fn delete_exclusive_queues(&mut self) {
        for queue in std::mem::take(&mut self.exclusive) {
            let _ = self.vhost.delete_queue(&queue, DeleteCondition::default(), &mut self.turn);
        }
    }
}
