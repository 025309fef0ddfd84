//! Several hosts, and brokers that end and begin.

use leveret::Config;
use leveret_client::{Connection, Consume, Error, Event, ExchangeDeclare, Publish, QueueBind, QueueDeclare};
use leveret_tests::{Harm, Own, unique};

use crate::setup::{at_once, delivery, proxy, publish, quickly, recovered, soon, until, uri_of};

#[tokio::test]
async fn the_first_host_that_answers_is_taken_and_the_others_when_it_is_lost() {
    let (one, other) = (proxy(41), proxy(42));
    let refused = Harm { refuse: true, ..Harm::default() };
    one.harm(refused);
    let uri = format!("{},{}", uri_of(one.address()), other.address());
    let connection = soon(Connection::open_with(&uri, quickly)).await.unwrap();
    let mut events = connection.events();
    for (from, to) in [(&other, &one), (&one, &other)] {
        to.harm(Harm::default());
        from.harm(refused);
        let before = to.accepted();
        from.cut();
        recovered(&mut events).await;
        assert!(to.accepted() > before, "it is at the other one");
        soon(connection.open_channel()).await.unwrap();
    }
}

#[tokio::test]
async fn the_first_connection_tries_each_host_once_and_fails_with_the_last_error() {
    let (one, other) = (proxy(43), proxy(44));
    for proxy in [&one, &other] {
        proxy.harm(Harm { refuse: true, ..Harm::default() });
    }
    let more = other.address().to_string();
    let opened = soon(Connection::open_with(&uri_of(one.address()), |options| quickly(options).host(more))).await;
    assert!(matches!(opened, Err(Error::Io(_))), "{opened:?}");
}

/// The broker says 320 and ends; another one begins at its address, and knows nothing.
#[tokio::test]
async fn a_broker_that_is_started_again_has_everything_that_was_declared() {
    let first = Own::start(Config::in_memory());
    let address = first.address();
    let connection =
        soon(Connection::open_with(&uri_of(address), |options| options.recovery(at_once()))).await.unwrap();
    let mut events = connection.events();
    let channel = soon(connection.open_channel()).await.unwrap();
    let (queue, exchange) = (unique("restart"), unique("restart"));
    soon(channel.queue_declare(QueueDeclare::new(&queue).durable())).await.unwrap();
    soon(channel.exchange_declare(ExchangeDeclare::new(&exchange, "direct").durable())).await.unwrap();
    soon(channel.queue_bind(QueueBind::new(&queue, &exchange).routing_key("k"))).await.unwrap();
    let mut consumer = soon(channel.consume(Consume::new(&queue))).await.unwrap();
    publish(&channel, &queue, "before").await;
    let held = delivery(&mut consumer).await;

    first.end();
    let lost = until(&mut events, |event| matches!(event, Event::Lost(_))).await;
    assert!(matches!(&lost, Event::Lost(error) if error.code() == Some(320)), "{lost:?}");
    until(&mut events, |event| matches!(event, Event::AttemptFailed { .. })).await;
    let _second = Own::start(Config::in_memory().listen(address));
    recovered(&mut events).await;
    soon(held.ack()).await.unwrap();
    let confirmed = soon(channel.publish_confirmed(Publish::to_exchange(&exchange, "k").body("after"))).await.unwrap();
    assert!(confirmed.is_acked());
    assert_eq!(delivery(&mut consumer).await.body(), b"after");
}

#[tokio::test]
async fn a_block_is_an_event_and_ends_with_the_connection() {
    let first = Own::start(Config::in_memory());
    let address = first.address();
    let connection =
        soon(Connection::open_with(&uri_of(address), |options| options.recovery(at_once()))).await.unwrap();
    let mut events = connection.events();
    let channel = soon(connection.open_channel()).await.unwrap();
    let queue = unique("blocked");
    soon(channel.queue_declare(QueueDeclare::new(&queue))).await.unwrap();
    first.alarm(true);
    // The broker tells those that publish.
    soon(channel.publish(Publish::to_queue(&queue))).await.unwrap();
    until(&mut events, |event| matches!(event, Event::Blocked(reason) if reason.contains("memory"))).await;
    assert!(connection.blocked().is_some());
    first.end();
    let _second = Own::start(Config::in_memory().listen(address));
    recovered(&mut events).await;
    assert!(connection.blocked().is_none());
    publish(&channel, &queue, "goes").await;
}
