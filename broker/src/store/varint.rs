//! Numbers in as few bytes as they need: seven bits to a byte, the lowest first, the eighth bit for "more follows".

/// Bytes of the longest.
const BYTES_MAX: usize = 10;

pub(super) fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// What `put` appends, in bytes.
pub(super) fn len(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

/// Takes one from the front.
pub(super) fn take(input: &mut &[u8]) -> Option<u64> {
    if let Some((&byte, rest)) = input.split_first()
        && byte < 0x80
    {
        *input = rest;
        return Some(byte.into());
    }
    let mut value = 0u64;
    for (n, &byte) in input.iter().take(BYTES_MAX).enumerate() {
        let bits = u64::from(byte & 0x7F);
        if n == BYTES_MAX - 1 && bits > 1 {
            return None;
        }
        value |= bits << (7 * n);
        if byte < 0x80 {
            *input = input.get(n + 1..)?;
            return Some(value);
        }
    }
    None
}

/// Small numbers of either sign become small numbers.
pub(super) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

pub(super) fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_comes_back_in_the_bytes_that_it_was_said_to_need() {
        for value in (0..64).flat_map(|bit| [(1u64 << bit) - 1, 1 << bit, u64::MAX - (1 << bit)]) {
            let mut out = vec![];
            put(&mut out, value);
            assert_eq!((out.len(), take(&mut &out[..])), (len(value), Some(value)));
            assert_eq!(zigzag(unzigzag(value)), value);
            assert_eq!(take(&mut &out[..out.len() - 1]), None);
        }
        assert_eq!(take(&mut &[0xFF; 10][..]), None);
    }
}
