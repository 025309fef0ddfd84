//! Connections through the proxy, and waits that end.

use std::net::SocketAddr;
use std::time::Duration;

use leveret_client::{
    Channel, Connection, Consumer, Delivery, Event, Events, Options, Outcome, Publish, QueueDeclare, QueueDelete,
    Recovery,
};
use leveret_tests::{Chaos, Harm, target};

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

/// Delays that a test can wait for.
pub(crate) fn at_once() -> Recovery {
    Recovery::new().first_delay(Duration::from_millis(2)).delay_max(Duration::from_millis(50))
}

/// Options for the broker that is judged.
pub(crate) fn quickly(options: Options) -> Options {
    let target = target();
    let options = options.credentials(target.user(), target.password()).vhost(target.vhost());
    options.timeout(PATIENCE).recovery(at_once())
}

pub(crate) fn uri_of(address: SocketAddr) -> String {
    format!("amqp://{address}")
}

/// A connection through the proxy, with options of its own.
pub(crate) async fn open_with(chaos: &Chaos, adjust: impl FnOnce(Options) -> Options) -> Connection {
    let uri = uri_of(chaos.address());
    soon(Connection::open_with(&uri, |options| adjust(quickly(options)))).await.unwrap()
}

/// A channel on a connection of its own through the proxy.
pub(crate) async fn channel(chaos: &Chaos) -> Channel {
    let connection = open_with(chaos, |options| options).await;
    soon(connection.open_channel()).await.unwrap()
}

/// A channel that nothing harms.
pub(crate) async fn unharmed() -> Channel {
    let connection = soon(Connection::open_with(&uri_of(target().address()), quickly)).await.unwrap();
    soon(connection.open_channel()).await.unwrap()
}

/// The next delivery.
pub(crate) async fn delivery(consumer: &mut Consumer) -> Delivery {
    soon(consumer.next()).await.expect("the consumer goes on").unwrap()
}

/// Waits for an event.
pub(crate) async fn until(events: &mut Events, wanted: impl Fn(&Event) -> bool) -> Event {
    loop {
        let event = soon(events.next()).await.expect("the connection goes on");
        if wanted(&event) {
            return event;
        }
    }
}

pub(crate) async fn recovered(events: &mut Events) {
    until(events, |event| matches!(event, Event::Recovered)).await;
}

/// Breaks the connection and waits until it is back.
pub(crate) async fn break_once(chaos: &Chaos, connection: &Connection) {
    let mut events = connection.events();
    chaos.cut();
    recovered(&mut events).await;
}

/// Breaks the connection, and does not let it back before `meanwhile` is done.
pub(crate) async fn break_while(chaos: &Chaos, connection: &Connection, meanwhile: impl Future<Output = ()>) {
    let mut events = connection.events();
    chaos.harm(Harm { refuse: true, ..Harm::default() });
    chaos.cut();
    until(&mut events, |event| matches!(event, Event::Lost(_))).await;
    meanwhile.await;
    chaos.harm(Harm::default());
    recovered(&mut events).await;
}

/// Publishes until the broker has said yes. What was unknown before that may have arrived as well.
pub(crate) async fn publish(channel: &Channel, queue: &str, body: &str) {
    while soon(channel.publish_confirmed(Publish::to_queue(queue).body(body))).await.unwrap() != Outcome::Acked {}
}

/// How many messages are ready in a queue; none if there is no such queue.
pub(crate) async fn ready(queue: &str) -> Option<u32> {
    soon(unharmed().await.queue_declare(QueueDeclare::new(queue).passive())).await.ok().map(|status| status.messages)
}

/// Waits until so many are ready.
pub(crate) async fn ready_are(queue: &str, count: u32) {
    soon(async { while ready(queue).await != Some(count) {} }).await;
}

pub(crate) async fn delete(queue: &str) {
    soon(unharmed().await.queue_delete(QueueDelete::new(queue))).await.unwrap();
}
