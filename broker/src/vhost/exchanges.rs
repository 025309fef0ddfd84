//! Exchanges: declare and delete.

use std::sync::Arc;

use super::topology::Topology;
use super::{Vhost, equivalence, records};
use crate::catalog::Kind;
use crate::exchange::{Declaration, DestinationId, Exchange, RESERVED_PREFIX};
use crate::failure::Soft;

impl Vhost {
    /// Creates an exchange, or checks that the one of that name is the same.
    ///
    /// # Errors
    /// 403 for a reserved name, 406 for one that differs, or one too many.
    pub(crate) fn declare_exchange(&self, name: &str, declaration: Declaration) -> Result<(), Soft> {
        let mut topology = self.topology();
        if let Ok(existing) = self.exchange(name) {
            return equivalence::check_exchange(&existing, &declaration);
        }
        if name.starts_with(RESERVED_PREFIX) {
            return Err(Soft::access_refused(format!("exchange name '{name}' contains reserved prefix 'amq.*'")));
        }
        self.census.exchanges.add().map_err(|most| {
            let place = format!("exchange '{name}' in vhost '{}'", self.name);
            Soft::precondition_failed(format!("cannot declare {place}: exchange limit of {most} is reached"))
        })?;
        let exchange = self.insert_exchange(name, declaration);
        if exchange.declaration.durable {
            topology.keep(Kind::Exchange, &[name.as_bytes()], || records::of_exchange(&exchange.declaration));
        }
        self.topology_changed();
        Ok(())
    }

    /// Deletes an exchange and its bindings; one that does not exist is deleted already.
    ///
    /// # Errors
    /// 403 for a predeclared one, 406 if it is in use and `if_unused` is set.
    pub(crate) fn delete_exchange(&self, name: &str, if_unused: bool) -> Result<(), Soft> {
        if name.starts_with(RESERVED_PREFIX) {
            let place = format!("exchange '{name}' in vhost '{}'", self.name);
            return Err(Soft::access_refused(format!("deletion of system {place} not allowed")));
        }
        let mut topology = self.topology();
        let Ok(exchange) = self.exchange(name) else { return Ok(()) };
        if if_unused && !exchange.is_unused() {
            return Err(Soft::precondition_failed(format!("{exchange} in use")));
        }
        self.remove_exchange(&exchange, &mut topology);
        self.topology_changed();
        Ok(())
    }

    /// Removes an exchange, the bindings from it and to it, and exchanges that live only as long as they have bindings.
    pub(super) fn remove_exchange(&self, exchange: &Arc<Exchange>, topology: &mut Topology<'_>) {
        if self.exchanges.remove(&*exchange.name).is_some() {
            self.census.exchanges.remove(1);
        }
        if exchange.declaration.durable {
            topology.forget(Kind::Exchange, &[exchange.name.as_bytes()]);
        }
        for binding in exchange.take_bindings() {
            topology.forget_binding(exchange, &binding);
            let destination = binding.destination.id();
            if let Some(sources) = topology.get_mut(&destination) {
                sources.retain(|(_, other)| !Arc::ptr_eq(other, &binding));
                if sources.is_empty() {
                    topology.remove(&destination);
                }
            }
        }
        self.remove_bindings_to(&DestinationId::Exchange(exchange.name.clone()), topology);
    }
}
