//! Logging in, against a scripted broker.

use leveret_spec::{Method, ShortStr, connection};

use crate::scripted::{Scripted, pipe};
use crate::{Connection, Error, Options, Result};

/// Logs in while the broker follows `script`.
async fn login<F: Future<Output = Scripted>>(
    options: Options,
    script: impl FnOnce(Scripted) -> F,
) -> (Result<Connection>, Scripted) {
    let (ours, broker) = pipe();
    tokio::join!(Connection::over(ours, options), script(broker))
}

fn close(code: u16, text: &str) -> connection::Close<'_> {
    connection::Close { reply_code: code, reply_text: ShortStr::cut(text), class_id: 0, method_id: 0 }
}

#[tokio::test]
async fn the_handshake_says_who_we_are_and_takes_the_smaller_limits() {
    let options = Options::default().credentials("us", "pass").vhost("v").connection_name("test").heartbeat_s(30);
    let script = async |mut broker: Scripted| {
        broker.read_header().await;
        broker.start("AMQPLAIN PLAIN").await;
        let got = broker.expect("connection.StartOk").await;
        let Method::Connection(connection::Method::StartOk(ok)) = got.method() else { panic!() };
        assert_eq!((ok.mechanism.as_str(), ok.response, ok.locale.as_str()), ("PLAIN", &b"\0us\0pass"[..], "en_US"));
        assert_eq!(ok.client_properties.lookup("connection_name").and_then(|v| v.as_str()), Some("test"));
        let Some(crate::spec::Value::Table(able)) = ok.client_properties.lookup("capabilities") else { panic!() };
        assert_eq!(able.iter().count(), 6);
        broker.send(0, &connection::Tune { channel_max: 100, frame_max: 8192, heartbeat: 60 }).await;
        let got = broker.expect("connection.TuneOk").await;
        let wanted = connection::TuneOk { channel_max: 100, frame_max: 8192, heartbeat: 30 };
        assert_eq!(got.method(), wanted.into());
        let got = broker.expect("connection.Open").await;
        let Method::Connection(connection::Method::Open(open)) = got.method() else { panic!() };
        assert_eq!(open.virtual_host.as_str(), "v");
        // Heartbeats begin with tune-ok.
        broker.put_bytes(b"\x08\x00\x00\x00\x00\x00\x00\xce");
        broker.send(0, &connection::OpenOk::default()).await;
        broker
    };
    let (connection, _broker) = login(options, script).await;
    let connection = connection.unwrap();
    assert_eq!(connection.server_properties().lookup("product").and_then(|v| v.as_str()), Some("Scripted"));
    assert_eq!(connection.frame_max(), 8192);
}

#[tokio::test]
async fn a_refused_login_tells_the_brokers_reason() {
    let script = async |mut broker: Scripted| {
        broker.read_header().await;
        broker.start("PLAIN").await;
        broker.expect("connection.StartOk").await;
        broker.send(0, &close(403, "ACCESS_REFUSED - Login was refused")).await;
        broker.expect("connection.CloseOk").await;
        broker
    };
    let (refused, _broker) = login(Options::default(), script).await;
    let refused = refused.unwrap_err();
    assert!(matches!(&refused, Error::Auth(text) if text.contains("Login was refused")), "{refused:?}");
    assert!(!refused.is_retryable());
}

#[tokio::test]
async fn a_broker_that_hangs_up_on_the_password_refuses_the_login() {
    let script = async |mut broker: Scripted| {
        broker.read_header().await;
        broker.start("PLAIN").await;
        broker.expect("connection.StartOk").await;
        broker.hang_up();
        pipe().1
    };
    assert!(matches!(login(Options::default(), script).await.0, Err(Error::Auth(_))));
}

#[tokio::test]
async fn a_broker_without_plain_or_with_another_protocol_is_no_use() {
    let script = async |mut broker: Scripted| {
        broker.start("EXTERNAL").await;
        broker
    };
    assert!(matches!(login(Options::default(), script).await.0, Err(Error::Auth(_))));
    let script = async |mut broker: Scripted| {
        broker.put_bytes(b"AMQP\x00\x01\x00\x00");
        broker.flush().await;
        broker
    };
    assert!(matches!(login(Options::default(), script).await.0, Err(Error::Protocol(_))));
    let script = async |mut broker: Scripted| {
        broker.put_bytes(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        broker.flush().await;
        broker
    };
    assert!(matches!(login(Options::default(), script).await.0, Err(Error::Protocol(_))));
}

#[tokio::test]
async fn an_unknown_vhost_is_a_closed_connection_with_its_code() {
    let script = async |mut broker: Scripted| {
        broker.start("PLAIN").await;
        broker.read_header().await;
        broker.expect("connection.StartOk").await;
        broker.send(0, &connection::Tune { channel_max: 0, frame_max: 0, heartbeat: 0 }).await;
        let got = broker.expect("connection.TuneOk").await;
        let wanted = connection::TuneOk { channel_max: 2047, frame_max: 131_072, heartbeat: 0 };
        assert_eq!(got.method(), wanted.into());
        broker.send(0, &close(530, "NOT_ALLOWED - vhost v not found")).await;
        broker
    };
    let (refused, _broker) = login(Options::default().heartbeat_s(0), script).await;
    assert_eq!(refused.unwrap_err().to_string(), "connection refused: 530 NOT_ALLOWED - vhost v not found");
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_says_nothing_is_given_up() {
    let script = async |broker: Scripted| broker;
    assert!(matches!(login(Options::default(), script).await.0, Err(Error::Timeout("login"))));
}
