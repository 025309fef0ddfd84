//! A broker for tests that says exactly what the test tells it to, over a pipe.

use leveret_spec::frame::{self, FrameKind};
use leveret_spec::method::MethodFrame;
use leveret_spec::{ContentHeader, Method, PROTOCOL_HEADER, ShortStr, TableBuf, basic, channel, connection};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::TcpListener;

use crate::{Channel, Connection, Options, Result};

/// The broker's end of the pipe.
pub(crate) struct Scripted {
    stream: DuplexStream,
    unread: Vec<u8>,
    /// What was sent and not yet written.
    unsent: Vec<u8>,
}

/// An owned frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Got {
    pub(crate) kind: FrameKind,
    pub(crate) channel: u16,
    pub(crate) payload: Vec<u8>,
}

impl Got {
    pub(crate) fn method(&self) -> Method<'_> {
        assert_eq!(self.kind, FrameKind::Method);
        Method::decode(&self.payload).unwrap()
    }

    pub(crate) fn name(&self) -> &'static str {
        if self.kind == FrameKind::Method { self.method().row().name } else { "" }
    }
}

/// The two ends of a pipe that holds 64 KiB.
pub(crate) fn pipe() -> (DuplexStream, Scripted) {
    let (ours, theirs) = duplex(64 << 10);
    (ours, Scripted { stream: theirs, unread: vec![], unsent: vec![] })
}

/// The broker's end of the next connection over TCP.
pub(crate) async fn accept(listener: &TcpListener) -> Scripted {
    let (mut socket, _) = listener.accept().await.unwrap();
    let (mut ours, broker) = pipe();
    tokio::spawn(async move { tokio::io::copy_bidirectional(&mut socket, &mut ours).await });
    broker
}

/// An open connection, with a broker that said yes to everything.
pub(crate) async fn connected(options: Options) -> (Connection, Scripted) {
    let (ours, mut broker) = pipe();
    let (connection, ()) = tokio::join!(Connection::over(ours, options), broker.welcome());
    (connection.unwrap(), broker)
}

/// An open channel too.
pub(crate) async fn channel_open(options: Options) -> (Channel, Scripted) {
    let (connection, mut broker) = connected(options).await;
    let (channel, ()) = tokio::join!(connection.open_channel(), async {
        broker.expect("channel.Open").await;
        broker.send(1, &channel::OpenOk::default()).await;
    });
    (channel.unwrap(), broker)
}

/// Runs a call while the broker expects its method and answers it.
pub(crate) async fn answered<T>(
    call: impl Future<Output = Result<T>>,
    broker: &mut Scripted,
    script: (&'static str, &impl MethodFrame),
) -> T {
    let (result, _) = tokio::join!(call, async {
        let got = broker.expect(script.0).await;
        broker.send(got.channel, script.1).await;
    });
    result.unwrap()
}

impl Scripted {
    pub(crate) async fn read_header(&mut self) {
        let mut header = [0; 8];
        self.stream.read_exact(&mut header).await.unwrap();
        assert_eq!(header, PROTOCOL_HEADER);
    }

    pub(crate) async fn start(&mut self, mechanisms: &str) {
        let properties = TableBuf::new().with("product", "Scripted").unwrap();
        let start = connection::Start {
            version_major: 0,
            version_minor: 9,
            server_properties: properties.as_table(),
            mechanisms: mechanisms.as_bytes(),
            locales: b"en_US",
        };
        self.send(0, &start).await;
    }

    pub(crate) async fn welcome(&mut self) {
        self.welcome_within(10, 4096).await;
    }

    /// A login with these limits.
    pub(crate) async fn welcome_within(&mut self, channel_max: u16, frame_max: u32) {
        self.read_header().await;
        self.start("PLAIN").await;
        self.expect("connection.StartOk").await;
        self.send(0, &connection::Tune { channel_max, frame_max, heartbeat: 10 }).await;
        self.expect("connection.TuneOk").await;
        self.expect("connection.Open").await;
        self.send(0, &connection::OpenOk::default()).await;
    }

    /// The next frame; `None` at the end of the stream.
    pub(crate) async fn next(&mut self) -> Option<Got> {
        loop {
            if let Some((frame, length)) = frame::parse(&self.unread, usize::MAX).unwrap() {
                let got = Got { kind: frame.kind, channel: frame.channel, payload: frame.payload.to_vec() };
                self.unread.drain(..length);
                return Some(got);
            }
            if self.stream.read_buf(&mut self.unread).await.unwrap() == 0 {
                return None;
            }
        }
    }

    /// The next method, which must be this one.
    pub(crate) async fn expect(&mut self, name: &str) -> Got {
        let got = self.next().await.unwrap();
        assert_eq!(got.name(), name);
        got
    }

    /// Expects a method, and answers it on its channel.
    pub(crate) async fn answer(&mut self, name: &str, reply: &impl MethodFrame) -> Got {
        let got = self.expect(name).await;
        self.send(got.channel, reply).await;
        got
    }

    /// A published body, up to and with its last frame.
    pub(crate) async fn expect_publish(&mut self) -> Vec<u8> {
        self.expect("basic.Publish").await;
        let header = self.next().await.unwrap();
        let size = ContentHeader::decode(&header.payload).unwrap().body_size as usize;
        let mut body = vec![];
        while body.len() < size {
            body.extend(self.next().await.unwrap().payload);
        }
        body
    }

    /// Adds a method to what `flush` writes.
    pub(crate) fn put(&mut self, channel: u16, method: &impl MethodFrame) {
        frame::put_method(&mut self.unsent, channel, method);
    }

    /// Adds a message's header and body in one frame to what `flush` writes.
    pub(crate) fn put_content(&mut self, channel: u16, body: &[u8]) {
        let header = ContentHeader { class: 60, body_size: body.len() as u64, properties: Default::default() };
        frame::put_header(&mut self.unsent, channel, &header);
        frame::put_body(&mut self.unsent, channel, body, 0);
    }

    /// Adds a delivery to consumer `t` to what `flush` writes.
    pub(crate) fn put_delivery(&mut self, delivery_tag: u64, body: &[u8]) {
        let consumer_tag = ShortStr::cut("t");
        self.put(1, &basic::Deliver { consumer_tag, delivery_tag, ..Default::default() });
        self.put_content(1, body);
    }

    /// Adds any bytes.
    pub(crate) fn put_bytes(&mut self, bytes: &[u8]) {
        self.unsent.extend_from_slice(bytes);
    }

    /// What `flush` will write, to damage it.
    pub(crate) fn unsent(&mut self) -> &mut Vec<u8> {
        &mut self.unsent
    }

    pub(crate) async fn flush(&mut self) {
        let bytes = std::mem::take(&mut self.unsent);
        // The other side may have hung up on what came before.
        let _ = self.stream.write_all(&bytes).await;
    }

    pub(crate) async fn send(&mut self, channel: u16, method: &impl MethodFrame) {
        self.put(channel, method);
        self.flush().await;
    }

    /// Hangs up.
    pub(crate) fn hang_up(self) {}
}

/// Polls a future once; true if it has to wait.
pub(crate) async fn waits(future: &mut (impl Future + Unpin)) -> bool {
    std::future::poll_fn(|cx| std::task::Poll::Ready(std::pin::Pin::new(&mut *future).poll(cx).is_pending())).await
}
