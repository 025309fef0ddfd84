//! The order in which messages come out.

use std::collections::HashMap;

use crate::crash::content::Id;
use crate::crash::layout::Queue;

/// What consumers have seen of the queues' order.
#[derive(Default)]
pub(super) struct Order {
    /// By consumer, publisher and priority, the last message that came for the first time.
    fresh: HashMap<(u64, u16, u8), u64>,
    /// What each queue had in its last listing, by the places.
    listed: HashMap<Queue, HashMap<Id, usize>>,
}

impl Order {
    /// A consumer gets a message that was not delivered before. The one it had before, if that should have come later.
    pub(super) fn fresh(&mut self, consumer: u64, id: Id, priority: u8) -> Option<Id> {
        let last = self.fresh.entry((consumer, id.publisher, priority)).or_insert(0);
        let before = *last;
        *last = before.max(id.sequence);
        (before > id.sequence).then_some(Id { sequence: before, ..id })
    }

    /// Consumers are gone.
    pub(super) fn forget_consumers(&mut self) {
        self.fresh.clear();
    }

    /// All that a queue has, in order: of two messages that changed places, the pair.
    pub(super) fn list(&mut self, queue: Queue, now: &[(Id, u8)]) -> Option<(Id, Id, &'static str)> {
        let before = self.listed.remove(&queue).unwrap_or_default();
        let fault = changed_places(&before, now).or_else(|| {
            // What is passed on comes in any order, and keeps it.
            (queue.origin() == queue).then(|| out_of_order(now)).flatten()
        });
        self.listed.insert(queue, now.iter().enumerate().map(|(place, (id, _))| (*id, place)).collect());
        fault
    }
}

fn changed_places(before: &HashMap<Id, usize>, now: &[(Id, u8)]) -> Option<(Id, Id, &'static str)> {
    let mut last: Option<(usize, Id)> = None;
    for (id, _) in now {
        let Some(&place) = before.get(id) else { continue };
        match last {
            Some((before, other)) if place < before => {
                return Some((*id, other, "before the crash it was the other way"));
            }
            _ => last = Some((place, *id)),
        }
    }
    None
}

fn out_of_order(now: &[(Id, u8)]) -> Option<(Id, Id, &'static str)> {
    let mut last = HashMap::<u16, Id>::new();
    let mut level: Option<(u8, Id)> = None;
    for &(id, priority) in now {
        match level {
            Some((before, other)) if priority > before => return Some((id, other, "its priority is higher")),
            Some((before, _)) if priority < before => last.clear(),
            _ => {}
        }
        level = Some((priority, id));
        if let Some(other) = last.insert(id.publisher, id)
            && other.sequence > id.sequence
        {
            return Some((id, other, "it was published before"));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crash::layout::{DEAD, PLAIN, PRIORITY};

    fn ids(of: &[(u16, u64, u8)]) -> Vec<(Id, u8)> {
        of.iter().map(|&(publisher, sequence, priority)| (Id { publisher, sequence }, priority)).collect()
    }

    fn pair(found: Option<(Id, Id, &str)>) -> Option<(u64, u64)> {
        found.map(|(id, other, _)| (id.sequence, other.sequence))
    }

    /// A publisher's messages stay in order; publishers may mix.
    #[test]
    fn each_publisher_has_an_order_of_its_own() {
        let mut order = Order::default();
        assert_eq!(order.list(PLAIN, &ids(&[(1, 5, 0), (2, 1, 0), (1, 6, 0), (2, 9, 0)])), None);
        assert_eq!(pair(Order::default().list(PLAIN, &ids(&[(1, 5, 0), (2, 1, 0), (1, 4, 0)]))), Some((4, 5)));
        assert_eq!(order.fresh(1, Id { publisher: 1, sequence: 5 }, 0), None);
        assert_eq!(order.fresh(2, Id { publisher: 1, sequence: 4 }, 0), None);
        let late = order.fresh(1, Id { publisher: 1, sequence: 4 }, 0);
        assert_eq!(late, Some(Id { publisher: 1, sequence: 5 }));
    }

    /// Higher priorities come first, and each has an order of its own.
    #[test]
    fn priorities_are_ordered() {
        let list = |of: &[(u16, u64, u8)]| pair(Order::default().list(PRIORITY, &ids(of)));
        assert_eq!(list(&[(1, 7, 3), (1, 8, 3), (1, 1, 0), (1, 2, 0)]), None);
        assert_eq!(list(&[(1, 7, 0), (1, 8, 3)]), Some((8, 7)));
    }

    /// What two listings have in common has one order.
    #[test]
    fn a_queue_keeps_its_order_from_listing_to_listing() {
        let mut order = Order::default();
        assert_eq!(order.list(DEAD, &ids(&[(1, 9, 0), (2, 1, 0), (1, 3, 0)])), None);
        assert_eq!(order.list(DEAD, &ids(&[(1, 9, 0), (1, 3, 0), (4, 4, 0)])), None);
        assert_eq!(pair(order.list(DEAD, &ids(&[(1, 3, 0), (1, 9, 0)]))), Some((9, 3)));
    }
}
