//! Publishers: what is confirmed is there, and what is unknown is said to be.

use leveret_client::{Consume, Get, Outcome, Publish, Qos, QueueDeclare};
use leveret_tests::unique;

use crate::setup::{channel, delivery, proxy, soon, unharmed};

#[tokio::test]
async fn a_connection_that_breaks_while_idle_publishes_and_consumes_as_before() {
    let chaos = proxy(1);
    let channel = channel(&chaos).await;
    let queue = unique("idle");
    soon(channel.queue_declare(QueueDeclare::new(&queue))).await.unwrap();
    soon(channel.qos(Qos::per_consumer(2))).await.unwrap();
    let mut consumer = soon(channel.consume(Consume::new(&queue))).await.unwrap();
    for round in 0..3 {
        chaos.cut();
        let body = format!("round {round}");
        // It may be sent into the connection that is being cut.
        while soon(channel.publish_confirmed(Publish::to_queue(&queue).body(&body))).await.unwrap() != Outcome::Acked {}
        loop {
            let got = delivery(&mut consumer).await;
            soon(got.ack()).await.unwrap();
            if got.body() == body.as_bytes() {
                break;
            }
        }
    }
    soon(unharmed().await.queue_delete(leveret_client::QueueDelete::new(&queue))).await.unwrap();
}

#[tokio::test]
async fn every_publish_ends_acked_or_unknown_and_what_is_acked_is_there() {
    let chaos = proxy(2);
    let channel = channel(&chaos).await;
    let queue = unique("confirms");
    soon(channel.queue_declare(QueueDeclare::new(&queue).durable())).await.unwrap();
    let mut confirms = vec![];
    for number in 0..2000_u32 {
        let body = number.to_string();
        let confirm = soon(channel.publish_watched(Publish::to_queue(&queue).persistent().body(&body))).await.unwrap();
        confirms.push(confirm);
        if number % 200 == 100 {
            chaos.cut();
        }
    }
    let mut acked = std::collections::BTreeSet::new();
    let mut unknown = 0;
    for (number, confirm) in confirms.into_iter().enumerate() {
        match soon(confirm).await.unwrap() {
            Outcome::Acked => drop(acked.insert(number)),
            Outcome::Unknown => unknown += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(unknown > 0, "ten cuts leave something unanswered");
    let counts = channel.confirm_counts().unwrap();
    assert_eq!((counts.published, counts.acked, counts.unknown), (2000, acked.len() as u64, unknown));
    let judge = unharmed().await;
    while let Some(got) = soon(judge.get(Get::new(&queue).no_ack())).await.unwrap() {
        let number: usize = std::str::from_utf8(got.body()).unwrap().parse().unwrap();
        acked.remove(&number);
    }
    assert!(acked.is_empty(), "confirmed and lost: {acked:?}");
    soon(judge.queue_delete(leveret_client::QueueDelete::new(&queue))).await.unwrap();
}
