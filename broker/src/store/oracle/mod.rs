//! The store held against another one, which does the same on a key-value store: after any operations and openings both
//! have the same messages.
//!
//! Both get the same batches. The log has segments of a few pages on the simulated disk, so that they are evacuated and used
//! again all the time, and ends in order or by a power cut; all of that is chance from a seed. What the simulation next door
//! does not have is here: the threads, and the trait as the broker uses it.

mod key_value;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fjall::PersistMode;

use self::key_value::KeyValueStore;
use super::block::PAGE;
use super::disk::Disk;
use super::disk::simulated::{Chance, Fault, SimulatedDisk};
use super::simulation::Op;
use super::spares::segment_number;
use super::tests::{Folder, soon};
use super::{MessageStore, Options, QueueId, Recovered, Ref, Seqs, Store, Stored, Ticket};

/// Turns of one test in `cargo test`; `LEVERET_ORACLE_TURNS` is another number.
const TURNS: u64 = 3000;
/// Seeds that these are shared out to; `LEVERET_ORACLE_SEED` is another first one.
const SEEDS: u64 = 4;

/// Two stores, and what is known of them beside what is in them.
struct Pair {
    chance: Chance,
    folder: Folder,
    disk: SimulatedDisk,
    options: Options,
    /// None while they are closed.
    open: Option<(Store, KeyValueStore)>,
    /// The last batch, in the log.
    last: Ticket,
    /// The queues of the metadata.
    known: BTreeSet<QueueId>,
    /// Those that were dropped since the last opening.
    dropped: BTreeSet<QueueId>,
    next_seq: BTreeMap<QueueId, u64>,
    /// Messages whose ack has been handed in before them.
    owed: Vec<(QueueId, u64)>,
    queues: u64,
    seen: Seen,
}

/// What has happened, so that the test can tell that anything has.
#[derive(Debug, Default)]
struct Seen {
    published: u64,
    acked: u64,
    early: u64,
    dropped: u64,
    compared: u64,
    power_cuts: u64,
    orderly_ends: u64,
}

/// It stays through everything, so that it has to be moved out of every segment.
const STUCK: QueueId = QueueId(1);

/// True if the store has these, be it after what is moved just now has been synced: until then it says no.
fn has_soon(store: &Store, queue: QueueId, seqs: &Seqs) -> bool {
    soon(|| store.has(queue, seqs))
}

impl Pair {
    fn new(seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let segment_bytes = (4 + chance.below(12)) * PAGE as u64;
        let mut pair = Pair {
            chance,
            folder: Folder::new(&format!("oracle-{seed}")),
            disk: SimulatedDisk::new(seed),
            options: Options { segment_bytes, ..Options::new(u128::from(seed)) },
            open: None,
            last: Ticket::default(),
            known: BTreeSet::from([STUCK]),
            dropped: BTreeSet::new(),
            next_seq: BTreeMap::new(),
            owed: vec![],
            queues: STUCK.0,
            seen: Seen::default(),
        };
        pair.reopen();
        let r = Ref { queue: STUCK, seq: 1, expires_at_ms: 77, deliveries: 0 };
        pair.submit(&[Op::Publish(b"stuck".to_vec(), vec![r]), Op::Delivered(STUCK, 3, 1..=1)]);
        pair.next_seq.insert(STUCK, 2);
        pair
    }

    fn both(&self) -> (&Store, &KeyValueStore) {
        let (store, oracle) = self.open.as_ref().expect("they are open between two openings");
        (store, oracle)
    }

    fn submit(&mut self, ops: &[Op]) {
        let (store, oracle) = self.both();
        let [ours, theirs] = [(); 2].map(|()| {
            let mut batch = super::Batch::new();
            ops.iter().for_each(|op| op.put(&mut batch));
            batch
        });
        let last = store.submit(ours);
        oracle.submit(theirs);
        self.last = last;
    }

    /// Waits until all that was handed in stays.
    fn wait(&self) {
        let (store, oracle) = self.both();
        store.wait(self.last);
        assert_eq!((store.failed(), oracle.failed()), (None, None));
    }

    /// Ends both, which lose nothing, and opens them again.
    fn reopen(&mut self) {
        if self.open.is_some() {
            self.wait();
            let cut = self.chance.one_in(2);
            if cut {
                // Nothing that the log does from here on is done, or only a part of it.
                self.disk.fault_after(self.chance.below(4), Fault::Crash);
            }
            self.open = None;
            if cut {
                self.disk.crash();
            }
            let count = if cut { &mut self.seen.power_cuts } else { &mut self.seen.orderly_ends };
            *count += 1;
        }
        let known = self.known.clone();
        let known = |queue: QueueId| known.contains(&queue);
        let (store, recovered) = Store::open_on(Arc::new(self.disk.clone()), &self.options, &known).unwrap();
        let oracle = KeyValueStore::open(&self.folder.0, PersistMode::Buffer).unwrap();
        self.check_numbers(&recovered, &oracle);
        self.open = Some((store, oracle));
        self.last = Ticket::default();
        // Who was told of a queue's end, or of an ack, is gone.
        self.owed.clear();
        self.dropped.clear();
        self.compare();
    }

    /// A queue's next arrival gets a number that is higher than that of any message it has, or whose ack may still be in the
    /// log; it need not be higher than those that nothing is left of.
    fn check_numbers(&mut self, recovered: &Recovered, oracle: &KeyValueStore) {
        let theirs = oracle.queues(&|queue| self.known.contains(&queue)).unwrap();
        let theirs: BTreeMap<_, _> = theirs.into_iter().map(|queue| (queue.id, queue)).collect();
        let ours: BTreeMap<_, _> = recovered.queues.iter().map(|queue| (queue.id, *queue)).collect();
        for (id, theirs) in theirs.iter().filter(|(id, _)| !self.dropped.contains(id)) {
            let messages = ours.get(id).map_or(0, |ours| ours.messages);
            assert_eq!(messages, theirs.messages, "messages of queue {}", id.0);
        }
        for (id, ours) in ours.iter().filter(|(id, _)| !self.dropped.contains(id)) {
            let theirs = theirs[id];
            assert!(ours.next_seq <= theirs.next_seq, "next seq of queue {}", id.0);
            assert!(theirs.has_expiries || !ours.has_expiries, "times to live of queue {}", id.0);
            let all = oracle.outline(*id, (usize::MAX, usize::MAX));
            let last = all.last().and_then(|piece| piece.seqs.last()).unwrap_or(0);
            assert!(ours.next_seq > last, "next seq of queue {}", id.0);
            let seqs = all.into_iter().fold(Seqs::default(), join);
            let expires = oracle.fetch(*id, &seqs).unwrap().iter().any(|stored| stored.expires_at_ms != u64::MAX);
            assert!(ours.has_expiries || !expires, "times to live of queue {}", id.0);
        }
        self.next_seq = self.known.iter().map(|id| (*id, ours.get(id).map_or(1, |ours| ours.next_seq))).collect();
    }

    /// Both say the same about every queue.
    fn compare(&mut self) {
        self.wait();
        let count_max = 1 + self.chance.below(40) as usize;
        let bytes_max = 1 + self.chance.below(20_000) as usize;
        let some = self.chance.bits();
        let (store, oracle) = self.both();
        for &queue in &self.known {
            let pieces = store.outline(queue, (count_max, bytes_max));
            let fits = |piece: &super::Outline| piece.seqs.len() <= count_max && piece.bytes <= bytes_max;
            assert!(pieces.iter().all(|piece| fits(piece) || piece.seqs.len() == 1), "{pieces:?}");
            let seqs = pieces.into_iter().fold(Seqs::default(), join);
            let theirs = oracle.outline(queue, (count_max, bytes_max)).into_iter().fold(Seqs::default(), join);
            assert_eq!(flat(&seqs), flat(&theirs), "outline of queue {}", queue.0);
            same(store.fetch(queue, &seqs).unwrap(), oracle.fetch(queue, &theirs).unwrap(), queue);
            assert!(has_soon(store, queue, &seqs) && oracle.has(queue, &seqs), "queue {} has what it has", queue.0);
            // Some of them and some that are not there.
            let top = seqs.last().unwrap_or(0) + 5;
            let few: Seqs = (0..top).filter(|seq| (some >> (seq % 61)) & 3 == 0).collect();
            same(store.fetch(queue, &few).unwrap(), oracle.fetch(queue, &few).unwrap(), queue);
            let has_few = oracle.has(queue, &few);
            assert_eq!(has_few && has_soon(store, queue, &few), has_few, "queue {} has some", queue.0);
            assert!(has_few || !store.has(queue, &few), "queue {} has none", queue.0);
        }
        self.seen.compared += 1;
    }

    /// Goes on until the segment with the first message in it is used for something else.
    fn use_segments_up(&mut self) {
        let oldest = |pair: &Self| pair.disk.list().unwrap().iter().filter_map(|name| segment_number(name)).min();
        self.queues += 1;
        let queue = QueueId(self.queues);
        for seq in 1..=1000 {
            if oldest(self) > Some(1) {
                return;
            }
            let r = Ref { queue, seq, expires_at_ms: u64::MAX, deliveries: 0 };
            self.submit(&[Op::Publish(vec![0; PAGE], vec![r]), Op::Ack(queue, vec![seq..=seq])]);
            self.wait();
        }
        panic!("the message that stays is never moved");
    }

    /// One turn of the broker.
    fn turn(&mut self) {
        let mut ops = vec![];
        for (queue, seq) in std::mem::take(&mut self.owed) {
            let r = Ref { queue, seq, expires_at_ms: u64::MAX, deliveries: 0 };
            ops.push(Op::Publish(self.body(), vec![r]));
        }
        for _ in 0..=self.chance.below(4) {
            // What the ops before it in this batch have done is not seen yet.
            ops.extend(self.op());
            if self.chance.one_in(2) {
                self.submit(&ops);
                ops.clear();
            }
        }
        self.submit(&ops);
        match self.chance.below(100) {
            0..20 => self.wait(),
            20..25 => self.compare(),
            25..27 => self.reopen(),
            _ => {}
        }
    }

    fn op(&mut self) -> Option<Op> {
        match self.chance.below(100) {
            0..50 => Some(self.publish()),
            50..85 => self.ack(),
            85..94 => self.delivered(),
            94..97 => self.early_ack(),
            97 => self.drop_queue(),
            _ => self.purge(),
        }
    }

    fn body(&mut self) -> Vec<u8> {
        let len = match self.chance.below(60) {
            0 => self.chance.below(2 * self.options.segment_bytes),
            1..8 => self.chance.below(6000),
            _ => self.chance.below(200),
        };
        let mut text = Chance::new(self.chance.bits());
        (0..len).map(|_| text.bits() as u8).collect()
    }

    /// Queues that are published to, but for the one whose message stays.
    fn living(&self) -> Vec<QueueId> {
        self.known.difference(&self.dropped).copied().filter(|queue| *queue != STUCK).collect()
    }

    fn any(&mut self, queues: &[QueueId]) -> Option<QueueId> {
        queues.get(self.chance.below(queues.len().max(1) as u64) as usize).copied()
    }

    fn publish(&mut self) -> Op {
        while self.living().len() < 5 {
            self.queues += 1;
            self.known.insert(QueueId(self.queues));
        }
        let mut queues = self.living();
        if self.chance.one_in(10) {
            // A publisher that has not heard yet that the queue is gone.
            queues.extend(self.dropped.last());
        }
        let fan = if self.chance.one_in(3) { queues.len() } else { 1 };
        let start = self.chance.below(queues.len() as u64) as usize;
        let mut refs = vec![];
        for &queue in queues.iter().cycle().skip(start).take(fan) {
            let gap = if self.chance.one_in(10) { self.chance.below(400) } else { 0 };
            let next = self.next_seq.entry(queue).or_insert(1);
            let seq = *next + gap;
            *next = seq + 1;
            let expires_at_ms = if self.chance.one_in(3) { self.chance.bits() } else { u64::MAX };
            refs.push(Ref { queue, seq, expires_at_ms, deliveries: self.chance.below(2) as u16 });
        }
        self.seen.published += refs.len() as u64;
        Op::Publish(self.body(), refs)
    }

    /// A queue with messages, and these.
    fn live(&mut self) -> Option<(QueueId, Vec<u64>)> {
        let queues = self.living();
        let queue = self.any(&queues)?;
        let pieces = self.both().1.outline(queue, (usize::MAX, usize::MAX));
        let seqs: Vec<u64> = pieces.iter().flat_map(|piece| flat(&piece.seqs)).collect();
        (!seqs.is_empty()).then_some((queue, seqs))
    }

    fn ack(&mut self) -> Option<Op> {
        let (queue, live) = self.live()?;
        let count = 1 + self.chance.below(40) as usize;
        let picked: Vec<u64> = match self.chance.one_in(4) {
            false => live.into_iter().take(count).collect(),
            true => live.into_iter().filter(|_| self.chance.one_in(4)).take(count).collect(),
        };
        self.seen.acked += picked.len() as u64;
        Some(Op::Ack(queue, picked.into_iter().map(|seq| seq..=seq).collect()))
    }

    fn purge(&mut self) -> Option<Op> {
        let (queue, live) = self.live()?;
        self.seen.acked += live.len() as u64;
        Some(Op::Ack(queue, vec![*live.first()?..=*live.last()?]))
    }

    fn delivered(&mut self) -> Option<Op> {
        let (queue, live) = self.live()?;
        let seq = live[self.chance.below(live.len() as u64) as usize];
        let last = (seq + self.chance.below(3)).min(*live.last()?);
        Some(Op::Delivered(queue, self.chance.below(5) as u16, seq..=last))
    }

    fn early_ack(&mut self) -> Option<Op> {
        let queues = self.living();
        let queue = self.any(&queues)?;
        let next = self.next_seq.entry(queue).or_insert(1);
        self.owed.push((queue, *next));
        *next += 1;
        self.seen.early += 1;
        Some(Op::Ack(queue, vec![*next - 1..=*next - 1]))
    }

    fn drop_queue(&mut self) -> Option<Op> {
        let queues = self.living();
        let queue = self.any(&queues)?;
        self.dropped.insert(queue);
        self.known.remove(&queue);
        self.owed.retain(|(owed, _)| *owed != queue);
        self.seen.dropped += 1;
        Some(Op::Drop(queue))
    }
}

fn join(mut all: Seqs, piece: super::Outline) -> Seqs {
    all.append(piece.seqs);
    all
}

fn flat(seqs: &Seqs) -> Vec<u64> {
    seqs.ranges().flatten().collect()
}

#[track_caller]
fn same(ours: Vec<Stored>, theirs: Vec<Stored>, queue: QueueId) {
    let line = |stored: &Stored| (stored.seq, stored.expires_at_ms, stored.deliveries);
    let lines = |all: &[Stored]| all.iter().map(line).collect::<Vec<_>>();
    assert_eq!(lines(&ours), lines(&theirs), "messages of queue {}", queue.0);
    let differs = ours.iter().zip(&theirs).find(|(a, b)| a.message.as_bytes() != b.message.as_bytes());
    assert!(differs.is_none(), "queue {}: {differs:?}", queue.0);
}

fn asked(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

/// The log has what a key-value store has, whatever was done to both.
#[test]
fn both_stores_have_the_same_after_any_operations_and_openings() {
    let (turns, first) = (asked("LEVERET_ORACLE_TURNS", TURNS), asked("LEVERET_ORACLE_SEED", 1));
    for seed in first..first + SEEDS {
        println!("seed {seed}");
        let mut pair = Pair::new(seed);
        for _ in 0..turns / SEEDS {
            pair.turn();
        }
        pair.reopen();
        println!("{:?}", pair.seen);
        let Seen { published, acked, early, dropped, compared, power_cuts, orderly_ends } = pair.seen;
        let least = [published, acked, early, dropped, compared, power_cuts, orderly_ends].into_iter().min();
        assert!(least > Some(0), "everything has happened");
        pair.use_segments_up();
        assert_eq!(pair.both().0.fetch(STUCK, &Seqs::from_iter([1])).unwrap().len(), 1);
    }
}
