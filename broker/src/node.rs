//! What all connections of one broker share: virtual hosts, users, limits, and who the broker says it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;
use parking_lot::RwLock;

use crate::auth::Users;
use crate::config::{Config, Identity, Limits};
use crate::entropy::Entropy;
use crate::queue::{ConnectionId, Queue, Turn};
use crate::time::Moment;
use crate::timers::Timers;
use crate::vhost::{DeleteCondition, Vhost};

pub(crate) struct Node {
    pub(crate) identity: Identity,
    pub(crate) limits: Limits,
    pub(crate) users: RwLock<Users>,
    pub(crate) entropy: Entropy,
    pub(crate) timers: Arc<Timers>,
    /// The broker's start, in seconds since 1970.
    pub(crate) epoch_s: u64,
    vhosts: DashMap<Arc<str>, Arc<Vhost>>,
    connections: AtomicU64,
}

impl Node {
    pub(crate) fn new(config: &Config, epoch_s: u64) -> Self {
        let mut users = Users::default();
        users.add(
            &config.default_user,
            config.default_password.clone(),
            config.loopback_users.contains(&config.default_user),
        );
        let node = Node {
            identity: config.identity.clone(),
            limits: config.limits.clone(),
            users: RwLock::new(users),
            entropy: Entropy::System,
            timers: Arc::default(),
            epoch_s,
            vhosts: DashMap::new(),
            connections: AtomicU64::new(0),
        };
        let vhost = Arc::new(Vhost::new(&config.default_vhost, node.timers.clone()));
        node.vhosts.insert(vhost.name.clone(), vhost);
        node
    }

    pub(crate) fn vhost(&self, name: &str) -> Option<Arc<Vhost>> {
        self.vhosts.get(name).map(|vhost| vhost.value().clone())
    }

    /// Looks at the queues whose time has come.
    pub(crate) fn handle_timeouts(&self, now: Moment) {
        let mut turn = Turn::at(now);
        while let Some(queue) = self.timers.pop_due(now) {
            if let Some(queue) = queue.upgrade() {
                self.handle_queue_timeout(&queue, &mut turn);
            }
        }
        turn.wake();
    }

    fn handle_queue_timeout(&self, queue: &Queue, turn: &mut Turn) {
        let unused = queue.handle_timeout(turn);
        let Some(vhost) = self.vhost(&queue.vhost) else { return };
        if unused {
            // Somebody may use it again by now, or have deleted it: that is what the condition is for.
            let _ = vhost.delete_queue(queue, DeleteCondition { unused: true, empty: false }, turn);
        }
        vhost.publish_dead_letters(turn, self.epoch_s);
    }

    /// A number that no other connection has.
    pub(crate) fn next_connection(&self) -> ConnectionId {
        ConnectionId(self.connections.fetch_add(1, Ordering::Relaxed))
    }
}
