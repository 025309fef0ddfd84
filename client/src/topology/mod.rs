//! What a program has declared over a connection and not deleted since: what the next connection needs. There is one
//! entry for each exchange, queue and binding, however often it was declared.

mod change;
mod entity;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};

pub(crate) use change::Change;
pub(crate) use entity::{Binding, Destination, Exchange, Queue, Route};

/// Names that a queue had before, which still lead to it: the first one, and so many of the last.
const FORMER_NAMES_MAX: usize = 16;

/// See the file's head.
#[derive(Debug, Default)]
pub(crate) struct Topology {
    exchanges: BTreeMap<Box<str>, Exchange>,
    queues: BTreeMap<Box<str>, Queue>,
    bindings: BTreeMap<Destination, HashSet<Route>>,
    /// How many bindings each exchange is the source of.
    sources: HashMap<Box<str>, usize>,
    /// Former names of queues that the broker names, and the names of now.
    names: HashMap<Box<str>, Box<str>>,
}

impl Topology {
    pub(crate) fn exchanges(&self) -> Vec<Exchange> {
        self.exchanges.values().cloned().collect()
    }

    pub(crate) fn queues(&self) -> Vec<Queue> {
        self.queues.values().cloned().collect()
    }

    pub(crate) fn bindings(&self) -> Vec<Binding> {
        let all = self.bindings.iter().flat_map(|(destination, routes)| routes.iter().map(move |r| (destination, r)));
        all.map(|(destination, route)| Binding { destination: destination.clone(), route: route.clone() }).collect()
    }

    pub(crate) fn has_queue(&self, name: &str) -> bool {
        self.queues.contains_key(name)
    }

    /// The name that a queue has now.
    pub(crate) fn current<'n>(&self, name: &'n str) -> Cow<'n, str> {
        if self.names.is_empty() {
            return Cow::Borrowed(name);
        }
        self.names.get(name).map_or(Cow::Borrowed(name), |now| Cow::Owned(now.to_string()))
    }

    fn add_queue(&mut self, mut queue: Queue) {
        if let Some(before) = self.queues.remove(&queue.name) {
            // It is declared once more, perhaps by its name this time.
            (queue.consumers, queue.former) = (before.consumers, before.former);
            queue.server_named |= before.server_named;
        }
        self.queues.insert(queue.name.clone(), queue);
    }

    /// A queue is gone, with its bindings.
    pub(crate) fn forget_queue(&mut self, name: &str) {
        let name = self.current(name).into_owned();
        if let Some(queue) = self.queues.remove(name.as_str()) {
            for former in queue.former {
                self.names.remove(&former);
            }
        }
        self.forget_bindings_of(&Destination::Queue(name.into()));
    }

    /// An exchange is gone, with its bindings.
    pub(crate) fn forget_exchange(&mut self, name: &str) {
        self.exchanges.remove(name);
        self.forget_bindings_of(&Destination::Exchange(name.into()));
        if self.sources.remove(name).is_some() {
            for routes in self.bindings.values_mut() {
                routes.retain(|route| &*route.source != name);
            }
            self.bindings.retain(|_, routes| !routes.is_empty());
        }
    }

    fn forget_bindings_of(&mut self, destination: &Destination) {
        for route in self.bindings.remove(destination).into_iter().flatten() {
            self.forget_source(&route.source);
        }
    }

    fn add_binding(&mut self, binding: Binding) {
        let Binding { destination, route } = binding;
        let source = route.source.clone();
        if self.bindings.entry(destination).or_default().insert(route) {
            *self.sources.entry(source).or_default() += 1;
        }
    }

    pub(crate) fn forget_binding(&mut self, binding: &Binding) {
        let Some(routes) = self.bindings.get_mut(&binding.destination) else { return };
        let had = routes.remove(&binding.route);
        if routes.is_empty() {
            self.bindings.remove(&binding.destination);
        }
        if had {
            self.forget_source(&binding.route.source);
        }
    }

    /// An exchange has lost a binding. An auto-delete one goes with the last.
    fn forget_source(&mut self, name: &str) {
        let Some(bindings) = self.sources.get_mut(name) else { return };
        *bindings = bindings.saturating_sub(1);
        if *bindings == 0 {
            self.sources.remove(name);
            if self.exchanges.get(name).is_some_and(|exchange| exchange.auto_delete) {
                self.forget_exchange(name);
            }
        }
    }

    /// This connection has one more consumer on a queue.
    pub(crate) fn consumer_started(&mut self, queue: &str) {
        let name = self.current(queue);
        if let Some(queue) = self.queues.get_mut(&*name) {
            queue.consumers += 1;
        }
    }

    /// This connection has one consumer less on a queue. An auto-delete one goes with the last.
    pub(crate) fn consumer_ended(&mut self, queue: &str) {
        let name = self.current(queue);
        let Some(queue) = self.queues.get_mut(&*name) else { return };
        queue.consumers = queue.consumers.saturating_sub(1);
        if queue.consumers == 0 && queue.auto_delete {
            self.forget_queue(&name);
        }
    }

    /// The broker has given a queue another name.
    pub(crate) fn rename_queue(&mut self, old: &str, new: &str) {
        let Some(mut queue) = self.queues.remove(old) else { return };
        if let Some(routes) = self.bindings.remove(&Destination::Queue(old.into())) {
            self.bindings.insert(Destination::Queue(new.into()), routes);
        }
        if queue.former.len() == FORMER_NAMES_MAX {
            let forgotten = queue.former.remove(1);
            self.names.remove(&forgotten);
        }
        queue.former.push(old.into());
        for former in &queue.former {
            self.names.insert(former.clone(), new.into());
        }
        queue.name = new.into();
        self.queues.insert(queue.name.clone(), queue);
    }
}
