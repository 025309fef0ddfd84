//! A virtual host: the names of exchanges and queues, and the bindings between them.
//!
//! Names are found without a common lock. Changes to the topology, to policies and to what is
//! said about the virtual host take `topology` first, which records them too; then, in this order, an entry of
//! the name maps, an exchange's bindings, a queue's state. Routes that connections remember are good as long as
//! `generation` stands still.

mod bindings;
mod census;
mod dead_letters;
mod equivalence;
mod exchanges;
mod metadata;
mod policies;
mod queues;
mod records;
mod recovery;
mod replies;
mod routing;
mod topology;
mod watches;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;
use leveret_spec::TableBuf;
use parking_lot::{Mutex, RwLock};

use crate::exchange::{self, Exchange};
use crate::failure::Soft;
use crate::policy::{Policies, Target};
use crate::queue::{Queue, Timers};
use crate::storage::Storage;

pub(crate) use bindings::Ends;
pub(crate) use census::Census;
pub(crate) use metadata::Metadata;
pub(crate) use queues::DeleteCondition;
pub(crate) use replies::{REPLY_PREFIX, REPLY_TO, is_reply_name};
pub(crate) use routing::{Routed, copies};
pub(crate) use watches::{Watch, Watches};

/// A virtual host.
pub(crate) struct Vhost {
    pub(crate) name: Arc<str>,
    exchanges: DashMap<Arc<str>, Arc<Exchange>>,
    queues: DashMap<Arc<str>, Arc<Queue>>,
    /// What stands behind the names that direct reply-to gives out. They are in no list and take no bindings.
    replies: DashMap<Arc<str>, Arc<Queue>>,
    policies: RwLock<Policies>,
    metadata: RwLock<Metadata>,
    watches: Watches,
    timers: Arc<Timers>,
    /// Where what is durable stays; without it, everything is in memory.
    storage: Option<Storage>,
    census: Arc<Census>,
    topology: Mutex<topology::State>,
    generation: AtomicU64,
}

/// Where the firehose comes out.
pub(crate) const TRACE_EXCHANGE: &str = "amq.rabbitmq.trace";

impl Vhost {
    /// A virtual host with the predeclared exchanges.
    pub(crate) fn new(name: &str, timers: Arc<Timers>, census: Arc<Census>, storage: Option<Storage>) -> Self {
        let vhost = Vhost {
            name: name.into(),
            exchanges: DashMap::new(),
            queues: DashMap::new(),
            replies: DashMap::new(),
            policies: RwLock::default(),
            metadata: RwLock::default(),
            watches: Watches::default(),
            timers,
            storage,
            census,
            topology: Mutex::default(),
            generation: AtomicU64::new(0),
        };
        for &(name, kind) in exchange::PREDECLARED {
            vhost.insert_exchange(name, predeclared(kind, false));
        }
        vhost.insert_exchange(TRACE_EXCHANGE, predeclared(exchange::Kind::Topic, true));
        vhost.census.exchanges.add_regardless(vhost.exchange_count());
        vhost
    }

    /// How many exchanges there are, with the default one, which has no place among the others.
    fn exchange_count(&self) -> usize {
        self.exchanges.len() + 1
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

    /// The queue of that name, or the place for answers.
    pub(crate) fn queue_or_replies(&self, name: &str) -> Option<Arc<Queue>> {
        self.queue(name).ok().or_else(|| self.reply_queue(name))
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

    /// Every queue, in the order of the names.
    pub(crate) fn all_queues(&self) -> Vec<Arc<Queue>> {
        let mut all: Vec<_> = self.queues.iter().map(|queue| queue.value().clone()).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// Every exchange but the default one, in the order of the names.
    pub(crate) fn all_exchanges(&self) -> Vec<Arc<Exchange>> {
        let mut all: Vec<_> = self.exchanges.iter().map(|exchange| exchange.value().clone()).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    fn insert_exchange(&self, name: &str, declaration: exchange::Declaration) -> Arc<Exchange> {
        let name: Arc<str> = name.into();
        let exchange = Arc::new(Exchange::new(name.clone(), self.name.clone(), declaration));
        exchange.apply_policy(self.policies.read().effective(Target::Exchange, &name));
        self.exchanges.insert(name, exchange.clone());
        exchange
    }
}

impl Drop for Vhost {
    fn drop(&mut self) {
        self.census.queues.remove(self.queues.len());
        self.census.exchanges.remove(self.exchange_count());
    }
}

fn predeclared(kind: exchange::Kind, internal: bool) -> exchange::Declaration {
    exchange::Declaration { kind, durable: true, auto_delete: false, internal, arguments: TableBuf::new() }
}

#[cfg(test)]
mod tests;
