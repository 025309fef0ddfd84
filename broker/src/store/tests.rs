//! The store as the broker has it, with its threads and on a real disk.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

use super::inbox::{Inbox, Orders};
use super::{Batch, MessageStore, OpenError, Options, QueueId, Recovered, Ref, Store, Ticket, inspect};
use crate::message::Message;
use leveret_spec::Properties;

const QUEUE: QueueId = QueueId(1);

/// True if it is, now or within half a minute.
pub(super) fn soon(is: impl Fn() -> bool) -> bool {
    for _ in 0..30_000 {
        if is() {
            return true;
        }
        thread::sleep(Duration::from_millis(1));
    }
    false
}

#[test]
fn what_wakes_the_writer_out_of_a_long_sleep_is_written_before_anything_is_collected() {
    let inbox = Inbox::default();
    let is_work = thread::scope(|scope| {
        let writer = scope.spawn(|| inbox.wait(true));
        assert!(soon(|| inbox.is_quiet()));
        inbox.order(Orders { stop: true, ..Orders::default() });
        writer.join().unwrap()
    });
    assert!(is_work);
}

/// A directory that goes with the test.
pub(super) struct Folder(pub(super) PathBuf);

impl Folder {
    pub(super) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("leveret-store-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn open(path: &Path) -> Result<(Store, Recovered), OpenError> {
    Store::open(path, &Options { segment_bytes: 256 << 10, ..Options::new(7) }, &|_| true)
}

fn batch(seq: u64) -> Batch {
    let mut batch = Batch::new();
    let r = Ref { queue: QUEUE, seq, expires_at_ms: u64::MAX, deliveries: 0 };
    batch.publish(&Message::from_wire(&seq.to_le_bytes().repeat(20)), &[r]);
    batch
}

fn ack(seqs: std::ops::RangeInclusive<u64>) -> Batch {
    let mut batch = Batch::new();
    batch.ack(QUEUE, [seqs]);
    batch
}

/// Waits until the batch stays.
fn wait(store: &Store, ticket: Ticket) {
    store.wait(ticket);
    assert_eq!(store.failed(), None);
}

fn seqs(store: &Store) -> Vec<u64> {
    let (mut seqs, mut from) = (vec![], 0);
    loop {
        let loaded = store.load(QUEUE, from, 1000, 1 << 20).unwrap();
        let Some(last) = loaded.last() else { return seqs };
        from = last.seq + 1;
        assert!(loaded.iter().all(|stored| stored.message.as_bytes() == stored.seq.to_le_bytes().repeat(20)));
        seqs.extend(loaded.iter().map(|stored| stored.seq));
    }
}

#[test]
fn what_was_durable_is_there_when_the_store_is_opened_again() {
    let folder = Folder::new("again");
    let (store, recovered) = open(&folder.0).unwrap();
    assert_eq!((recovered.messages, recovered.queues.len()), (0, 0));
    let last = (1..=1000).map(|seq| store.submit(batch(seq))).last().unwrap();
    wait(&store, last);
    let last = store.submit(ack(1..=600));
    wait(&store, last);
    drop(store);
    let (store, recovered) = open(&folder.0).unwrap();
    assert_eq!((recovered.messages, recovered.queues[0].messages, recovered.queues[0].next_seq), (400, 400, 1001));
    assert_eq!(seqs(&store), (601..=1000).collect::<Vec<_>>());
}

#[test]
fn what_was_handed_in_is_written_before_the_store_ends() {
    let folder = Folder::new("end");
    let (store, _) = open(&folder.0).unwrap();
    for seq in 1..=100 {
        store.submit(batch(seq));
    }
    drop(store);
    assert_eq!(seqs(&open(&folder.0).unwrap().0).len(), 100);
}

#[test]
fn many_publishers_share_the_syncs_and_segments_are_used_again() {
    let folder = Folder::new("many");
    let (store, _) = open(&folder.0).unwrap();
    thread::scope(|scope| {
        for publisher in 0..4 {
            let store = &store;
            scope.spawn(move || {
                for round in 0..40 {
                    let own = |n: u64| 1 + publisher + 4 * (round * 50 + n);
                    let last = (0..50).map(|n| store.submit(batch(own(n)))).last().unwrap();
                    wait(store, last);
                    // The first ten rounds go again.
                    for n in (0..50).filter(|_| round < 10) {
                        store.submit(ack(own(n)..=own(n)));
                    }
                }
            });
        }
    });
    drop(store);
    assert_eq!(seqs(&open(&folder.0).unwrap().0), (2001..=8000).collect::<Vec<_>>());
}

#[test]
fn a_second_broker_on_the_directory_is_refused() {
    let folder = Folder::new("second");
    let first = open(&folder.0).unwrap();
    assert!(matches!(open(&folder.0), Err(OpenError::Locked)));
    assert!(matches!(inspect(&folder.0), Err(OpenError::Locked)));
    drop(first);
    assert!(open(&folder.0).is_ok());
}

#[test]
fn nobody_else_may_look_into_the_files() {
    let folder = Folder::new("mode");
    let (store, _) = open(&folder.0).unwrap();
    let last = store.submit(batch(1));
    wait(&store, last);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder.0), 0o700);
    for entry in fs::read_dir(&folder.0).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
    }
}

#[test]
fn a_backup_of_a_store_in_use_has_what_was_durable() {
    let (folder, target) = (Folder::new("live"), Folder::new("copy"));
    let (store, _) = open(&folder.0).unwrap();
    let last = (1..=3000).map(|seq| store.submit(batch(seq))).last().unwrap();
    wait(&store, last);
    store.backup(&target.0).unwrap();
    assert!(store.backup(&target.0).is_err());
    // The original goes on and gives its segments up, which the copy must not notice.
    let last = store.submit(ack(1..=3000));
    wait(&store, last);
    let last = (3001..=9000).map(|seq| store.submit(batch(seq))).last().unwrap();
    wait(&store, last);
    assert_eq!(inspect(&target.0).unwrap().damage, []);
    assert_eq!(seqs(&open(&target.0).unwrap().0), (1..=3000).collect::<Vec<_>>());
    assert_eq!(seqs(&store), (3001..=9000).collect::<Vec<_>>());
}

#[test]
fn an_inspection_counts_and_finds_damage() {
    let folder = Folder::new("inspect");
    assert!(inspect(&folder.0).is_err() && !folder.0.exists());
    let (store, _) = open(&folder.0).unwrap();
    for seq in 1..=100 {
        let ticket = store.submit(batch(seq));
        wait(&store, ticket);
    }
    drop(store);
    let report = inspect(&folder.0).unwrap();
    assert_eq!((report.messages, report.queues, report.damage), (100, vec![(QUEUE, 100)], vec![]));
    let path = folder.0.join("00000001.seg");
    let mut bytes = fs::read(&path).unwrap();
    bytes[4096 + 70] ^= 1;
    fs::write(&path, bytes).unwrap();
    let report = inspect(&folder.0).unwrap();
    let text = "00000001.seg, offset 4096: a block is not what was written";
    assert_eq!((report.damage.len(), report.damage[0].to_string().as_str()), (1, text));
    let Err(refused) = open(&folder.0) else { panic!("a damaged store was opened") };
    assert_eq!(refused.to_string(), format!("the message store is corrupt: {text}"));
}

#[test]
#[ignore = "measures; takes seconds and a gigabyte of disk"]
fn how_fast_it_is() {
    // Bytes of a message, messages, and how far acks are behind, if they come.
    for (bytes, messages, behind) in [(150, 1_000_000, 20_000), (1100, 400_000, 20_000), (150, 4_000_000, u64::MAX)] {
        let folder = Folder::new("fast");
        let (store, _) = Store::open(&folder.0, &Options::new(7), &|_| true).unwrap();
        let started = SystemTime::now();
        let message = Message::from_wire(&vec![7; bytes]);
        let mut last = Ticket::default();
        for group in 0..messages / 200 {
            let mut batch = Batch::new();
            for seq in group * 200 + 1..=group * 200 + 200 {
                batch.publish(&message, &[Ref { queue: QUEUE, seq, expires_at_ms: u64::MAX, deliveries: 0 }]);
                batch.ack(QUEUE, seq.checked_sub(behind).filter(|seq| *seq > 0).map(|seq| seq..=seq));
            }
            last = store.submit(batch);
            while store.is_congested() {
                wait(&store, Ticket(last.0.saturating_sub(20)));
            }
        }
        wait(&store, last);
        let rate = messages as f64 / started.elapsed().unwrap().as_secs_f64();
        drop(store);
        let started = SystemTime::now();
        let (store, recovered) = Store::open(&folder.0, &Options::new(7), &|_| true).unwrap();
        let (opened, started) = (started.elapsed().unwrap(), SystemTime::now());
        let (mut loaded, mut from) = (0, 0);
        while let Some(last) = {
            let some = store.load(QUEUE, from, 10_000, 4 << 20).unwrap();
            loaded += some.len();
            some.last().map(|stored| stored.seq)
        } {
            from = last + 1;
        }
        let read = started.elapsed().unwrap();
        println!(
            "{bytes} bytes, acks {behind} behind: {rate:.0} messages/s; then {} of {} segments",
            loaded, recovered.segments
        );
        println!("  opened in {opened:?}, read in {read:?}");
    }
}

/// Hands in ten million messages in groups of 200, and acks of those that do not stay a while behind them.
fn fill(path: &Path, stays: impl Fn(u64) -> bool) {
    const MESSAGES: u64 = 10_000_000;
    const BEHIND: u64 = 100_000;
    let (store, _) = Store::open(path, &Options::new(7), &|_| true).unwrap();
    let message =
        Message::compose("", "a-queue", &Properties { delivery_mode: Some(2), ..Properties::default() }, &[7; 100]);
    let mut last = Ticket::default();
    for group in 0..(MESSAGES + BEHIND) / 200 {
        let mut batch = Batch::new();
        let seqs = group * 200 + 1..=group * 200 + 200;
        for seq in seqs.clone().filter(|seq| *seq <= MESSAGES) {
            batch.publish(&message, &[Ref { queue: QUEUE, seq, expires_at_ms: u64::MAX, deliveries: 0 }]);
        }
        let acked = seqs.filter_map(|seq| seq.checked_sub(BEHIND)).filter(|seq| *seq > 0 && !stays(*seq));
        batch.ack(QUEUE, acked.map(|seq| seq..=seq));
        last = store.submit(batch);
        while store.is_congested() {
            wait(&store, Ticket(last.0.saturating_sub(20)));
        }
    }
    wait(&store, last);
}

#[test]
#[ignore = "measures; takes a minute and two gigabytes of disk"]
fn how_fast_it_opens() {
    type Stays = fn(u64) -> bool;
    let cases: [(&str, Stays); 3] = [
        ("all of them stay", |_| true),
        ("the last tenth stays", |seq| seq > 9_000_000),
        ("one in ten stays", |seq| seq.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32 & 0xFF < 26),
    ];
    for (name, stays) in cases {
        let folder = Folder::new("opens");
        let started = SystemTime::now();
        fill(&folder.0, stays);
        println!("ten million messages, {name}: filled in {:?}", started.elapsed().unwrap());
        for _ in 0..4 {
            let started = SystemTime::now();
            let (_store, recovered) = Store::open(&folder.0, &Options::new(7), &|_| true).unwrap();
            let opened = started.elapsed().unwrap();
            let Recovered { messages, segments, log_bytes, .. } = recovered;
            println!("  {messages} messages in {segments} segments, {} MB: opened in {opened:?}", log_bytes >> 20);
        }
    }
}
