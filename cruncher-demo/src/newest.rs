//! Lists of what is newest, which never grow beyond a bound.

use std::collections::VecDeque;

/// Adds `one` behind all others; beyond `max` the oldest goes.
pub(crate) fn remember<T>(newest: &mut VecDeque<T>, max: usize, one: T) {
    if newest.len() >= max {
        newest.pop_front();
    }
    newest.push_back(one);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes_when_there_is_no_room() {
        let mut newest = VecDeque::new();
        (0..5).for_each(|one| remember(&mut newest, 3, one));
        assert_eq!(newest, [2, 3, 4]);
    }
}
