//! A broker inside a program: time that is made to pass, faults on demand, what can be seen of it.

#![expect(clippy::unwrap_used, reason = "that is how a test fails")]

mod clock;
mod faults;
mod peer;
mod recording;
#[cfg(feature = "tls")]
mod tls;
mod views;

use leveret::{Broker, Config};

async fn broker() -> Broker {
    Broker::start(Config::in_memory().listen("127.0.0.1:0".parse().unwrap()).paused_clock()).await.unwrap()
}

/// Ends a broker whose clients, which say only what a test wants them to, do not agree to be closed.
async fn end(broker: Broker) {
    broker.faults().drop_connections().await;
    broker.shutdown().await.unwrap();
}
