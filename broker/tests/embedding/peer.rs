//! A client that says what a test wants it to, over any stream, and hears what comes, frame by frame.

use std::io;
use std::time::Duration;

use leveret::Broker;
use leveret::spec::frame::{self, FrameKind};
use leveret::spec::method::MethodFrame;
use leveret::spec::{
    Method, PROTOCOL_HEADER, Properties, ShortStr, TableBuf, basic, channel, confirm, connection, content, queue,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long something may take before the test has failed.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

pub(crate) struct Peer {
    stream: Box<dyn Stream>,
    input: Vec<u8>,
}

pub(crate) fn short(text: &str) -> ShortStr<'_> {
    ShortStr::new(text).unwrap()
}

impl Peer {
    /// Within the process, with channel 1 open.
    pub(crate) async fn of(broker: &Broker) -> Self {
        Peer::named(broker, "test").await
    }

    /// The same under a name of its own.
    pub(crate) async fn named(broker: &Broker, name: &str) -> Self {
        Peer::log_in(broker.connect(), name).await
    }

    /// Over TCP.
    pub(crate) async fn over_tcp(broker: &Broker) -> Self {
        let stream = TcpStream::connect(broker.amqp_addresses()[0]).await.unwrap();
        Peer::log_in(stream, "test").await
    }

    /// Logs in and opens channel 1.
    pub(crate) async fn log_in(stream: impl Stream + 'static, name: &str) -> Self {
        let mut peer = Peer { stream: Box::new(stream), input: vec![] };
        peer.stream.write_all(&PROTOCOL_HEADER).await.unwrap();
        peer.expect("connection.Start").await;
        let capabilities =
            TableBuf::new().with("connection.blocked", true).unwrap().with("consumer_cancel_notify", true).unwrap();
        let properties = TableBuf::new().with("capabilities", capabilities.as_table()).unwrap();
        let properties = properties.with("connection_name", name).unwrap();
        let start_ok = connection::StartOk {
            client_properties: properties.as_table(),
            mechanism: short("PLAIN"),
            response: b"\0guest\0guest",
            locale: short("en_US"),
        };
        peer.send(0, &start_ok).await;
        peer.expect("connection.Tune").await;
        peer.send(0, &connection::TuneOk { channel_max: 2047, frame_max: 131_072, heartbeat: 0 }).await;
        peer.send(0, &connection::Open { virtual_host: short("/"), ..connection::Open::default() }).await;
        peer.expect("connection.OpenOk").await;
        peer.send(1, &channel::Open::default()).await;
        peer.expect("channel.OpenOk").await;
        peer
    }

    pub(crate) async fn send(&mut self, channel: u16, method: &impl MethodFrame) {
        let mut bytes = vec![];
        frame::put_method(&mut bytes, channel, method);
        self.stream.write_all(&bytes).await.unwrap();
    }

    /// Declares a queue that anybody may use; `arguments` may be empty.
    pub(crate) async fn declare(&mut self, name: &str, arguments: &TableBuf) {
        let arguments = arguments.as_table();
        self.send(1, &queue::Declare { queue: short(name), arguments, ..queue::Declare::default() }).await;
        self.expect("queue.DeclareOk").await;
    }

    pub(crate) async fn confirm(&mut self) {
        self.send(1, &confirm::Select::default()).await;
        self.expect("confirm.SelectOk").await;
    }

    pub(crate) async fn publish(&mut self, exchange: &str, key: &str, properties: &Properties<'_>, body: &str) {
        let mut bytes = vec![];
        let publish = basic::Publish {
            exchange: short(exchange).into(),
            routing_key: short(key).into(),
            ..basic::Publish::default()
        };
        frame::put_method(&mut bytes, 1, &publish);
        let mut header = vec![];
        content::encode_header(&mut header, body.len() as u64, properties);
        frame::put_head(&mut bytes, FrameKind::Header, 1, header.len() as u32);
        bytes.extend_from_slice(&header);
        bytes.push(frame::FRAME_END);
        frame::put_body(&mut bytes, 1, body.as_bytes(), 131_072);
        self.stream.write_all(&bytes).await.unwrap();
    }

    /// Publishes to a queue on a channel in confirm mode, and hears that it was taken.
    pub(crate) async fn publish_confirmed(&mut self, queue: &str, properties: &Properties<'_>, body: &str) {
        self.publish("", queue, properties, body).await;
        self.expect("basic.Ack").await;
    }

    pub(crate) async fn consume(&mut self, queue: &str) {
        self.send(1, &basic::Consume { queue: short(queue), ..basic::Consume::default() }).await;
        self.expect("basic.ConsumeOk").await;
    }

    /// The next method, which has to be this one: its frame's payload.
    pub(crate) async fn expect(&mut self, name: &str) -> Vec<u8> {
        let payload = self.frame(FrameKind::Method).await;
        assert_eq!(Method::decode(&payload).unwrap().row().name, name);
        payload
    }

    /// The body of the next delivery.
    pub(crate) async fn delivery(&mut self) -> String {
        self.expect("basic.Deliver").await;
        self.frame(FrameKind::Header).await;
        String::from_utf8(self.frame(FrameKind::Body).await).unwrap()
    }

    /// The payload of the next frame, which has to be of this kind.
    async fn frame(&mut self, kind: FrameKind) -> Vec<u8> {
        loop {
            if let Some((frame, length)) = frame::parse(&self.input, 1 << 20).unwrap() {
                assert_eq!(frame.kind, kind, "{:?}", Method::decode(frame.payload));
                let payload = frame.payload.to_vec();
                self.input.drain(..length);
                return payload;
            }
            assert!(self.read().await.unwrap() > 0, "the broker has hung up");
        }
    }

    /// Waits for the end of the stream; whatever was sent before it has to have been heard.
    pub(crate) async fn hears_the_end(&mut self) {
        // A socket that is cut off with something unread is reset.
        assert!(matches!(self.read().await, Ok(0) | Err(_)), "{:?}", self.input);
        assert!(self.input.is_empty());
    }

    async fn read(&mut self) -> io::Result<usize> {
        tokio::time::timeout(PATIENCE, self.stream.read_buf(&mut self.input)).await.expect("something has to come")
    }
}

/// A stream on which nobody answers: it ends before the first byte.
pub(crate) async fn is_refused(mut stream: impl Stream) -> bool {
    let _ = stream.write_all(&PROTOCOL_HEADER).await;
    let mut input = vec![];
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut input)).await.expect("it has to end");
    read.is_err() || input.is_empty()
}
