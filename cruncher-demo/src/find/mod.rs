//! Finds e-mail addresses in a text: two finders, one shape of answer. Pure: no file, clock or socket.

mod address;
pub mod fast;
mod html;
mod mime;
pub mod slow;
mod spoken;

use std::collections::HashSet;

/// Addresses in the order of their first appearance, each once.
///
/// Two spellings of one address that differ only in case count as one; the first spelling stays.
#[derive(Debug, Default)]
pub struct Found {
    addresses: Vec<String>,
    keys: HashSet<String>,
}

impl Found {
    /// Adds an address unless it is already there.
    pub fn add(&mut self, address: &str) {
        if self.keys.insert(address.to_lowercase()) {
            self.addresses.push(address.to_owned());
        }
    }

    /// The addresses as a list.
    pub fn into_list(self) -> Vec<String> {
        self.addresses
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_listed_once_in_its_first_spelling() {
        let mut found = Found::default();
        found.add("Ann@apple.com");
        found.add("bob@apple.com");
        found.add("ann@APPLE.com");
        assert_eq!(found.into_list(), ["Ann@apple.com", "bob@apple.com"]);
    }
}
