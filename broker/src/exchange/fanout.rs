//! fanout: every bound destination, whatever the key.

use std::collections::HashMap;

use super::{Binding, Destination, DestinationId};

/// Destinations, each with the number of bindings that lead to it.
#[derive(Default)]
pub(super) struct Everyone(HashMap<DestinationId, (Destination, usize)>);

impl Everyone {
    pub(super) fn add(&mut self, binding: &Binding) {
        let destination = &binding.destination;
        self.0.entry(destination.id()).or_insert_with(|| (destination.clone(), 0)).1 += 1;
    }

    pub(super) fn remove(&mut self, binding: &Binding) {
        let id = binding.destination.id();
        if let Some((_, bindings)) = self.0.get_mut(&id) {
            *bindings -= 1;
            if *bindings == 0 {
                self.0.remove(&id);
            }
        }
    }

    pub(super) fn route(&self, found: &mut dyn FnMut(&Destination)) {
        for (destination, _) in self.0.values() {
            found(destination);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{binding, names};
    use super::*;

    #[test]
    fn a_destination_stays_until_its_last_binding_goes() {
        let mut everyone = Everyone::default();
        let (first, second) = (binding("a", "1", Default::default()), binding("a", "2", Default::default()));
        everyone.add(&first);
        everyone.add(&second);
        everyone.remove(&first);
        assert_eq!(names(|found| everyone.route(found)), ["a"]);
        everyone.remove(&second);
        assert!(names(|found| everyone.route(found)).is_empty());
    }
}
