//! A broker and its clients on one thread and without sockets, for the benchmarks: prepared bytes in, counted bytes out.
//!
//! One thread makes the order of events the same in every run, and a stream within the process (`Broker::connect`) leaves
//! out what is the kernel's. What is measured is all that the broker does between its sockets.

mod flow;
mod line;

use std::future::Future;
use std::io;

use leveret::{Broker, Config};
use leveret_spec::frame;
use leveret_spec::{Properties, basic, content};
use tokio::io::DuplexStream;
use tokio::runtime::{Builder, Runtime};

pub use flow::{Acks, Flow, Plan, Route};
pub use line::{Awaited, Line, Part, exchange};

use crate::{default, octets};

/// A broker, and the thread that it shares with its clients.
#[derive(Debug)]
pub struct InProcess {
    runtime: Runtime,
    broker: Broker,
}

impl InProcess {
    /// Starts one.
    ///
    /// # Panics
    /// If there is no runtime to be had.
    pub fn start() -> InProcess {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let broker = runtime.block_on(Broker::start(Config::in_memory())).expect("a broker that listens nowhere");
        InProcess { runtime, broker }
    }

    /// A client with channel 1 open.
    ///
    /// # Panics
    /// If the broker does not let it in.
    pub fn connect(&self) -> Line<DuplexStream> {
        let _within = self.runtime.enter();
        let stream = self.broker.connect();
        self.run(Line::open(stream)).expect("the broker lets guest in")
    }

    /// Does what clients do. It is a task like the broker's own, so that going from one to the other costs no system call.
    ///
    /// # Panics
    /// If it does.
    pub fn run<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> T {
        self.runtime.block_on(async { tokio::spawn(work).await.expect("clients do not panic") })
    }

    /// Publishers and consumers as planned, who exchange `batch` messages at a time.
    ///
    /// # Panics
    /// If the broker refuses what they need.
    pub fn flow(&self, plan: Plan, batch: usize) -> Flow<DuplexStream> {
        let (producer, consumer) = (self.connect(), self.connect());
        self.run(Flow::set_up(plan, batch, producer, consumer)).expect("the broker takes the plan")
    }
}

/// Appends basic.publish with its content, on channel 1.
///
/// # Panics
/// If a name is longer than 255 bytes.
pub fn put_publish(out: &mut Vec<u8>, exchange: &str, key: &str, properties: &Properties<'_>, body: &[u8]) {
    let publish = basic::Publish { exchange: octets(exchange), routing_key: octets(key), ..default() };
    frame::put_method(out, 1, &publish);
    let mut header = vec![];
    content::encode_header(&mut header, body.len() as u64, properties);
    frame::put_head(out, frame::FrameKind::Header, 1, header.len() as u32);
    out.extend_from_slice(&header);
    out.push(frame::FRAME_END);
    frame::put_body(out, 1, body, 0);
}

fn broken(what: &str) -> io::Error {
    io::Error::other(format!("the broker {what}"))
}
