//! What a broker may not do to a client: pile up what it does not read, send more than it was asked for, end what it was
//! not asked to end. (`tests/lying_broker` found it; here is each for itself.)

use leveret_spec::{ShortBytes, ShortStr, basic, channel, connection};
use tokio::task::yield_now;

use crate::scripted::{Scripted, answered, channel_open, waits};
use crate::{Channel, Consume, Consumer, Error, Options, Publish, Qos, Result};

async fn consuming(prefetch: u16) -> (Channel, Consumer, Scripted) {
    let (channel, mut broker) = channel_open(Options::default()).await;
    answered(channel.qos(Qos::per_consumer(prefetch)), &mut broker, ("basic.Qos", &basic::QosOk {})).await;
    let consume = channel.consume(Consume::new("q").tag("t"));
    let consumer = answered(consume, &mut broker, ("basic.Consume", &basic::ConsumeOk::default())).await;
    (channel, consumer, broker)
}

async fn delivered(broker: &mut Scripted, tags: std::ops::RangeInclusive<u64>) {
    tags.for_each(|tag| broker.put_delivery(tag, b"x"));
    broker.flush().await;
    for _ in 0..100 {
        yield_now().await;
    }
}

#[tokio::test]
async fn a_broker_that_asks_and_does_not_read_is_not_read_until_it_does() {
    let (channel, mut broker) = channel_open(Options::default()).await;
    let mut asked = 0;
    loop {
        for _ in 0..1000 {
            broker.put(1, &channel::Flow { active: true });
        }
        if waits(&mut Box::pin(async {
            broker.flush().await;
        }))
        .await
        {
            break;
        }
        asked += 1000;
        yield_now().await;
        assert!(asked < 1_000_000, "nothing limits the answers that wait");
    }
    let waiting = channel.connection().shared().outbox().bytes.len();
    assert!(waiting < 2 << 20, "{waiting} bytes of answers wait");
    for _ in 0..asked {
        broker.expect("channel.FlowOk").await;
    }
    assert!(channel.is_open());
}

#[tokio::test]
async fn a_broker_that_takes_no_publishes_is_heard() {
    let (channel, mut consumer, mut broker) = consuming(10).await;
    let body = vec![7; 4 << 20];
    for _ in 0..2 {
        channel.publish(Publish::to_queue("q").body(&body)).await.unwrap();
        // The first is on its way then, and the second waits.
        yield_now().await;
    }
    assert!(channel.connection().shared().outbox().bytes.len() > body.len());
    delivered(&mut broker, 1..=1).await;
    assert_eq!(consumer.next().await.unwrap().unwrap().delivery_tag(), 1);
}

#[tokio::test]
async fn far_more_deliveries_than_the_prefetch_end_the_connection() {
    let (channel, _consumer, mut broker) = consuming(10).await;
    delivered(&mut broker, 1..=1010).await;
    assert!(channel.is_open(), "a little more is forgiven");
    delivered(&mut broker, 1011..=1011).await;
    let error = channel.connection().closed().await;
    assert!(matches!(&error, Error::Protocol(text) if text.contains("prefetch")), "{error}");
}

#[tokio::test]
async fn deliveries_that_were_settled_unread_do_not_count_for_the_prefetch() -> Result<()> {
    let (channel, mut consumer, mut broker) = consuming(10).await;
    for round in 0..3 {
        delivered(&mut broker, round * 1000 + 1..=round * 1000 + 1000).await;
        channel.ack(0, true).await?;
    }
    assert!(channel.is_open());
    assert_eq!(consumer.next().await.expect("the first is there")?.delivery_tag(), 1);
    Ok(())
}

#[tokio::test]
async fn a_prefetch_that_was_raised_or_lifted_holds_for_running_consumers() {
    for raised in [2000, 0] {
        let (channel, _consumer, mut broker) = consuming(10).await;
        answered(channel.qos(Qos::per_consumer(raised)), &mut broker, ("basic.Qos", &basic::QosOk {})).await;
        delivered(&mut broker, 1..=2000).await;
        assert!(channel.is_open());
    }
}

#[tokio::test]
async fn messages_that_came_back_and_are_not_read_are_dropped_beyond_their_bytes() -> Result<()> {
    let (channel, mut broker) = channel_open(Options::default()).await;
    let mut returns = channel.returns();
    let body = vec![7; 4000];
    for _ in 0..5000 {
        let routing_key = ShortBytes::try_from("q").unwrap();
        broker.put(1, &basic::Return { routing_key, ..Default::default() });
        broker.put_content(1, &body);
    }
    broker.flush().await;
    answered(channel.qos(Qos::per_consumer(1)), &mut broker, ("basic.Qos", &basic::QosOk {})).await;
    let mut kept = 0;
    while !waits(&mut Box::pin(returns.next())).await {
        kept += 1;
    }
    assert_eq!(kept, (16 << 20) / 4000);
    broker.put(1, &basic::Return::default());
    broker.put_content(1, b"after them");
    broker.flush().await;
    assert_eq!(returns.next().await.expect("there is room again")?.message.body(), b"after them");
    Ok(())
}

#[tokio::test]
async fn a_cancel_ok_for_another_consumer_ends_the_connection() {
    let (channel, consumer, mut broker) = consuming(10).await;
    let other = channel.consume(Consume::new("q").tag("other"));
    let _other = answered(other, &mut broker, ("basic.Consume", &basic::ConsumeOk::default())).await;
    let (cancelled, ()) = tokio::join!(consumer.cancel(), async {
        broker.expect("basic.Cancel").await;
        broker.send(1, &basic::CancelOk { consumer_tag: ShortStr::cut("other") }).await;
    });
    assert!(matches!(cancelled, Err(Error::Protocol(text)) if text.contains("not cancelled")));
}

#[tokio::test]
async fn what_the_broker_says_while_the_connection_is_being_closed_does_not_cut_that_short() -> Result<()> {
    let (channel, mut broker) = channel_open(Options::default()).await;
    let connection = channel.connection().clone();
    let mut closing = Box::pin(connection.close());
    assert!(waits(&mut closing).await);
    broker.put(1, &channel::Flow { active: false });
    broker.put(1, &basic::Cancel { consumer_tag: ShortStr::cut("t"), no_wait: false });
    broker.put(1, &channel::Close { reply_code: 404, ..Default::default() });
    broker.flush().await;
    broker.expect("connection.Close").await;
    for _ in 0..100 {
        yield_now().await;
    }
    assert!(waits(&mut closing).await, "closed without the broker's word");
    broker.send(0, &connection::CloseOk {}).await;
    closing.await
}

#[tokio::test]
async fn a_channel_that_both_sides_close_may_end_in_the_middle_of_a_message() -> Result<()> {
    let (channel, _consumer, mut broker) = consuming(10).await;
    let connection = channel.connection().clone();
    let (closed, ()) = tokio::join!(channel.close(), async {
        broker.expect("channel.Close").await;
        broker.put(1, &basic::Deliver { consumer_tag: ShortStr::cut("t"), ..Default::default() });
        broker.put(1, &channel::Close { reply_code: 404, ..Default::default() });
        broker.put(1, &channel::CloseOk {});
        broker.flush().await;
    });
    closed?;
    assert!(connection.is_open());
    broker.expect("channel.CloseOk").await;
    Ok(())
}
