//! topic: keys are words between dots; in a binding key `*` is one word and `#` any number of them.
//!
//! The binding keys form a trie with one node a word. A routing key walks it as a set of nodes, all of them one word further
//! at a time, so neither bindings that cannot match nor keys like `#.#.#.#` cost anything: the work is bounded by the words of
//! the key times the nodes that match its beginning.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Binding, Destination};

/// A node's number in the trie.
type Node = usize;
const ROOT: Node = 0;

#[derive(Default)]
pub(super) struct Trie {
    nodes: Vec<Words>,
    free: Vec<Node>,
}

/// What may follow the words that lead to a node, and what is bound to exactly these words.
#[derive(Default)]
struct Words {
    parent: Node,
    word: Box<[u8]>,
    literal: HashMap<Box<[u8]>, Node>,
    /// Below `*`.
    one: Option<Node>,
    /// Below `#`.
    any: Option<Node>,
    bound: Vec<Arc<Binding>>,
}

/// An empty key has no words; every dot divides two, which may be empty.
fn words(key: &[u8]) -> impl Iterator<Item = &[u8]> {
    (!key.is_empty()).then(|| key.split(|&b| b == b'.')).into_iter().flatten()
}

impl Trie {
    pub(super) fn add(&mut self, binding: Arc<Binding>) {
        let node = self.descend(&binding.key, |trie, at, word| Some(trie.child_or_new(at, word)));
        if let Some(node) = node {
            self.nodes[node].bound.push(binding);
        }
    }

    pub(super) fn remove(&mut self, binding: &Binding) {
        if let Some(node) = self.descend(&binding.key, |trie, at, word| trie.child(at, word)) {
            self.nodes[node].bound.retain(|b| **b != *binding);
            self.prune(node);
        }
    }

    pub(super) fn route(&self, key: &[u8], found: &mut dyn FnMut(&Destination)) {
        if self.nodes.is_empty() {
            return;
        }
        let (mut now, mut next) = (vec![], vec![]);
        self.enter(ROOT, &mut now);
        for word in words(key) {
            for &at in &now {
                let node = &self.nodes[at];
                // `#` takes this word too.
                if *node.word == *b"#" && at != ROOT {
                    next.push(at);
                }
                for to in [node.literal.get(word).copied(), node.one].into_iter().flatten() {
                    self.enter(to, &mut next);
                }
            }
            now.clear();
            std::mem::swap(&mut now, &mut next);
            now.sort_unstable();
            now.dedup();
        }
        now.sort_unstable();
        now.dedup();
        for at in now {
            for binding in &self.nodes[at].bound {
                found(&binding.destination);
            }
        }
    }

    /// A node, and those that `#` reaches from it with no word at all.
    fn enter(&self, at: Node, set: &mut Vec<Node>) {
        let mut at = Some(at);
        while let Some(node) = at {
            set.push(node);
            at = self.nodes[node].any;
        }
    }

    fn descend(&mut self, key: &[u8], mut step: impl FnMut(&mut Self, Node, &[u8]) -> Option<Node>) -> Option<Node> {
        if self.nodes.is_empty() {
            self.nodes.push(Words::default());
        }
        let mut at = ROOT;
        let mut last: &[u8] = b"";
        for word in words(key) {
            // `#.#` says no more than `#`.
            if word == b"#" && last == b"#" {
                continue;
            }
            at = step(self, at, word)?;
            last = word;
        }
        Some(at)
    }

    fn child(&self, at: Node, word: &[u8]) -> Option<Node> {
        let node = &self.nodes[at];
        match word {
            b"*" => node.one,
            b"#" => node.any,
            _ => node.literal.get(word).copied(),
        }
    }

    fn child_or_new(&mut self, at: Node, word: &[u8]) -> Node {
        if let Some(child) = self.child(at, word) {
            return child;
        }
        let new = Words { parent: at, word: word.into(), ..Words::default() };
        let child = match self.free.pop() {
            Some(child) => {
                self.nodes[child] = new;
                child
            }
            None => {
                self.nodes.push(new);
                self.nodes.len() - 1
            }
        };
        match word {
            b"*" => self.nodes[at].one = Some(child),
            b"#" => self.nodes[at].any = Some(child),
            _ => {
                self.nodes[at].literal.insert(word.into(), child);
            }
        }
        child
    }

    /// Removes nodes that lead nowhere.
    fn prune(&mut self, mut at: Node) {
        while at != ROOT {
            let node = &self.nodes[at];
            if !node.bound.is_empty() || !node.literal.is_empty() || node.one.is_some() || node.any.is_some() {
                return;
            }
            let Words { parent, word, .. } = std::mem::take(&mut self.nodes[at]);
            self.free.push(at);
            match &*word {
                b"*" => self.nodes[parent].one = None,
                b"#" => self.nodes[parent].any = None,
                _ => {
                    self.nodes[parent].literal.remove(&word);
                }
            }
            at = parent;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{binding, names};
    use super::*;

    fn trie(keys: &[&str]) -> Trie {
        let mut trie = Trie::default();
        for key in keys {
            trie.add(binding(key, key, Default::default()));
        }
        trie
    }

    /// The rule of the specification, straight from its words.
    fn matches(pattern: &[&str], key: &[&str]) -> bool {
        match (pattern, key) {
            ([], []) => true,
            (["#", rest @ ..], _) => matches(rest, key) || !key.is_empty() && matches(pattern, &key[1..]),
            (["*", rest @ ..], [_, more @ ..]) => matches(rest, more),
            ([word, rest @ ..], [first, more @ ..]) => word == first && matches(rest, more),
            _ => false,
        }
    }

    fn split(key: &str) -> Vec<&str> {
        if key.is_empty() { vec![] } else { key.split('.').collect() }
    }

    #[test]
    fn the_trie_agrees_with_the_rule() {
        let alphabet = ["a", "b", "*", "#", ""];
        let mut patterns = vec![String::new()];
        for _ in 0..3 {
            let longer: Vec<_> = patterns
                .iter()
                .flat_map(|p| alphabet.map(|w| if p.is_empty() { w.into() } else { format!("{p}.{w}") }))
                .collect();
            patterns.extend(longer);
            patterns.sort();
            patterns.dedup();
        }
        let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
        let trie = trie(&patterns);
        for key in ["", "a", "b", "a.b", "a..b", ".", "a.a.b", "b.a.a.b", "a.b.c"] {
            let expected: Vec<_> = patterns.iter().filter(|p| matches(&split(p), &split(key))).copied().collect();
            assert_eq!(names(|found| trie.route(key.as_bytes(), found)), expected, "{key}");
        }
    }

    #[test]
    fn removed_bindings_leave_no_nodes_behind() {
        let mut trie = trie(&["a.b.c", "a.*.#", "a.b"]);
        for key in ["a.b.c", "a.*.#", "a.b"] {
            trie.remove(&binding(key, key, Default::default()));
        }
        assert_eq!(trie.nodes.len(), trie.free.len() + 1);
        assert!(names(|found| trie.route(b"a.b.c", found)).is_empty());
    }

    #[test]
    fn many_hashes_do_not_multiply_the_work() {
        let keys: Vec<String> = (0..100).map(|n| format!("#.a.#.a.#.a.#.{n}")).collect();
        let trie = trie(&keys.iter().map(String::as_str).collect::<Vec<_>>());
        let key = vec!["a"; 120].join(".") + ".7";
        assert_eq!(names(|found| trie.route(key.as_bytes(), found)), ["#.a.#.a.#.a.#.7"]);
    }
}
