//! The life and end of a connection, against a scripted broker.

use leveret_spec::frame::FrameKind;
use leveret_spec::{Method, ShortStr, basic, channel, connection, queue};

use crate::scripted::{Scripted, channel_open, connected, waits};
use crate::{Error, Options, Publish, QueueDeclare, Scope};

fn close(code: u16, text: &str) -> connection::Close<'_> {
    connection::Close { reply_code: code, reply_text: ShortStr::cut(text), class_id: 0, method_id: 0 }
}

#[tokio::test(start_paused = true)]
async fn heartbeats_go_out_while_idle_and_silence_ends_the_connection() {
    let (connection, mut broker) = connected(Options::default()).await;
    let mut beats = 0;
    while let Some(got) = broker.next().await {
        assert_eq!((got.kind, got.channel), (FrameKind::Heartbeat, 0));
        beats += 1;
    }
    assert!((3..=5).contains(&beats), "{beats}");
    let end = connection.closed().await;
    assert!(matches!(end, Error::Timeout(_)) && end.is_retryable(), "{end:?}");
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_beats_stays_connected() {
    let (connection, mut broker) = connected(Options::default()).await;
    for _ in 0..20 {
        assert_eq!(broker.next().await.unwrap().kind, FrameKind::Heartbeat);
        broker.put_bytes(&[8, 0, 0, 0, 0, 0, 0, 0xCE]);
        broker.flush().await;
    }
    assert!(connection.is_open());
}

#[tokio::test]
async fn a_close_by_the_broker_reaches_everyone_and_is_answered() {
    let (channel, mut broker) = channel_open(Options::default()).await;
    let declare = channel.queue_declare(QueueDeclare::new("q"));
    let (declared, ()) = tokio::join!(declare, async {
        broker.expect("queue.Declare").await;
        broker.send(0, &close(320, "CONNECTION_FORCED - shutdown")).await;
        broker.expect("connection.CloseOk").await;
    });
    let error = declared.unwrap_err();
    assert!(matches!(error, Error::Closed { scope: Scope::Connection, code: 320, .. }) && error.is_retryable());
    assert_eq!(channel.connection().closed().await.code(), Some(320));
    assert_eq!(channel.publish(Publish::to_queue("q")).await.unwrap_err().code(), Some(320));
    assert!(broker.next().await.is_none());
}

#[tokio::test]
async fn a_broker_that_vanishes_is_a_network_error_for_everyone() {
    let (channel, broker) = channel_open(Options::default()).await;
    let declare = channel.queue_declare(QueueDeclare::new("q"));
    let (declared, ()) = tokio::join!(declare, async { broker.hang_up() });
    assert!(matches!(declared, Err(Error::Io(_))));
    assert!(matches!(channel.connection().close().await, Err(Error::Io(_))));
}

#[tokio::test]
async fn closing_waits_for_the_brokers_word_and_the_last_handle_closes() {
    let (connection, mut broker) = connected(Options::default()).await;
    let (closed, ()) = tokio::join!(connection.close(), async {
        broker.expect("connection.Close").await;
        broker.send(0, &connection::CloseOk {}).await;
        assert!(broker.next().await.is_none());
    });
    closed.unwrap();
    let (channel, mut broker) = channel_open(Options::default()).await;
    drop(channel);
    broker.expect("channel.Close").await;
    broker.expect("connection.Close").await;
    broker.send(0, &connection::CloseOk {}).await;
    assert!(broker.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_does_not_agree_to_close_is_left() {
    let (connection, mut broker) = connected(Options::default()).await;
    connection.close().await.unwrap();
    broker.expect("connection.Close").await;
    assert!(broker.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_reads_nothing_cannot_keep_a_close_waiting() {
    let (channel, _broker) = channel_open(Options::default().heartbeat_s(0)).await;
    let body = [7; 50_000];
    loop {
        let mut publish = Box::pin(channel.publish(Publish::to_queue("q").body(&body)));
        if waits(&mut publish).await {
            break;
        }
        tokio::task::yield_now().await;
    }
    channel.connection().close().await.unwrap();
}

/// What a broken broker sends, and a word of the error that it gets.
#[tokio::test]
async fn a_broken_protocol_ends_the_connection_with_the_reason() {
    let unknown_channel = |b: &mut Scripted| b.put(9, &channel::FlowOk { active: true });
    let unasked = |b: &mut Scripted| b.put(1, &queue::DeclareOk::default());
    let on_zero = |b: &mut Scripted| b.put(0, &connection::Tune::default());
    let no_consumer = |b: &mut Scripted| b.put_delivery(1, b"x");
    let no_method = |b: &mut Scripted| b.put_content(1, b"x");
    let interrupted = |b: &mut Scripted| {
        b.put(1, &basic::Return::default());
        b.put(1, &basic::Ack::default());
    };
    let no_header = |b: &mut Scripted| {
        b.put(1, &basic::Return::default());
        b.put_bytes(&[3, 0, 1, 0, 0, 0, 1, 7, 0xCE]);
    };
    let large_frame = |b: &mut Scripted| b.put_bytes(&[3, 0, 1, 0x7F, 0, 0, 0]);
    let bad_end = |b: &mut Scripted| b.put_bytes(&[8, 0, 0, 0, 0, 0, 0, 0]);
    let unknown_method = |b: &mut Scripted| b.put_bytes(&[1, 0, 1, 0, 0, 0, 4, 0, 99, 0, 99, 0xCE]);
    type Break<'a> = (&'a str, &'a dyn Fn(&mut Scripted));
    let breaks: [Break<'_>; 10] = [
        ("not open", &unknown_channel),
        ("answers nothing", &unasked),
        ("on an open connection", &on_zero),
        ("does not exist", &no_consumer),
        ("without its method", &no_method),
        ("middle of a message", &interrupted),
        ("out of turn", &no_header),
        ("negotiated size", &large_frame),
        ("ends with", &bad_end),
        ("unknown method", &unknown_method),
    ];
    for (word, break_it) in breaks {
        let (channel, mut broker) = channel_open(Options::default()).await;
        break_it(&mut broker);
        broker.flush().await;
        let got = broker.expect("connection.Close").await;
        let Method::Connection(connection::Method::Close(close)) = got.method() else { panic!() };
        assert_eq!(close.reply_code, 501);
        let error = channel.connection().closed().await;
        assert!(matches!(&error, Error::Protocol(text) if text.contains(word)), "{word}: {error}");
    }
}

#[tokio::test]
async fn a_message_above_the_limit_is_refused_before_it_has_arrived() {
    let (channel, mut broker) = channel_open(Options::default().message_bytes_max(1000)).await;
    broker.put(1, &basic::Return::default());
    broker.put_content(1, &[0; 1001]);
    broker.flush().await;
    broker.expect("connection.Close").await;
    let error = channel.connection().closed().await;
    assert!(matches!(error, Error::MessageTooLarge { body_bytes: 1001, body_bytes_max: 1000 }));
}

#[test]
fn a_runtime_that_shuts_down_leaves_nobody_waiting() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (channel, _broker) = runtime.block_on(channel_open(Options::default()));
    drop(runtime);
    assert!(!channel.is_open());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    assert!(matches!(runtime.block_on(channel.connection().closed()), Error::Io(_)));
}
