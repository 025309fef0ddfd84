//! A peer that speaks AMQP frame by frame over a blocking socket.

mod content;
mod entities;
mod expect;
mod handshake;
mod inbox;
mod refused;

use std::collections::HashMap;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use leveret_spec::frame;
use leveret_spec::method::MethodFrame;

use crate::target::target;

pub use handshake::Visit;
use inbox::Inbox;

/// How long a peer waits for what has to come. Only a broker that is broken, or a test that is wrong, makes it wait.
const PATIENCE: Duration = Duration::from_secs(15);

/// One connection to the broker, up to the byte under the test's control.
#[derive(Debug)]
pub struct Peer {
    stream: TcpStream,
    address: SocketAddr,
    /// What has come and was not looked at.
    input: Vec<u8>,
    /// Whole methods and contents by channel, and contents of which something is missing.
    inboxes: HashMap<u16, Inbox>,
    /// What the two sides have agreed on, in bytes; 0 is no limit.
    frame_max: u32,
    /// Where it works.
    vhost: String,
    /// What the test has made and no connection's end removes.
    queues: Vec<String>,
    exchanges: Vec<String>,
}

impl Peer {
    /// A socket, and nothing said yet.
    ///
    /// # Panics
    /// If nobody listens.
    #[track_caller]
    pub fn connect() -> Peer {
        Peer::connect_to(target().address())
    }

    /// A socket to any broker, and nothing said yet.
    ///
    /// # Panics
    /// If nobody listens.
    #[track_caller]
    pub fn connect_to(address: SocketAddr) -> Peer {
        let stream = match TcpStream::connect(address) {
            Ok(stream) => stream,
            Err(error) => panic!("cannot connect to {address}: {error}"),
        };
        let configured = stream
            .set_nodelay(true)
            .and_then(|()| stream.set_read_timeout(Some(PATIENCE)))
            .and_then(|()| stream.set_write_timeout(Some(PATIENCE)));
        configured.expect("a socket takes its options");
        let vhost = target().vhost().to_owned();
        let inboxes = HashMap::new();
        Peer { stream, address, input: vec![], inboxes, frame_max: 0, vhost, queues: vec![], exchanges: vec![] }
    }

    /// Sends bytes as they are. That the broker has closed the socket already is not noticed here, but by whoever reads.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// Sends a method frame.
    pub fn send(&mut self, channel: u16, method: &impl MethodFrame) {
        let mut out = vec![];
        frame::put_method(&mut out, channel, method);
        self.send_bytes(&out);
    }

    /// Tells the broker that nothing more will come, and goes on listening.
    pub fn finish_sending(&mut self) {
        let _ = self.stream.shutdown(std::net::Shutdown::Write);
    }

    /// Where the broker sees this peer, in its words.
    pub fn connection_name(&self) -> String {
        let address = |address: std::io::Result<SocketAddr>| match address {
            Ok(address) => address.to_string(),
            Err(_) => String::new(),
        };
        format!("{} -> {}", address(self.stream.local_addr()), address(self.stream.peer_addr()))
    }

    /// Removes what the test has left behind.
    fn tidy_up(&mut self) {
        let (queues, exchanges) = (std::mem::take(&mut self.queues), std::mem::take(&mut self.exchanges));
        let mut peer = Peer::with_channel();
        for queue in queues {
            peer.delete_queue(1, &queue);
        }
        for exchange in exchanges {
            peer.delete_exchange(1, &exchange);
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Another virtual host goes as a whole.
        let elsewhere = self.vhost != target().vhost() || self.address != target().address();
        if target().is_embedded() || elsewhere || self.queues.is_empty() && self.exchanges.is_empty() {
            return;
        }
        // What the test thinks of the broker is known by now; this is housekeeping.
        let _ = catch_unwind(AssertUnwindSafe(|| self.tidy_up()));
    }
}
