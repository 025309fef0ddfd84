//! Random operations on a disk that lies, crashes at random calls, and a plain model that says what has to be there.
//!
//! A life is some epochs: open, compare with the model, work until a crash or a failing call. Everything in it comes from
//! its seed. What a store may have after a crash: what was durable, and of the batches in doubt the first few whole ones.

mod defects;
mod faults;
mod model;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

pub(super) use self::model::Op;
use self::model::{Held, Model};
use super::block::PAGE;
use super::defect::{Defect, Sabotage};
use super::disk::simulated::{Chance, Fault, SimulatedDisk};
use super::writer::Writer;
use super::{Batch, Options, QueueId, Ref, reading, recovery};

/// Epochs of a life.
const EPOCHS: u64 = 5;

/// One store from its first opening on.
struct Life {
    seed: u64,
    disk: SimulatedDisk,
    chance: Chance,
    options: Options,
    model: Model,
    /// The same with all batches that were handed in.
    ahead: Model,
    /// Batches that may be there or not, in their order.
    doubtful: VecDeque<Vec<Op>>,
    /// The queues of the metadata.
    known: BTreeSet<QueueId>,
    /// Those of them that nobody publishes to any more, and such as the metadata has forgotten.
    dropped: BTreeSet<QueueId>,
    next_queue: u64,
    next_seq: BTreeMap<QueueId, u64>,
    /// Messages whose ack has been handed in before them.
    owed: Vec<(QueueId, u64)>,
    bodies: u64,
    crashes: u64,
}

impl Life {
    fn new(seed: u64, defect: Option<Defect>) -> Self {
        let mut chance = Chance::new(seed.wrapping_mul(0x9E37_79B9).wrapping_add(1));
        let segment_bytes = (4 + chance.below(12)) * PAGE as u64;
        let mut options = Options { segment_bytes, ..Options::new(0x1234_5678 ^ u128::from(seed)) };
        options.sabotage = Sabotage { defect };
        Life {
            seed,
            disk: SimulatedDisk::new(seed),
            chance,
            options,
            model: Model::default(),
            ahead: Model::default(),
            doubtful: VecDeque::new(),
            known: BTreeSet::new(),
            dropped: BTreeSet::new(),
            next_queue: 1,
            next_seq: BTreeMap::new(),
            owed: vec![],
            bodies: 0,
            crashes: 0,
        }
    }

    /// Lives it; how many crashes there were.
    fn run(mut self) -> Result<u64, String> {
        for epoch in 0..EPOCHS {
            self.epoch().map_err(|what| format!("seed {}, epoch {epoch}: {what}", self.seed))?;
        }
        Ok(self.crashes)
    }

    fn epoch(&mut self) -> Result<(), String> {
        while self.chance.one_in(4) {
            // A crash while the last one is recovered from.
            self.disk.fault_after(self.chance.below(14), Fault::Crash);
            if self.open().is_ok() && !self.disk.is_down() {
                break;
            }
            self.crash();
        }
        self.disk.restart();
        let mut writer = self.open()?;
        self.compare(&writer)?;
        let fault = if self.chance.one_in(5) { Fault::Once } else { Fault::Crash };
        self.disk.fault_after(self.chance.below(120), fault);
        let ended = self.work(&mut writer)?;
        if ended && self.chance.one_in(2) && settled(&mut writer)? {
            // An orderly end.
            let _ = writer.seal();
        }
        drop(writer);
        if fault == Fault::Crash || self.chance.one_in(2) {
            self.crash();
        }
        self.disk.restart();
        Ok(())
    }

    fn crash(&mut self) {
        self.crashes += 1;
        self.disk.crash();
    }

    fn open(&mut self) -> Result<Writer, String> {
        let known = self.known.clone();
        let opened = recovery::open(Arc::new(self.disk.clone()), &self.options, &|queue| known.contains(&queue));
        let (mut writer, _) = opened.map_err(|error| error.to_string())?;
        writer.young = (self.seed % 3) as u32;
        Ok(writer)
    }

    /// The store has to be in one of the states that it may be in; which one is known from now on.
    fn compare(&mut self, writer: &Writer) -> Result<(), String> {
        let found = everything(writer, &self.known)?;
        let mut state = self.model.clone();
        let mut fits = None;
        let mut reason = String::new();
        for taken in 0..=self.doubtful.len() {
            if let Some(ops) = taken.checked_sub(1).and_then(|n| self.doubtful.get(n)) {
                state.apply(ops);
            }
            state.queues.retain(|id, _| self.known.contains(id));
            match state.difference(&found) {
                None => fits = Some(state.clone()),
                Some(difference) => reason += &format!("\nwith {taken} batches in doubt, {difference}"),
            }
        }
        self.model = fits.ok_or(reason)?;
        self.model.restart();
        self.ahead = self.model.clone();
        self.doubtful.clear();
        self.owed.clear();
        let ledger = writer.ledger.lock();
        let sabotaged = self.options.sabotage.has(Defect::NextSeqFromLiveOnly);
        let next_seq = |id: &QueueId| {
            let live = self.model.queues.get(id).and_then(|queue| Some(*queue.last_key_value()?.0)).unwrap_or(0);
            let next = ledger.index.get(id).map_or(1, |queue| queue.next_seq());
            (*id, if sabotaged { live + 1 } else { next })
        };
        self.next_seq = self.known.iter().map(next_seq).collect();
        Ok(())
    }

    /// Works until something fails; true if nothing did.
    fn work(&mut self, writer: &mut Writer) -> Result<bool, String> {
        for _ in 0..self.chance.below(60) {
            let mut batches: VecDeque<Batch> = VecDeque::new();
            for _ in 0..self.chance.below(4) {
                let ops = self.turn();
                let mut batch = Batch::new();
                ops.iter().for_each(|op| op.put(&mut batch));
                self.ahead.apply(&ops);
                self.doubtful.push_back(ops);
                batches.push_back(batch);
            }
            if writer.spares.is_short() && self.chance.one_in(3) && writer.spares.prepare().is_err() {
                return Ok(false);
            }
            loop {
                if self.options.sabotage.has(Defect::DurableBeforeWrite) {
                    self.durable(batches.len());
                }
                let Ok(taken) = writer.commit(&mut batches) else { return Ok(false) };
                if !self.options.sabotage.has(Defect::DurableBeforeWrite) {
                    self.durable(taken);
                }
                if batches.is_empty() {
                    break;
                }
            }
            if self.chance.one_in(16) {
                let found = everything(writer, &self.known)?;
                let mut state = self.model.clone();
                state.queues.retain(|id, _| self.known.contains(id));
                if let Some(difference) = state.difference(&found) {
                    return Err(format!("without a crash: {difference}"));
                }
            }
        }
        Ok(true)
    }

    /// So many batches are durable.
    fn durable(&mut self, batches: usize) {
        for ops in self.doubtful.drain(..batches) {
            self.model.apply(&ops);
        }
    }

    /// The records of a turn.
    fn turn(&mut self) -> Vec<Op> {
        let mut ops = vec![];
        // The messages whose acks were faster.
        for (queue, seq) in std::mem::take(&mut self.owed) {
            let r = Ref { queue, seq, expires_at_ms: u64::MAX, deliveries: 0 };
            ops.push(Op::Publish(self.body(), vec![r]));
        }
        for _ in 0..=self.chance.below(4) {
            ops.extend(self.op());
        }
        ops
    }

    fn op(&mut self) -> Option<Op> {
        match self.chance.below(100) {
            0..50 => self.publish(),
            50..85 => self.ack(),
            85..95 => self.delivered(),
            95..98 => self.early_ack(),
            98 => self.drop_queue(),
            _ => self.purge(),
        }
    }

    fn body(&mut self) -> Vec<u8> {
        self.bodies += 1;
        let len = match self.chance.below(40) {
            0 => self.chance.below(3 * self.options.segment_bytes),
            1..6 => self.chance.below(6000),
            _ => self.chance.below(200),
        };
        let mut text = Chance::new(self.bodies);
        (0..len).map(|_| text.bits() as u8).collect()
    }

    fn publish(&mut self) -> Option<Op> {
        while self.known.difference(&self.dropped).count() < 4 {
            self.known.insert(QueueId(self.next_queue));
            self.next_seq.insert(QueueId(self.next_queue), 1);
            self.next_queue += 1;
        }
        let mut refs = vec![];
        let mut queues: Vec<_> = self.known.difference(&self.dropped).copied().collect();
        if self.chance.one_in(10) {
            // A publisher that has not heard yet that the queue is gone.
            queues.extend(self.dropped.difference(&self.known).last());
        }
        let fan = if self.chance.one_in(3) { 4 } else { 1 };
        let start = self.chance.below(queues.len() as u64) as usize;
        for queue in queues.iter().cycle().skip(start).take(fan.min(queues.len())) {
            let gap = if self.chance.one_in(10) { self.chance.below(400) } else { 0 };
            let next = self.next_seq.entry(*queue).or_insert(1);
            let seq = *next + gap;
            *next = seq + 1;
            let expires_at_ms = if self.chance.one_in(3) { self.chance.bits() } else { u64::MAX };
            refs.push(Ref { queue: *queue, seq, expires_at_ms, deliveries: 0 });
        }
        Some(Op::Publish(self.body(), refs))
    }

    /// What a queue has, with the batches that are on the way.
    fn live(&mut self) -> Option<(QueueId, Vec<u64>)> {
        let known = |id: &QueueId| self.known.contains(id);
        let queues: Vec<_> = self.ahead.queues.iter().filter(|(id, queue)| known(id) && !queue.is_empty()).collect();
        let (id, queue) = queues.get(self.chance.below(queues.len().max(1) as u64) as usize)?;
        Some((**id, queue.keys().copied().collect()))
    }

    fn ack(&mut self) -> Option<Op> {
        let (queue, live) = self.live()?;
        let count = 1 + self.chance.below(12) as usize;
        // The first ones mostly; sometimes any.
        let picked: Vec<u64> = match self.chance.one_in(3) {
            false => live.into_iter().take(count).collect(),
            true => live.into_iter().filter(|_| self.chance.one_in(4)).take(count).collect(),
        };
        Some(Op::Ack(queue, picked.into_iter().map(|seq| seq..=seq).collect()))
    }

    fn purge(&mut self) -> Option<Op> {
        let (queue, live) = self.live()?;
        Some(Op::Ack(queue, vec![*live.first()?..=*live.last()?]))
    }

    fn delivered(&mut self) -> Option<Op> {
        let (queue, live) = self.live()?;
        let seq = live[self.chance.below(live.len() as u64) as usize];
        let last = (seq + self.chance.below(3)).min(*live.last()?);
        Some(Op::Delivered(queue, self.chance.below(5) as u16, seq..=last))
    }

    fn early_ack(&mut self) -> Option<Op> {
        let queue = *self.known.difference(&self.dropped).next()?;
        let next = self.next_seq.entry(queue).or_insert(1);
        self.owed.push((queue, *next));
        *next += 1;
        Some(Op::Ack(queue, vec![*next - 1..=*next - 1]))
    }

    fn drop_queue(&mut self) -> Option<Op> {
        let queue = *self.known.difference(&self.dropped).next()?;
        self.dropped.insert(queue);
        self.owed.retain(|(owed, _)| *owed != queue);
        // Mostly the metadata is deleted first, as it should be.
        if !self.chance.one_in(3) {
            self.known.remove(&queue);
        }
        Some(Op::Drop(queue))
    }
}

/// Lets the store tidy up; nothing may be kept for nothing then. False if a call failed meanwhile.
fn settled(writer: &mut Writer) -> Result<bool, String> {
    for _ in 0..1000 {
        if writer.commit(&mut VecDeque::new()).is_err() {
            return Ok(false);
        }
        if !writer.has_work() {
            let ledger = writer.ledger.lock();
            let kept = ledger.segments.iter().find(|(number, segment)| {
                **number != writer.current.number && (segment.is_evacuated || segment.live == 0)
            });
            return kept.map_or(Ok(true), |(number, _)| Err(format!("segment {number} is kept for nothing")));
        }
    }
    Err("the store never comes to rest".into())
}

/// All that is in the store, read in small steps.
fn everything(writer: &Writer, known: &BTreeSet<QueueId>) -> Result<BTreeMap<QueueId, BTreeMap<u64, Held>>, String> {
    let mut all = BTreeMap::new();
    for &queue in known {
        let mut messages = BTreeMap::new();
        let mut from = 0;
        loop {
            let loaded = reading::load(&writer.ledger, queue, from, (7, 5000)).map_err(|error| error.to_string())?;
            let Some(last) = loaded.last() else { break };
            from = last.seq + 1;
            for stored in loaded {
                let body = stored.message.as_bytes().to_vec();
                let held = Held { body, expires_at_ms: stored.expires_at_ms, deliveries: stored.deliveries };
                if messages.insert(stored.seq, held).is_some() {
                    return Err(format!("queue {} has seq {} twice", queue.0, stored.seq));
                }
            }
        }
        all.insert(queue, messages);
    }
    Ok(all)
}

/// Lives these lives; how many crashes there were.
fn live(seeds: std::ops::Range<u64>, defect: Option<Defect>) -> Result<u64, String> {
    let mut crashes = 0;
    for seed in seeds {
        crashes += Life::new(seed, defect).run()?;
    }
    Ok(crashes)
}

/// The seeds to run: `LEVERET_STORE_SEEDS=from..to`, or the default.
fn seeds(default: std::ops::Range<u64>) -> std::ops::Range<u64> {
    let asked = std::env::var("LEVERET_STORE_SEEDS").ok();
    let parsed = asked.and_then(|text| {
        let (from, to) = text.split_once("..")?;
        Some(from.parse().ok()?..to.parse().ok()?)
    });
    parsed.unwrap_or(default)
}

#[test]
fn what_was_durable_is_there_after_any_crash_and_what_was_acked_is_not() {
    let crashes = live(seeds(0..600), None).unwrap_or_else(|what| panic!("{what}"));
    println!("{crashes} crashes");
}

#[test]
#[ignore = "takes minutes: 100,000 crash states and more"]
fn a_hundred_thousand_crashes_lose_nothing() {
    let crashes = live(seeds(1_000_000..1_025_000), None).unwrap_or_else(|what| panic!("{what}"));
    println!("{crashes} crashes");
}
