//! An AMQP client that says what a test wants it to, and hears how it ends.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use leveret_spec::frame::{self, FrameKind};
use leveret_spec::method::MethodFrame;
use leveret_spec::{Method, PROTOCOL_HEADER, ShortStr, TableBuf, basic, channel, connection, queue};

use super::{PATIENCE, Server};

pub(crate) struct Amqp {
    stream: TcpStream,
    input: Vec<u8>,
}

fn short(text: &str) -> ShortStr<'_> {
    ShortStr::new(text).unwrap()
}

impl Amqp {
    /// As guest, in the virtual host `/`.
    pub(crate) fn connect(server: &Server) -> Self {
        Amqp::open(server, "guest", "guest", "/").opened()
    }

    /// Waits until the broker has let it in.
    pub(crate) fn opened(mut self) -> Self {
        self.wait_for("connection.OpenOk");
        self
    }

    /// Sends everything up to connection.open; the answer to that is still to be heard.
    pub(crate) fn open(server: &Server, user: &str, password: &str, vhost: &str) -> Self {
        let stream = TcpStream::connect(server.amqp()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut client = Amqp { stream, input: vec![] };
        client.stream.write_all(&PROTOCOL_HEADER).unwrap();
        let properties = TableBuf::new().with("connection_name", "a test").unwrap();
        let response = format!("\0{user}\0{password}");
        client.send(
            0,
            &connection::StartOk {
                client_properties: properties.as_table(),
                mechanism: short("PLAIN"),
                response: response.as_bytes(),
                locale: short("en_US"),
            },
        );
        client.send(0, &connection::TuneOk { channel_max: 2047, frame_max: 131_072, heartbeat: 60 });
        client.send(0, &connection::Open { virtual_host: short(vhost), ..connection::Open::default() });
        client.wait_for("connection.Tune");
        client
    }

    pub(crate) fn local(&self) -> SocketAddr {
        self.stream.local_addr().unwrap()
    }

    pub(crate) fn open_channel(&mut self) {
        self.send(1, &channel::Open::default());
    }

    /// Opens a channel with a prefetch of 7, declares an exclusive queue and consumes from it under the tag `tag`.
    pub(crate) fn consume_exclusively(&mut self, name: &str) {
        self.open_channel();
        self.send(1, &basic::Qos { prefetch_count: 7, ..basic::Qos::default() });
        self.send(1, &queue::Declare { queue: short(name), exclusive: true, ..queue::Declare::default() });
        self.send(1, &basic::Consume { queue: short(name), consumer_tag: short("tag"), ..basic::Consume::default() });
        self.wait_for("basic.ConsumeOk");
    }

    /// The code and text of the connection.close that has to come.
    pub(crate) fn closed_with(&mut self) -> (u16, String) {
        loop {
            let payload = self.receive();
            if let Ok(Method::Connection(connection::Method::Close(close))) = Method::decode(&payload) {
                return (close.reply_code, close.reply_text.to_string());
            }
        }
    }

    fn wait_for(&mut self, name: &str) {
        while Method::decode(&self.receive()).unwrap().row().name != name {}
    }

    fn send(&mut self, channel: u16, method: &impl MethodFrame) {
        let mut bytes = vec![];
        frame::put_method(&mut bytes, channel, method);
        self.stream.write_all(&bytes).unwrap();
    }

    /// The next method frame's payload.
    fn receive(&mut self) -> Vec<u8> {
        loop {
            if let Some((frame, length)) = frame::parse(&self.input, 131_072).unwrap() {
                let payload = (frame.kind == FrameKind::Method).then(|| frame.payload.to_vec());
                self.input.drain(..length);
                match payload {
                    Some(payload) => return payload,
                    None => continue,
                }
            }
            let mut piece = [0; 4096];
            let length = self.stream.read(&mut piece).unwrap();
            assert!(length > 0, "the broker has hung up");
            self.input.extend_from_slice(&piece[..length]);
        }
    }
}
