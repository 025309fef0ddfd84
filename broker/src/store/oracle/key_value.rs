//! The store's promises kept by a key-value store, fjall: a message is a key, an ack deletes it.
//!
//! ```text
//! messages   queue u64 BE, seq u64 BE | expires at, ms u64 LE | deliveries u16 LE | message
//! queues     queue u64 BE             | highest seq that was ever mentioned u64 LE | 1 if a message had a time to live
//! ```
//!
//! A message of several queues is there several times, every batch is a transaction of its own, and nothing is kept in memory
//! but acks that came before their message: it is plain, so that the log has something to be held against.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use parking_lot::Mutex;

use super::super::early::add;
use super::super::record::{Publish, Record};
use super::super::{Batch, MessageStore, Outline, QueueId, ReadError, RecoveredQueue, Seqs, Stored, Ticket};
use crate::message::Message;

/// In front of the message: when it expires, and how often it was given out.
const VALUE_HEAD: usize = 8 + 2;

/// What fjall keeps in memory, and reads again at every opening, is no more than this.
const MEMTABLE_BYTES: u64 = 1 << 20;

pub(super) struct KeyValueStore {
    state: Mutex<State>,
    durable: AtomicU64,
    failed: OnceLock<String>,
    mode: PersistMode,
    messages: Keyspace,
    queues: Keyspace,
    // The last, since it ends when it is dropped.
    database: Database,
}

#[derive(Default)]
struct State {
    /// Seqs that were acked and had not come, and such as were acked twice: ranges by their first seq.
    early: HashMap<QueueId, BTreeMap<u64, u64>>,
    dropped: HashSet<QueueId>,
}

/// What a batch changes, so that its later records see what the earlier ones did.
#[derive(Default)]
struct Changes {
    /// None for those that go.
    messages: BTreeMap<[u8; 16], Option<Vec<u8>>>,
    /// The highest seq and whether there is a time to live.
    queues: BTreeMap<QueueId, (u64, bool)>,
}

fn key(queue: QueueId, seq: u64) -> [u8; 16] {
    ((u128::from(queue.0) << 64) | u128::from(seq)).to_be_bytes()
}

fn seq_of(key: &[u8]) -> u64 {
    key[8..].first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

fn number(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

fn deliveries(value: &[u8]) -> u16 {
    value[8..].first_chunk().map_or(0, |bytes| u16::from_le_bytes(*bytes))
}

impl KeyValueStore {
    pub(super) fn open(path: &Path, mode: PersistMode) -> fjall::Result<Self> {
        let database = Database::builder(path).worker_threads(1).open()?;
        Ok(KeyValueStore {
            state: Mutex::default(),
            durable: AtomicU64::new(0),
            failed: OnceLock::new(),
            mode,
            messages: database
                .keyspace("messages", || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES))?,
            queues: database.keyspace("queues", KeyspaceCreateOptions::default)?,
            database,
        })
    }

    /// What there is of the known queues, as [`super::super::Recovered`] has it.
    pub(super) fn queues(&self, known: &dyn Fn(QueueId) -> bool) -> fjall::Result<Vec<RecoveredQueue>> {
        let mut all = vec![];
        for entry in self.queues.iter() {
            let (id, value) = entry.into_inner()?;
            let id = QueueId(id.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes)));
            if known(id) {
                let messages = self.messages.range(key(id, 0)..=key(id, u64::MAX)).count() as u64;
                let next_seq = number(&value).saturating_add(1);
                all.push(RecoveredQueue { id, messages, next_seq, has_expiries: value[8] != 0 });
            }
        }
        Ok(all)
    }

    /// The messages of a range of seqs, with a batch's changes.
    fn range(
        &self,
        changes: &Changes,
        queue: QueueId,
        seqs: &RangeInclusive<u64>,
    ) -> fjall::Result<BTreeMap<u64, Vec<u8>>> {
        let keys = key(queue, *seqs.start())..=key(queue, *seqs.end());
        let mut found = BTreeMap::new();
        for entry in self.messages.range(keys.clone()) {
            let (key, value) = entry.into_inner()?;
            found.insert(seq_of(&key), value.to_vec());
        }
        for (key, change) in changes.messages.range(keys) {
            match change {
                Some(value) => drop(found.insert(seq_of(key), value.clone())),
                None => drop(found.remove(&seq_of(key))),
            }
        }
        Ok(found)
    }

    /// All of a batch or nothing.
    fn apply(&self, batch: &Batch) -> fjall::Result<()> {
        let state = &mut *self.state.lock();
        let mut changes = Changes::default();
        let mut rest = &batch.bytes[..];
        for _ in 0..batch.records {
            let record = Record::take(&mut rest).expect("a batch has as many records as it says");
            self.record(record, state, &mut changes)?;
        }
        assert!(rest.is_empty(), "a batch has no more records than it says");
        let mut write = self.database.batch().durability(Some(self.mode));
        for (key, change) in changes.messages {
            match change {
                Some(value) => write.insert(&self.messages, key, value),
                None => write.remove(&self.messages, key),
            }
        }
        for (queue, (top, expires)) in changes.queues {
            let queue = queue.0.to_be_bytes();
            let before = self.queues.get(queue)?;
            let (old_top, expired) = before.map_or((0, false), |value| (number(&value), value[8] != 0));
            let mut value = top.max(old_top).to_le_bytes().to_vec();
            value.push(u8::from(expires || expired));
            write.insert(&self.queues, queue, value);
        }
        write.commit()
    }

    fn record(&self, record: Record<'_>, state: &mut State, changes: &mut Changes) -> fjall::Result<()> {
        match record {
            Record::Publish(publish) => publish_to(publish, state, changes),
            Record::Ack { queue, .. } | Record::Delivered { queue, .. } if state.dropped.contains(&queue) => {}
            Record::Ack { queue, ranges } => {
                for range in ranges {
                    changes.mention(queue, *range.end(), false);
                    let mut next = *range.start();
                    for seq in self.range(changes, queue, &range)?.into_keys() {
                        changes.messages.insert(key(queue, seq), None);
                        absent(state, queue, next, seq);
                        next = seq.saturating_add(1);
                    }
                    absent(state, queue, next, range.end().saturating_add(1));
                }
            }
            Record::Drop { queue } => {
                state.dropped.insert(queue);
                state.early.remove(&queue);
                for seq in self.range(changes, queue, &(0..=u64::MAX))?.into_keys() {
                    changes.messages.insert(key(queue, seq), None);
                }
            }
            Record::Delivered { queue, deliveries: count, ranges } => {
                for range in ranges {
                    changes.mention(queue, *range.end(), false);
                    for (seq, mut value) in self.range(changes, queue, &range)? {
                        let count = count.max(deliveries(&value));
                        value[8..VALUE_HEAD].copy_from_slice(&count.to_le_bytes());
                        changes.messages.insert(key(queue, seq), Some(value));
                    }
                }
            }
        }
        Ok(())
    }

    /// A call to fjall whose failure ends the store.
    fn read<T>(&self, result: fjall::Result<T>) -> Result<T, ReadError> {
        result.map_err(|error| ReadError::Io(std::io::Error::other(error)))
    }
}

fn publish_to(publish: Publish<'_>, state: &State, changes: &mut Changes) {
    for r in publish.refs().filter(|r| !state.dropped.contains(&r.queue)) {
        changes.mention(r.queue, r.seq, r.expires_at_ms != u64::MAX);
        let before = state.early.get(&r.queue).and_then(|early| early.range(..=r.seq).next_back());
        if before.is_some_and(|(_, last)| r.seq <= *last) {
            continue;
        }
        let mut value = r.expires_at_ms.to_le_bytes().to_vec();
        value.extend_from_slice(&r.deliveries.to_le_bytes());
        value.extend_from_slice(publish.message);
        changes.messages.insert(key(r.queue, r.seq), Some(value));
    }
}

/// The seqs from `from` to before `to` were acked and were not there.
fn absent(state: &mut State, queue: QueueId, from: u64, to: u64) {
    if from < to {
        add(state.early.entry(queue).or_default(), from..=to - 1);
    }
}

impl Changes {
    fn mention(&mut self, queue: QueueId, seq: u64, expires: bool) {
        let (top, expired) = self.queues.entry(queue).or_default();
        (*top, *expired) = (seq.max(*top), expires || *expired);
    }
}

impl MessageStore for KeyValueStore {
    fn submit(&self, batch: Batch) -> Ticket {
        if self.failed().is_some() {
            return Ticket::NEVER;
        }
        if batch.is_empty() {
            return self.durable();
        }
        match self.apply(&batch) {
            Ok(()) => Ticket(self.durable.fetch_add(1, Ordering::AcqRel) + 1),
            Err(error) => {
                self.fail(error.to_string());
                Ticket::NEVER
            }
        }
    }

    fn durable(&self) -> Ticket {
        Ticket(self.durable.load(Ordering::Acquire))
    }

    fn wake_when_durable(&self, _ticket: Ticket, waker: &Waker) {
        waker.wake_by_ref();
    }

    fn commit_here(&self) {}

    fn is_congested(&self) -> bool {
        false
    }

    fn failed(&self) -> Option<&str> {
        self.failed.get().map(String::as_str)
    }

    fn fail(&self, why: String) {
        let _ = self.failed.set(why);
    }

    fn trouble(&self) -> Option<String> {
        None
    }

    fn has(&self, queue: QueueId, seqs: &Seqs) -> bool {
        let live =
            |range: RangeInclusive<u64>| self.messages.range(key(queue, *range.start())..=key(queue, *range.end()));
        seqs.ranges().map(|range| live(range).count()).sum::<usize>() == seqs.len()
    }

    fn fetch(&self, queue: QueueId, seqs: &Seqs) -> Result<Vec<Stored>, ReadError> {
        let mut fetched = vec![];
        for range in seqs.ranges() {
            let found = self.read(self.range(&Changes::default(), queue, &range))?;
            fetched.extend(found.into_iter().map(|(seq, value)| Stored {
                seq,
                expires_at_ms: number(&value),
                deliveries: deliveries(&value),
                message: Message::from_wire(&value[VALUE_HEAD..]),
            }));
        }
        Ok(fetched)
    }

    fn outline(&self, queue: QueueId, (count_max, bytes_max): (usize, usize)) -> Vec<Outline> {
        let all = self.read(self.range(&Changes::default(), queue, &(0..=u64::MAX))).unwrap_or_default();
        let mut pieces: Vec<Outline> = vec![];
        for (seq, value) in all {
            let bytes = value.len() - VALUE_HEAD;
            if pieces.last().is_none_or(|last| last.seqs.len() >= count_max || last.bytes + bytes > bytes_max) {
                pieces.push(Outline::default());
            }
            if let Some(last) = pieces.last_mut() {
                last.seqs.push(seq);
                last.bytes += bytes;
            }
        }
        pieces
    }
}
