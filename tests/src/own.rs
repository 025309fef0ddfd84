//! A Leveret of the test's own, set up as the test wants it: for what brokers can be told and those at AMQP_URL are not.

use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread;

use leveret::{Broker, Config, MemoryLimit};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::peer::{Peer, Visit};

/// A broker that ends with the test.
#[derive(Debug)]
pub struct Own {
    addresses: Vec<SocketAddr>,
    http: Option<SocketAddr>,
    /// Dropping it ends the broker.
    orders: Option<UnboundedSender<Order>>,
    thread: Option<thread::JoinHandle<()>>,
}

/// Another memory limit, and whom to tell when it holds.
type Order = (MemoryLimit, mpsc::Sender<()>);

impl Own {
    /// Starts one on a free port of this machine, or wherever else the configuration says.
    pub fn start(mut config: Config) -> Own {
        if config.amqp.is_empty() {
            config = config.listen(SocketAddr::from(([127, 0, 0, 1], 0)));
        }
        let (started, addresses) = mpsc::channel();
        let (orders, mut given) = unbounded_channel::<Order>();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let broker = Broker::start(config).await.expect("a broker on a free port");
                let addresses = (broker.amqp_addresses().to_vec(), broker.http_address());
                started.send(addresses).expect("somebody waits for the addresses");
                while let Some((limit, done)) = given.recv().await {
                    broker.set_memory_limit(limit);
                    done.send(()).expect("somebody waits for it to be done");
                }
                // An end by dropping is an end as well.
                let _ = broker.shutdown().await;
            });
        });
        let (addresses, http) = addresses.recv().expect("the broker starts");
        Own { addresses, http, orders: Some(orders), thread: Some(thread) }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// Where its management API listens.
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http
    }

    /// Ends it, in order, and waits until it has let go of everything.
    ///
    /// # Panics
    /// If it does not end well.
    pub fn end(mut self) {
        self.shut_down();
        self.thread.take().map(thread::JoinHandle::join).expect("it ends once").expect("it ends well");
    }

    /// Lets it end, in order.
    pub fn shut_down(&mut self) {
        self.orders.take();
    }

    /// Raises the memory alarm, or ends it: any process uses more than one byte.
    pub fn alarm(&self, on: bool) {
        self.limit_memory(if on { MemoryLimit::Bytes(1) } else { MemoryLimit::None });
    }

    /// Sets the memory limit, which holds from then on.
    ///
    /// # Panics
    /// If the broker was shut down.
    pub fn limit_memory(&self, limit: MemoryLimit) {
        let (done, is_done) = mpsc::channel();
        self.orders.as_ref().and_then(|orders| orders.send((limit, done)).ok()).expect("the broker runs");
        is_done.recv().expect("the broker does as it is told");
    }

    /// How to visit it.
    pub fn visit(&self) -> Visit {
        Visit { address: self.address(), ..Visit::default() }
    }

    /// A connection to it, with channel 1 open.
    #[track_caller]
    pub fn with_channel(&self) -> Peer {
        let mut peer = Peer::visit(&self.visit());
        peer.open_channel(1);
        peer
    }
}
