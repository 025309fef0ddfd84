//! What a message says: all of it follows from the seed and the message's number, so that every bit can be checked.

use std::fmt;

use leveret_client::Delivery;

use crate::dice::Dice;

/// A message: who published it, and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Id {
    pub(super) publisher: u16,
    pub(super) sequence: u64,
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.publisher, self.sequence)
    }
}

impl Id {
    fn parse(text: &[u8]) -> Option<Id> {
        let (publisher, sequence) = std::str::from_utf8(text).ok()?.split_once('-')?;
        Some(Id { publisher: publisher.parse().ok()?, sequence: sequence.parse().ok()? })
    }
}

/// The largest body.
const BYTES_MAX: usize = 64 << 10;

/// A message's body: of no bytes up to 64 KiB, mostly small.
pub(super) fn body(seed: u64, id: Id) -> Vec<u8> {
    let mut dice = Dice::of(seed ^ u64::from(id.publisher) << 48, id.sequence);
    let bytes = match dice.roll(1000) {
        0..50 => 0,
        50..900 => dice.roll(600),
        900..990 => dice.roll(6000),
        990..999 => dice.roll(BYTES_MAX),
        _ => BYTES_MAX,
    };
    let mut body = Vec::with_capacity(bytes + 8);
    while body.len() < bytes {
        body.extend_from_slice(&dice.bits().to_le_bytes());
    }
    body.truncate(bytes);
    body
}

/// Which message this is, and what is wrong with it.
pub(super) fn read(seed: u64, delivery: &Delivery) -> Result<(Id, Option<String>), String> {
    let properties = delivery.properties();
    let id = properties.message_id().and_then(|id| Id::parse(&id));
    let id = id.ok_or_else(|| format!("a message without a number: {delivery:?}"))?;
    let expected = body(seed, id);
    let found = delivery.body();
    if found == expected {
        return Ok((id, None));
    }
    let same = found.iter().zip(&expected).take_while(|(a, b)| a == b).count();
    Ok((id, Some(format!("{} bytes, of which the first {same} are right; expected {}", found.len(), expected.len()))))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two messages never have the same content, unless they have hardly any.
    #[test]
    fn a_message_has_a_body_of_its_own() {
        let body = |publisher, sequence| body(7, Id { publisher, sequence });
        assert_eq!(body(1, 5), body(1, 5));
        let bodies: Vec<_> = (0..2000).map(|sequence| body(1, sequence)).collect();
        assert!(bodies.iter().any(Vec::is_empty) && bodies.iter().any(|body| body.len() > 20_000));
        let long = bodies.iter().filter(|body| body.len() >= 8).collect::<std::collections::HashSet<_>>();
        assert_eq!(long.len(), bodies.iter().filter(|body| body.len() >= 8).count());
        assert_ne!(body(1, 5), body(2, 5));
    }

    /// Numbers come back as they were written.
    #[test]
    fn an_id_reads_as_it_is_written() {
        let id = Id { publisher: 3, sequence: 1 << 40 };
        assert_eq!(Id::parse(id.to_string().as_bytes()), Some(id));
        assert_eq!(Id::parse(b"3"), None);
    }
}
