//! Trouble in the middle: broken again, stalled, closed, given up.

use std::time::Duration;

use leveret_client::{Connection, Consume, Error, Event, Events, QueueBind, QueueDeclare, Recovery};
use leveret_tests::{Chaos, Harm, Way, unique};

use crate::setup::{at_once, channel, delivery, open_with, proxy, publish, recovered, soon, until};

/// A refusing proxy in front of a connection that is lost.
async fn lost(chaos: &Chaos, connection: &Connection) -> Events {
    let mut events = connection.events();
    chaos.harm(Harm { refuse: true, ..Harm::default() });
    chaos.cut();
    until(&mut events, |event| matches!(event, Event::Lost(_))).await;
    events
}

/// The conversation of a recovery is cut at one byte after the other, and the next attempt succeeds.
async fn broken_again(way: Way, bytes: std::ops::Range<u64>) {
    let chaos = proxy(31);
    let channel = channel(&chaos).await;
    let own = soon(channel.queue_declare(QueueDeclare::new("").exclusive())).await.unwrap().name;
    let queue = unique("broken-again");
    soon(channel.queue_declare(QueueDeclare::new(&queue).exclusive())).await.unwrap();
    for queue in [&own, &queue] {
        soon(channel.queue_bind(QueueBind::new(queue, "amq.topic").routing_key("#"))).await.unwrap();
    }
    let mut consumer = soon(channel.consume(Consume::new(&queue))).await.unwrap();
    let (mut failed, mut whole) = (0, 0);
    for at in bytes.step_by(5) {
        let mut events = channel.connection().events();
        chaos.harm(Harm { cut_after: Some((way, at)), ..Harm::default() });
        chaos.cut();
        let cut = |event: &Event| matches!(event, Event::AttemptFailed { .. } | Event::Recovered);
        match until(&mut events, cut).await {
            Event::Recovered => whole += 1,
            _ => failed += 1,
        }
        chaos.harm(Harm::default());
        // It may have been cut behind the last byte of the recovery.
        let mut events = channel.connection().events();
        if !channel.connection().is_open() {
            recovered(&mut events).await;
        }
        let body = at.to_string();
        publish(&channel, &queue, &body).await;
        soon(async {
            loop {
                let got = delivery(&mut consumer).await;
                got.ack().await.unwrap();
                if got.body() == body.as_bytes() {
                    break;
                }
            }
        })
        .await;
    }
    assert!(failed > 100 && whole > 0, "the range covers all of it: {failed} were cut, {whole} were not");
}

#[tokio::test]
async fn a_recovery_that_is_cut_at_any_byte_to_the_broker_is_followed_by_one_that_succeeds() {
    broken_again(Way::ToBroker, 0..1000).await;
}

#[tokio::test]
async fn a_recovery_that_is_cut_at_any_byte_to_the_client_is_followed_by_one_that_succeeds() {
    broken_again(Way::ToClient, 0..1300).await;
}

#[tokio::test]
async fn a_connection_over_which_nothing_comes_any_more_is_lost_and_comes_back() {
    let chaos = proxy(32);
    let connection = open_with(&chaos, |options| options.heartbeat_s(1)).await;
    let channel = soon(connection.open_channel()).await.unwrap();
    soon(channel.queue_declare(QueueDeclare::new(&unique("stalled")).exclusive())).await.unwrap();
    let mut events = connection.events();
    chaos.harm(Harm { stalled: Some(Way::ToClient), ..Harm::default() });
    let lost = until(&mut events, |event| matches!(event, Event::Lost(_))).await;
    assert!(matches!(&lost, Event::Lost(Error::Timeout(what)) if what.contains("heartbeat")), "{lost:?}");
    assert!(!connection.is_open() && !channel.is_open());
    // Connections of before are lost for good.
    chaos.cut();
    chaos.harm(Harm::default());
    recovered(&mut events).await;
    assert!(connection.is_open() && channel.is_open());
}

#[tokio::test]
async fn closing_returns_while_the_connection_is_lost() {
    let chaos = proxy(33);
    let channel = channel(&chaos).await;
    let mut consumer = soon(channel.consume(Consume::new(&own_queue(&channel).await))).await.unwrap();
    let mut events = lost(&chaos, channel.connection()).await;
    soon(channel.connection().close()).await.unwrap();
    assert!(soon(consumer.next()).await.is_none(), "it ends without an error");
    assert!(soon(channel.connection().closed()).await.code() == Some(200));
    soon(async { while events.next().await.is_some() {} }).await;
    let error = soon(channel.publish(leveret_client::Publish::to_queue("q"))).await.unwrap_err();
    assert_eq!(error.code(), Some(200));
}

async fn own_queue(channel: &leveret_client::Channel) -> String {
    soon(channel.queue_declare(QueueDeclare::new("").exclusive())).await.unwrap().name
}

#[tokio::test]
async fn closing_returns_while_a_new_connection_is_waited_for_that_does_not_answer() {
    let chaos = proxy(34);
    let connection = open_with(&chaos, |options| options).await;
    let _events = lost(&chaos, &connection).await;
    let before = chaos.accepted();
    chaos.harm(Harm { stalled: Some(Way::ToClient), ..Harm::default() });
    soon(async {
        while chaos.accepted() == before {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let closing = tokio::time::timeout(Duration::from_secs(30), connection.close());
    closing.await.expect("it does not wait for the login, which has a minute").unwrap();
}

#[tokio::test]
async fn the_last_handle_ends_a_recovery() {
    let chaos = proxy(35);
    let connection = open_with(&chaos, |options| options).await;
    let mut events = lost(&chaos, &connection).await;
    drop(connection);
    soon(async { while events.next().await.is_some() {} }).await;
}

#[tokio::test]
async fn a_recovery_that_takes_too_long_is_given_up_with_the_last_error() {
    let chaos = proxy(36);
    let brief = Recovery::new().first_delay(Duration::from_millis(2)).give_up_after(Duration::from_millis(50));
    let connection = open_with(&chaos, |options| options.recovery(brief)).await;
    let channel = soon(connection.open_channel()).await.unwrap();
    let mut consumer = soon(channel.consume(Consume::new(&own_queue(&channel).await))).await.unwrap();
    let _events = lost(&chaos, &connection).await;
    let waiting = soon(channel.publish(leveret_client::Publish::to_queue("q"))).await;
    let end = soon(connection.closed()).await;
    assert!(end.is_retryable() || matches!(end, Error::Auth(_)), "{end}");
    assert_eq!(waiting.unwrap_err().to_string(), end.to_string());
    assert_eq!(soon(consumer.next()).await.unwrap().unwrap_err().to_string(), end.to_string());
    assert!(soon(consumer.next()).await.is_none());
}

#[tokio::test]
async fn a_connection_without_recovery_is_over_when_it_breaks() {
    let chaos = proxy(37);
    let connection = open_with(&chaos, |options| options.recovery(at_once()).without_recovery()).await;
    let channel = soon(connection.open_channel()).await.unwrap();
    chaos.cut();
    assert!(matches!(soon(connection.closed()).await, Error::Io(_)));
    assert!(soon(channel.publish(leveret_client::Publish::to_queue("q"))).await.unwrap_err().is_retryable());
}
