//! The right to change a virtual host, one at a time, and the record of what was changed.
//!
//! What is changed for good is written down beside the change itself and handed to the catalog before anybody else may change
//! anything: together, so that all of it survives or nothing.

use std::collections::HashMap;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use leveret_spec::TableBuf;
use parking_lot::MutexGuard;

use super::Vhost;
use crate::catalog::{Catalog, Change, Key, Kind};
use crate::exchange::{Binding, DestinationId, Exchange};

/// The bindings that lead to a queue or exchange, with the exchange that holds them.
pub(super) type ByDestination = HashMap<DestinationId, Vec<(Arc<Exchange>, Arc<Binding>)>>;

/// What the lock is around.
#[derive(Default)]
pub(super) struct State {
    by_destination: ByDestination,
    /// The virtual host is no more; another one of its name may be in the catalog.
    has_ended: bool,
}

/// Held by who changes something.
pub(super) struct Topology<'v> {
    state: MutexGuard<'v, State>,
    vhost: &'v str,
    catalog: Option<&'v Catalog>,
    changes: Vec<Change>,
}

impl Vhost {
    /// Waits for the right to change something.
    pub(super) fn topology(&self) -> Topology<'_> {
        let state = self.topology.lock();
        let catalog = self.storage.as_ref().filter(|_| !state.has_ended).map(|storage| &*storage.catalog);
        Topology { state, vhost: &self.name, catalog, changes: vec![] }
    }

    /// Takes the virtual host out of the catalog, and whatever else is said with it; nothing that is done in it from now on is
    /// recorded.
    pub(crate) fn end(&self, with: Vec<Change>) {
        let mut topology = self.topology();
        topology.changes.push(Change::RemoveVhost((&*self.name).into()));
        topology.changes.extend(with);
        topology.state.has_ended = true;
        drop(topology);
        for queue in self.queues.iter() {
            if let Some((id, storage)) = queue.id().zip(self.storage.as_ref()) {
                storage.forget_queue(id);
            }
        }
    }
}

impl Topology<'_> {
    /// True if what changes is written down.
    pub(super) fn is_recorded(&self) -> bool {
        self.catalog.is_some()
    }

    /// Keeps something of the virtual host for good; `name` is what its key has behind the virtual host's name.
    pub(super) fn keep(&mut self, kind: Kind, name: &[&[u8]], value: impl FnOnce() -> TableBuf) {
        if self.catalog.is_some() {
            let key = self.key(kind, name);
            self.changes.push(Change::Put(key, value()));
        }
    }

    /// Forgets it.
    pub(super) fn forget(&mut self, kind: Kind, name: &[&[u8]]) {
        if self.catalog.is_some() {
            let key = self.key(kind, name);
            self.changes.push(Change::Remove(key));
        }
    }

    fn key(&self, kind: Kind, name: &[&[u8]]) -> Key {
        let parts: Vec<&[u8]> = std::iter::once(self.vhost.as_bytes()).chain(name.iter().copied()).collect();
        Key::new(kind, &parts)
    }
}

impl Deref for Topology<'_> {
    type Target = ByDestination;

    fn deref(&self) -> &ByDestination {
        &self.state.by_destination
    }
}

impl DerefMut for Topology<'_> {
    fn deref_mut(&mut self) -> &mut ByDestination {
        &mut self.state.by_destination
    }
}

/// Handed in while the lock is still held.
impl Drop for Topology<'_> {
    fn drop(&mut self) {
        if let Some(catalog) = self.catalog {
            catalog.submit(self.changes.drain(..));
        }
    }
}
