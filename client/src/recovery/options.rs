//! How often a lost connection is tried again, and for how long.

use std::time::Duration;

/// The default of `Recovery::first_delay`.
const FIRST_DELAY: Duration = Duration::from_millis(100);
/// The default of `Recovery::delay_max`.
const DELAY_MAX: Duration = Duration::from_secs(10);

/// When a connection that was lost is tried again: after a short delay, which doubles with each round of failures. A round
/// tries each host once. That `Connection::open` does not get through is for the program to handle.
///
/// Everything that was declared over the connection and not deleted since is declared again. Queues and exchanges that
/// end without this program's doing, as with `x-expires`, should be deleted, or they come back.
///
/// ```no_run
/// # async fn example() -> leveret_client::Result<()> {
/// use std::time::Duration;
/// use leveret_client::{Connection, Recovery};
///
/// let patient = Recovery::new().delay_max(Duration::from_secs(60)).give_up_after(Duration::from_secs(3600));
/// let connection = Connection::open_with("amqp://broker.example", |options| options.recovery(patient)).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "pass it to Options::recovery"]
pub struct Recovery {
    pub(crate) first_delay: Duration,
    pub(crate) delay_max: Duration,
    pub(crate) give_up_after: Option<Duration>,
}

impl Default for Recovery {
    fn default() -> Self {
        Recovery::new()
    }
}

impl Recovery {
    /// A delay of 100 ms that doubles up to 10 s, for as long as it takes.
    pub fn new() -> Self {
        Recovery { first_delay: FIRST_DELAY, delay_max: DELAY_MAX, give_up_after: None }
    }

    /// Waits so long before the first round of attempts. From half of a delay to all of it is waited, by chance, so that
    /// the clients of a broker that restarts do not all come at once.
    pub fn first_delay(mut self, delay: Duration) -> Self {
        self.first_delay = delay;
        self
    }

    /// Waits at most so long before the next round.
    pub fn delay_max(mut self, delay: Duration) -> Self {
        self.delay_max = delay;
        self
    }

    /// Ends the connection with the last attempt's error when it has been lost for so long. An attempt that is under way
    /// then is finished first.
    pub fn give_up_after(mut self, patience: Duration) -> Self {
        self.give_up_after = Some(patience);
        self
    }
}
