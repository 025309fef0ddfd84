//! A Leveret of the test's own, set up as the test wants it: for what brokers can be told and those at AMQP_URL are not.

use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread;

use leveret::{Broker, Config};
use tokio::sync::oneshot;

use crate::peer::{Peer, Visit};

/// A broker that ends with the test.
#[derive(Debug)]
pub struct Own {
    addresses: Vec<SocketAddr>,
    http: Option<SocketAddr>,
    /// Dropping it ends the broker.
    stop: Option<oneshot::Sender<()>>,
}

impl Own {
    /// Starts one on a free port of this machine, or wherever else the configuration says.
    pub fn start(mut config: Config) -> Own {
        if config.amqp.is_empty() {
            config = config.listen(SocketAddr::from(([127, 0, 0, 1], 0)));
        }
        let (started, addresses) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let broker = Broker::start(config).await.expect("a broker on a free port");
                let addresses = (broker.amqp_addresses().to_vec(), broker.http_address());
                started.send(addresses).expect("somebody waits for the addresses");
                // An end by dropping is an end as well.
                let _ = stopped.await;
                let _ = broker.shutdown().await;
            });
        });
        let (addresses, http) = addresses.recv().expect("the broker starts");
        Own { addresses, http, stop: Some(stop) }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// Where its management API listens.
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http
    }

    /// Lets it end, in order.
    pub fn shut_down(&mut self) {
        self.stop.take();
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
