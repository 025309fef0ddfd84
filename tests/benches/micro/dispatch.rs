//! Queues and their consumers: from a publisher's bytes to a consumer's, a thousand messages of 128 bytes a turn.

use std::io;

use divan::Bencher;
use divan::counter::ItemsCount;
use leveret_spec::{Properties, basic, frame, queue};
use leveret_tests::in_process::{Acks, Awaited, InProcess, Line, Part, Plan, Route, exchange, put_publish};
use leveret_tests::{default, short};
use tokio::io::DuplexStream;

const MESSAGES: usize = 1000;
const BODY: [u8; 128] = [b'.'; 128];

fn flow(bencher: Bencher<'_, '_>, route: Route, confirms: bool, acks: Acks, batch: usize) {
    let process = InProcess::start();
    let plan = Plan { route, body_bytes: BODY.len(), confirms, acks };
    let mut flow = Some(process.flow(plan, batch));
    bencher.counter(ItemsCount::new(batch)).bench_local(|| {
        let mut turn = flow.take().expect("the flow is always given back");
        flow = process.run(async move { turn.batch().await.map(|()| turn) }).ok();
    });
}

#[divan::bench]
fn auto_ack(bencher: Bencher<'_, '_>) {
    flow(bencher, Route::Default, false, Acks::Auto, MESSAGES);
}

#[divan::bench]
fn confirms_and_acks_at_once(bencher: Bencher<'_, '_>) {
    flow(bencher, Route::Default, true, Acks::Multiple, MESSAGES);
}

#[divan::bench]
fn single_acks(bencher: Bencher<'_, '_>) {
    flow(bencher, Route::Default, false, Acks::Each, MESSAGES);
}

/// All the way there and back for every single message.
#[divan::bench]
fn one_at_a_time(bencher: Bencher<'_, '_>) {
    flow(bencher, Route::Default, false, Acks::Auto, 1);
}

#[divan::bench(args = [1, 10, 255])]
fn priorities(bencher: Bencher<'_, '_>, max: u8) {
    flow(bencher, Route::Priorities(max), false, Acks::Auto, MESSAGES);
}

/// The time is that of a message with all its deliveries.
#[divan::bench(args = [1, 10, 100])]
fn fan_out(bencher: Bencher<'_, '_>, queues: usize) {
    flow(bencher, Route::Fanout(queues), false, Acks::Auto, MESSAGES / 10);
}

/// A queue with a client that does the same again and again.
struct Getter {
    process: InProcess,
    line: Option<Line<DuplexStream>>,
    /// Messages that were got and not settled.
    got: u64,
}

/// A thousand messages as they are published.
fn publishes() -> Vec<u8> {
    let mut output = vec![];
    (0..MESSAGES).for_each(|_| put_publish(&mut output, "", "got", &Properties::default(), &BODY));
    output
}

/// A thousand requests for one message, and the bytes of the answers.
fn gets(no_ack: bool) -> (Vec<u8>, usize) {
    let mut output = vec![];
    (0..MESSAGES)
        .for_each(|_| frame::put_method(&mut output, 1, &basic::Get { queue: short("got"), no_ack, ..default() }));
    // basic.get-ok has a delivery tag, a bit and a count where basic.publish has a short and two bits.
    (output, publishes().len() + MESSAGES * (8 + 1 + 4 - 3))
}

impl Getter {
    fn new() -> Self {
        let process = InProcess::start();
        let mut line = process.connect();
        let line = process.run(async move {
            line.ask(1, &queue::Declare { queue: short("got"), ..default() }).await?;
            io::Result::Ok(line)
        });
        Getter { process, line: line.ok(), got: 0 }
    }

    fn exchange(&mut self, output: &std::sync::Arc<Vec<u8>>, awaited: usize) {
        let mut line = self.line.take().expect("the line is always given back");
        let output = output.clone();
        self.line = self
            .process
            .run(async move {
                exchange([Part::of(&mut line, &output, Awaited::Bytes(awaited))]).await?;
                io::Result::Ok(line)
            })
            .ok();
    }
}

/// basic.publish and basic.get.
#[divan::bench]
fn publish_and_get(bencher: Bencher<'_, '_>) {
    let (requests, answers) = gets(true);
    let output = std::sync::Arc::new([publishes(), requests].concat());
    let mut getter = Getter::new();
    bencher.counter(ItemsCount::new(MESSAGES)).bench_local(|| getter.exchange(&output, answers));
}

/// basic.get of all of them, and one basic.nack that puts them back.
#[divan::bench]
fn get_and_requeue(bencher: Bencher<'_, '_>) {
    let mut getter = Getter::new();
    getter.exchange(&publishes().into(), 0);
    let (requests, answers) = gets(false);
    bencher.counter(ItemsCount::new(MESSAGES)).bench_local(|| {
        getter.got += MESSAGES as u64;
        let nack = basic::Nack { delivery_tag: getter.got, multiple: true, requeue: true };
        let mut output = requests.clone();
        frame::put_method(&mut output, 1, &nack);
        getter.exchange(&output.into(), answers);
    });
}
