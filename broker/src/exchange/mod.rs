//! Where a message goes: an exchange's bindings, arranged for its type.

mod direct;
mod fanout;
pub(crate) mod headers;
mod topic;

use std::collections::HashSet;
use std::sync::Arc;

use leveret_spec::{Table, TableBuf, Value};
use parking_lot::RwLock;

use crate::policy::{Applied, Term};
use crate::queue::Queue;

/// What an exchange's name starts with if the broker has made it.
pub(crate) const RESERVED_PREFIX: &str = "amq.";

/// The exchanges that every virtual host has from the start, besides the default one.
pub(crate) const PREDECLARED: &[(&str, Kind)] = &[
    ("amq.direct", Kind::Direct),
    ("amq.fanout", Kind::Fanout),
    ("amq.topic", Kind::Topic),
    ("amq.headers", Kind::Headers),
    ("amq.match", Kind::Headers),
];

/// An exchange's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Direct,
    Fanout,
    Topic,
    Headers,
}

impl Kind {
    /// The type of that name.
    pub(crate) fn of(name: &str) -> Option<Kind> {
        [Kind::Direct, Kind::Fanout, Kind::Topic, Kind::Headers].into_iter().find(|k| k.name() == name)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Direct => "direct",
            Kind::Fanout => "fanout",
            Kind::Topic => "topic",
            Kind::Headers => "headers",
        }
    }

    /// True if the route depends on more than exchange and routing key.
    pub(crate) fn looks_at_headers(self) -> bool {
        self == Kind::Headers
    }
}

/// What an exchange was declared as: what a second declaration must equal.
#[derive(Clone, Debug)]
pub(crate) struct Declaration {
    pub(crate) kind: Kind,
    pub(crate) durable: bool,
    pub(crate) auto_delete: bool,
    pub(crate) internal: bool,
    pub(crate) arguments: TableBuf,
}

/// An exchange.
pub(crate) struct Exchange {
    pub(crate) name: Arc<str>,
    pub(crate) vhost: Arc<str>,
    pub(crate) declaration: Declaration,
    bindings: RwLock<Bindings>,
    applied: RwLock<Option<Arc<Applied>>>,
}

/// Where a binding leads.
#[derive(Clone)]
pub(crate) enum Destination {
    Queue(Arc<Queue>),
    Exchange(Arc<Exchange>),
}

/// One binding: source (the exchange that holds it), destination, key and arguments are its identity.
pub(crate) struct Binding {
    pub(crate) destination: Destination,
    pub(crate) key: Box<[u8]>,
    pub(crate) arguments: TableBuf,
}

#[derive(Default)]
struct Bindings {
    all: HashSet<Arc<Binding>>,
    table: Option<RoutingTable>,
}

/// The bindings as each type looks them up.
enum RoutingTable {
    Direct(direct::Keys),
    Fanout(fanout::Everyone),
    Topic(topic::Trie),
    Headers(headers::Matches),
}

impl Exchange {
    pub(crate) fn new(name: Arc<str>, vhost: Arc<str>, declaration: Declaration) -> Self {
        Exchange { name, vhost, declaration, bindings: RwLock::default(), applied: RwLock::default() }
    }

    /// Adds a binding; false if it was there.
    pub(crate) fn bind(&self, binding: Arc<Binding>) -> bool {
        let mut bindings = self.bindings.write();
        if !bindings.all.insert(binding.clone()) {
            return false;
        }
        let kind = self.declaration.kind;
        match bindings.table.get_or_insert_with(|| RoutingTable::of(kind)) {
            RoutingTable::Direct(t) => t.add(binding),
            RoutingTable::Fanout(t) => t.add(&binding),
            RoutingTable::Topic(t) => t.add(binding),
            RoutingTable::Headers(t) => t.add(binding),
        }
        true
    }

    /// True if there is a binding like it.
    pub(crate) fn has(&self, binding: &Binding) -> bool {
        self.bindings.read().all.contains(binding)
    }

    /// Removes a binding; false if there is none like it.
    pub(crate) fn unbind(&self, binding: &Binding) -> bool {
        let mut bindings = self.bindings.write();
        let Some(binding) = bindings.all.take(binding) else { return false };
        match &mut bindings.table {
            Some(RoutingTable::Direct(t)) => t.remove(&binding),
            Some(RoutingTable::Fanout(t)) => t.remove(&binding),
            Some(RoutingTable::Topic(t)) => t.remove(&binding),
            Some(RoutingTable::Headers(t)) => t.remove(&binding),
            None => {}
        }
        true
    }

    /// Lets a policy hold, or none.
    pub(crate) fn apply_policy(&self, applied: Option<Arc<Applied>>) {
        *self.applied.write() = applied;
    }

    /// The policy that holds.
    pub(crate) fn applied(&self) -> Option<Arc<Applied>> {
        self.applied.read().clone()
    }

    /// The exchange for what nobody else takes: by argument, or by policy.
    pub(crate) fn alternate(&self) -> Option<String> {
        if let Some(Value::LongStr(name)) = self.declaration.arguments.as_table().lookup("alternate-exchange") {
            return Some(String::from_utf8_lossy(name).into_owned());
        }
        match self.applied.read().as_ref()?.definition.get("alternate-exchange")? {
            Term::Text(name) => Some(name.clone()),
            _ => None,
        }
    }

    /// Its bindings, in no order.
    pub(crate) fn bindings(&self) -> Vec<Arc<Binding>> {
        self.bindings.read().all.iter().cloned().collect()
    }

    /// True if nothing is bound to it as a source.
    pub(crate) fn is_unused(&self) -> bool {
        self.bindings.read().all.is_empty()
    }

    /// All bindings, which end with the exchange.
    #[expect(clippy::mutable_key_type, reason = "a binding's identity is of names and bytes that never change")]
    pub(crate) fn take_bindings(&self) -> HashSet<Arc<Binding>> {
        std::mem::take(&mut *self.bindings.write()).all
    }

    /// Calls `found` for each destination of a message, more than once perhaps.
    pub(crate) fn route(&self, key: &[u8], headers: Option<Table<'_>>, found: &mut dyn FnMut(&Destination)) {
        match &self.bindings.read().table {
            Some(RoutingTable::Direct(t)) => t.route(key, found),
            Some(RoutingTable::Fanout(t)) => t.route(found),
            Some(RoutingTable::Topic(t)) => t.route(key, found),
            Some(RoutingTable::Headers(t)) => t.route(headers.unwrap_or_default(), found),
            None => {}
        }
    }
}

impl RoutingTable {
    fn of(kind: Kind) -> Self {
        match kind {
            Kind::Direct => RoutingTable::Direct(Default::default()),
            Kind::Fanout => RoutingTable::Fanout(Default::default()),
            Kind::Topic => RoutingTable::Topic(Default::default()),
            Kind::Headers => RoutingTable::Headers(Default::default()),
        }
    }
}

/// As RabbitMQ's texts name it.
impl std::fmt::Display for Exchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exchange '{}' in vhost '{}'", self.name, self.vhost)
    }
}

impl Destination {
    /// Tells destinations apart.
    pub(crate) fn id(&self) -> DestinationId {
        match self {
            Destination::Queue(queue) => DestinationId::Queue(queue.name.clone()),
            Destination::Exchange(exchange) => DestinationId::Exchange(exchange.name.clone()),
        }
    }
}

/// A destination by type and name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum DestinationId {
    Queue(Arc<str>),
    Exchange(Arc<str>),
}

impl Binding {
    fn identity(&self) -> (DestinationId, &[u8], &[u8]) {
        (self.destination.id(), &self.key, self.arguments.as_table().as_bytes())
    }
}

impl PartialEq for Binding {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

impl Eq for Binding {}

impl std::hash::Hash for Binding {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.identity().hash(state);
    }
}

#[cfg(test)]
pub(crate) mod testing {
    //! Bindings to queues that exist only by name.

    use super::*;

    pub(crate) fn binding(queue: &str, key: &str, arguments: TableBuf) -> Arc<Binding> {
        let queue = Queue::new(
            queue.into(),
            "/".into(),
            Default::default(),
            Default::default(),
            Default::default(),
            Default::default(),
            None,
        );
        Arc::new(Binding { destination: Destination::Queue(queue), key: key.as_bytes().into(), arguments })
    }

    /// The names of the destinations that `route` finds, sorted, each once.
    pub(crate) fn names(route: impl FnOnce(&mut dyn FnMut(&Destination))) -> Vec<String> {
        let mut names = std::collections::BTreeSet::new();
        route(&mut |destination| {
            if let DestinationId::Queue(name) = destination.id() {
                names.insert(name.to_string());
            }
        });
        names.into_iter().collect()
    }
}
