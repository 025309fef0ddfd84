//! What channels have of their connection: its virtual host, its output, its mailbox, and the batches that a turn collects.

use std::sync::Arc;

use crate::auth::Rights;
use crate::failure::Soft;
use crate::node::Node;
use crate::queue::{ConnectionId, Mailbox, Queue, Turn};
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
            rights,
            // Older than any: the first look brings them up to date.
            rights_epoch: u64::MAX,
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
        if self.rights_epoch != epoch {
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

    /// Does what the turn has left: dead letters, then wake-ups.
    pub(crate) fn finish(&mut self) {
        self.publish_dead_letters();
        self.turn.wake();
    }

    /// The channels that wait for the end of the turn.
    pub(crate) fn take_unsettled(&mut self) -> Vec<u16> {
        std::mem::take(&mut self.unsettled)
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
