//! What all connections of one broker share: virtual hosts, users, limits, and who the broker says it is.

mod recovery;
mod switches;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;
use parking_lot::Mutex;

use crate::alarms::Alarms;
use crate::auth::{PasswordHash, Permission, User, Users};
use crate::catalog::{Catalog, Change, Key, Kind};
use crate::config::{Clock, Config, Identity, Limits};
use crate::entropy::Entropy;
use crate::queue::{ConnectionId, Queue, Timers, Turn};
use crate::recording::Recordings;
use crate::roster::Roster;
use crate::storage::Storage;
use crate::store::MessageStore;
use crate::time::{Moment, Timeline};
use crate::vhost::{Census, DeleteCondition, Metadata, Vhost};

use switches::Switches;

/// The only node's name.
pub(crate) const NAME: &str = "leveret@localhost";

pub(crate) struct Node {
    pub(crate) identity: Identity,
    pub(crate) limits: Limits,
    pub(crate) users: Users,
    pub(crate) entropy: Entropy,
    pub(crate) alarms: Alarms,
    pub(crate) timers: Arc<Timers>,
    pub(crate) timeline: Timeline,
    pub(crate) roster: Arc<Roster>,
    pub(crate) switches: Switches,
    pub(crate) recordings: Recordings,
    /// The broker's start, in seconds since 1970.
    pub(crate) epoch_s: u64,
    /// Where what is durable stays; without it, everything is in memory.
    pub(crate) storage: Option<Storage>,
    vhosts: DashMap<Arc<str>, Arc<Vhost>>,
    census: Arc<Census>,
    connections: AtomicU64,
    /// One change of users and virtual hosts at a time: a permission must not outlive its virtual host.
    administration: Mutex<()>,
    /// One look at queues whose time has come at a time: who finds none has found all of them done with.
    looking: Mutex<()>,
}

impl Node {
    /// A broker without any user or virtual host.
    pub(crate) fn blank(config: &Config, epoch_s: u64, storage: Option<Storage>) -> Self {
        Node {
            identity: config.identity.clone(),
            limits: config.limits.clone(),
            users: Users::new(config.loopback_users.clone()),
            entropy: Entropy::System,
            alarms: Alarms::default(),
            timers: Arc::default(),
            timeline: match config.clock {
                Clock::System => Timeline::default(),
                Clock::Paused => Timeline::paused(),
            },
            roster: Arc::default(),
            switches: Switches::default(),
            recordings: Recordings::default(),
            epoch_s,
            storage,
            vhosts: DashMap::new(),
            census: Arc::new(Census::new(config.limits.queues_max, config.limits.exchanges_max)),
            connections: AtomicU64::new(0),
            administration: Mutex::new(()),
            looking: Mutex::new(()),
        }
    }

    /// A broker in memory with its first user, who may do everything in its first virtual host.
    pub(crate) fn new(config: &Config, epoch_s: u64) -> Self {
        let node = Node::blank(config, epoch_s, None);
        node.create_defaults(config);
        node
    }

    fn create_defaults(&self, config: &Config) {
        // Whatever the limits say.
        self.begin_vhost(&config.default_vhost);
        self.change_user(&config.default_user, |user| {
            user.password = Some(PasswordHash::of(&config.default_password));
            user.tags = vec!["administrator".into()];
            user.permissions.insert(config.default_vhost.clone(), Permission::everything());
        });
    }

    /// Where what is declared for good is kept.
    pub(crate) fn catalog(&self) -> Option<Arc<Catalog>> {
        self.storage.as_ref().map(|storage| storage.catalog.clone())
    }

    /// Where messages are kept that have to survive.
    pub(crate) fn message_store(&self) -> Option<Arc<dyn MessageStore>> {
        self.storage.as_ref().map(|storage| storage.store.clone() as Arc<dyn MessageStore>)
    }

    pub(crate) fn vhost(&self, name: &str) -> Option<Arc<Vhost>> {
        self.vhosts.get(name).map(|vhost| vhost.value().clone())
    }

    /// Every virtual host, in the order of the names.
    pub(crate) fn all_vhosts(&self) -> Vec<Arc<Vhost>> {
        let mut all: Vec<_> = self.vhosts.iter().map(|vhost| vhost.value().clone()).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// Creates a virtual host; false if it exists.
    ///
    /// # Errors
    /// How many there may be, if there are so many.
    pub(crate) fn create_vhost(&self, name: &str) -> Result<bool, usize> {
        let _administration = self.administration.lock();
        if self.vhosts.contains_key(name) {
            return Ok(false);
        }
        match self.limits.vhosts_max {
            Some(most) if self.vhosts.len() >= most => Err(most),
            _ => {
                self.begin_vhost(name);
                Ok(true)
            }
        }
    }

    /// A virtual host that was not there.
    fn begin_vhost(&self, name: &str) {
        self.record(|| vec![Change::Put(Key::new(Kind::Vhost, &[name.as_bytes()]), Metadata::default().record())]);
        self.insert_vhost(name);
    }

    fn insert_vhost(&self, name: &str) -> Arc<Vhost> {
        let vhost = Arc::new(Vhost::new(name, self.timers.clone(), self.census.clone(), self.storage.clone()));
        self.switches.apply_watches(&vhost);
        self.vhosts.insert(vhost.name.clone(), vhost.clone());
        vhost
    }

    /// Keeps changes for good, if there is anywhere to keep them.
    fn record(&self, changes: impl FnOnce() -> Vec<Change>) {
        if let Some(storage) = &self.storage {
            storage.catalog.submit(changes());
        }
    }

    /// Takes a virtual host out, with all permissions in it; its connections are the caller's to close.
    pub(crate) fn remove_vhost(&self, name: &str) -> Option<Arc<Vhost>> {
        let _administration = self.administration.lock();
        let (_, vhost) = self.vhosts.remove(name)?;
        let users = self.users.forget_vhost(name);
        vhost.end(users.iter().map(|(name, user)| put_user(name, user)).collect());
        Some(vhost)
    }

    /// Creates or changes a user; false if he existed. What connections have remembered of his rights is void.
    pub(crate) fn change_user(&self, name: &str, change: impl FnOnce(&mut User)) -> bool {
        let _administration = self.administration.lock();
        let new = self.users.change(name, change);
        self.record(|| self.users.user(name).iter().map(|user| put_user(name, user)).collect());
        self.forget_routes();
        new
    }

    /// Removes a user; false if there is none.
    pub(crate) fn remove_user(&self, name: &str) -> bool {
        let _administration = self.administration.lock();
        let removed = self.users.remove(name);
        self.record(|| vec![Change::Remove(user_key(name))]);
        self.forget_routes();
        removed
    }

    fn forget_routes(&self) {
        for vhost in &self.vhosts {
            vhost.topology_changed();
        }
    }

    /// Looks at the queues whose time has come.
    pub(crate) fn handle_timeouts(&self, now: Moment) {
        let _looking = self.looking.lock();
        let mut turn = Turn::at(now);
        while let Some(queue) = self.timers.pop_due(now) {
            if let Some(queue) = queue.upgrade() {
                self.handle_queue_timeout(&queue, &mut turn);
            }
        }
        turn.finish();
    }

    /// When the next queue has to be looked at, or the next consumer with a time limit.
    pub(crate) fn next_due(&self) -> Moment {
        self.timers.deadline().unwrap_or(Moment::NEVER).min(self.roster.next_overdue())
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

fn user_key(name: &str) -> Key {
    Key::new(Kind::User, &[name.as_bytes()])
}

fn put_user(name: &str, user: &User) -> Change {
    Change::Put(user_key(name), user.record())
}
