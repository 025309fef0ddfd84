//! A proxy that harms connections as a test wants it, with chance that repeats itself.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::dice::Dice;

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the client to the broker.
    ToBroker,
    /// From the broker to the client.
    ToClient,
}

/// What the proxy does to every connection; by default nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Harm {
    /// Every piece waits for up to so long, as the seed decides.
    pub delay_max: Duration,
    /// Nothing goes this way until the harm is another one.
    pub stalled: Option<Way>,
    /// Each connection ends after exactly so many bytes this way.
    pub cut_after: Option<(Way, u64)>,
    /// Every byte is written on its own.
    pub one_byte_writes: bool,
    /// New connections are closed at once.
    pub refuse: bool,
}

/// A proxy in front of a broker; it ends, with its connections, when it is dropped.
#[derive(Debug)]
pub struct Chaos {
    address: SocketAddr,
    accepted: Arc<AtomicU64>,
    orders: Option<watch::Sender<Orders>>,
    thread: Option<thread::JoinHandle<()>>,
}

/// The harm, and how often all connections have been cut.
#[derive(Clone, Copy, Debug, Default)]
struct Orders {
    harm: Harm,
    cuts: u64,
}

impl Chaos {
    /// Starts a proxy to `broker` on a free port of this machine.
    pub fn start(broker: SocketAddr, seed: u64) -> Chaos {
        let (orders, given) = watch::channel(Orders::default());
        let (started, address) = mpsc::channel();
        let accepted = Arc::new(AtomicU64::new(0));
        let count = accepted.clone();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
                started.send(listener.local_addr().expect("an address")).expect("somebody waits for the address");
                serve(listener, broker, seed, (given, count)).await;
            });
        });
        let address = address.recv().expect("the proxy starts");
        Chaos { address, accepted, orders: Some(orders), thread: Some(thread) }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections it has taken so far, without those that it has refused.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Does this from now on, to the connections that exist as well.
    pub fn harm(&self, harm: Harm) {
        self.order(|orders| orders.harm = harm);
    }

    /// Cuts all connections that exist.
    pub fn cut(&self) {
        self.order(|orders| orders.cuts += 1);
    }

    fn order(&self, change: impl FnOnce(&mut Orders)) {
        self.orders.as_ref().expect("present until dropped").send_modify(change);
    }
}

impl Drop for Chaos {
    fn drop(&mut self) {
        self.orders.take();
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed.
            let _ = thread.join();
        }
    }
}

/// Accepts until nobody can give orders any more.
async fn serve(
    listener: TcpListener,
    broker: SocketAddr,
    seed: u64,
    (mut given, accepted): (watch::Receiver<Orders>, Arc<AtomicU64>),
) {
    loop {
        tokio::select! {
            changed = given.changed() => if changed.is_err() { return },
            taken = listener.accept() => {
                let Ok((client, _)) = taken else { continue };
                if given.borrow().harm.refuse {
                    continue;
                }
                let part = 2 * accepted.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(connect(client, broker, [Dice::of(seed, part), Dice::of(seed, part + 1)], given.clone()));
            }
        }
    }
}

/// Both ways of one connection: the first to end ends the other.
async fn connect(client: TcpStream, broker: SocketAddr, [out, back]: [Dice; 2], given: watch::Receiver<Orders>) {
    let Ok(broker) = TcpStream::connect(broker).await else { return };
    let _ = (client.set_nodelay(true), broker.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_broker, to_broker) = broker.into_split();
    tokio::select! {
        () = pump(Way::ToBroker, from_client, to_broker, out, given.clone()) => {}
        () = pump(Way::ToClient, from_broker, to_client, back, given) => {}
    }
}

async fn pump(
    way: Way,
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut dice: Dice,
    mut given: watch::Receiver<Orders>,
) {
    let cuts = given.borrow().cuts;
    let (mut passed, mut buffer) = (0_u64, [0; 4096]);
    loop {
        let Orders { harm, cuts: now } = *given.borrow_and_update();
        let left = harm.cut_after.filter(|(cut, _)| *cut == way).map_or(u64::MAX, |(_, at)| at.saturating_sub(passed));
        if now != cuts || left == 0 {
            return;
        }
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let most = if harm.one_byte_writes { 1 } else { most };
        let count = tokio::select! {
            // A new harm holds for what came at the same time.
            biased;
            changed = given.changed() => if changed.is_err() { return } else { continue },
            read = from.read(&mut buffer[..most]), if harm.stalled != Some(way) => read.unwrap_or(0),
        };
        if let Some(longest) = usize::try_from(harm.delay_max.as_millis()).ok().filter(|longest| *longest > 0) {
            tokio::time::sleep(Duration::from_millis(dice.roll(longest + 1) as u64)).await;
        }
        if count == 0 || to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
        passed += count as u64;
    }
}
