//! From exchange and routing key to queues: across exchanges that are bound to exchanges, and to the alternate exchange when
//! nothing else takes a message.

use std::collections::HashSet;
use std::sync::Arc;

use leveret_spec::{Table, Value};

use super::{Vhost, is_reply_name};
use crate::exchange::{Destination, Exchange};
use crate::failure::Soft;
use crate::message::Message;
use crate::queue::Queue;

/// Further routing keys, from the headers CC and BCC.
pub(crate) fn copies(headers: Table<'_>) -> impl Iterator<Item = &[u8]> {
    let lists = ["CC", "BCC"].into_iter().filter_map(move |name| match headers.lookup(name) {
        Some(Value::Array(keys)) => Some(keys),
        _ => None,
    });
    lists.flat_map(|keys| keys.iter()).filter_map(|key| if let Value::LongStr(key) = key { Some(key) } else { None })
}

/// Where a message goes.
#[derive(Default)]
pub(crate) struct Routed {
    /// Each queue once.
    pub(crate) queues: Vec<Arc<Queue>>,
    /// True if exchange and key alone decided, so that the route holds until the topology changes.
    pub(crate) repeatable: bool,
    /// What is in `queues`, to find it among thousands.
    seen: HashSet<*const Queue>,
}

impl Routed {
    fn add(&mut self, queue: &Arc<Queue>) {
        if self.seen.insert(Arc::as_ptr(queue)) {
            self.queues.push(queue.clone());
        }
    }
}

impl Vhost {
    /// The queues for a message that a client publishes. The default exchange knows each queue by its name.
    ///
    /// # Errors
    /// 404 for an unknown exchange, 403 for an internal one.
    pub(crate) fn route(&self, exchange: &[u8], key: &[u8], message: &Message) -> Result<Routed, Soft> {
        if !exchange.is_empty() {
            let exchange = self.exchange(&String::from_utf8_lossy(exchange))?;
            if exchange.declaration.internal {
                return Err(Soft::access_refused(format!("cannot publish to internal {exchange}")));
            }
        }
        self.route_internally(exchange, key, message)
    }

    /// The queues for a message from a client or from the broker itself, which may use internal exchanges.
    ///
    /// # Errors
    /// 404 for an unknown exchange.
    pub(crate) fn route_internally(&self, exchange: &[u8], key: &[u8], message: &Message) -> Result<Routed, Soft> {
        let headers = message.properties().checked_headers();
        let mut keys = vec![key];
        keys.extend(headers.into_iter().flat_map(copies));
        let mut routed = Routed { repeatable: keys.len() == 1, ..Routed::default() };
        if exchange.is_empty() {
            keys.into_iter().filter_map(|key| self.queue_named(key)).for_each(|queue| routed.add(&queue));
        } else {
            let exchange = self.exchange(&String::from_utf8_lossy(exchange))?;
            self.route_from(exchange, &keys, headers, &mut routed);
        }
        Ok(routed)
    }

    fn queue_named(&self, name: &[u8]) -> Option<Arc<Queue>> {
        let name = std::str::from_utf8(name).ok()?;
        if is_reply_name(name.as_bytes()) {
            return self.reply_queue(name);
        }
        self.queues.get(name).map(|q| q.value().clone())
    }

    /// Follows bindings from one exchange, and alternate exchanges where an exchange has no binding for a message, visiting
    /// each exchange once. All keys of a message travel together.
    fn route_from(&self, first: Arc<Exchange>, keys: &[&[u8]], headers: Option<Table<'_>>, routed: &mut Routed) {
        let mut visited = HashSet::from([first.name.clone()]);
        let mut to_visit = vec![first];
        while let Some(exchange) = to_visit.pop() {
            routed.repeatable &= !exchange.declaration.kind.looks_at_headers();
            let mut taken = false;
            let mut visit = |next: &Arc<Exchange>| {
                if visited.insert(next.name.clone()) {
                    to_visit.push(next.clone());
                }
            };
            for key in keys {
                exchange.route(key, headers, &mut |destination| {
                    taken = true;
                    match destination {
                        Destination::Queue(queue) => routed.add(queue),
                        Destination::Exchange(next) => visit(next),
                    }
                });
            }
            if !taken && let Some(alternate) = self.alternate(&exchange) {
                visit(&alternate);
            }
        }
    }

    /// What takes a message that an exchange has no queue for; it need not exist.
    fn alternate(&self, exchange: &Exchange) -> Option<Arc<Exchange>> {
        self.exchange(&exchange.alternate()?).ok()
    }
}
