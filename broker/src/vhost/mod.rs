//! A virtual host: the names of exchanges and queues, and the bindings between them.
//!
//! Names are found without a common lock. Changes to the topology take `topology` first; then, in this order, an entry of
//! the name maps, an exchange's bindings, a queue's state. Routes that connections remember are good as long as
//! `generation` stands still.

mod bindings;
mod dead_letters;
mod equivalence;
mod exchanges;
mod queues;
mod replies;
mod routing;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;
use leveret_spec::TableBuf;
use parking_lot::Mutex;

use crate::exchange::{self, Binding, DestinationId, Exchange};
use crate::failure::Soft;
use crate::queue::Queue;
use crate::timers::Timers;

pub(crate) use bindings::Ends;
pub(crate) use queues::DeleteCondition;
pub(crate) use replies::{REPLY_PREFIX, REPLY_TO, is_reply_name};
pub(crate) use routing::Routed;

/// A virtual host.
pub(crate) struct Vhost {
    pub(crate) name: Arc<str>,
    exchanges: DashMap<Arc<str>, Arc<Exchange>>,
    queues: DashMap<Arc<str>, Arc<Queue>>,
    /// What stands behind the names that direct reply-to gives out. They are in no list and take no bindings.
    replies: DashMap<Arc<str>, Arc<Queue>>,
    timers: Arc<Timers>,
    topology: Mutex<ByDestination>,
    generation: AtomicU64,
}

/// The bindings that lead to a queue or exchange, with the exchange that holds them.
type ByDestination = HashMap<DestinationId, Vec<(Arc<Exchange>, Arc<Binding>)>>;

impl Vhost {
    /// A virtual host with the predeclared exchanges.
    pub(crate) fn new(name: &str, timers: Arc<Timers>) -> Self {
        let vhost = Vhost {
            name: name.into(),
            exchanges: DashMap::new(),
            queues: DashMap::new(),
            replies: DashMap::new(),
            timers,
            topology: Mutex::default(),
            generation: AtomicU64::new(0),
        };
        for &(name, kind) in exchange::PREDECLARED {
            let declaration = exchange::Declaration {
                kind,
                durable: true,
                auto_delete: false,
                internal: false,
                arguments: TableBuf::new(),
            };
            vhost.insert_exchange(name, declaration);
        }
        vhost
    }

    /// Changes whenever a route may have changed.
    #[inline]
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Makes everybody who remembers a route look it up again.
    pub(crate) fn topology_changed(&self) {
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// The queue of that name.
    ///
    /// # Errors
    /// 404 if there is none.
    pub(crate) fn queue(&self, name: &str) -> Result<Arc<Queue>, Soft> {
        let found = self.queues.get(name).map(|queue| queue.value().clone());
        found.ok_or_else(|| Soft::not_found(format!("no queue '{name}' in vhost '{}'", self.name)))
    }

    /// The exchange of that name; the default exchange is none of them.
    ///
    /// # Errors
    /// 404 if there is none.
    pub(crate) fn exchange(&self, name: &str) -> Result<Arc<Exchange>, Soft> {
        let found = self.exchanges.get(name).map(|exchange| exchange.value().clone());
        found.ok_or_else(|| Soft::not_found(format!("no exchange '{name}' in vhost '{}'", self.name)))
    }

    fn insert_exchange(&self, name: &str, declaration: exchange::Declaration) -> Arc<Exchange> {
        let name: Arc<str> = name.into();
        let exchange = Arc::new(Exchange::new(name.clone(), self.name.clone(), declaration));
        self.exchanges.insert(name, exchange.clone());
        exchange
    }
}

#[cfg(test)]
mod tests;
