//! How many queues and exchanges all virtual hosts have together, and how many they may have.

use std::sync::atomic::{AtomicUsize, Ordering};

/// One for all virtual hosts of a broker. What is in a virtual host that was deleted counts until its last connection has
/// let go of it.
#[derive(Default)]
pub(crate) struct Census {
    pub(super) queues: Count,
    pub(super) exchanges: Count,
}

#[derive(Default)]
pub(super) struct Count {
    there_are: AtomicUsize,
    most: Option<usize>,
}

impl Census {
    /// Nothing yet, and how many there may be; none is no limit.
    pub(crate) fn new(queues_max: Option<usize>, exchanges_max: Option<usize>) -> Self {
        let up_to = |most| Count { most, ..Count::default() };
        Census { queues: up_to(queues_max), exchanges: up_to(exchanges_max) }
    }
}

impl Count {
    /// Takes one more in.
    ///
    /// # Errors
    /// The bound, if it is reached.
    pub(super) fn add(&self) -> Result<(), usize> {
        let most = self.most.unwrap_or(usize::MAX);
        let one_more = |count| (count < most).then_some(count + 1);
        self.there_are.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).map(drop).map_err(|_| most)
    }

    /// Takes in what has to be there, whatever the bound says.
    pub(super) fn add_regardless(&self, many: usize) {
        self.there_are.fetch_add(many, Ordering::Relaxed);
    }

    /// Takes out.
    pub(super) fn remove(&self, many: usize) {
        self.there_are.fetch_sub(many, Ordering::Relaxed);
    }
}
