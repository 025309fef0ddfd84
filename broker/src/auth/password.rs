//! Passwords, and the salted hashes that RabbitMQ keeps of them: base64 of salt (4 bytes) and digest(salt, password).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::Md5;
use sha2::{Digest, Sha256, Sha512};

/// A password. It prints as stars.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps a password.
    pub fn new(password: impl Into<String>) -> Self {
        Secret(password.into())
    }

    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// How a password was hashed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Algorithm {
    #[default]
    Sha256,
    Sha512,
    /// What RabbitMQ used before 3.6; only to be read.
    Md5,
}

const ALGORITHMS: [(Algorithm, &str); 3] = [
    (Algorithm::Sha256, "rabbit_password_hashing_sha256"),
    (Algorithm::Sha512, "rabbit_password_hashing_sha512"),
    (Algorithm::Md5, "rabbit_password_hashing_md5"),
];

impl Algorithm {
    /// The name that definitions files and the HTTP API use.
    pub(crate) fn name(self) -> &'static str {
        ALGORITHMS.iter().find(|(a, _)| *a == self).map_or("", |(_, name)| name)
    }

    pub(crate) fn of(name: &str) -> Option<Self> {
        ALGORITHMS.iter().find(|(_, n)| *n == name).map(|(algorithm, _)| *algorithm)
    }

    fn digest(self, salt: &[u8], password: &[u8]) -> Vec<u8> {
        match self {
            Algorithm::Sha256 => Sha256::new().chain_update(salt).chain_update(password).finalize().to_vec(),
            Algorithm::Sha512 => Sha512::new().chain_update(salt).chain_update(password).finalize().to_vec(),
            Algorithm::Md5 => Md5::new().chain_update(salt).chain_update(password).finalize().to_vec(),
        }
    }
}

/// A salted hash of a password.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct PasswordHash {
    pub(crate) algorithm: Algorithm,
    salt: [u8; 4],
    digest: Vec<u8>,
}

impl PasswordHash {
    /// Hashes a password with RabbitMQ's default algorithm.
    pub(crate) fn of(password: &Secret) -> Self {
        let mut salt = [0; 4];
        // A salt of zeros is a weak salt, not a weak password; without a generator there is no better one.
        let _ = getrandom::fill(&mut salt);
        let algorithm = Algorithm::default();
        PasswordHash { algorithm, salt, digest: algorithm.digest(&salt, password.reveal().as_bytes()) }
    }

    /// From the text in definitions files and the HTTP API.
    pub(crate) fn decode(text: &str, algorithm: Algorithm) -> Option<Self> {
        let bytes = STANDARD.decode(text).ok()?;
        let (salt, digest) = bytes.split_first_chunk::<4>()?;
        Some(PasswordHash { algorithm, salt: *salt, digest: digest.into() })
    }

    /// The text for definitions files and the HTTP API.
    pub(crate) fn encode(&self) -> String {
        STANDARD.encode([&self.salt[..], &self.digest].concat())
    }

    /// Compares without telling by its time how much of the guess was right.
    pub(crate) fn matches(&self, guess: &[u8]) -> bool {
        let guess = self.algorithm.digest(&self.salt, guess);
        let differences = self.digest.iter().zip(&guess).fold(0, |sum, (a, b)| sum | (a ^ b));
        std::hint::black_box(differences) == 0 && self.digest.len() == guess.len()
    }
}

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PasswordHash({})", self.algorithm.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_print() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "***");
    }

    #[test]
    fn a_hash_survives_its_text_and_knows_its_password() {
        let hash = PasswordHash::of(&Secret::new("secret"));
        let again = PasswordHash::decode(&hash.encode(), Algorithm::Sha256).unwrap();
        assert_eq!(again, hash);
        assert!(again.matches(b"secret") && !again.matches(b"Secret") && !again.matches(b""));
    }

    /// The example of RabbitMQ's documentation: salt 908D C60A, password test12.
    #[test]
    fn rabbitmqs_own_hashes_are_understood() {
        let hash = PasswordHash::decode("kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR", Algorithm::Sha256).unwrap();
        assert!(hash.matches(b"test12"));
    }
}
