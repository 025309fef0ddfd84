//! What all connections of one broker share: virtual hosts, users, limits, and who the broker says it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;
use parking_lot::RwLock;

use crate::auth::Users;
use crate::config::{Config, Identity, Limits};
use crate::entropy::Entropy;
use crate::queue::ConnectionId;
use crate::vhost::Vhost;

pub(crate) struct Node {
    pub(crate) identity: Identity,
    pub(crate) limits: Limits,
    pub(crate) users: RwLock<Users>,
    pub(crate) entropy: Entropy,
    vhosts: DashMap<Arc<str>, Arc<Vhost>>,
    connections: AtomicU64,
}

impl Node {
    pub(crate) fn new(config: &Config) -> Self {
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
            vhosts: DashMap::new(),
            connections: AtomicU64::new(0),
        };
        let vhost = Arc::new(Vhost::new(&config.default_vhost));
        node.vhosts.insert(vhost.name.clone(), vhost);
        node
    }

    pub(crate) fn vhost(&self, name: &str) -> Option<Arc<Vhost>> {
        self.vhosts.get(name).map(|vhost| vhost.value().clone())
    }

    /// A number that no other connection has.
    pub(crate) fn next_connection(&self) -> ConnectionId {
        ConnectionId(self.connections.fetch_add(1, Ordering::Relaxed))
    }
}
