//! Numbers of messages in a queue, as few ranges as they make.

use std::ops::RangeInclusive;

/// Seqs in the order in which they were added; those that follow on each other are one range.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seqs(Vec<(u64, u64)>);

impl Seqs {
    /// Adds one.
    #[inline]
    pub(crate) fn push(&mut self, seq: u64) {
        match self.0.last_mut() {
            Some((_, last)) if *last + 1 == seq => *last = seq,
            _ => self.0.push((seq, seq)),
        }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many they are.
    pub(crate) fn len(&self) -> usize {
        self.0.iter().map(|(first, last)| (last - first + 1) as usize).sum()
    }

    /// The seq that was added first.
    pub(crate) fn first(&self) -> Option<u64> {
        self.0.first().map(|(first, _)| *first)
    }

    /// The seq that was added last.
    pub(crate) fn last(&self) -> Option<u64> {
        self.0.last().map(|(_, last)| *last)
    }

    /// Adds all of another.
    pub(crate) fn append(&mut self, other: Seqs) {
        if self.0.is_empty() { *self = other } else { self.0.extend(other.0) }
    }

    pub(crate) fn ranges(&self) -> impl Iterator<Item = RangeInclusive<u64>> {
        self.0.iter().map(|(first, last)| *first..=*last)
    }

    /// Gives back the room that it does not need.
    pub(crate) fn shrink(&mut self) {
        self.0.shrink_to_fit();
    }
}

impl FromIterator<u64> for Seqs {
    fn from_iter<I: IntoIterator<Item = u64>>(seqs: I) -> Self {
        let mut all = Seqs::default();
        seqs.into_iter().for_each(|seq| all.push(seq));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_on_each_other_is_one_range() {
        let seqs: Seqs = [5, 6, 7, 3, 4, 9].into_iter().collect();
        assert_eq!(seqs.ranges().collect::<Vec<_>>(), [5..=7, 3..=4, 9..=9]);
        assert_eq!((seqs.len(), seqs.first(), seqs.last()), (6, Some(5), Some(9)));
    }
}
