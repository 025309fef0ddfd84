//! Publishers: what is confirmed is there, and what is unknown is said to be.

use std::collections::BTreeSet;
use std::time::Duration;

use leveret_client::{Channel, Confirm, Consume, Error, Get, Outcome, Publish, QueueDeclare};
use leveret_tests::{Chaos, Harm, Way, unique};

use crate::setup::{
    break_while, channel, delete, delivery, open_with, proxy, publish, ready, ready_are, soon, unharmed,
};

#[tokio::test]
async fn a_connection_that_breaks_while_idle_publishes_and_consumes_as_before() {
    let chaos = proxy(1);
    let channel = channel(&chaos).await;
    let queue = unique("idle");
    soon(channel.queue_declare(QueueDeclare::new(&queue))).await.unwrap();
    let mut consumer = soon(channel.consume(Consume::new(&queue))).await.unwrap();
    for round in 0..3 {
        // Nobody looks whether it is lost: what follows waits by itself.
        chaos.cut();
        let body = format!("round {round}");
        publish(&channel, &queue, &body).await;
        loop {
            let got = delivery(&mut consumer).await;
            soon(got.ack()).await.unwrap();
            if got.body() == body.as_bytes() {
                break;
            }
        }
    }
    delete(&queue).await;
}

/// The numbers of those that were acknowledged, and how many are unknown.
async fn outcomes(confirms: Vec<Confirm>) -> (BTreeSet<usize>, usize) {
    let (mut acked, mut unknown) = (BTreeSet::new(), 0);
    for (number, confirm) in confirms.into_iter().enumerate() {
        match soon(confirm).await.unwrap() {
            Outcome::Acked => drop(acked.insert(number)),
            Outcome::Unknown => unknown += 1,
            other => panic!("{other:?}"),
        }
    }
    (acked, unknown)
}

/// Publishes numbers, with some harm after every hundredth.
async fn publish_numbers(channel: &Channel, queue: &str, harm: impl Fn(u32)) -> Vec<Confirm> {
    let mut confirms = vec![];
    for number in 0..2000_u32 {
        let body = number.to_string();
        let confirm = soon(channel.publish_watched(Publish::to_queue(queue).persistent().body(&body))).await;
        confirms.push(confirm.unwrap());
        if number % 100 == 50 {
            harm(number);
        }
    }
    confirms
}

/// How often each number has arrived.
async fn arrived(queue: &str) -> Vec<usize> {
    let mut arrived = vec![0; 2000];
    let judge = unharmed().await;
    while let Some(got) = soon(judge.get(Get::new(queue).no_ack())).await.unwrap() {
        let number: usize = std::str::from_utf8(got.body()).unwrap().parse().unwrap();
        arrived[number] += 1;
    }
    delete(queue).await;
    arrived
}

#[tokio::test]
async fn every_publish_ends_acked_or_unknown_and_what_is_acked_is_there_once() {
    let chaos = proxy(2);
    let channel = channel(&chaos).await;
    let queue = unique("confirms");
    soon(channel.queue_declare(QueueDeclare::new(&queue).durable())).await.unwrap();
    let confirms = publish_numbers(&channel, &queue, |_| chaos.cut()).await;
    let (acked, unknown) = outcomes(confirms).await;
    assert!(unknown > 0, "twenty cuts leave something unanswered");
    let counts = channel.confirm_counts().unwrap();
    assert_eq!((counts.published, counts.acked, counts.unknown), (2000, acked.len() as u64, unknown as u64));
    assert!(matches!(soon(channel.all_confirmed()).await, Err(Error::Unconfirmed)));
    soon(channel.all_confirmed()).await.unwrap();
    let arrived = arrived(&queue).await;
    for number in acked {
        assert_eq!(arrived[number], 1, "{number} was confirmed");
    }
    assert!(arrived.iter().all(|times| *times <= 1), "something was sent again");
}

#[tokio::test]
async fn nothing_is_lost_over_a_network_that_delays_tears_and_breaks_by_chance() {
    for seed in 0..4 {
        let chaos = proxy(seed);
        let channel = channel(&chaos).await;
        let queue = unique("chance");
        soon(channel.queue_declare(QueueDeclare::new(&queue).durable())).await.unwrap();
        let harm = Harm { delay_max: Duration::from_millis(1), ..Harm::default() };
        let harms = [
            harm,
            Harm { one_byte_writes: true, ..Harm::default() },
            Harm { cut_after: Some((Way::ToBroker, 3001 + 997 * seed)), ..harm },
            Harm { cut_after: Some((Way::ToClient, 2003 + 499 * seed)), ..harm },
            Harm::default(),
        ];
        let chosen = |number: u32| harms[(number as usize / 100 + seed as usize) % harms.len()];
        let confirms = publish_numbers(&channel, &queue, |number| chaos.harm(chosen(number))).await;
        chaos.harm(Harm::default());
        let (acked, _) = outcomes(confirms).await;
        let arrived = arrived(&queue).await;
        assert!(acked.iter().all(|number| arrived[*number] == 1), "seed {seed}: confirmed and lost, or doubled");
        assert!(arrived.iter().all(|times| *times <= 1), "seed {seed}: something was sent again");
    }
}

#[tokio::test]
async fn a_publish_waits_for_the_connection_and_one_that_is_given_up_is_not_sent() {
    let chaos = proxy(3);
    let connection = open_with(&chaos, |options| options).await;
    let channel = soon(connection.open_channel()).await.unwrap();
    let queue = unique("waits");
    soon(channel.queue_declare(QueueDeclare::new(&queue).durable())).await.unwrap();
    let mut waiting = None;
    break_while(&chaos, &connection, async {
        let mut publishes = [(); 2].map(|()| Box::pin(channel.publish(Publish::to_queue(&queue).body("once"))));
        for publish in &mut publishes {
            assert!(futures_pending(publish).await, "it waits");
        }
        let [first, second] = publishes;
        drop(first);
        waiting = Some(second);
    })
    .await;
    soon(waiting.take().expect("it was kept")).await.unwrap();
    ready_are(&queue, 1).await;
    delete(&queue).await;
}

/// Polls a future once; true if it has to wait.
async fn futures_pending(future: &mut (impl Future + Unpin)) -> bool {
    std::future::poll_fn(|cx| std::task::Poll::Ready(std::pin::Pin::new(&mut *future).poll(cx).is_pending())).await
}

#[tokio::test]
async fn what_waits_longer_than_the_time_limit_fails_and_nothing_was_sent() {
    let chaos: Chaos = proxy(4);
    let connection = open_with(&chaos, |options| options.timeout(Duration::from_millis(200))).await;
    let channel = soon(connection.open_channel()).await.unwrap();
    let queue = unique("too-late");
    break_while(&chaos, &connection, async {
        let publish = soon(channel.publish(Publish::to_queue(&queue).body("never"))).await.unwrap_err();
        let declare = soon(channel.queue_declare(QueueDeclare::new(&queue))).await.unwrap_err();
        let open = soon(connection.open_channel()).await.unwrap_err();
        for error in [publish, declare, open] {
            assert!(matches!(error, Error::Timeout(_)) && error.is_retryable(), "{error}");
        }
    })
    .await;
    assert_eq!(ready(&queue).await, None);
}
