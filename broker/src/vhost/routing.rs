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
fn copies(headers: Table<'_>) -> impl Iterator<Item = &[u8]> {
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
        let headers = message.properties().headers();
        let mut routed = self.route_key(exchange, key, headers)?;
        let Some(headers) = headers else { return Ok(routed) };
        for copy in copies(headers) {
            routed.repeatable = false;
            for queue in self.route_key(exchange, copy, Some(headers))?.queues {
                if !routed.queues.iter().any(|other| Arc::ptr_eq(other, &queue)) {
                    routed.queues.push(queue);
                }
            }
        }
        Ok(routed)
    }

    fn route_key(&self, exchange: &[u8], key: &[u8], headers: Option<Table<'_>>) -> Result<Routed, Soft> {
        if exchange.is_empty() {
            let queue = std::str::from_utf8(key).ok().and_then(|name| match is_reply_name(key) {
                true => self.reply_queue(name),
                false => self.queues.get(name).map(|q| q.value().clone()),
            });
            return Ok(Routed { queues: queue.into_iter().collect(), repeatable: true });
        }
        let exchange = self.exchange(&String::from_utf8_lossy(exchange))?;
        let mut routed = Routed { queues: vec![], repeatable: true };
        let mut first = Some(exchange);
        let mut alternates = HashSet::new();
        while let Some(exchange) = first.take() {
            self.route_from(&exchange, key, headers, &mut routed);
            if routed.queues.is_empty() && alternates.insert(exchange.name.clone()) {
                first = self.alternate(&exchange).filter(|next| !alternates.contains(&next.name));
            }
        }
        Ok(routed)
    }

    /// Follows bindings from one exchange, visiting each exchange once.
    fn route_from(&self, exchange: &Arc<Exchange>, key: &[u8], headers: Option<Table<'_>>, routed: &mut Routed) {
        let mut seen = HashSet::new();
        let mut visited = HashSet::from([exchange.name.clone()]);
        let mut to_visit = vec![exchange.clone()];
        while let Some(exchange) = to_visit.pop() {
            routed.repeatable &= !exchange.declaration.kind.looks_at_headers();
            exchange.route(key, headers, &mut |destination| match destination {
                Destination::Queue(queue) => {
                    if seen.insert(Arc::as_ptr(queue)) {
                        routed.queues.push(queue.clone());
                    }
                }
                Destination::Exchange(next) => {
                    if visited.insert(next.name.clone()) {
                        to_visit.push(next.clone());
                    }
                }
            });
        }
    }

    /// What takes a message that an exchange has no queue for; it need not exist.
    fn alternate(&self, exchange: &Exchange) -> Option<Arc<Exchange>> {
        self.exchange(&exchange.alternate()?).ok()
    }
}
