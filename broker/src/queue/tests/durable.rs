//! A durable queue and the message store: what is there again after a restart, and what need not be in memory.

use std::sync::Arc;

use leveret_spec::{Properties, Value};

use super::*;
use crate::store::{MessageStore, Options, QueueId, Recovered, SimulatedDisk, Store};

const ID: QueueId = QueueId(7);

/// A queue with a store on a disk that outlives both.
struct Durable {
    disk: SimulatedDisk,
    arguments: Vec<(&'static str, Value<'static>)>,
    store: Arc<Store>,
    queue: Arc<Queue>,
    turn: Turn,
}

impl Durable {
    fn new(arguments: &[(&'static str, Value<'static>)]) -> Self {
        Durable::on(SimulatedDisk::new(1), arguments.to_vec())
    }

    fn on(disk: SimulatedDisk, arguments: Vec<(&'static str, Value<'static>)>) -> Self {
        let mut options = Options::new(5);
        options.segment_bytes = 8 << 20;
        let (store, recovered) = Store::open_on(Arc::new(disk.clone()), &options, &|_| true).unwrap();
        let store = Arc::new(store);
        let mut table = TableBuf::new();
        for (name, value) in &arguments {
            table.insert(name, *value).unwrap();
        }
        let settings = Settings::of(table.as_table(), &"").unwrap();
        let declaration = Declaration { durable: true, arguments: table, ..Declaration::default() };
        let log = Log { queue: ID, store: store.clone(), epoch_ms: 1_000_000, quorum: false };
        let (now, name) = (Moment::default(), "q".into());
        let queue = Queue::new(name, "/".into(), declaration, settings, Arc::default(), now, Some(log));
        let mut turn = Turn::at(now);
        let Recovered { queues, .. } = recovered;
        queues.into_iter().for_each(|recovered| queue.recover(recovered, &mut turn));
        Durable { disk, arguments, store, queue, turn }
    }

    /// Hands in what there is and waits for the disk.
    fn settle(&mut self) {
        if let Some(ticket) = self.turn.hand_in() {
            self.store.wait(ticket);
        }
    }

    /// What the next broker on the disk has.
    fn restart(mut self) -> Self {
        self.turn.finish();
        let Durable { disk, arguments, store, queue, turn } = self;
        drop((turn, queue));
        drop(store);
        disk.restart();
        Durable::on(disk, arguments)
    }

    fn publish(&mut self, bodies: impl IntoIterator<Item = String>, properties: &Properties<'_>) {
        let mut batch =
            bodies.into_iter().map(|body| Message::compose("x", "q", properties, body.as_bytes())).collect();
        self.queue.publish(&mut batch, &Arc::default(), &mut self.turn);
    }

    fn get(&mut self) -> Option<Entry> {
        self.queue.get(false, &mut self.turn).unwrap().map(|(entry, _)| entry)
    }

    fn drain(&mut self) -> Vec<String> {
        let entries = std::iter::from_fn(|| self.get());
        entries.map(|entry| String::from_utf8_lossy(entry.message.body()).into_owned()).collect()
    }
}

fn persistent() -> Properties<'static> {
    Properties { delivery_mode: Some(2), ..Properties::default() }
}

fn numbers(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

#[test]
fn persistent_messages_are_there_again_in_their_order() {
    let mut bench = Durable::new(&[]);
    for n in 0..2000 {
        let properties = if n % 4 == 3 { Properties::default() } else { persistent() };
        bench.publish([n.to_string()], &properties);
    }
    let mut bench = bench.restart();
    assert_eq!(bench.queue.counts().0, 1500);
    assert_eq!(bench.drain(), (0..2000).filter(|n| n % 4 != 3).map(|n| n.to_string()).collect::<Vec<_>>());
    assert_eq!((bench.queue.figures().bytes, bench.queue.figures().body_bytes), (0, 0));
}

#[test]
fn what_was_settled_is_gone_and_what_was_held_comes_back_as_redelivered() {
    let mut bench = Durable::new(&[]);
    bench.publish(numbers(0..6), &persistent());
    let held: Vec<Entry> = (0..4).filter_map(|_| bench.get()).collect();
    let seqs = |entries: &[Entry]| entries.iter().filter_map(Entry::stored).collect();
    bench.queue.note_delivered(1, seqs(&held), &mut bench.turn);
    bench.queue.settle(None, 2, seqs(&held[1..3]), &mut bench.turn);
    let mut bench = bench.restart();
    let entries: Vec<_> = std::iter::from_fn(|| bench.get()).collect();
    let found: Vec<_> =
        entries.iter().map(|e| (String::from_utf8_lossy(e.message.body()).into_owned(), e.redelivered())).collect();
    let expected = [("0", true), ("3", true), ("4", false), ("5", false)];
    assert_eq!(found, expected.map(|(body, redelivered)| (body.to_owned(), redelivered)));
}

#[test]
fn priorities_are_as_before() {
    let mut bench = Durable::new(&[("x-max-priority", Value::I32(5))]);
    for n in 0..1000 {
        let priority = Some((n % 6) as u8);
        bench.publish([n.to_string()], &Properties { priority, ..persistent() });
    }
    let mut expected = numbers(0..1000);
    expected.sort_by_key(|body| (5 - body.parse::<u32>().unwrap() % 6, body.parse::<u32>().unwrap()));
    assert_eq!(bench.restart().drain(), expected);
}

#[test]
fn a_time_to_live_goes_on() {
    let mut bench = Durable::new(&[("x-message-ttl", Value::I32(5000))]);
    bench.publish(numbers(0..3), &persistent());
    bench.turn.now = bench.turn.now + Duration::from_millis(3000);
    bench.publish(numbers(3..5), &persistent());
    let mut bench = bench.restart();
    bench.turn.now = bench.turn.now + Duration::from_millis(5001);
    assert_eq!(bench.drain(), numbers(3..5));
    let mut bench = bench.restart();
    bench.turn.now = bench.turn.now + Duration::from_millis(8001);
    assert_eq!(bench.drain(), numbers(0..0));
    // What has expired is forgotten for good.
    assert_eq!(bench.restart().queue.counts().0, 0);
}

#[test]
fn what_was_dropped_and_purged_does_not_come_back() {
    let mut bench = Durable::new(&[("x-max-length", Value::I32(3))]);
    bench.publish(numbers(0..10), &persistent());
    let mut bench = bench.restart();
    assert_eq!(bench.queue.counts().0, 3);
    bench.publish(numbers(10..11), &persistent());
    let mut bench = bench.restart();
    assert_eq!(bench.drain(), numbers(8..11));
    let mut bench = bench.restart();
    assert_eq!(bench.queue.purge(&mut bench.turn), 3);
    assert_eq!(bench.restart().queue.counts().0, 0);
}

#[test]
fn a_backlog_leaves_memory_and_comes_back_in_order() {
    let mut bench = Durable::new(&[]);
    let body = |n: u32| format!("{n} {}", "x".repeat(1000));
    for turn in 0..400 {
        bench.publish((turn * 100..turn * 100 + 100).map(body), &persistent());
        bench.settle();
    }
    let resident = |bench: &Durable| bench.queue.state.lock().ready.resident_bytes();
    assert_eq!(bench.queue.counts().0, 40_000);
    assert!(resident(&bench) < 20 << 20, "{} bytes in memory", resident(&bench));
    // One from the front comes back after others have gone.
    let first = bench.get().unwrap();
    assert_eq!(bench.get().unwrap().message.body(), body(1).as_bytes());
    let back = Returning { delivered: vec![first], ..Returning::default() };
    bench.queue.requeue(None, back, &mut bench.turn);
    for n in (0..40_000).filter(|n| *n != 1) {
        assert_eq!(bench.get().unwrap().message.body(), body(n).as_bytes());
    }
    assert!(bench.get().is_none());
    let figures = bench.queue.figures();
    assert_eq!((figures.ready, figures.bytes, figures.body_bytes, resident(&bench)), (0, 0, 0, 0));
}

#[test]
fn what_comes_behind_a_restored_backlog_leaves_that_alone() {
    let body = |n: u32| format!("{n} {}", "x".repeat(1000));
    let mut bench = Durable::new(&[]);
    bench.publish((0..6000).map(body), &persistent());
    let mut bench = bench.restart();
    for turn in 60..90 {
        bench.publish((turn * 100..turn * 100 + 100).map(body), &persistent());
    }
    assert_eq!(bench.queue.counts().0, 9000);
    assert_eq!(bench.drain(), (0..9000).map(body).collect::<Vec<_>>());
}

#[test]
fn a_store_that_cannot_be_read_fails_and_gives_nothing_out() {
    let mut bench = Durable::new(&[]);
    bench.publish(numbers(0..2000), &persistent());
    let bench = bench.restart();
    let content = bench.disk.content("00000001.seg");
    let damaged = content.windows(4).position(|window| window == b"1234").unwrap();
    bench.disk.flip("00000001.seg", damaged, 1);
    let mut bench = bench;
    assert!(bench.drain().len() < 2000);
    let failed = bench.store.failed().unwrap_or_default().to_owned();
    assert!(failed.contains("00000001.seg, offset"), "{failed}");
}

#[test]
fn a_body_that_goes_to_several_queues_is_written_once() {
    let mut bench = Durable::new(&[]);
    let message = Message::compose("x", "q", &persistent(), &[b'x'; 50_000]);
    let others: Vec<_> = (8..18)
        .map(|id| {
            let log = Log { queue: QueueId(id), store: bench.store.clone(), epoch_ms: 0, quorum: false };
            let declaration = Declaration { durable: true, ..Declaration::default() };
            let (name, now) = (id.to_string().as_str().into(), Moment::default());
            Queue::new(name, "/".into(), declaration, Settings::default(), Arc::default(), now, Some(log))
        })
        .collect();
    for queue in &others {
        queue.publish(&mut vec![message.clone()], &Arc::default(), &mut bench.turn);
    }
    drop(message);
    bench.settle();
    let written = bench.disk.content("00000001.seg");
    let bodies = written.windows(40_000).step_by(5_000).filter(|part| part.iter().all(|byte| *byte == b'x')).count();
    assert!((1..=3).contains(&bodies), "{bodies} pieces of bodies");
    // It stays for as long as any of them has it.
    for queue in &others[1..] {
        assert!(queue.get(true, &mut bench.turn).unwrap().is_some());
    }
    drop(others);
    let bench = bench.restart();
    let outline =
        |id| bench.store.outline(QueueId(id), (10, 1 << 20)).iter().map(|piece| piece.seqs.len()).sum::<usize>();
    assert_eq!((8..18).map(outline).collect::<Vec<_>>(), [1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
}
