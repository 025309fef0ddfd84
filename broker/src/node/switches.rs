//! What a test has switched: who is refused, and how late clients are heard. Without a test nothing is.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::Node;
use crate::vhost::{Vhost, Watch, Watches};

/// The switches of a broker.
#[derive(Debug, Default)]
pub(crate) struct Switches {
    refuses_connections: AtomicBool,
    /// Publishes that are still to be refused; `u64::MAX` is all of them.
    refusals: AtomicU64,
    /// In microseconds.
    delay: AtomicU64,
    /// What virtual hosts are told when they begin.
    watches: Watches,
}

impl Switches {
    pub(super) fn apply_watches(&self, vhost: &Vhost) {
        for watch in [Watch::Recorded, Watch::Refused] {
            vhost.set_watched(watch, self.watches.has(watch));
        }
    }

    /// True if nobody is let in.
    pub(crate) fn refuses_connections(&self) -> bool {
        self.refuses_connections.load(Ordering::Acquire)
    }

    /// Lets nobody in, or everybody again.
    pub(crate) fn refuse_connections(&self, on: bool) {
        self.refuses_connections.store(on, Ordering::Release);
    }

    /// True if the publish at hand is refused.
    pub(crate) fn take_refusal(&self) -> bool {
        let left = |left: u64| if left == u64::MAX { Some(left) } else { left.checked_sub(1) };
        self.refusals.fetch_update(Ordering::AcqRel, Ordering::Acquire, left).is_ok()
    }

    /// How much later clients are heard.
    #[inline]
    pub(crate) fn delay(&self) -> Duration {
        Duration::from_micros(self.delay.load(Ordering::Relaxed))
    }

    /// Has clients heard so much later.
    pub(crate) fn set_delay(&self, delay: Duration) {
        self.delay.store(u64::try_from(delay.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

impl Node {
    /// Refuses so many publishes from now on; `u64::MAX` is all of them.
    pub(crate) fn refuse_publishes(&self, count: u64) {
        self.watch_publishes(Watch::Refused, |node| {
            node.switches.refusals.store(count, Ordering::Release);
            count > 0
        });
    }

    /// Has publishes looked at as long as somebody records them.
    pub(crate) fn watch_recordings(&self) {
        self.watch_publishes(Watch::Recorded, |node| !node.recordings.is_empty());
    }

    /// Has publishes looked at in every virtual host, or not any more. One at a time decides.
    fn watch_publishes(&self, watch: Watch, decide: impl FnOnce(&Self) -> bool) {
        let _administration = self.administration.lock();
        let on = decide(self);
        self.switches.watches.set(watch, on);
        for vhost in &self.vhosts {
            vhost.set_watched(watch, on);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn as_many_publishes_are_refused_as_somebody_wants() {
        let node = Node::new(&Config::in_memory(), 0);
        let refused = |publishes: usize| (0..publishes).filter(|_| node.switches.take_refusal()).count();
        assert_eq!(refused(3), 0);
        node.refuse_publishes(2);
        assert!(node.vhost("/").is_some_and(|vhost| vhost.is_watched()));
        assert_eq!(refused(3), 2);
        node.refuse_publishes(u64::MAX);
        assert_eq!(refused(3), 3);
        node.refuse_publishes(0);
        assert!(node.vhost("/").is_some_and(|vhost| !vhost.is_watched()));
        assert_eq!(refused(3), 0);
    }

    #[test]
    fn a_virtual_host_that_begins_is_watched_as_the_others_are() {
        let node = Node::new(&Config::in_memory(), 0);
        let tape = node.recordings.begin(None);
        node.watch_recordings();
        assert_eq!(node.create_vhost("later"), Ok(true));
        let is_watched = || node.vhost("later").is_some_and(|vhost| vhost.is_watched());
        assert!(is_watched());
        node.recordings.end(&tape);
        node.watch_recordings();
        assert!(!is_watched());
    }
}
