//! Bindings: add and remove, and what ends when the last one goes.

use std::sync::Arc;

use leveret_spec::Table;

use super::topology::Topology;
use super::{Vhost, records};
use crate::catalog;
use crate::exchange::{self, Binding, Destination, DestinationId, Exchange, Kind};
use crate::failure::Soft;

/// Both ends of a binding, found.
pub(crate) struct Ends {
    pub(crate) source: Arc<Exchange>,
    pub(crate) destination: Destination,
}

impl Vhost {
    /// Adds a binding; one that exists stays as it is.
    ///
    /// # Errors
    /// 406 for arguments that the exchange cannot use, 404 if an end has just been deleted.
    pub(crate) fn bind(
        &self,
        ends: Ends,
        key: &[u8],
        arguments: Table<'_>,
        permitted: impl FnOnce(&Destination) -> Result<(), Soft>,
    ) -> Result<(), Soft> {
        let Ends { source, destination } = ends;
        if source.declaration.kind == Kind::Headers {
            exchange::headers::check(arguments)?;
        }
        permitted(&destination)?;
        let binding = Arc::new(Binding { destination, key: key.into(), arguments: arguments.into() });
        let mut topology = self.topology();
        // An end may have gone since it was looked up; a binding must not outlive it.
        self.exchange(&source.name)?;
        match &binding.destination {
            Destination::Queue(queue) => self.queue(&queue.name).map(drop)?,
            Destination::Exchange(exchange) => self.exchange(&exchange.name).map(drop)?,
        }
        if source.bind(binding.clone()) {
            topology.keep_binding(&source, &binding);
            topology.entry(binding.destination.id()).or_default().push((source, binding));
            self.topology_changed();
        }
        Ok(())
    }

    /// Removes a binding, if it exists and `permitted` allows it then.
    ///
    /// # Errors
    /// What `permitted` says.
    pub(crate) fn unbind(
        &self,
        ends: Ends,
        key: &[u8],
        arguments: Table<'_>,
        permitted: impl FnOnce(&Destination) -> Result<(), Soft>,
    ) -> Result<(), Soft> {
        let Ends { source, destination } = ends;
        let binding = Binding { destination, key: key.into(), arguments: arguments.into() };
        let mut topology = self.topology();
        if !source.has(&binding) {
            return Ok(());
        }
        permitted(&binding.destination)?;
        source.unbind(&binding);
        topology.forget_binding(&source, &binding);
        let id = binding.destination.id();
        if let Some(sources) = topology.get_mut(&id) {
            sources.retain(|(_, other)| **other != binding);
            if sources.is_empty() {
                topology.remove(&id);
            }
        }
        self.remove_if_abandoned(&source, &mut topology);
        self.topology_changed();
        Ok(())
    }

    /// The bindings that lead to a destination, with the exchanges that hold them.
    pub(crate) fn bindings_to(&self, destination: &DestinationId) -> Vec<(Arc<Exchange>, Arc<Binding>)> {
        self.topology().get(destination).cloned().unwrap_or_default()
    }

    /// Removes every binding that leads to a destination.
    pub(super) fn remove_bindings_to(&self, destination: &DestinationId, topology: &mut Topology<'_>) {
        for (source, binding) in topology.remove(destination).unwrap_or_default() {
            source.unbind(&binding);
            topology.forget_binding(&source, &binding);
            self.remove_if_abandoned(&source, topology);
        }
    }

    /// An auto-delete exchange goes with its last binding.
    fn remove_if_abandoned(&self, exchange: &Arc<Exchange>, topology: &mut Topology<'_>) {
        if exchange.declaration.auto_delete && exchange.is_unused() && self.exchanges.contains_key(&*exchange.name) {
            self.remove_exchange(exchange, topology);
        }
    }
}

impl Topology<'_> {
    /// A binding stays if both of its ends do.
    fn keep_binding(&mut self, source: &Exchange, binding: &Binding) {
        if is_durable(source, binding) {
            let name = records::BindingName::of(&source.name, binding);
            self.keep(catalog::Kind::Binding, &name.parts(), || records::of_binding(binding));
        }
    }

    pub(super) fn forget_binding(&mut self, source: &Exchange, binding: &Binding) {
        if is_durable(source, binding) {
            self.forget(catalog::Kind::Binding, &records::BindingName::of(&source.name, binding).parts());
        }
    }
}

fn is_durable(source: &Exchange, binding: &Binding) -> bool {
    let destination = match &binding.destination {
        Destination::Queue(queue) => queue.id().is_some(),
        Destination::Exchange(exchange) => exchange.declaration.durable,
    };
    source.declaration.durable && destination
}
