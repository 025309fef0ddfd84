//! What keeps a measurement from being taken, as one sentence.

use std::fmt;

/// Why there is no measurement.
#[derive(Debug)]
pub(crate) struct Trouble(String);

pub(crate) type Result<T> = std::result::Result<T, Trouble>;

impl Trouble {
    pub(crate) fn new(sentence: impl Into<String>) -> Self {
        Trouble(sentence.into())
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<leveret_client::Error> for Trouble {
    fn from(error: leveret_client::Error) -> Self {
        Trouble(error.to_string())
    }
}

impl From<std::io::Error> for Trouble {
    fn from(error: std::io::Error) -> Self {
        Trouble(error.to_string())
    }
}
