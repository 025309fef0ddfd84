//! Under which name something is kept.
//!
//! ```text
//! | kind: one letter | bytes of the first part: u32 | first part | bytes of the second part: u32 | second part | ...
//!
//! v virtual host    its name
//! u user            its name
//! p policy          virtual host, name                     o operator policy: the same
//! x exchange        virtual host, name
//! q queue           virtual host, name
//! b binding         virtual host, source, "q" or "e", destination, routing key, SHA-256 of the arguments
//! ```
//!
//! What a virtual host has begins with its name, so that it can be removed as a range.

use std::ops::Range;

/// What is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Vhost,
    User,
    Policy,
    OperatorPolicy,
    Exchange,
    Queue,
    Binding,
}

const LETTERS: [(Kind, u8); 7] = [
    (Kind::Vhost, b'v'),
    (Kind::User, b'u'),
    (Kind::Policy, b'p'),
    (Kind::OperatorPolicy, b'o'),
    (Kind::Exchange, b'x'),
    (Kind::Queue, b'q'),
    (Kind::Binding, b'b'),
];

/// What goes with a virtual host.
const OF_VHOST: [Kind; 6] =
    [Kind::Vhost, Kind::Policy, Kind::OperatorPolicy, Kind::Exchange, Kind::Queue, Kind::Binding];

impl Kind {
    fn letter(self) -> u8 {
        LETTERS.iter().find(|(kind, _)| *kind == self).map_or(0, |(_, letter)| *letter)
    }
}

/// A kind, and the parts of a name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key(Vec<u8>);

impl Key {
    pub(crate) fn new(kind: Kind, parts: &[&[u8]]) -> Self {
        let mut bytes = vec![kind.letter()];
        for part in parts {
            bytes.extend_from_slice(&(part.len() as u32).to_be_bytes());
            bytes.extend_from_slice(part);
        }
        Key(bytes)
    }

    /// A key that was written; none if it was not.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let key = Key(bytes.to_vec());
        LETTERS.iter().find(|(_, letter)| Some(letter) == bytes.first())?;
        let parts: usize = key.parts().map(|part| 4 + part.len()).sum();
        (1 + parts == bytes.len()).then_some(key)
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn kind(&self) -> Kind {
        LETTERS.iter().find(|(_, letter)| Some(letter) == self.0.first()).map_or(Kind::Vhost, |(kind, _)| *kind)
    }

    /// The parts, as far as there are whole ones.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.0.get(1..).unwrap_or_default();
        std::iter::from_fn(move || {
            let (length, behind) = rest.split_first_chunk::<4>()?;
            let (part, behind) = behind.split_at_checked(u32::from_be_bytes(*length) as usize)?;
            rest = behind;
            Some(part)
        })
    }

    /// A part that is text; empty if it is none.
    pub(crate) fn text(&self, part: usize) -> &str {
        self.parts().nth(part).and_then(|part| std::str::from_utf8(part).ok()).unwrap_or_default()
    }

    /// The keys of a virtual host and of all that is in it.
    pub(super) fn all_of(vhost: &str) -> impl Iterator<Item = Range<Key>> {
        OF_VHOST.into_iter().map(move |kind| {
            let first = Key::new(kind, &[vhost.as_bytes()]);
            let mut behind = first.clone();
            // Neither UTF-8 nor the length of nothing ends with the highest byte.
            if let Some(last) = behind.0.last_mut() {
                *last += 1;
            }
            first..behind
        })
    }
}

/// Readable as far as its parts are.
impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.kind())?;
        self.parts().try_for_each(|part| write!(f, " '{}'", part.escape_ascii()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A key says what it was made of.
    #[test]
    fn a_key_has_the_parts_it_was_made_of() {
        for (kind, _) in LETTERS {
            let cases: [&[&[u8]]; 4] = [&[], &[b"/"], &[b"", b"q"], &[b"a\0b", b"\xff", b""]];
            for parts in cases {
                let key = Key::new(kind, parts);
                assert_eq!((key.kind(), key.parts().collect::<Vec<_>>()), (kind, parts.to_vec()));
                assert_eq!(Key::read(key.as_bytes()), Some(key.clone()));
                let cut = &key.as_bytes()[..key.as_bytes().len() - 1];
                assert!(parts.is_empty() || Key::read(cut).is_none(), "{key:?} cut short");
            }
        }
    }

    /// A virtual host's range has all that is in it, and nothing of another one.
    #[test]
    fn a_virtual_host_takes_only_its_own() {
        let queue = |vhost: &str| Key::new(Kind::Queue, &[vhost.as_bytes(), b"\xff\xff"]);
        let is_in = |vhost: &str, key: &Key| Key::all_of(vhost).any(|range| range.contains(key));
        let names = ["", "/", "a", "ab", "b", "a\u{10ffff}", "\u{7f}"];
        for vhost in names {
            for other in names {
                assert_eq!(is_in(vhost, &queue(other)), vhost == other, "{vhost:?} and {other:?}");
                assert_eq!(is_in(vhost, &Key::new(Kind::Vhost, &[other.as_bytes()])), vhost == other);
            }
            assert!(!is_in(vhost, &Key::new(Kind::User, &[vhost.as_bytes()])), "users belong to no virtual host");
        }
    }
}
