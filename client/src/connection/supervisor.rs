//! The task of a connection: it drives one session after the other until the connection ends for good.
//!
//! ```text
//! driving --(lost)--> waiting --> dialing --> restoring (and driving) --(all is as it was)--> driving
//!    |                   ^           |               |
//!    '--(ended)--> done  '--(failed)-'---------------'
//! ```

use std::io;
use std::pin::pin;
use std::sync::Arc;

use futures_util::future::{Either, select};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::sleep;

use super::dial;
use super::driver::{Driver, Session};
use super::shared::Shared;
use super::wire::Wire;
use crate::error::{Error, Result};
use crate::events::Event;
use crate::recovery::{Backoff, Recovery, Suspicion, restore};
use crate::uri::Target;

/// Drives a session that cannot be replaced.
pub(super) async fn once<S: AsyncRead + AsyncWrite + Unpin>(session: Session<S>, shared: Arc<Shared>) {
    let _last = Last(shared.clone());
    Driver::new(session, shared).await;
}

/// How a lost connection comes back.
pub(super) struct Supervisor {
    pub(super) shared: Arc<Shared>,
    pub(super) target: Target,
    pub(super) recovery: Recovery,
    /// The host that let this client in last.
    pub(super) host: usize,
}

impl Supervisor {
    /// Runs until the connection ends for good.
    pub(super) async fn run(mut self, first: Session<Wire>) {
        let _last = Last(self.shared.clone());
        let mut error = Driver::new(first, self.shared.clone()).await;
        while !self.is_over() {
            match self.recover(error).await {
                Some(lost_again) => error = lost_again,
                None => return,
            }
        }
    }

    /// From one loss to the next. `None` at the end of it all.
    async fn recover(&mut self, error: Error) -> Option<Error> {
        tracing::warn!(%error, "the connection is lost");
        let mut backoff = Backoff::new(self.recovery);
        let mut last = error;
        loop {
            let reconnected = self.reconnect_unless_closed(&mut backoff).await?;
            let session = match reconnected {
                Some(Ok((host, session))) => {
                    self.host = host;
                    session
                }
                Some(Err(error)) => {
                    last = error;
                    continue;
                }
                None => {
                    self.shared.end(&last);
                    return None;
                }
            };
            if !self.shared.begin_restoring(&session.negotiated) {
                return None;
            }
            match self.drive(session).await {
                (error, Progress::Restored) => return Some(error),
                (error, Progress::Restoring) => {
                    last = error;
                    // Others first: one that lets everybody in and then fails must not keep them from being tried.
                    self.host = (self.host + 1) % self.target.hosts.len().max(1);
                }
            }
            if self.is_over() {
                return None;
            }
        }
    }

    /// `None` if the program closes the connection meanwhile.
    async fn reconnect_unless_closed(&self, backoff: &mut Backoff) -> Option<Option<Attempt>> {
        let mut reconnecting = pin!(self.reconnect(backoff));
        loop {
            let closed = pin!(self.shared.given_up.notified());
            match select(reconnecting, closed).await {
                Either::Left((attempt, _)) => return Some(attempt),
                Either::Right(_) if self.is_over() => return None,
                Either::Right(((), unfinished)) => reconnecting = unfinished,
            }
        }
    }

    /// Waits, and tries each host once, the one that was there last before all others. `None` if it has taken too long.
    async fn reconnect(&self, backoff: &mut Backoff) -> Option<Attempt> {
        sleep(backoff.next_delay()?).await;
        let hosts = &self.target.hosts;
        let mut last = Error::Timeout("connection");
        let in_turn = hosts.iter().enumerate().cycle().skip(self.host).take(hosts.len());
        for (index, host) in in_turn {
            match dial::dial(&self.target, host).await {
                Ok((session, _)) => return Some(Ok((index, session))),
                Err(error) => {
                    self.attempt_failed(index, &error);
                    last = error;
                }
            }
        }
        Some(Err(last))
    }

    /// Drives a new session, and restores everything over it first.
    async fn drive(&self, session: Session<Wire>) -> (Error, Progress) {
        let driver = pin!(Driver::new(session, self.shared.clone()));
        let suspicion = Suspicion::default();
        let restoring = pin!(restore(&self.shared, &suspicion));
        match select(driver, restoring).await {
            Either::Left((error, _)) => {
                suspicion.judge(&self.shared, &error);
                self.attempt_failed(self.host, &error);
                (error, Progress::Restoring)
            }
            Either::Right((Ok(()), driver)) => {
                self.shared.finish_restoring();
                tracing::info!("the connection is back");
                (driver.await, Progress::Restored)
            }
            // The program closes it, for which the driver sees to a good end.
            Either::Right((Err(_), driver)) if self.is_over() => (driver.await, Progress::Restoring),
            Either::Right((Err(error), _)) => {
                self.shared.fail(&error);
                self.attempt_failed(self.host, &error);
                (error, Progress::Restoring)
            }
        }
    }

    fn attempt_failed(&self, host: usize, error: &Error) {
        if self.is_over() {
            return;
        }
        let host = self.target.hosts.get(host).map(ToString::to_string).unwrap_or_default();
        tracing::warn!(host, %error, "the connection did not come back");
        self.shared.events.tell(&Event::AttemptFailed { host, error: error.clone() });
    }

    fn is_over(&self) -> bool {
        self.shared.outbox().end.is_some()
    }
}

/// A session with the host of that index, or why there is none.
type Attempt = Result<(usize, Session<Wire>)>;

/// How far a session came.
enum Progress {
    Restoring,
    Restored,
}

/// What is left to do when the task ends, also if the runtime is shut down under it.
struct Last(Arc<Shared>);

impl Drop for Last {
    fn drop(&mut self) {
        let gone = io::Error::new(io::ErrorKind::Interrupted, "the connection's task was stopped");
        self.0.end(&Error::from(gone));
        self.0.mark_stopped();
    }
}
