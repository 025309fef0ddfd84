//! Connections through the proxy, and waits that end.

use std::net::SocketAddr;
use std::time::Duration;

use leveret_client::{Channel, Connection, Consumer, Delivery, Options, Recovery};
use leveret_tests::{Chaos, target};

/// How long anything may take, on the slowest machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for what has to happen.
pub(crate) async fn soon<T>(happens: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, happens).await.expect("it happens in time")
}

/// A proxy to the broker that is judged.
pub(crate) fn proxy(seed: u64) -> Chaos {
    Chaos::start(target().address(), seed)
}

/// Options for a broker at the end of a proxy, with delays that a test can wait for.
pub(crate) fn quickly(options: Options) -> Options {
    let recovery = Recovery::new().first_delay(Duration::from_millis(2)).delay_max(Duration::from_millis(50));
    let target = target();
    options.credentials(target.user(), target.password()).vhost(target.vhost()).timeout(PATIENCE).recovery(recovery)
}

/// A connection through the proxy.
pub(crate) async fn open(chaos: &Chaos) -> Connection {
    open_with(chaos, |options| options).await
}

/// A connection through the proxy, with options of its own.
pub(crate) async fn open_with(chaos: &Chaos, adjust: impl FnOnce(Options) -> Options) -> Connection {
    let uri = uri_of(chaos.address());
    soon(Connection::open_with(&uri, |options| adjust(quickly(options)))).await.unwrap()
}

pub(crate) fn uri_of(address: SocketAddr) -> String {
    format!("amqp://{address}")
}

/// A channel on a connection of its own through the proxy.
pub(crate) async fn channel(chaos: &Chaos) -> Channel {
    soon(open(chaos).await.open_channel()).await.unwrap()
}

/// A channel that nothing harms.
pub(crate) async fn unharmed() -> Channel {
    let connection = Connection::open_with(&uri_of(target().address()), quickly).await.unwrap();
    soon(connection.open_channel()).await.unwrap()
}

/// The next delivery.
pub(crate) async fn delivery(consumer: &mut Consumer) -> Delivery {
    soon(consumer.next()).await.expect("the consumer goes on").unwrap()
}
