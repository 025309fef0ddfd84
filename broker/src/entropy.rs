//! The broker's one source of chance: the operating system's, or a seed that makes a run repeatable.

use parking_lot::Mutex;

/// Random bytes for names that nobody must be able to guess.
pub(crate) enum Entropy {
    /// The operating system's generator.
    System,
    /// A repeatable sequence (SplitMix64), for tests and simulation.
    #[cfg_attr(not(test), expect(dead_code, reason = "only tests need to repeat a run"))]
    Seeded(Mutex<u64>),
}

impl Entropy {
    fn bits(&self) -> u64 {
        match self {
            // Without the system's generator there is no safe name to give; 0 would only repeat one, which the callers
            // that need a fresh name notice, because it is taken.
            Entropy::System => getrandom::u64().unwrap_or_default(),
            Entropy::Seeded(state) => {
                let mut state = state.lock();
                *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
                let z = (*state ^ (*state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
                let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
                z ^ (z >> 31)
            }
        }
    }

    pub(crate) fn uuid(&self) -> u128 {
        u128::from(self.bits()) << 64 | u128::from(self.bits())
    }

    /// `prefix` and 128 random bits in 22 characters of base64url, as RabbitMQ names queues and consumers.
    pub(crate) fn name(&self, prefix: &str) -> String {
        const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let mut bits = self.uuid();
        let mut name = String::with_capacity(prefix.len() + 22);
        name.push_str(prefix);
        for _ in 0..22 {
            name.push(char::from(DIGITS[(bits >> 122) as usize]));
            bits <<= 6;
        }
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_name_has_the_prefix_and_22_more_characters() {
        let name = Entropy::System.name("amq.gen-");
        assert!(name.starts_with("amq.gen-") && name.len() == 30, "{name}");
        assert_ne!(name, Entropy::System.name("amq.gen-"));
    }

    #[test]
    fn the_same_seed_gives_the_same_names() {
        let names = || Entropy::Seeded(Mutex::new(7)).name("x");
        assert_eq!(names(), names());
    }
}
