//! A broker as it was when it ended: virtual hosts, users, policies, exchanges, queues, bindings, in this order, and then the
//! messages.

use std::collections::HashMap;

use super::Node;
use crate::auth::User;
use crate::catalog::{Change, Contents, Entry, Kind};
use crate::config::Config;
use crate::queue::Turn;
use crate::storage::Opened;
use crate::store::{QueueId, RecoveredQueue};
use crate::time::Moment;
use crate::vhost::Vhost;

impl Node {
    /// A broker with what the storage has. A new one gets its first user and virtual host, unless definitions will say what
    /// there is; it stays new until `has_begun` is said.
    ///
    /// # Errors
    /// One sentence about the first thing that cannot be read.
    pub(crate) fn recovered(
        config: &Config,
        epoch_s: u64,
        opened: Opened,
        with_defaults: bool,
    ) -> Result<Self, String> {
        let Opened { storage, contents, recovered } = opened;
        let node = Node::blank(config, epoch_s, Some(storage));
        node.recover(&contents, recovered.queues)?;
        if contents.is_new && with_defaults {
            node.create_defaults(config);
        }
        for damage in recovered.damage {
            tracing::warn!(%damage, "data was lost, and this was accepted");
        }
        Ok(node)
    }

    /// The first start is over: from now on nothing is there that was not recorded.
    pub(crate) fn has_begun(&self) {
        if let Some(storage) = &self.storage {
            storage.catalog.submit([Change::Begun]);
        }
    }

    fn recover(&self, contents: &Contents, queues: Vec<RecoveredQueue>) -> Result<(), String> {
        for entry in contents.of(Kind::Vhost) {
            self.insert_vhost(entry.key.text(0)).recover_metadata(entry)?;
        }
        for entry in contents.of(Kind::User) {
            let user = User::recorded(entry.value.as_table());
            let user = user.ok_or_else(|| format!("the catalog has something that cannot be read: {:?}", entry.key))?;
            self.users.change(entry.key.text(0), |new| *new = user);
        }
        for kind in [Kind::Policy, Kind::OperatorPolicy] {
            self.each(contents, kind, |vhost, entry| vhost.recover_policy(entry))?;
        }
        self.each(contents, Kind::Exchange, |vhost, entry| vhost.recover_exchange(entry))?;
        self.each(contents, Kind::Queue, |vhost, entry| vhost.recover_queue(entry, Moment::default()).map(drop))?;
        self.each(contents, Kind::Binding, |vhost, entry| {
            if !vhost.recover_binding(entry)? {
                // It would come to life with the next queue or exchange of that name.
                tracing::warn!(binding = ?entry.key, "a binding without an end is removed");
                self.record(|| vec![Change::Remove(entry.key.clone())]);
            }
            Ok(())
        })?;
        self.recover_messages(queues);
        Ok(())
    }

    /// Gives each queue its messages back. What has expired meanwhile goes where the dead letters go.
    fn recover_messages(&self, queues: Vec<RecoveredQueue>) {
        let mut messages: HashMap<QueueId, RecoveredQueue> =
            queues.into_iter().map(|queue| (queue.id, queue)).collect();
        let mut turn = Turn::at(Moment::default());
        for vhost in self.all_vhosts() {
            for queue in vhost.all_queues() {
                if let Some(messages) = queue.id().and_then(|id| messages.remove(&id)) {
                    queue.recover(messages, &mut turn);
                }
            }
            vhost.publish_dead_letters(&mut turn, self.epoch_s);
        }
        turn.finish();
    }

    /// Hands each entry of a kind to its virtual host.
    fn each(
        &self,
        contents: &Contents,
        kind: Kind,
        mut recover: impl FnMut(&Vhost, &Entry) -> Result<(), String>,
    ) -> Result<(), String> {
        for entry in contents.of(kind) {
            match self.vhost(entry.key.text(0)) {
                Some(vhost) => recover(&vhost, entry)?,
                None => return Err(format!("the catalog has something without its virtual host: {:?}", entry.key)),
            }
        }
        Ok(())
    }
}
