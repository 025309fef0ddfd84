//! The channels of a connection, by number.

use crate::channel::Channel;
use crate::roster::reserve_for_one;

/// Sorted by number. The one that was asked for last is tried first: frames of a channel come in rows.
#[derive(Default)]
#[expect(clippy::vec_box, reason = "inserting one must not move the others")]
pub(super) struct Channels {
    list: Vec<Box<Channel>>,
    last: usize,
}

impl Channels {
    #[inline]
    pub(super) fn of_mut(&mut self, number: u16) -> Option<&mut Channel> {
        if self.list.get(self.last).is_none_or(|c| c.number != number) {
            self.last = self.list.binary_search_by_key(&number, |c| c.number).ok()?;
        }
        self.list.get_mut(self.last).map(|channel| &mut **channel)
    }

    /// Lets the roster know how many deliveries a channel has not settled.
    pub(super) fn store_unacked(&mut self, number: Option<u16>) {
        if let Some(channel) = number.and_then(|number| self.of_mut(number)) {
            channel.store_unacked();
        }
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn add(&mut self, channel: Channel) {
        if let Err(at) = self.list.binary_search_by_key(&channel.number, |c| c.number) {
            reserve_for_one(&mut self.list);
            self.list.insert(at, Box::new(channel));
        }
    }

    pub(super) fn remove(&mut self, number: u16) {
        if let Ok(at) = self.list.binary_search_by_key(&number, |c| c.number) {
            self.list.remove(at);
        }
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Channel> {
        self.list.iter_mut().map(|channel| &mut **channel)
    }
}
