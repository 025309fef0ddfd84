//! What goes wrong on purpose: failing calls, a full disk, damaged files, another broker, a newer format.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use super::super::block::PAGE;
use super::super::disk::Disk;
use super::super::disk::simulated::{Fault, SimulatedDisk};
use super::super::format::FORMAT;
use super::super::reading;
use super::super::recovery::{self, Findings};
use super::super::writer::Writer;
use super::super::{Batch, OpenError, Options, QueueId, Ref};
use super::everything;
use crate::message::Message;

const QUEUE: QueueId = QueueId(1);

pub(super) fn options() -> Options {
    Options { segment_bytes: 8 * PAGE as u64, ..Options::new(7) }
}

pub(super) fn open_with(disk: &SimulatedDisk, options: &Options) -> Result<(Writer, Findings), OpenError> {
    disk.restart();
    recovery::open(Arc::new(disk.clone()), options, &|_| true)
}

fn open(disk: &SimulatedDisk) -> Writer {
    open_with(disk, &options()).unwrap().0
}

/// Why it cannot be opened.
fn refusal(disk: &SimulatedDisk) -> String {
    open_with(disk, &options()).err().unwrap().to_string()
}

fn publish(writer: &mut Writer, seqs: std::ops::RangeInclusive<u64>) -> std::io::Result<()> {
    for seq in seqs {
        writer.commit(&mut VecDeque::from([message(seq)]))?;
    }
    Ok(())
}

fn message(seq: u64) -> Batch {
    let mut batch = Batch::new();
    let r = Ref { queue: QUEUE, seq, expires_at_ms: u64::MAX, deliveries: 0 };
    batch.publish(&Message::from_wire(&[seq as u8; 100]), &[r]);
    batch
}

pub(super) fn seqs(writer: &Writer) -> Vec<u64> {
    let all = everything(writer, &BTreeSet::from([QUEUE])).unwrap();
    all.into_values().flatten().map(|(seq, _)| seq).collect()
}

/// A store that was left without a word, with so many messages.
pub(super) fn left(messages: u64) -> SimulatedDisk {
    let disk = SimulatedDisk::new(1);
    publish(&mut open(&disk), 1..=messages).unwrap();
    disk
}

fn last_segment(disk: &SimulatedDisk) -> String {
    disk.list().unwrap().into_iter().filter(|name| !name.starts_with("spare") && name.ends_with("seg")).max().unwrap()
}

#[test]
fn a_write_or_sync_that_fails_is_told_and_nothing_before_it_is_lost() {
    for calls in 0..40 {
        let disk = left(3);
        let mut writer = open(&disk);
        disk.fault_after(calls, Fault::Once);
        let mut durable = 3;
        while durable < 30 && publish(&mut writer, durable + 1..=durable + 1).is_ok() {
            durable += 1;
        }
        assert!(durable < 30, "call {calls} failed and nobody noticed");
        drop(writer);
        let found = seqs(&open(&disk));
        assert!(found.len() as u64 >= durable && found.len() as u64 <= durable + 1, "{found:?} {durable}");
        disk.crash();
        assert_eq!(seqs(&open(&disk)), found, "what was there once stays");
    }
}

#[test]
fn a_full_disk_is_told_and_acks_go_on_in_what_is_left() {
    let disk = left(1);
    let mut writer = open(&disk);
    disk.limit(0);
    assert!(writer.spares.prepare().is_err());
    assert!(writer.spares.trouble().is_some());
    publish(&mut writer, 2..=4).unwrap();
    let mut batch = Batch::new();
    batch.ack(QUEUE, [1..=4]);
    writer.commit(&mut VecDeque::from([batch])).unwrap();
    assert!(seqs(&writer).is_empty());
    disk.limit(u64::MAX);
    writer.spares.prepare().unwrap();
    assert!(writer.spares.trouble().is_none());
    publish(&mut writer, 5..=30).unwrap();
    assert_eq!(seqs(&writer).len(), 26);
}

#[test]
fn a_torn_end_is_cut_without_a_word() {
    let disk = left(3);
    // The last block's records, of a write that did not get that far.
    disk.flip("00000001.seg", 2 * PAGE + 70, 3);
    assert_eq!(seqs(&open(&disk)), [1, 2]);
}

#[test]
fn a_disk_without_room_for_what_is_handed_in_is_waited_for() {
    let disk = left(1);
    let mut writer = open(&disk);
    disk.leave(0);
    let mut batches = VecDeque::new();
    let mut last = 1;
    while !writer.is_stuck {
        assert!(batches.is_empty(), "it takes a batch or is stuck");
        last += 1;
        batches.push_back(message(last));
        assert!(last < 100, "a segment takes everything");
        writer.commit(&mut batches).unwrap();
    }
    assert!(batches.len() == 1 && writer.spares.trouble().is_some());
    // Whatever happens now, nothing but that is missing.
    disk.crash();
    disk.limit(u64::MAX);
    assert_eq!(seqs(&open(&disk)).len() as u64, last - 1);
}

#[test]
fn what_waited_for_room_goes_on_when_there_is_some_be_it_little() {
    let disk = left(1);
    let mut writer = open(&disk);
    disk.leave(0);
    let mut batches = VecDeque::new();
    for seq in 2..=40 {
        batches.push_back(message(seq));
        writer.commit(&mut batches).unwrap();
    }
    assert!(writer.is_stuck && !batches.is_empty());
    // Too little for a spare, which others must not find the disk full of.
    let bytes = writer.spares.segment_bytes();
    disk.leave(bytes + bytes / 2);
    let mut written = 0;
    while let taken @ 1.. = writer.commit(&mut batches).unwrap() {
        written += taken;
    }
    assert!(written > 0, "the room is not used");
    disk.limit(u64::MAX);
    while !batches.is_empty() {
        writer.commit(&mut batches).unwrap();
    }
    writer.spares.prepare().unwrap();
    assert!(!writer.is_stuck && writer.spares.trouble().is_none());
    drop(writer);
    assert_eq!(seqs(&open(&disk)).len(), 40);
}

#[test]
fn a_bit_that_flips_before_the_end_is_refused_with_file_and_offset() {
    for (at, bit) in [(PAGE + 3, 0), (PAGE + 40, 7), (PAGE + 80, 1), (PAGE + 170, 5)] {
        let disk = left(3);
        disk.flip("00000001.seg", at, bit);
        let text = "the message store is corrupt: 00000001.seg, offset 4096: a block is not what was written";
        assert_eq!(refusal(&disk), text);
    }
}

#[test]
fn a_bit_that_flips_in_a_full_segment_is_refused() {
    let disk = left(20);
    for page in 0..6 {
        disk.flip("00000001.seg", page * PAGE + 66, 0);
        assert!(refusal(&disk).starts_with("the message store is corrupt: 00000001.seg, offset"), "{page}");
        disk.flip("00000001.seg", page * PAGE + 66, 0);
    }
    // Its seal too.
    disk.flip("00000001.seg", 6 * PAGE + 30, 0);
    assert!(refusal(&disk).contains("the segment ends here, but there are later ones"));
    disk.flip("00000001.seg", 6 * PAGE + 30, 0);
    assert_eq!(seqs(&open(&disk)).len(), 20);
}

#[test]
fn a_file_that_was_cut_off_is_refused() {
    for bytes in [0, 100, PAGE, 3 * PAGE, 7 * PAGE + 1] {
        for name in ["00000001.seg", "00000003.seg"] {
            let disk = left(15);
            assert_eq!(last_segment(&disk), "00000003.seg");
            disk.truncate(name, bytes);
            assert!(refusal(&disk).starts_with(&format!("the message store is corrupt: {name}")), "{name} {bytes}");
        }
    }
}

#[test]
fn who_accepts_the_loss_gets_the_rest_and_hears_what_is_missing() {
    let disk = left(20);
    disk.flip("00000001.seg", PAGE + 66, 0);
    let accepting = Options { accept_data_loss: true, ..options() };
    let (mut writer, findings) = open_with(&disk, &accepting).unwrap();
    assert_eq!(seqs(&writer), [1].into_iter().chain(3..=20).collect::<Vec<_>>());
    assert_eq!(findings.damage.len(), 1);
    assert_eq!((findings.damage[0].from, findings.damage[0].to), (PAGE as u64, 2 * PAGE as u64));
    // What is left of the damaged segment moves, and the store is whole again.
    while writer.has_work() || writer.commit(&mut VecDeque::new()).is_ok_and(|_| writer.has_work()) {
        writer.commit(&mut VecDeque::new()).unwrap();
    }
    drop(writer);
    assert_eq!(seqs(&open(&disk)).len(), 19);
}

#[test]
fn a_second_broker_is_refused() {
    let disk = SimulatedDisk::new(1);
    let _first = open(&disk);
    let second = recovery::open(Arc::new(disk.clone()), &options(), &|_| true);
    assert!(matches!(second, Err(OpenError::Locked)));
}

#[test]
fn a_newer_or_damaged_format_is_refused() {
    let disk = left(1);
    let at = disk.content(FORMAT).iter().position(|byte| *byte == b'1').unwrap();
    disk.flip(FORMAT, at, 1);
    assert!(matches!(open_with(&disk, &options()), Err(OpenError::Newer(3))));
    disk.flip(FORMAT, at, 1);
    for at in 0..disk.content(FORMAT).len() {
        disk.flip(FORMAT, at, 0);
        assert!(open_with(&disk, &options()).is_err(), "byte {at}");
        disk.flip(FORMAT, at, 0);
    }
    assert_eq!(seqs(&open(&disk)), [1]);
    disk.restart();
    disk.remove(FORMAT).unwrap();
    assert!(refusal(&disk).contains("there are segments, but no file FORMAT"));
}

#[test]
fn a_message_larger_than_a_segment_has_one_of_its_own() {
    let disk = SimulatedDisk::new(1);
    let mut writer = open(&disk);
    publish(&mut writer, 1..=2).unwrap();
    let mut batch = Batch::new();
    let r = Ref { queue: QUEUE, seq: 3, expires_at_ms: u64::MAX, deliveries: 0 };
    batch.publish(&Message::from_wire(&vec![7; 100 * PAGE]), &[r]);
    writer.commit(&mut VecDeque::from([batch])).unwrap();
    publish(&mut writer, 4..=5).unwrap();
    drop(writer);
    assert_eq!(seqs(&open(&disk)), [1, 2, 3, 4, 5]);
}

#[test]
fn a_delivery_that_is_noted_before_its_message_is_not_forgotten() {
    let disk = SimulatedDisk::new(1);
    let mut writer = open(&disk);
    let note = |seqs: std::ops::RangeInclusive<u64>| {
        let mut batch = Batch::new();
        batch.delivered(QUEUE, 1, [seqs]);
        VecDeque::from([batch])
    };
    let deliveries = |writer: &Writer| {
        let stored = reading::load(&writer.ledger, QUEUE, 0, (1000, usize::MAX)).unwrap();
        stored.iter().map(|stored| stored.deliveries).collect::<Vec<_>>()
    };
    publish(&mut writer, 1..=2).unwrap();
    writer.commit(&mut note(2..=4)).unwrap();
    publish(&mut writer, 3..=5).unwrap();
    assert_eq!(deliveries(&writer), [0, 1, 1, 1, 0]);
    // The note's own segment goes long before the messages.
    for round in 0..60 {
        let first = round * 50 + 10;
        publish(&mut writer, first..=first + 49).unwrap();
        let mut batch = Batch::new();
        batch.ack(QUEUE, [first..=first + 49]);
        writer.commit(&mut VecDeque::from([batch])).unwrap();
    }
    while writer.has_work() {
        writer.commit(&mut VecDeque::new()).unwrap();
    }
    drop(writer);
    assert_eq!(deliveries(&open(&disk)), [0, 1, 1, 1, 0]);
}

#[test]
fn what_is_acked_gives_its_room_back() {
    let disk = SimulatedDisk::new(1);
    let mut writer = open(&disk);
    // One in fifty stays for good.
    for round in 0..60 {
        let first = round * 50 + 1;
        publish(&mut writer, first..=first + 49).unwrap();
        let mut batch = Batch::new();
        batch.ack(QUEUE, [first + 1..=first + 49]);
        writer.commit(&mut VecDeque::from([batch])).unwrap();
    }
    while writer.has_work() {
        writer.commit(&mut VecDeque::new()).unwrap();
    }
    let names = disk.list().unwrap();
    assert!(names.len() < 25, "3000 messages of a page each left {names:?}");
    drop(writer);
    assert_eq!(seqs(&open(&disk)), (0..60).map(|round| round * 50 + 1).collect::<Vec<_>>());
}
