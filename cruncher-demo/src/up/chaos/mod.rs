//! Crunchers that are killed in mid-work, again and again.
//!
//! ```text
//! start -> deliver -> (killed) -> result -> confirm -> (killed) -> ack -> deliver ...
//!   ^                     |                               |
//!   +--- a new one -------+-------------------------------+
//! ```
//!
//! Each lives on a thread and a runtime of its own. Killing it drops that runtime where it is, the socket with it: like
//! a program that is killed, it says no farewell to the broker, and settles nothing.

mod check;
mod plan;

use super::board::SharedBoard;
use super::cruncher::{Doom, Watched};
use crate::crunch::{Cruncher, Kind};
use crate::error::Error;
use crate::screen::Screen;
use crate::service::serve;
use crate::stop::Stop;
use crate::topology;
pub(super) use check::{Check, addresses_in};
pub(super) use plan::Fate;
use plan::Plan;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::runtime;
use tokio::sync::{Notify, mpsc, oneshot};

/// Everything that the next cruncher needs to take over.
pub(super) struct Doomed {
    pub(super) url: String,
    pub(super) kind: Kind,
    pub(super) pace: Duration,
    pub(super) board: SharedBoard,
    /// The run whose files may kill.
    pub(super) run: String,
    pub(super) screen: Screen,
    pub(super) stop: Stop,
    /// A kill by hand: the next cruncher that may be killed is.
    pub(super) by_hand: Arc<Notify>,
}

/// How one cruncher ended.
enum End {
    Killed,
    Told(Result<(), Error>),
}

impl Doomed {
    /// Runs a cruncher until it is killed, then another, until `stop`.
    ///
    /// # Errors
    /// What a cruncher failed with.
    pub(super) async fn run(self) -> Result<(), Error> {
        let fates = Fates(Arc::default());
        loop {
            match self.one(&fates).await? {
                End::Killed => self.screen.note(&format!("chaos: a {} cruncher was killed", self.kind.name())),
                End::Told(ended) => return ended,
            }
        }
    }

    async fn one(&self, fates: &Fates) -> Result<End, Error> {
        let (died, mut death) = mpsc::channel(1);
        let (sender, end) = oneshot::channel();
        let life = self.life(Doom { fates: fates.clone(), by_hand: self.by_hand.clone(), died });
        let on_thread = move || {
            let ended = match runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => {
                    let ended = runtime.block_on(async {
                        tokio::select! {
                            biased;
                            Some(()) = death.recv() => End::Killed,
                            ended = life => End::Told(ended),
                        }
                    });
                    runtime.shutdown_background();
                    ended
                }
                Err(source) => End::Told(Err(Error::File { what: "start a cruncher".to_owned(), source })),
            };
            // Nobody may be waiting any more.
            let _ = sender.send(ended);
        };
        let name = format!("cruncher-{}", self.kind.name());
        let started = std::thread::Builder::new().name(name).spawn(on_thread);
        started.map_err(|source| Error::File { what: "start a cruncher".to_owned(), source })?;
        end.await.map_err(|_| Error::Unfinished(format!("a {} cruncher broke", self.kind.name())))
    }

    /// What one cruncher does from its start to its end in order.
    fn life(&self, doom: Doom) -> impl Future<Output = Result<(), Error>> + Send + use<> {
        let Doomed { url, kind, pace, board, run, screen, stop, by_hand: _ } = self;
        let (url, kind, pace, board, run) = (url.clone(), *kind, *pace, board.clone(), run.clone());
        let (screen, stop) = (screen.clone(), stop.clone());
        async move {
            let connection = topology::connect(&url, kind.queue()).await?;
            let channel = connection.open_channel().await?;
            let (cruncher, consumer) = Cruncher::start(kind, channel, screen).await?;
            let watched = Watched { cruncher, kind, pace, board, run, stop: stop.clone(), doom: Some(doom) };
            serve(watched, consumer, stop, None).await?;
            Ok(connection.close().await?)
        }
    }
}

/// The fates of all crunchers of a kind, which one inherits from the other.
#[derive(Debug, Clone)]
pub(super) struct Fates(Arc<Mutex<Plan>>);

impl Fates {
    /// The fate of whoever got this delivery.
    pub(super) fn next(&self, redelivered: bool) -> Fate {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).next(redelivered)
    }
}
