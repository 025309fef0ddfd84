//! Channels against a scripted broker: order, back-pressure, crossing closes, consumers that go.

use leveret_spec::{Method, ShortStr, basic, channel, confirm, connection, queue};

use crate::scripted::{Scripted, answered, channel_open, waits};
use crate::{Channel, Connection, Consume, Consumer, Error, Options, Outcome, Publish, QueueDeclare, Result};

async fn consuming() -> (Channel, Consumer, Scripted) {
    let (channel, mut broker) = channel_open(Options::default()).await;
    let consume = channel.consume(Consume::new("q").tag("t"));
    let consumer = answered(consume, &mut broker, ("basic.Consume", &basic::ConsumeOk::default())).await;
    (channel, consumer, broker)
}

/// A round trip: everything that the broker sent before has been handled after it.
async fn settled(connection: &Connection, broker: &mut Scripted) {
    let ok = channel::OpenOk::default();
    let _ = answered(connection.open_channel(), broker, ("channel.Open", &ok)).await;
    broker.expect("channel.Close").await;
}

#[tokio::test]
async fn calls_may_overlap_and_each_gets_its_own_answer() -> Result<()> {
    let (channel, mut broker) = channel_open(Options::default()).await;
    let calls = async {
        tokio::try_join!(
            channel.queue_declare(QueueDeclare::new("a")),
            channel.queue_purge("a"),
            channel.queue_declare(QueueDeclare::new("b")),
        )
    };
    let (answers, ()) = tokio::join!(calls, async {
        for name in ["queue.Declare", "queue.Purge", "queue.Declare"] {
            broker.expect(name).await;
        }
        let ok = |name| queue::DeclareOk { queue: ShortStr::cut(name), message_count: 1, consumer_count: 2 };
        broker.put(1, &ok("a"));
        broker.put(1, &queue::PurgeOk { message_count: 7 });
        broker.put(1, &ok("b"));
        broker.flush().await;
    });
    let (a, purged, b) = answers?;
    assert_eq!((&*a.name, purged, &*b.name, b.messages, b.consumers), ("a", 7, "b", 1, 2));
    Ok(())
}

#[tokio::test]
async fn the_answer_to_a_cancel_may_be_overtaken_as_rabbitmqs_is() -> Result<()> {
    let (channel, consumer, mut broker) = consuming().await;
    drop(consumer);
    let (purged, ()) = tokio::join!(channel.queue_purge("q"), async {
        broker.expect("basic.Cancel").await;
        broker.expect("queue.Purge").await;
        broker.put(1, &queue::PurgeOk { message_count: 7 });
        broker.put(1, &basic::CancelOk { consumer_tag: ShortStr::cut("t") });
        broker.flush().await;
    });
    assert_eq!(purged?, 7);
    settled(channel.connection(), &mut broker).await;
    assert!(channel.is_open());
    Ok(())
}

#[tokio::test]
async fn a_publish_waits_while_the_socket_does_not_keep_up() -> Result<()> {
    let (channel, mut broker) = channel_open(Options::default()).await;
    let body = [7; 10_000];
    let mut sent = 0;
    let mut stuck = loop {
        let mut publish = Box::pin(channel.publish(Publish::to_queue("q").body(&body)));
        if waits(&mut publish).await {
            break publish;
        }
        sent += 1;
        assert!(sent < 1000, "nothing limits what waits for the socket");
    };
    for _ in 0..sent {
        assert_eq!(broker.expect_publish().await, body);
    }
    stuck.as_mut().await?;
    assert_eq!(broker.expect_publish().await, body);
    Ok(())
}

#[tokio::test]
async fn a_publish_waits_while_the_broker_blocks_publishers() -> Result<()> {
    let (channel, mut broker) = channel_open(Options::default()).await;
    let connection = channel.connection().clone();
    broker.send(0, &connection::Blocked { reason: ShortStr::cut("low on memory") }).await;
    settled(&connection, &mut broker).await;
    assert_eq!(connection.blocked().as_deref(), Some("low on memory"));
    let mut publish = Box::pin(channel.publish(Publish::to_queue("q").body("x")));
    assert!(waits(&mut publish).await);
    broker.send(0, &connection::Unblocked {}).await;
    publish.await?;
    assert_eq!(broker.expect_publish().await, b"x");
    Ok(())
}

#[tokio::test]
async fn a_publish_waits_while_the_broker_has_paused_the_channel() -> Result<()> {
    let (channel, mut broker) = channel_open(Options::default()).await;
    broker.send(1, &channel::Flow { active: false }).await;
    broker.expect("channel.FlowOk").await;
    let mut publish = Box::pin(channel.publish(Publish::to_queue("q").body("x")));
    assert!(waits(&mut publish).await);
    broker.send(1, &channel::Flow { active: true }).await;
    broker.expect("channel.FlowOk").await;
    publish.await?;
    assert_eq!(broker.expect_publish().await, b"x");
    Ok(())
}

#[tokio::test]
async fn confirm_mode_begins_with_the_first_watched_publish_and_counts_from_there() -> Result<()> {
    let (channel, mut broker) = channel_open(Options::default().unconfirmed_max(2)).await;
    channel.publish(Publish::to_queue("q").body("uncounted")).await?;
    let first = channel.publish_watched(Publish::to_queue("q").body("1")).await?;
    channel.publish(Publish::to_queue("q").body("2, which nobody watches")).await?;
    let mut third = Box::pin(channel.publish_watched(Publish::to_queue("q").body("3")));
    assert!(waits(&mut third).await);

    broker.expect_publish().await;
    let got = broker.expect("confirm.Select").await;
    assert_eq!(got.method(), confirm::Select { no_wait: true }.into());
    assert_eq!(broker.expect_publish().await, b"1");
    broker.expect_publish().await;
    broker.send(1, &basic::Nack { delivery_tag: 1, multiple: false, requeue: false }).await;
    assert_eq!(first.await?, Outcome::Nacked);
    let third = third.await?;
    assert_eq!(broker.expect_publish().await, b"3");
    let mut all = Box::pin(channel.all_confirmed());
    assert!(waits(&mut all).await);
    broker.send(1, &basic::Ack { delivery_tag: 3, multiple: true }).await;
    assert_eq!(third.await?, Outcome::Acked);
    all.await
}

#[tokio::test]
async fn a_batch_goes_out_in_order_and_waits_for_confirms_where_it_must() -> Result<()> {
    let (channel, mut broker) = channel_open(Options::default().unconfirmed_max(2)).await;
    let select = channel.confirm_select();
    answered(select, &mut broker, ("confirm.Select", &confirm::SelectOk::default())).await;
    let bodies = ["1", "2", "3", "4", "5"];
    let batch = bodies.map(|body| Publish::to_queue("q").body(body));
    let mut sending = Box::pin(channel.publish_all(batch));
    for (tag, sent) in [(2, &bodies[..2]), (4, &bodies[2..4])] {
        assert!(waits(&mut sending).await);
        for body in sent {
            assert_eq!(broker.expect_publish().await, body.as_bytes());
        }
        broker.send(1, &basic::Ack { delivery_tag: tag, multiple: true }).await;
        tokio::task::yield_now().await;
        settled(channel.connection(), &mut broker).await;
    }
    sending.await?;
    assert_eq!(broker.expect_publish().await, b"5");
    let counts = channel.confirm_counts().expect("the channel is in confirm mode");
    assert_eq!((counts.published, counts.acked, counts.nacked, counts.unexpected), (5, 4, 0, 0));
    Ok(())
}

#[tokio::test]
async fn what_has_come_of_a_burst_can_be_taken_without_waiting() -> Result<()> {
    let (channel, mut consumer, mut broker) = consuming().await;
    assert!(consumer.next_ready().is_none());
    broker.put_delivery(1, b"one");
    broker.put_delivery(2, b"two");
    broker.flush().await;
    settled(channel.connection(), &mut broker).await;
    let bodies: Vec<_> = std::iter::from_fn(|| consumer.next_ready()).map(|d| d.body_bytes()).collect();
    assert_eq!(bodies, [&b"one"[..], b"two"]);
    Ok(())
}

#[tokio::test]
async fn a_closed_channel_fails_confirms_and_lets_waiting_publishes_go() -> Result<()> {
    let (channel, mut broker) = channel_open(Options::default().unconfirmed_max(1)).await;
    let first = channel.publish_watched(Publish::to_queue("q")).await?;
    let mut second = Box::pin(channel.publish(Publish::to_queue("q")));
    assert!(waits(&mut second).await);
    let text = ShortStr::cut("NOT_FOUND");
    broker.send(1, &channel::Close { reply_code: 404, reply_text: text, class_id: 60, method_id: 40 }).await;
    assert_eq!(first.await.unwrap_err().code(), Some(404));
    assert_eq!(second.await.unwrap_err().code(), Some(404));
    broker.expect("confirm.Select").await;
    broker.expect_publish().await;
    broker.expect("channel.CloseOk").await;
    Ok(())
}

#[tokio::test]
async fn closes_that_cross_free_the_number_after_the_answer() -> Result<()> {
    let (channel, mut broker) = channel_open(Options::default()).await;
    let connection = channel.connection().clone();
    let calls = async { tokio::join!(channel.queue_purge("q"), channel.close()) };
    let ((purged, closed), ()) = tokio::join!(calls, async {
        broker.expect("queue.Purge").await;
        let text = ShortStr::cut("PRECONDITION_FAILED");
        broker.send(1, &channel::Close { reply_code: 406, reply_text: text, class_id: 60, method_id: 80 }).await;
        broker.expect("channel.Close").await;
        broker.expect("channel.CloseOk").await;
        broker.send(1, &channel::CloseOk {}).await;
    });
    assert_eq!(purged.unwrap_err().code(), Some(406));
    closed?;
    let next = answered(connection.open_channel(), &mut broker, ("channel.Open", &channel::OpenOk::default())).await;
    assert_eq!(next.id(), 1);
    Ok(())
}

#[tokio::test]
async fn a_stream_yields_what_came_before_the_close_and_then_the_reason() -> Result<()> {
    let (_channel, mut consumer, mut broker) = consuming().await;
    broker.put_delivery(1, b"one");
    broker.put_delivery(2, b"two");
    broker.put(0, &connection::Close { reply_code: 320, ..Default::default() });
    broker.flush().await;
    assert_eq!(consumer.next().await.unwrap()?.body(), b"one");
    assert_eq!(consumer.next().await.unwrap()?.body(), b"two");
    assert_eq!(consumer.next().await.unwrap().unwrap_err().code(), Some(320));
    assert!(consumer.next().await.is_none());
    Ok(())
}

#[tokio::test]
async fn a_cancelled_stream_yields_what_was_on_its_way_and_ends() -> Result<()> {
    let (_channel, mut consumer, mut broker) = consuming().await;
    let (cancelled, ()) = tokio::join!(consumer.cancel(), async {
        broker.expect("basic.Cancel").await;
        broker.put_delivery(1, b"late");
        broker.put(1, &basic::CancelOk { consumer_tag: ShortStr::cut("t") });
        broker.flush().await;
    });
    cancelled?;
    assert_eq!(consumer.next().await.unwrap()?.body(), b"late");
    assert!(consumer.next().await.is_none());
    Ok(())
}

#[tokio::test]
async fn a_cancel_by_the_broker_ends_the_stream_with_its_tag_and_is_answered() {
    let (channel, mut consumer, mut broker) = consuming().await;
    broker.send(1, &basic::Cancel { consumer_tag: ShortStr::cut("t"), no_wait: false }).await;
    let end = consumer.next().await.unwrap();
    assert!(matches!(end, Err(Error::Cancelled { consumer_tag }) if consumer_tag == "t"));
    assert!(consumer.next().await.is_none() && channel.is_open());
    broker.expect("basic.CancelOk").await;
}

#[tokio::test]
async fn what_comes_for_a_dropped_consumer_goes_back_to_the_queue() -> Result<()> {
    let (channel, mut consumer, mut broker) = consuming().await;
    for tag in 1..=3 {
        broker.put_delivery(tag, b"x");
    }
    broker.flush().await;
    consumer.next().await.unwrap()?.ack().await?;
    drop(consumer);
    broker.expect("basic.Ack").await;
    broker.expect("basic.Cancel").await;
    broker.put_delivery(4, b"late");
    broker.put(1, &basic::CancelOk { consumer_tag: ShortStr::cut("t") });
    broker.flush().await;
    for delivery_tag in 2..=4 {
        let got = broker.expect("basic.Nack").await;
        assert_eq!(got.method(), Method::from(basic::Nack { delivery_tag, multiple: false, requeue: true }));
    }
    assert!(channel.is_open());
    Ok(())
}

#[tokio::test]
async fn what_the_broker_recovers_is_not_given_back_again() -> Result<()> {
    let (channel, mut consumer, mut broker) = consuming().await;
    broker.put_delivery(1, b"before");
    broker.put_delivery(2, b"before too");
    broker.flush().await;
    let (first, second) = (consumer.next().await.unwrap()?, consumer.next().await.unwrap()?);
    let (recovered, ()) = tokio::join!(channel.recover(true), async {
        broker.expect("basic.Recover").await;
        drop(first);
        broker.put_delivery(3, b"on its way");
        broker.flush().await;
        drop(consumer.next().await);
        broker.put(1, &basic::RecoverOk {});
        broker.put_delivery(4, b"after");
        broker.flush().await;
    });
    recovered?;
    drop(second);
    drop(consumer.next().await);
    let got = broker.expect("basic.Nack").await;
    assert_eq!(got.method(), Method::from(basic::Nack { delivery_tag: 4, multiple: false, requeue: true }));
    Ok(())
}

#[tokio::test]
async fn the_number_of_channels_ends_at_what_was_negotiated() -> Result<()> {
    let (first, mut broker) = channel_open(Options::default()).await;
    let connection = first.connection().clone();
    let mut channels = vec![first];
    for _ in 2..=10 {
        let open = connection.open_channel();
        channels.push(answered(open, &mut broker, ("channel.Open", &channel::OpenOk::default())).await);
    }
    assert!(matches!(connection.open_channel().await, Err(Error::Usage(_))));
    drop(channels.remove(4));
    broker.expect("channel.Close").await;
    broker.send(5, &channel::CloseOk {}).await;
    broker.send(0, &connection::Blocked::default()).await;
    broker.send(0, &connection::Unblocked {}).await;
    while connection.blocked().is_some() {
        tokio::task::yield_now().await;
    }
    Ok(())
}

#[test]
fn every_future_may_move_between_threads() {
    fn moves(_: impl Send) {}
    async fn everything(channel: Channel, mut consumer: Consumer) -> Result<()> {
        channel.queue_declare(QueueDeclare::new("q")).await?;
        channel.publish_confirmed(Publish::to_queue("q")).await?.is_acked();
        channel.consume(Consume::new("q")).await?.cancel().await?;
        channel.all_confirmed().await?;
        channel.returns().next().await;
        if let Some(delivery) = consumer.next().await {
            delivery?.ack().await?;
        }
        channel.close().await?;
        channel.connection().close().await
    }
    let _ = |channel, consumer| moves(everything(channel, consumer));
}
