//! What the page is told, as JSON: whole rows with a number, which take the place of the row that had it before.

use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Instant;

/// What stays the same while the program runs. Only a snapshot has it.
#[derive(Debug, Serialize)]
pub(super) struct Fixed {
    /// Which run of the program this is.
    pub(super) run: String,
    /// The domain whose addresses are warned.
    pub(super) domain: String,
    /// Where the warnings are written, if they are written here.
    pub(super) out: Option<String>,
    /// Do crunchers and spammers run in this program?
    pub(super) own_services: bool,
    /// Largest letter that is taken.
    pub(super) letter_bytes_max: usize,
}

/// The state of the connection to the broker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "state")]
pub(super) enum Link {
    /// Tried for the first time.
    Connecting,
    /// All services that belong to this program are at work.
    Connected {
        /// What the broker calls itself.
        product: String,
        /// Why it takes no messages for now, if it does not.
        blocked: Option<String>,
    },
    /// Tried again.
    Lost {
        /// What happened.
        why: String,
    },
}

/// The broker.
#[derive(Debug, Serialize)]
pub(super) struct Broker {
    #[serde(flatten)]
    pub(super) link: Link,
    /// Its address, without the login.
    pub(super) address: String,
    /// Does it run in this program?
    pub(super) embedded: bool,
    /// How often the connection came back.
    pub(super) healed: u32,
}

/// The totals since the program began.
#[derive(Debug, Default, Serialize)]
pub(super) struct Totals {
    pub(super) addresses: usize,
    pub(super) in_domain: usize,
    /// How many warnings a queue took.
    pub(super) asked: usize,
    pub(super) warned: usize,
    pub(super) by_cruncher: BTreeMap<String, usize>,
}

/// A queue that the letters or their results go through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Queue {
    pub(super) name: String,
    pub(super) messages: u32,
    pub(super) consumers: u32,
}

/// A letter, and what the crunchers found in it.
#[derive(Debug, Serialize)]
pub(super) struct Letter {
    pub(super) row: u64,
    /// The label of its message; the file's name when it came from elsewhere without one.
    #[serde(skip)]
    pub(super) key: String,
    pub(super) name: String,
    pub(super) bytes: Option<usize>,
    /// Has the broker taken its message?
    pub(super) sent: bool,
    #[serde(skip)]
    pub(super) sent_at: Option<Instant>,
    pub(super) finds: BTreeMap<String, Find>,
}

/// What one cruncher found in one letter.
#[derive(Debug, Serialize)]
pub(super) struct Find {
    pub(super) count: usize,
    /// How long after the letter was published the result came.
    pub(super) millis: Option<u64>,
    /// The first of them.
    pub(super) addresses: Vec<String>,
}

/// An address that nobody had found before.
#[derive(Debug, Serialize)]
pub(super) struct Address {
    pub(super) row: u64,
    pub(super) address: String,
    pub(super) found_by: Vec<String>,
}

/// How far a warning has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Progress {
    /// Nobody listens for it.
    Unheard,
    /// It cannot be asked for.
    Impossible,
    /// A queue holds it.
    Queued,
    /// A spammer gave it up.
    Failed,
    /// A spammer wrote it.
    Written,
}

/// A warning.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Warning {
    pub(super) row: u64,
    pub(super) address: String,
    pub(super) progress: Progress,
}

/// What has changed; everything, if it has the `fixed` part.
#[derive(Debug, Default, Serialize)]
pub(super) struct Change<'b> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fixed: Option<&'b Fixed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) broker: Option<&'b Broker>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) totals: Option<&'b Totals>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) queues: Option<&'b [Queue]>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) letters: Vec<&'b Letter>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) addresses: Vec<&'b Address>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) warnings: Vec<&'b Warning>,
}

impl Change<'_> {
    /// One line of JSON.
    pub(super) fn json(&self) -> String {
        // Numbers, texts, lists and maps with text keys always become JSON.
        serde_json::to_string(self).unwrap_or_default()
    }
}
