//! Where a message goes: publishes by the thousand, into queues that keep none but the last, so that little else is done.
//!
//! A channel remembers its last routes. `repeated` publishes with one key, which finds its route again; `anew` with more keys
//! than a channel remembers, so that the exchange is asked each time. (A headers exchange always is.)

use divan::Bencher;
use divan::counter::ItemsCount;
use leveret_spec::{Properties, TableBuf, Value, channel, exchange, frame, queue};
use leveret_tests::in_process::{Awaited, InProcess, Line, Part, exchange as converse, put_publish};
use leveret_tests::{default, short, table};
use tokio::io::DuplexStream;

/// Messages of a turn, with as many keys: four times what a channel remembers.
const MESSAGES: usize = 16384;
/// Bytes of channel.flow-ok, which says that all before it is done.
const FLOW_OK_BYTES: usize = 13;

/// A publisher with prepared publishes.
struct Publisher {
    process: InProcess,
    line: Option<Line<DuplexStream>>,
    kind: &'static str,
}

impl Publisher {
    fn new(kind: &'static str) -> Self {
        let process = InProcess::start();
        let line = Some(process.connect());
        let mut publisher = Publisher { process, line, kind };
        publisher.declare_exchange();
        publisher
    }

    /// Does something with the line.
    fn with<F>(&mut self, work: impl FnOnce(Line<DuplexStream>) -> F)
    where
        F: Future<Output = std::io::Result<Line<DuplexStream>>> + Send + 'static,
    {
        let line = self.line.take().expect("the line is always given back");
        self.line = Some(self.process.run(work(line)).expect("the broker does what it is asked"));
    }

    fn declare_exchange(&mut self) {
        let kind = self.kind;
        self.with(|mut line| async move {
            line.ask(1, &exchange::Declare { exchange: short("routing"), kind: short(kind), ..default() }).await?;
            Ok(line)
        });
    }

    /// Binds a new queue in several ways.
    fn bind(&mut self, name: String, bindings: Vec<(String, TableBuf)>) {
        self.with(|mut line| async move {
            let (exchange, queue) = (short("routing"), short(&name));
            let arguments = table([("x-max-length", Value::I64(1))]);
            line.ask(1, &queue::Declare { queue, arguments: arguments.as_table(), ..default() }).await?;
            for (key, arguments) in &bindings {
                let (routing_key, arguments) = (short(key), arguments.as_table());
                line.ask(1, &queue::Bind { queue, exchange, routing_key, arguments, ..default() }).await?;
            }
            Ok(line)
        });
    }

    /// Measures how long it takes to publish with these keys, or headers.
    fn publish(mut self, bencher: Bencher<'_, '_>, message: impl Fn(usize) -> (String, TableBuf)) {
        let mut output = vec![];
        for n in 0..MESSAGES {
            let (key, headers) = message(n);
            let headers = Some(headers.as_table()).filter(|headers| !headers.as_bytes().is_empty());
            put_publish(&mut output, "routing", &key, &Properties { headers, ..default() }, b"0123456789abcdef");
        }
        frame::put_method(&mut output, 1, &channel::Flow { active: true });
        let output = std::sync::Arc::new(output);
        bencher.counter(ItemsCount::new(MESSAGES)).bench_local(|| {
            let output = output.clone();
            self.with(|mut line| async move {
                converse([Part::of(&mut line, &output, Awaited::Bytes(FLOW_OK_BYTES))]).await?;
                Ok(line)
            });
        });
    }
}

fn keyed(bencher: Bencher<'_, '_>, kind: &'static str, bindings: Vec<String>, key: impl Fn(usize) -> String) {
    let mut publisher = Publisher::new(kind);
    publisher.bind("all".into(), bindings.into_iter().map(|key| (key, TableBuf::new())).collect());
    publisher.publish(bencher, |n| (key(n), TableBuf::new()));
}

#[divan::bench(args = [1, 1000, 100_000])]
fn direct_repeated(bencher: Bencher<'_, '_>, bindings: usize) {
    keyed(bencher, "direct", (0..bindings).map(|n| format!("key.{n}")).collect(), |_| "key.0".into());
}

#[divan::bench(args = [100_000])]
fn direct_anew(bencher: Bencher<'_, '_>, bindings: usize) {
    keyed(bencher, "direct", (0..bindings).map(|n| format!("key.{n}")).collect(), |n| format!("key.{n}"));
}

fn topics(bindings: usize) -> Vec<String> {
    (0..bindings).map(|n| format!("order.{n}.*.paid")).collect()
}

#[divan::bench(args = [1, 1000, 100_000])]
fn topic_repeated(bencher: Bencher<'_, '_>, bindings: usize) {
    keyed(bencher, "topic", topics(bindings), |_| "order.0.cash.paid".into());
}

/// Every key matches one binding.
#[divan::bench(args = [1, 1000, 100_000])]
fn topic_anew(bencher: Bencher<'_, '_>, bindings: usize) {
    keyed(bencher, "topic", topics(bindings), |n| format!("order.{}.{n}.paid", n % bindings));
}

/// No binding matches, however many there are.
#[divan::bench(args = [1, 1000, 100_000])]
fn topic_unrouted(bencher: Bencher<'_, '_>, bindings: usize) {
    keyed(bencher, "topic", topics(bindings), |n| format!("order.{}.{n}.open", n % bindings));
}

/// Each message goes to all queues.
#[divan::bench(args = [1, 10, 100])]
fn fanout_repeated(bencher: Bencher<'_, '_>, queues: usize) {
    let mut publisher = Publisher::new("fanout");
    (0..queues).for_each(|n| publisher.bind(format!("all.{n}"), vec![(String::new(), TableBuf::new())]));
    publisher.publish(bencher, |_| (String::new(), TableBuf::new()));
}

/// One binding matches.
#[divan::bench(args = [1, 10, 100, 1000, 10_000])]
fn headers_anew(bencher: Bencher<'_, '_>, bindings: usize) {
    headers(bencher, bindings, "all");
}

/// The same with bindings that want one of two headers: one of them matches.
#[divan::bench(args = [1, 100, 10_000])]
fn headers_any(bencher: Bencher<'_, '_>, bindings: usize) {
    headers(bencher, bindings, "any");
}

fn headers(bencher: Bencher<'_, '_>, bindings: usize, rule: &str) {
    let tenant = |n: usize, important: bool| [("tenant", Value::I64(n as i64)), ("important", important.into())];
    let mut publisher = Publisher::new("headers");
    let arguments = |n| {
        let [first, second] = tenant(n, true);
        (String::new(), table([first, second, ("x-match", rule.into())]))
    };
    publisher.bind("all".into(), (0..bindings).map(arguments).collect());
    // To one of them only: the others that want any want it to be important.
    publisher.publish(bencher, |n| (String::new(), table(tenant(n % bindings, rule == "all"))));
}
