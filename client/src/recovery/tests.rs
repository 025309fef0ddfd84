//! The conversation of a recovery, word by word, with a scripted broker.

use std::time::Duration;

use leveret_spec::{Method, ShortStr, basic, channel, confirm, connection, exchange, queue};
use tokio::net::TcpListener;

use crate::scripted::{Scripted, accept, answered};
use crate::{
    Channel, Connection, Consume, Consumer, Error, Event, ExchangeDeclare, Options, Outcome, Publish, Qos,
    QueueDeclare, Recovery,
};

/// A client that has come over TCP, with a channel, and where it will come again.
async fn connected(channel_max: u16, frame_max: u32) -> (TcpListener, Channel, Scripted) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("amqp://{}", listener.local_addr().unwrap());
    let quick = Recovery::new().first_delay(Duration::from_millis(1)).delay_max(Duration::from_millis(1));
    let (connection, mut broker) =
        tokio::join!(Connection::open_with(&uri, |options: Options| options.recovery(quick)), async {
            let mut broker = accept(&listener).await;
            broker.welcome_within(channel_max, frame_max).await;
            broker
        });
    let open = connection.as_ref().unwrap().open_channel();
    let channel = answered(open, &mut broker, ("channel.Open", &channel::OpenOk::default())).await;
    (listener, channel, broker)
}

/// The next connection, with its channel open again.
async fn back(listener: &TcpListener) -> Scripted {
    let mut broker = accept(listener).await;
    broker.welcome().await;
    broker.answer("channel.Open", &channel::OpenOk::default()).await;
    broker
}

async fn consuming(channel: &Channel, tag: &str, broker: &mut Scripted) -> Consumer {
    let ok = basic::ConsumeOk { consumer_tag: ShortStr::cut(tag) };
    answered(channel.consume(Consume::new("q").tag(tag)), broker, ("basic.Consume", &ok)).await
}

/// Answers the consume of a consumer that is restored, which must be this one.
async fn restored(broker: &mut Scripted, tag: &str) {
    let got = broker.expect("basic.Consume").await;
    let Method::Basic(basic::Method::Consume(consume)) = got.method() else { panic!() };
    assert_eq!(consume.consumer_tag.as_str(), tag);
    broker.send(1, &basic::ConsumeOk { consumer_tag: ShortStr::cut(tag) }).await;
}

fn closed(code: u16) -> connection::Close<'static> {
    connection::Close { reply_code: code, reply_text: ShortStr::cut("because"), class_id: 0, method_id: 0 }
}

/// A round trip of a channel that is live.
async fn live(channel: &Channel, broker: &mut Scripted) {
    let ok = queue::PurgeOk { message_count: 0 };
    answered(channel.queue_purge("q"), broker, ("queue.Purge", &ok)).await;
}

#[tokio::test]
async fn everything_that_was_delivered_is_nothing_of_a_later_connection() {
    let (listener, channel, mut broker) = connected(10, 4096).await;
    let _consumer = consuming(&channel, "c", &mut broker).await;
    broker.hang_up();
    let mut broker = back(&listener).await;
    broker.expect("basic.Consume").await;
    // For the broker the connection is back, for the program not yet.
    channel.ack(0, true).await.unwrap();
    broker.send(1, &basic::ConsumeOk { consumer_tag: ShortStr::cut("c") }).await;
    // What comes next is no basic.ack.
    live(&channel, &mut broker).await;
}

#[tokio::test]
async fn a_channel_has_its_confirm_mode_prefetch_and_consumers_again_in_their_order() {
    let (listener, channel, mut broker) = connected(10, 4096).await;
    let ok = confirm::SelectOk::default();
    answered(channel.confirm_select(), &mut broker, ("confirm.Select", &ok)).await;
    answered(channel.qos(Qos::per_channel(9)), &mut broker, ("basic.Qos", &basic::QosOk::default())).await;
    let _first = consuming(&channel, "z", &mut broker).await;
    answered(channel.qos(Qos::per_consumer(5)), &mut broker, ("basic.Qos", &basic::QosOk::default())).await;
    let _second = consuming(&channel, "a", &mut broker).await;
    let lost = channel.publish_watched(Publish::to_queue("q").body("x")).await.unwrap();
    broker.expect_publish().await;
    broker.hang_up();

    let mut broker = back(&listener).await;
    assert_eq!(lost.await.unwrap(), Outcome::Unknown);
    broker.answer("confirm.Select", &ok).await;
    for (tag, prefetch_count, global) in [("z", 9, true), ("a", 5, false)] {
        let got = broker.answer("basic.Qos", &basic::QosOk::default()).await;
        assert_eq!(got.method(), basic::Qos { prefetch_size: 0, prefetch_count, global }.into());
        restored(&mut broker, tag).await;
    }
    let next = channel.publish_watched(Publish::to_queue("q").body("y")).await.unwrap();
    assert_eq!(broker.expect_publish().await, b"y");
    broker.send(1, &basic::Ack { delivery_tag: 1, multiple: false }).await;
    assert_eq!(next.await.unwrap(), Outcome::Acked);
    let counts = channel.confirm_counts().unwrap();
    assert_eq!((counts.published, counts.acked, counts.unknown, counts.unexpected), (2, 1, 1, 0));
}

#[tokio::test]
async fn frames_and_channels_keep_to_what_the_new_connection_allows() {
    let (listener, first, mut broker) = connected(10, 8192).await;
    let ok = channel::OpenOk::default();
    let second = answered(first.connection().open_channel(), &mut broker, ("channel.Open", &ok)).await;
    broker.hang_up();
    let mut broker = accept(&listener).await;
    broker.welcome_within(1, 4096).await;
    broker.answer("channel.Open", &ok).await;
    let body = [7; 6000];
    first.publish(Publish::to_queue("q").body(&body)).await.unwrap();
    broker.expect("basic.Publish").await;
    broker.next().await.unwrap();
    assert_eq!(broker.next().await.unwrap().payload.len(), 4096 - 8);
    assert_eq!(first.connection().frame_max(), 4096);
    assert!(matches!(second.queue_purge("q").await, Err(Error::Usage(_))));
    assert!(matches!(first.connection().open_channel().await, Err(Error::Usage(_))));
}

#[tokio::test]
async fn what_makes_the_broker_close_the_connection_is_not_asked_for_again() {
    let (listener, channel, mut broker) = connected(10, 4096).await;
    let mut events = channel.connection().events();
    let declare = channel.exchange_declare(ExchangeDeclare::new("e", "odd"));
    answered(declare, &mut broker, ("exchange.Declare", &exchange::DeclareOk {})).await;
    let queue_ok = queue::DeclareOk { queue: ShortStr::cut("q"), message_count: 0, consumer_count: 0 };
    answered(channel.queue_declare(QueueDeclare::new("q")), &mut broker, ("queue.Declare", &queue_ok)).await;
    broker.hang_up();

    let mut broker = back(&listener).await;
    broker.expect("exchange.Declare").await;
    broker.send(0, &closed(503)).await;
    broker.expect("connection.CloseOk").await;
    let mut broker = back(&listener).await;
    broker.answer("queue.Declare", &queue_ok).await;
    broker.answer("channel.Close", &channel::CloseOk {}).await;
    broker.answer("channel.Open", &channel::OpenOk::default()).await;
    live(&channel, &mut broker).await;
    let mut told = vec![];
    while !matches!(told.last(), Some(Event::Recovered)) {
        told.push(events.next().await.unwrap());
    }
    let left_out = |event: &Event| {
        matches!(event, Event::NotRestored { what, error }
        if what == "exchange 'e'" && error.code() == Some(503))
    };
    assert_eq!(told.iter().filter(|event| left_out(event)).count(), 1, "{told:?}");
    assert_eq!(told.iter().filter(|event| matches!(event, Event::Lost(_))).count(), 1, "{told:?}");
}

#[tokio::test]
async fn a_channel_that_is_closed_in_the_middle_begins_anew_and_what_it_had_got_is_stale() {
    let (listener, channel, mut broker) = connected(10, 4096).await;
    let mut good = consuming(&channel, "t", &mut broker).await;
    let mut bad = consuming(&channel, "bad", &mut broker).await;
    broker.put_delivery(1, b"of the first connection");
    broker.flush().await;
    let first = good.next().await.unwrap().unwrap();
    broker.hang_up();

    let mut broker = back(&listener).await;
    restored(&mut broker, "t").await;
    broker.put_delivery(1, b"of a channel that did not live");
    broker.flush().await;
    broker.expect("basic.Consume").await;
    broker.send(1, &channel::Close { reply_code: 404, ..Default::default() }).await;
    broker.expect("channel.CloseOk").await;
    broker.answer("channel.Open", &channel::OpenOk::default()).await;
    restored(&mut broker, "t").await;
    broker.put_delivery(1, b"again");
    broker.put_delivery(2, b"next");
    broker.flush().await;

    assert_eq!(bad.next().await.unwrap().unwrap_err().code(), Some(404));
    assert!(bad.next().await.is_none());
    let (again, next) = (good.next().await.unwrap().unwrap(), good.next().await.unwrap().unwrap());
    assert_eq!((again.body(), next.body()), (&b"again"[..], &b"next"[..]));
    let tags = [first.delivery_tag(), again.delivery_tag(), next.delivery_tag()];
    assert_eq!(tags, [1, 3, 4], "they count on over all of it");
    first.ack().await.unwrap();
    drop(first);
    next.ack_multiple().await.unwrap();
    let got = broker.expect("basic.Ack").await;
    assert_eq!(got.method(), basic::Ack { delivery_tag: 2, multiple: true }.into());
    drop(again);
    channel.ack(0, true).await.unwrap();
    let got = broker.expect("basic.Ack").await;
    assert_eq!(got.method(), basic::Ack { delivery_tag: 0, multiple: true }.into());
}

#[tokio::test]
async fn what_is_dropped_while_it_is_being_restored_is_cancelled_and_closed() {
    let (listener, channel, mut broker) = connected(10, 4096).await;
    let (one, two) = (consuming(&channel, "one", &mut broker).await, consuming(&channel, "two", &mut broker).await);
    let ok = channel::OpenOk::default();
    let other = answered(channel.connection().open_channel(), &mut broker, ("channel.Open", &ok)).await;
    broker.hang_up();

    let mut broker = back(&listener).await;
    broker.expect("basic.Consume").await;
    drop((one, two));
    broker.send(1, &basic::ConsumeOk { consumer_tag: ShortStr::cut("one") }).await;
    broker.answer("basic.Cancel", &basic::CancelOk { consumer_tag: ShortStr::cut("one") }).await;
    // The other consumer is not asked for; the other channel is next.
    let got = broker.expect("channel.Open").await;
    assert_eq!(got.channel, 2);
    drop(other);
    broker.send(2, &ok).await;
    broker.answer("channel.Close", &channel::CloseOk {}).await;
    live(&channel, &mut broker).await;
}

#[tokio::test]
async fn closing_in_the_middle_says_so_to_the_broker() {
    let (listener, channel, broker) = connected(10, 4096).await;
    broker.hang_up();
    let mut broker = accept(&listener).await;
    broker.welcome().await;
    broker.expect("channel.Open").await;
    let (closed, ()) = tokio::join!(channel.connection().close(), async {
        broker.answer("connection.Close", &connection::CloseOk {}).await;
        assert!(broker.next().await.is_none());
    });
    closed.unwrap();
}

#[tokio::test]
async fn mistakes_of_the_program_and_a_broken_protocol_end_the_connection() {
    let (_listener, channel, mut broker) = connected(10, 4096).await;
    broker.send(0, &closed(504)).await;
    assert_eq!(channel.connection().closed().await.code(), Some(504));
    assert_eq!(channel.queue_purge("q").await.unwrap_err().code(), Some(504));
    let (_listener, channel, mut broker) = connected(10, 4096).await;
    broker.send(9, &channel::FlowOk { active: true }).await;
    assert!(matches!(channel.connection().closed().await, Error::Protocol(_)));
}

/// The broker's answers come to the task, whether or not anybody waits for them.
#[tokio::test]
async fn a_declaration_whose_caller_has_gone_is_restored_as_well() {
    let (listener, channel, mut broker) = connected(10, 4096).await;
    let mut declare = Box::pin(channel.queue_declare(QueueDeclare::new("q")));
    assert!(crate::scripted::waits(&mut declare).await);
    drop(declare);
    let queue_ok = queue::DeclareOk { queue: ShortStr::cut("q"), message_count: 0, consumer_count: 0 };
    broker.answer("queue.Declare", &queue_ok).await;
    live(&channel, &mut broker).await;
    broker.hang_up();
    let mut broker = back(&listener).await;
    broker.answer("queue.Declare", &queue_ok).await;
}

#[tokio::test]
async fn what_does_not_fit_into_the_new_connections_frames_is_left_out() {
    let (listener, channel, mut broker) = connected(10, 8192).await;
    let mut events = channel.connection().events();
    let long = "x".repeat(6000);
    let ok = queue::DeclareOk { queue: ShortStr::cut("a"), message_count: 0, consumer_count: 0 };
    let declare = channel.queue_declare(QueueDeclare::new("a").argument("x-long", long.as_str()));
    answered(declare, &mut broker, ("queue.Declare", &ok)).await;
    let ok = queue::DeclareOk { queue: ShortStr::cut("b"), message_count: 0, consumer_count: 0 };
    answered(channel.queue_declare(QueueDeclare::new("b")), &mut broker, ("queue.Declare", &ok)).await;
    let consume = Consume::new("b").tag("long").argument("x-long", long.as_str());
    let consume_ok = basic::ConsumeOk { consumer_tag: ShortStr::cut("long") };
    let mut consumer = answered(channel.consume(consume), &mut broker, ("basic.Consume", &consume_ok)).await;
    broker.hang_up();

    let mut broker = back(&listener).await;
    broker.answer("queue.Declare", &ok).await;
    broker.answer("channel.Close", &channel::CloseOk {}).await;
    broker.answer("channel.Open", &channel::OpenOk::default()).await;
    live(&channel, &mut broker).await;
    assert!(matches!(consumer.next().await, Some(Err(Error::TooLong(_)))));
    let mut left_out = vec![];
    loop {
        match events.next().await.unwrap() {
            Event::NotRestored { what, .. } => left_out.push(what),
            Event::Recovered => break,
            _ => {}
        }
    }
    assert_eq!(left_out, ["queue 'a'", "consumer 'long' of queue 'b'"]);
}

/// A broker that is just starting may not know its users yet.
#[tokio::test]
async fn a_login_that_is_refused_while_the_connection_is_lost_is_tried_again() {
    let (listener, channel, broker) = connected(10, 4096).await;
    let mut events = channel.connection().events();
    broker.hang_up();
    let mut broker = accept(&listener).await;
    broker.read_header().await;
    broker.start("PLAIN").await;
    broker.expect("connection.StartOk").await;
    broker.send(0, &closed(403)).await;
    broker.expect("connection.CloseOk").await;
    let mut broker = back(&listener).await;
    live(&channel, &mut broker).await;
    let mut told = vec![];
    while !matches!(told.last(), Some(Event::Recovered)) {
        told.push(events.next().await.unwrap());
    }
    let refused = |event: &Event| matches!(event, Event::AttemptFailed { error: Error::Auth(_), .. });
    assert!(told.iter().any(refused), "{told:?}");
}

/// However often that is, and whichever of its names the consumer knows the queue by.
#[tokio::test]
async fn a_consumer_follows_its_queue_from_name_to_name() {
    let (listener, channel, mut broker) = connected(10, 4096).await;
    let name = |number: usize| format!("amq.gen-{number}");
    let declared = async |broker: &mut Scripted, number| {
        let queue = name(number);
        let ok = queue::DeclareOk { queue: ShortStr::cut(&queue), message_count: 0, consumer_count: 0 };
        let got = broker.answer("queue.Declare", &ok).await;
        let Method::Queue(queue::Method::Declare(declare)) = got.method() else { panic!() };
        assert_eq!(declare.queue.as_str(), "");
    };
    let declare = channel.queue_declare(QueueDeclare::new("").exclusive());
    let (first, ()) = tokio::join!(declare, declared(&mut broker, 0));
    assert_eq!(first.unwrap().name, name(0));
    let mut consumer = None;
    for number in 1..40 {
        broker.hang_up();
        broker = back(&listener).await;
        declared(&mut broker, number).await;
        broker.answer("channel.Close", &channel::CloseOk {}).await;
        broker.answer("channel.Open", &channel::OpenOk::default()).await;
        if number == 2 {
            live(&channel, &mut broker).await;
            let former = name(1);
            let consume = channel.consume(Consume::new(&former).tag("t"));
            let ok = basic::ConsumeOk { consumer_tag: ShortStr::cut("t") };
            consumer = Some(answered(consume, &mut broker, ("basic.Consume", &ok)).await);
        } else if number > 2 {
            let got = broker.answer("basic.Consume", &basic::ConsumeOk { consumer_tag: ShortStr::cut("t") }).await;
            let Method::Basic(basic::Method::Consume(consume)) = got.method() else { panic!() };
            assert_eq!(consume.queue.as_str(), name(number));
        }
    }
    broker.put_delivery(1, b"there");
    broker.flush().await;
    assert_eq!(consumer.unwrap().next().await.unwrap().unwrap().body(), b"there");
}
