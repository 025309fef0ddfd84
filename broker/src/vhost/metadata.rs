//! What is said about a virtual host, and how much may be in it.

use super::Vhost;
use crate::catalog::Kind;

/// What an administrator can change about a virtual host.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metadata {
    pub(crate) description: String,
    pub(crate) tags: Vec<String>,
    /// What a queue is that is declared without a type: `classic` or `quorum`.
    pub(crate) default_queue_type: Option<String>,
    /// Connections that it may have at once.
    pub(crate) connections_max: Option<usize>,
    /// Queues that it may have.
    pub(crate) queues_max: Option<usize>,
}

impl Vhost {
    pub(crate) fn metadata(&self) -> Metadata {
        self.metadata.read().clone()
    }

    pub(crate) fn change_metadata(&self, change: impl FnOnce(&mut Metadata)) {
        let mut topology = self.topology();
        let mut metadata = self.metadata.write();
        change(&mut metadata);
        topology.keep(Kind::Vhost, &[], || metadata.record());
    }

    /// The bound on its queues.
    pub(super) fn queues_max(&self) -> Option<usize> {
        self.metadata.read().queues_max
    }

    /// The bound on its connections.
    pub(crate) fn connections_max(&self) -> Option<usize> {
        self.metadata.read().connections_max
    }
}
