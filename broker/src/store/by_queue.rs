//! Maps by the ids of queues, which the broker counts up itself: a multiplication is hash enough.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

use super::record::QueueId;

pub(super) type ByQueue<V> = HashMap<QueueId, V, BuildHasherDefault<IdHasher>>;
pub(super) type QueueSet = HashSet<QueueId, BuildHasherDefault<IdHasher>>;

/// Spreads ids that follow on each other, or differ in their high bits only.
#[derive(Debug, Default)]
pub(super) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    #[inline]
    fn write_u64(&mut self, id: u64) {
        let product = u128::from(self.0 ^ id) * 0x9E37_79B9_7F4A_7C15;
        self.0 = (product >> 64) as u64 ^ product as u64;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::hash::{BuildHasher, RandomState};

    use super::*;

    /// Ids of any step fall into as many of a map's places, by the low bits, and look as different, by the high bits, as
    /// chance would have them.
    #[test]
    fn ids_in_a_row_do_not_meet() {
        let build = BuildHasherDefault::<IdHasher>::default();
        let places = |hash: &dyn Fn(QueueId) -> u64, step: u32| {
            let hashes: Vec<u64> = (0..4096u64).map(|n| hash(QueueId(n << step))).collect();
            let low: BTreeSet<u64> = hashes.iter().map(|hash| hash & 0x1FFF).collect();
            let high: BTreeSet<u64> = hashes.iter().map(|hash| hash >> 57).collect();
            (low.len(), high.len())
        };
        let chance = RandomState::new();
        for step in 0..52 {
            let (low, high) = places(&|id| build.hash_one(id), step);
            let (low_by_chance, high_by_chance) = places(&|id| chance.hash_one(id), step);
            assert!(low > low_by_chance / 2 && high > high_by_chance / 2, "step {step}: {low} {high}");
        }
    }
}
