//! Mistakes that a store may have: the simulation has to find each of them, which shows that it looks.

/// One mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Defect {
    /// A group's block is written and not synced.
    NoSync,
    /// A group counts as durable before its block is written.
    DurableBeforeWrite,
    /// Every tenth sync is left out, as one would to save time.
    SyncNowAndThen,
    /// The seal is not synced before the next segment is written to.
    NoSealSync,
    /// A full segment is left without a seal.
    NoSeal,
    /// A new segment is written to before its name stays.
    NoDirSyncBeforeUse,
    /// A dead segment is reused before the names of those before it stay.
    NoDirSyncAfterFree,
    /// A new segment begins where the old one ended.
    OffsetKeptAtSwitch,
    /// The seal is written a page too early.
    SealOverLastBlock,
    /// Blocks of another segment in the same file pass.
    StaleBlocksPass,
    /// The checksum of the records is not looked at.
    RecordsUnchecked,
    /// A bad block always counts as the torn end.
    EveryBadBlockIsTorn,
    /// Dead segments go although acks in them are needed.
    AcksFreedWithTheirSegment,
    /// A segment goes when its messages were moved, before the block that they were moved to is written.
    FreedBeforeMoved,
    /// What was acked meanwhile is moved all the same.
    DeadMessagesMoved,
    /// A moved message loses all its places but the first.
    MovedForOneQueueOnly,
    /// A moved message forgets how often it was delivered.
    DeliveriesLostWhenMoved,
    /// An ack that comes before its message is forgotten.
    EarlyAcksForgotten,
    /// The last seq of a range of acks is left out.
    LastOfRangeNotAcked,
    /// What is left behind the torn end may be appended to.
    TailNotSealed,
    /// The last block, which perhaps only the cache has, is believed.
    TailNotRewritten,
    /// The writer goes on after a failed sync.
    FailedSyncRetried,
    /// Recovery numbers arrivals from the live messages only.
    NextSeqFromLiveOnly,
    /// Recovery writes to its new segment before the names stay.
    NoDirSyncAtOpen,
    /// Recovery's seal may stay although the last block, written once more, does not.
    TailSealedTooEarly,
    /// A message that was acked before it came is not acked again.
    EarlyAcksNotRepeated,
}

/// The mistakes of one store: none, outside of tests.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sabotage {
    #[cfg(test)]
    pub(super) defect: Option<Defect>,
}

impl Sabotage {
    /// True if the store has this one.
    #[inline]
    pub(super) fn has(self, defect: Defect) -> bool {
        #[cfg(test)]
        return self.defect == Some(defect);
        #[cfg(not(test))]
        {
            let _ = defect;
            false
        }
    }
}
