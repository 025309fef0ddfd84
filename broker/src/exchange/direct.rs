//! direct: the routing key equals the binding key, byte by byte.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Binding, Destination};

#[derive(Default)]
pub(super) struct Keys(HashMap<Box<[u8]>, Vec<Arc<Binding>>>);

impl Keys {
    pub(super) fn add(&mut self, binding: Arc<Binding>) {
        self.0.entry(binding.key.clone()).or_default().push(binding);
    }

    pub(super) fn remove(&mut self, binding: &Binding) {
        if let Some(bound) = self.0.get_mut(&binding.key) {
            bound.retain(|b| **b != *binding);
            if bound.is_empty() {
                self.0.remove(&binding.key);
            }
        }
    }

    pub(super) fn route(&self, key: &[u8], found: &mut dyn FnMut(&Destination)) {
        for binding in self.0.get(key).into_iter().flatten() {
            found(&binding.destination);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{binding, names};
    use super::*;

    #[test]
    fn only_the_equal_key_matches() {
        let mut keys = Keys::default();
        let gone = binding("c", "red", Default::default());
        for b in [binding("a", "red", Default::default()), binding("b", "blue", Default::default()), gone.clone()] {
            keys.add(b);
        }
        keys.remove(&gone);
        assert_eq!(names(|found| keys.route(b"red", found)), ["a"]);
        assert!(names(|found| keys.route(b"re", found)).is_empty());
    }
}
