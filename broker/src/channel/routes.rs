//! The routes that a channel remembers: from exchange and routing key, as they stand on the wire, to batches.
//!
//! Sets of four by a hash of the address. A new route takes the place of one that has lost its meaning or else of the oldest
//! of its set; where that happens often there is soon more room.

/// Sets at first, and at most.
const SETS_MIN: usize = 4;
const SETS_MAX: usize = 1024;
/// Routes of a set.
const WAYS: usize = 4;

#[derive(Default)]
pub(super) struct Routes {
    /// Empty, or a power of two.
    sets: Vec<Set>,
    /// Where the last one was found.
    last: (usize, usize),
    /// How often a route that was still right had to make way for another since there are as many sets as now.
    displaced: usize,
}

#[derive(Default)]
struct Set {
    /// Parts of the hashes, so that others' addresses need not be looked at.
    tags: [u32; WAYS],
    /// The next one that makes way.
    oldest: u8,
    routes: [Route; WAYS],
}

#[derive(Default)]
struct Route {
    address: Box<[u8]>,
    /// When it was right.
    epoch: u64,
    /// Batches, by number.
    batches: Vec<u32>,
}

impl Route {
    #[inline]
    fn leads(&self, address: &[u8], epoch: u64) -> bool {
        *self.address == *address && self.epoch == epoch
    }
}

impl Routes {
    /// The batches for an address, if they are known and were right in this epoch.
    #[inline]
    pub(super) fn find(&mut self, address: &[u8], epoch: u64) -> Option<&[u32]> {
        let (set, way) = self.last;
        if !self.sets.get(set)?.routes[way].leads(address, epoch) {
            self.last = self.search(address, epoch)?;
        }
        let (set, way) = self.last;
        Some(&self.sets[set].routes[way].batches)
    }

    #[inline]
    fn search(&self, address: &[u8], epoch: u64) -> Option<(usize, usize)> {
        let (at, tag) = place(address, self.sets.len());
        let set = &self.sets[at];
        let way = (0..WAYS).find(|&way| set.tags[way] == tag && set.routes[way].leads(address, epoch))?;
        Some((at, way))
    }

    /// Keeps a route that was not found.
    pub(super) fn remember(&mut self, address: &[u8], epoch: u64, batches: Vec<u32>) {
        if self.sets.is_empty() {
            self.sets.resize_with(SETS_MIN, Set::default);
        }
        if self.put(Route { address: address.into(), epoch, batches }, epoch) {
            self.displaced += 1;
            if self.displaced > self.sets.len() * WAYS / 4 && self.sets.len() < SETS_MAX {
                self.grow(epoch);
            }
        }
    }

    /// True if a route that was still right had to make way.
    fn put(&mut self, route: Route, epoch: u64) -> bool {
        let (at, tag) = place(&route.address, self.sets.len());
        let set = &mut self.sets[at];
        let free = set.routes.iter().position(|old| old.epoch != epoch || old.address.is_empty());
        let way = free.unwrap_or_else(|| {
            set.oldest = (set.oldest + 1) % WAYS as u8;
            usize::from(set.oldest)
        });
        set.tags[way] = tag;
        set.routes[way] = route;
        free.is_none()
    }

    fn grow(&mut self, epoch: u64) {
        let sets = self.sets.len() * 4;
        let old = std::mem::take(&mut self.sets);
        self.sets.resize_with(sets, Set::default);
        for route in old.into_iter().flat_map(|set| set.routes).filter(|route| route.epoch == epoch) {
            self.put(route, epoch);
        }
        (self.last, self.displaced) = ((0, 0), 0);
    }
}

/// The set of an address, of `sets`, a power of two above one, and its tag. The set is in the highest bits of the hash, for
/// only they depend on every octet.
#[inline]
fn place(address: &[u8], sets: usize) -> (usize, u32) {
    const ODD: u64 = 0x9E37_79B9_7F4A_7C15;
    let (words, rest) = address.as_chunks::<8>();
    let rest = rest.iter().fold(address.len() as u64, |sum, &b| sum << 8 | u64::from(b));
    let words = words.iter().map(|word| u64::from_ne_bytes(*word));
    let hash = words.fold(rest.wrapping_mul(ODD), |hash, word| (hash.rotate_left(23) ^ word).wrapping_mul(ODD));
    ((hash >> (u64::BITS - sets.trailing_zeros())) as usize, (hash >> 16) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u32) -> Vec<u8> {
        let key = format!("k.{number}.x.y");
        [b"\x01x", &[key.len() as u8][..], key.as_bytes()].concat()
    }

    #[test]
    fn a_thousand_routes_are_found_again() {
        let mut routes = Routes::default();
        for round in 0..8 {
            let mut unknown = 0;
            for number in 0..1000 {
                match routes.find(&address(number), 1) {
                    Some(batches) => assert_eq!(batches, [number]),
                    None => {
                        unknown += 1;
                        routes.remember(&address(number), 1, vec![number]);
                    }
                }
            }
            assert!(round < 4 || unknown < 20, "{unknown} of 1000 were forgotten in round {round}");
        }
    }

    #[test]
    fn a_route_of_another_epoch_is_none() {
        let mut routes = Routes::default();
        routes.remember(&address(1), 1, vec![7]);
        assert_eq!(routes.find(&address(1), 2), None);
        assert_eq!(routes.find(&address(1), 1), Some(&[7][..]));
        assert_eq!(routes.find(&address(2), 1), None);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut routes = Routes::default();
        for number in 0..20_000 {
            routes.remember(&address(number), 1, vec![]);
        }
        assert_eq!(routes.sets.len(), SETS_MAX);
    }
}
