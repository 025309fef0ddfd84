//! The simulation finds each mistake that a store can be told to make.

use super::super::Options;
use super::super::block::PAGE;
use super::super::defect::{Defect, Sabotage};
use super::{faults, live};

/// Lives that a defect may go unnoticed in.
const LIVES: u64 = 3000;

/// All but the one that crashes alone do not show.
const DEFECTS: &[Defect] = &[
    Defect::NoSync,
    Defect::DurableBeforeWrite,
    Defect::SyncNowAndThen,
    Defect::NoSealSync,
    Defect::NoSeal,
    Defect::NoDirSyncBeforeUse,
    Defect::NoDirSyncAfterFree,
    Defect::OffsetKeptAtSwitch,
    Defect::SealOverLastBlock,
    Defect::StaleBlocksPass,
    Defect::RecordsUnchecked,
    Defect::AcksFreedWithTheirSegment,
    Defect::FreedBeforeMoved,
    Defect::DeadMessagesMoved,
    Defect::MovedForOneQueueOnly,
    Defect::DeliveriesLostWhenMoved,
    Defect::EarlyAcksForgotten,
    Defect::LastOfRangeNotAcked,
    Defect::TailNotSealed,
    Defect::TailNotRewritten,
    Defect::FailedSyncRetried,
    Defect::NextSeqFromLiveOnly,
    Defect::NoDirSyncAtOpen,
    Defect::TailSealedTooEarly,
    Defect::EarlyAcksNotRepeated,
];

/// The first life that shows it; a panic shows it as well.
fn caught(defect: Defect) -> Option<(u64, String)> {
    (0..LIVES).find_map(|seed| {
        let lived = std::panic::catch_unwind(|| live(seed..seed + 1, Some(defect)));
        match lived {
            Ok(Ok(_)) => None,
            Ok(Err(what)) => Some((seed, what)),
            Err(_) => Some((seed, "a panic".into())),
        }
    })
}

/// What it would mean to take corruption for a torn end.
#[test]
fn a_store_that_cuts_at_every_bad_block_loses_messages() {
    let options = Options { sabotage: Sabotage { defect: Some(Defect::EveryBadBlockIsTorn) }, ..faults::options() };
    let disk = faults::left(3);
    disk.flip("00000001.seg", PAGE + 70, 3);
    let (writer, _) = faults::open_with(&disk, &options).unwrap();
    assert_eq!(faults::seqs(&writer), [1]);
}

#[test]
fn every_mistake_is_caught() {
    let mut missed = vec![];
    for &defect in DEFECTS {
        match caught(defect) {
            Some((lives, what)) => println!("{defect:?}: life {lives}: {}", what.replace('\n', " ")),
            None => missed.push(defect),
        }
    }
    assert!(missed.is_empty(), "not caught: {missed:?}");
}
