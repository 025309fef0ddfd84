//! What a virtual host had when the broker ended, from the catalog: policies first, then exchanges, queues and bindings.
//! Nothing of it is recorded again.

use std::sync::Arc;

use super::{Metadata, Vhost, records};
use crate::catalog::{Entry, Kind};
use crate::exchange::{Binding, Destination, DestinationId};
use crate::policy::PolicyKind;
use crate::queue::{Queue, Settings, Turn};
use crate::storage;
use crate::time::Moment;

impl Vhost {
    /// Sets what was said about it.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(crate) fn recover_metadata(&self, entry: &Entry) -> Result<(), String> {
        *self.metadata.write() = Metadata::recorded(entry.value.as_table()).ok_or_else(|| unreadable(entry))?;
        Ok(())
    }

    /// # Errors
    /// If it cannot be read.
    pub(crate) fn recover_policy(&self, entry: &Entry) -> Result<(), String> {
        let kind = if entry.key.kind() == Kind::Policy { PolicyKind::User } else { PolicyKind::Operator };
        let policy = records::policy(entry.key.text(1), entry.value.as_table()).ok_or_else(|| unreadable(entry))?;
        self.policies.write().of(kind).insert(policy.name.clone(), Arc::new(policy));
        Ok(())
    }

    /// # Errors
    /// If it cannot be read.
    pub(crate) fn recover_exchange(&self, entry: &Entry) -> Result<(), String> {
        let declaration = records::exchange(entry.value.as_table()).ok_or_else(|| unreadable(entry))?;
        self.census.exchanges.add_regardless(1);
        self.insert_exchange(entry.key.text(1), declaration);
        Ok(())
    }

    /// # Errors
    /// If it cannot be read, or is one that cannot be any more.
    pub(crate) fn recover_queue(&self, entry: &Entry, now: Moment) -> Result<Arc<Queue>, String> {
        let declaration = records::queue(entry.value.as_table()).ok_or_else(|| unreadable(entry))?;
        let id = storage::queue_id(entry).ok_or_else(|| unreadable(entry))?;
        let place = format!("queue '{}' in vhost '{}'", entry.key.text(1), self.name);
        let settings = Settings::of(declaration.arguments.as_table(), &place).map_err(|soft| soft.text)?;
        self.census.queues.add_regardless(1);
        Ok(self.insert_queue(entry.key.text(1), declaration, settings, Some(id), &mut Turn::at(now)))
    }

    /// Binds what was bound; false if an end of it is not there.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(crate) fn recover_binding(&self, entry: &Entry) -> Result<bool, String> {
        let (source, destination, key, arguments) = records::binding(entry).ok_or_else(|| unreadable(entry))?;
        let destination = match &destination {
            DestinationId::Queue(name) => self.queue(name).map(Destination::Queue),
            DestinationId::Exchange(name) => self.exchange(name).map(Destination::Exchange),
        };
        let (Ok(source), Ok(destination)) = (self.exchange(source), destination) else { return Ok(false) };
        let binding = Arc::new(Binding { destination, key: key.into(), arguments });
        if source.bind(binding.clone()) {
            self.topology().entry(binding.destination.id()).or_default().push((source, binding));
        }
        Ok(true)
    }
}

fn unreadable(entry: &Entry) -> String {
    format!("the catalog has something that cannot be read: {:?}", entry.key)
}
