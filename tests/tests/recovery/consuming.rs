//! Consumers: they go on, with what they had and nothing that is stale.

use leveret_client::{Consume, Error, Publish, Qos, QueueDeclare};
use leveret_tests::unique;

use crate::setup::{
    break_once, break_while, channel, delete, delivery, open_with, proxy, publish, ready_are, soon, unharmed,
};

async fn durable_queue(name: &str) -> String {
    let queue = unique(name);
    soon(unharmed().await.queue_declare(QueueDeclare::new(&queue).durable())).await.unwrap();
    queue
}

#[tokio::test]
async fn a_consumer_goes_on_with_its_tag_and_acknowledges() {
    let (chaos, queue) = (proxy(11), durable_queue("goes-on").await);
    let channel = channel(&chaos).await;
    let mut consumer = soon(channel.consume(Consume::new(&queue).tag("mine"))).await.unwrap();
    for round in 0..5 {
        let body = format!("round {round}");
        publish(&unharmed().await, &queue, &body).await;
        let got = delivery(&mut consumer).await;
        assert_eq!((got.body(), got.consumer_tag()), (body.as_bytes(), "mine"));
        soon(got.ack()).await.unwrap();
        // The acknowledgement has arrived before the connection breaks.
        soon(channel.queue_declare(QueueDeclare::new(&queue).passive())).await.unwrap();
        break_once(&chaos, channel.connection()).await;
        assert!(channel.is_open());
    }
    drop((consumer, channel));
    ready_are(&queue, 0).await;
    delete(&queue).await;
}

#[tokio::test]
async fn what_was_unsettled_comes_again_and_settling_it_by_its_old_number_says_nothing() {
    let (chaos, queue) = (proxy(12), durable_queue("old-numbers").await);
    let channel = channel(&chaos).await;
    let mut consumer = soon(channel.consume(Consume::new(&queue))).await.unwrap();
    let other = unharmed().await;
    for body in ["one", "two", "three", "four"] {
        publish(&other, &queue, body).await;
    }
    let mut held = vec![];
    for _ in 0..3 {
        held.push(delivery(&mut consumer).await);
    }
    break_once(&chaos, channel.connection()).await;
    // An old number that reached the broker would be unknown there, and the channel closed with 406; or it would settle
    // another delivery.
    soon(held[0].ack()).await.unwrap();
    soon(held[1].ack_multiple()).await.unwrap();
    soon(channel.ack(held[2].delivery_tag(), true)).await.unwrap();
    drop(held);
    let mut seen = vec![];
    for expected in ["one", "two", "three", "four"] {
        let again = delivery(&mut consumer).await;
        assert!(again.delivery_tag() > 3, "numbers count on");
        assert_eq!(again.body(), expected.as_bytes());
        seen.push(again);
    }
    soon(seen[1].ack_multiple()).await.unwrap();
    soon(seen[3].nack(true)).await.unwrap();
    assert_eq!(delivery(&mut consumer).await.body(), b"four", "it went back and came again");
    drop((seen, consumer, channel));
    ready_are(&queue, 2).await;
    delete(&queue).await;
}

#[tokio::test]
async fn what_was_not_read_is_not_handed_out_twice() {
    let (chaos, queue) = (proxy(13), durable_queue("unread").await);
    let channel = channel(&chaos).await;
    let other = unharmed().await;
    for number in 0..10 {
        publish(&other, &queue, &number.to_string()).await;
    }
    let mut consumer = soon(channel.consume(Consume::new(&queue))).await.unwrap();
    // The rest of the burst waits in the consumer.
    soon(delivery(&mut consumer).await.ack()).await.unwrap();
    soon(channel.queue_declare(QueueDeclare::new(&queue).passive())).await.unwrap();
    break_once(&chaos, channel.connection()).await;
    for number in 1..10 {
        let got = delivery(&mut consumer).await;
        assert_eq!(got.body(), number.to_string().as_bytes());
        soon(got.ack()).await.unwrap();
    }
    publish(&other, &queue, "last").await;
    assert_eq!(delivery(&mut consumer).await.body(), b"last");
    drop((consumer, channel));
    delete(&queue).await;
}

#[tokio::test]
async fn what_counts_as_settled_is_read_although_the_connection_broke() {
    let (chaos, queue) = (proxy(14), durable_queue("no-ack").await);
    let channel = channel(&chaos).await;
    let other = unharmed().await;
    for number in 0..10 {
        publish(&other, &queue, &number.to_string()).await;
    }
    let mut consumer = soon(channel.consume(Consume::new(&queue).no_ack())).await.unwrap();
    ready_are(&queue, 0).await;
    // An answer comes behind all that was sent before it.
    soon(channel.queue_declare(QueueDeclare::new(&queue).passive())).await.unwrap();
    break_once(&chaos, channel.connection()).await;
    for number in 0..10 {
        assert_eq!(delivery(&mut consumer).await.body(), number.to_string().as_bytes());
    }
    drop((consumer, channel));
    delete(&queue).await;
}

#[tokio::test]
async fn each_consumer_has_its_prefetch_again() {
    let (chaos, few, many) = (proxy(15), durable_queue("few").await, durable_queue("many").await);
    let channel = channel(&chaos).await;
    let other = unharmed().await;
    for queue in [&few, &many] {
        for _ in 0..9 {
            publish(&other, queue, "x").await;
        }
    }
    soon(channel.qos(Qos::per_consumer(2))).await.unwrap();
    let of_few = soon(channel.consume(Consume::new(&few))).await.unwrap();
    soon(channel.qos(Qos::per_consumer(5))).await.unwrap();
    let of_many = soon(channel.consume(Consume::new(&many))).await.unwrap();
    soon(channel.qos(Qos::per_consumer(1))).await.unwrap();
    ready_are(&few, 7).await;
    ready_are(&many, 4).await;
    break_once(&chaos, channel.connection()).await;
    ready_are(&few, 7).await;
    ready_are(&many, 4).await;
    drop(of_few);
    ready_are(&few, 9).await;
    let third = soon(channel.consume(Consume::new(&few))).await.unwrap();
    ready_are(&few, 8).await;
    drop((of_many, third, channel));
    delete(&few).await;
    delete(&many).await;
}

#[tokio::test]
async fn a_consumer_that_cannot_begin_again_ends_with_the_reason_and_the_others_go_on() {
    let (chaos, gone, kept) = (proxy(16), durable_queue("gone").await, durable_queue("kept").await);
    let channel = channel(&chaos).await;
    let mut of_gone = soon(channel.consume(Consume::new(&gone))).await.unwrap();
    let mut of_kept = soon(channel.consume(Consume::new(&kept))).await.unwrap();
    break_while(&chaos, channel.connection(), delete(&gone)).await;
    let end = soon(of_gone.next()).await.unwrap().unwrap_err();
    assert_eq!(end.code(), Some(404), "{end}");
    assert!(soon(of_gone.next()).await.is_none());
    publish(&channel, &kept, "still").await;
    let got = delivery(&mut of_kept).await;
    assert_eq!(got.body(), b"still");
    soon(got.ack()).await.unwrap();
    drop((of_gone, of_kept, got, channel));
    delete(&kept).await;
}

#[tokio::test]
async fn consumers_that_are_dropped_or_cancelled_while_the_connection_is_lost_do_not_come_back() {
    let (chaos, queue) = (proxy(17), durable_queue("dropped").await);
    let channel = channel(&chaos).await;
    let dropped = soon(channel.consume(Consume::new(&queue))).await.unwrap();
    let cancelled = soon(channel.consume(Consume::new(&queue))).await.unwrap();
    let closed = soon(channel.connection().open_channel()).await.unwrap();
    let of_closed = soon(closed.consume(Consume::new(&queue))).await.unwrap();
    break_while(&chaos, channel.connection(), async {
        drop(dropped);
        soon(cancelled.cancel()).await.unwrap();
        soon(closed.close()).await.unwrap();
    })
    .await;
    let status = soon(channel.queue_declare(QueueDeclare::new(&queue).passive())).await.unwrap();
    assert_eq!(status.consumers, 0);
    drop((cancelled, of_closed));
    delete(&queue).await;
}

#[tokio::test]
async fn a_channel_with_a_transaction_ends_and_half_of_it_is_not_committed() {
    let (chaos, queue) = (proxy(18), durable_queue("tx").await);
    let connection = open_with(&chaos, |options| options).await;
    let channel = soon(connection.open_channel()).await.unwrap();
    soon(channel.tx_select()).await.unwrap();
    soon(channel.publish(Publish::to_queue(&queue).body("half"))).await.unwrap();
    break_once(&chaos, &connection).await;
    assert!(!channel.is_open() && connection.is_open());
    let error = soon(channel.tx_commit()).await.unwrap_err();
    assert!(error.is_retryable() && matches!(error, Error::Io(_)), "{error}");
    ready_are(&queue, 0).await;
    delete(&queue).await;
}
