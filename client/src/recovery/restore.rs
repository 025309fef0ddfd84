//! The conversation that makes a new connection what the lost one was: exchanges, queues, bindings, channels.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use leveret_spec::ReplyCode;
use tokio::time::{Instant, sleep, timeout};

use crate::channel::{Answer, ChannelCore, Reply};
use crate::connection::Shared;
use crate::consumer::Subscription;
use crate::error::{Error, Result, Scope};
use crate::events::Event;
use crate::lock::locked;
use crate::topology::{Binding, Destination};

/// The first delay before something that is locked is tried again.
const LOCKED_DELAY: Duration = Duration::from_millis(20);
/// The longest.
const LOCKED_DELAY_MAX: Duration = Duration::from_millis(500);
/// How long it is tried. Everything else waits for that.
const LOCKED_MAX: Duration = Duration::from_secs(5);

/// Restores everything. What the broker refuses is reported and left out.
///
/// # Errors
/// What makes this connection useless.
pub(crate) async fn restore(shared: &Shared, suspicion: &Suspicion) -> Result<()> {
    let mut restorer = Restorer { shared, suspicion, patience: Patience::new(shared.limits.timeout.min(LOCKED_MAX)) };
    restorer.topology().await?;
    let cores = shared.channels().all();
    for core in cores {
        restorer.channel(&core).await?;
    }
    Ok(())
}

/// What the restoring needs at each step.
pub(super) struct Restorer<'a> {
    pub(super) shared: &'a Shared,
    pub(super) suspicion: &'a Suspicion,
    pub(super) patience: Patience,
}

impl Restorer<'_> {
    /// Waits for an answer, within the time limit of the options.
    pub(super) async fn answer(&self, answer: Answer) -> Result<Reply> {
        let none = || Error::Timeout("answer while the connection was restored");
        let answered = timeout(self.shared.limits.timeout, answer).await.map_err(|_| none())?;
        answered.unwrap_or_else(|_| Err(none()))
    }

    /// Something is left out.
    pub(super) fn report(&self, what: impl ToString, error: &Error) {
        report(self.shared, what.to_string(), error);
    }
}

fn report(shared: &Shared, what: String, error: &Error) {
    tracing::warn!(what, %error, "not restored");
    shared.events.tell(&Event::NotRestored { what, error: error.clone() });
}

/// A mistake for which the broker closes no more than the channel.
pub(super) fn is_of_channel(error: &Error) -> bool {
    matches!(error, Error::Closed { scope: Scope::Channel, .. })
}

/// What does not fit into a frame of the new connection was not sent.
pub(super) fn does_not_fit(error: &Error) -> bool {
    matches!(error, Error::TooLong(_))
}

/// Something that may have made the broker close the connection.
pub(super) enum Suspect {
    Exchange(Box<str>),
    Queue(Box<str>),
    Binding(Binding),
    Consumer(Arc<ChannelCore>, Arc<Subscription>),
}

/// What is being restored just now. If the broker closes the connection for it, it must not be asked for again, or no
/// connection would ever be restored.
#[derive(Default)]
pub(crate) struct Suspicion(Mutex<Option<Suspect>>);

impl Suspicion {
    pub(super) fn of(&self, suspect: Suspect) {
        *locked(&self.0) = Some(suspect);
    }

    pub(super) fn clear(&self) {
        *locked(&self.0) = None;
    }

    /// The connection was lost in the middle, for this reason.
    pub(crate) fn judge(&self, shared: &Shared, error: &Error) {
        // Others say nothing against what was asked for: the broker is being stopped, has a defect, or lacks something.
        let passes = [ReplyCode::ConnectionForced, ReplyCode::InternalError, ReplyCode::ResourceError];
        let by_mistake = matches!(error, Error::Closed { scope: Scope::Connection, code, .. }
            if ReplyCode::of(*code).is_none_or(|code| !passes.contains(&code)));
        let Some(suspect) = locked(&self.0).take().filter(|_| by_mistake) else { return };
        match suspect {
            Suspect::Exchange(name) => {
                report(shared, format!("exchange '{name}'"), error);
                shared.topology().forget_exchange(&name);
            }
            Suspect::Queue(name) => {
                report(shared, format!("queue '{name}'"), error);
                shared.topology().forget_queue(&name);
            }
            Suspect::Binding(binding) => {
                report(shared, binding.to_string(), error);
                shared.topology().forget_binding(&binding);
            }
            Suspect::Consumer(core, consumer) => {
                report(shared, consumer.to_string(), error);
                core.give_up_consumer(shared, &consumer, error);
            }
        }
    }
}

/// How long something that another connection has locked is tried again: that may be the one that was lost, of which the
/// broker has not noticed yet that it is over.
pub(super) struct Patience {
    delay: Duration,
    limit: Duration,
    /// From the first refusal on.
    deadline: Option<Instant>,
}

impl Patience {
    fn new(limit: Duration) -> Self {
        Patience { delay: LOCKED_DELAY, limit, deadline: None }
    }

    /// Waits before the next attempt. False if it has taken too long.
    pub(super) async fn wait(&mut self) -> bool {
        let now = Instant::now();
        if *self.deadline.get_or_insert(now + self.limit) <= now {
            return false;
        }
        sleep(self.delay).await;
        self.delay = (self.delay * 2).min(LOCKED_DELAY_MAX);
        true
    }
}

/// A name without what it is the name of.
pub(super) fn name_of(destination: &Destination) -> &str {
    match destination {
        Destination::Exchange(name) | Destination::Queue(name) => name,
    }
}
