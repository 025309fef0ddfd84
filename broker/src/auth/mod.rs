//! Who may come in: users, their passwords, and the SASL mechanisms they arrive with.

mod sasl;

use std::collections::HashMap;

pub(crate) use sasl::{Credentials, Mechanism};

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

    /// Compares without telling by its time how much of the guess was right.
    fn matches(&self, guess: &[u8]) -> bool {
        let own = self.0.as_bytes();
        let differences = own.iter().zip(guess).fold(0, |sum, (a, b)| sum | (a ^ b));
        std::hint::black_box(differences) == 0 && own.len() == guess.len()
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

struct User {
    password: Secret,
    loopback_only: bool,
}

/// The users that may log in.
#[derive(Default)]
pub(crate) struct Users(HashMap<String, User>);

impl Users {
    /// Adds or replaces a user. One that is `loopback_only` is refused from other machines (RabbitMQ's loopback_users).
    pub(crate) fn add(&mut self, name: &str, password: Secret, loopback_only: bool) {
        self.0.insert(name.into(), User { password, loopback_only });
    }

    /// True if the credentials are right and may be used from where the peer is.
    pub(crate) fn admit(&self, credentials: &Credentials, from_loopback: bool) -> bool {
        self.0
            .get(&credentials.user)
            .is_some_and(|user| user.password.matches(&credentials.password) && (from_loopback || !user.loopback_only))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(user: &str, password: &str) -> Credentials {
        Credentials { user: user.into(), password: password.into() }
    }

    #[test]
    fn a_password_must_be_right_to_the_last_byte() {
        let mut users = Users::default();
        users.add("guest", Secret::new("guest"), false);
        assert!(users.admit(&credentials("guest", "guest"), false));
        for wrong in ["", "gues", "guesT", "guestt"] {
            assert!(!users.admit(&credentials("guest", wrong), true), "{wrong}");
        }
        assert!(!users.admit(&credentials("nobody", "guest"), true));
    }

    #[test]
    fn a_loopback_user_is_refused_from_elsewhere() {
        let mut users = Users::default();
        users.add("guest", Secret::new("guest"), true);
        assert!(users.admit(&credentials("guest", "guest"), true));
        assert!(!users.admit(&credentials("guest", "guest"), false));
    }

    #[test]
    fn a_secret_does_not_print() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "***");
    }
}
