//! The services of `up`, each with a connection of its own, as if they were programs of their own.

use super::Settings;
use super::board::SharedBoard;
use super::chaos::Doomed;
use super::cruncher::Watched;
use super::depths::Depths;
use super::spammers::{Counted, Listeners, Spammers};
use crate::crunch::{Cruncher, Kind};
use crate::error::Error;
use crate::screen::Screen;
use crate::service::serve;
use crate::spam::{Ended, Warnings};
use crate::status::{SharedTally, Status};
use crate::stop::{Stop, Stopper};
use crate::tally::Tally;
use crate::topology::{self, STATUS};
use leveret_client::{Channel, Connection};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;

/// How many messages to the watcher may wait.
const EVENTS_MAX: usize = 64;
/// How long the services get for what they have in hand when all ends.
const END_TIMEOUT: Duration = Duration::from_secs(10);

/// What happens among the services.
pub(super) enum Event {
    /// A result was counted.
    Counted(Counted),
    /// A warning came to its end.
    Ended(Ended),
    /// A service failed.
    Failed(Error),
}

/// All services at work.
pub(super) struct Services {
    /// The channel of the prompt.
    pub(super) prompt: Channel,
    counted: mpsc::Receiver<Counted>,
    ended: mpsc::Receiver<Ended>,
    tally: SharedTally,
    tasks: JoinSet<Result<(), Error>>,
    stopper: Stopper,
    connections: Vec<Connection>,
    board: SharedBoard,
    by_hand: Arc<Notify>,
}

impl Services {
    /// Starts them for the run of that name.
    pub(super) async fn start(
        url: &str,
        settings: &Settings,
        warnings: Warnings,
        run: &str,
        screen: &Screen,
        board: SharedBoard,
    ) -> Result<Services, Error> {
        let (stopper, stop) = Stop::new();
        let (counted_sender, counted) = mpsc::channel(EVENTS_MAX);
        let (ended_sender, ended) = mpsc::channel(EVENTS_MAX);
        let tally = Arc::new(Mutex::new(Tally::new(&settings.domain)));
        let prompt = topology::connect(url, "prompt").await?;
        let status = topology::connect(url, "status").await?;
        let spam = topology::connect(url, "spam").await?;
        let mut services = Services {
            prompt: prompt.open_channel().await?,
            counted,
            ended,
            tally: tally.clone(),
            tasks: JoinSet::new(),
            stopper,
            connections: vec![prompt, status.clone(), spam.clone()],
            board: board.clone(),
            by_hand: Arc::default(),
        };
        topology::declare(&services.prompt).await?;

        let listeners = Listeners { counted: counted_sender, ended: ended_sender, board };
        // What others left in the queues, or publish meanwhile, is none of the run's business.
        let alone = settings.counts_own();
        let only = alone.then(|| run.to_owned());
        let spammers = Spammers::new(spam, warnings, screen.clone(), stop.clone(), only, listeners);
        let started = Status::start(tally, status.open_channel().await?, screen.clone(), spammers, alone).await;
        let (service, consumer) = started.map_err(|why| if alone { in_use(why) } else { why })?;
        services.tasks.spawn(serve(service, consumer, stop.clone(), None));
        for kind in Kind::BOTH {
            services.crunch(url, kind, settings, run, screen, stop.clone()).await?;
        }
        Ok(services)
    }

    async fn crunch(
        &mut self,
        url: &str,
        kind: Kind,
        settings: &Settings,
        run: &str,
        screen: &Screen,
        stop: Stop,
    ) -> Result<(), Error> {
        let (pace, board, run, screen) = (settings.pace, self.board.clone(), run.to_owned(), screen.clone());
        if settings.chaos {
            let (url, by_hand) = (url.to_owned(), self.by_hand.clone());
            self.tasks.spawn(Doomed { url, kind, pace, board, run, screen, stop, by_hand }.run());
            return Ok(());
        }
        let connection = topology::connect(url, kind.queue()).await?;
        let channel = connection.open_channel().await?;
        let (cruncher, consumer) = Cruncher::start(kind, channel, screen).await?;
        let watched = Watched { cruncher, kind, pace, board, run, stop: stop.clone(), doom: None };
        self.tasks.spawn(serve(watched, consumer, stop, None));
        self.connections.push(connection);
        Ok(())
    }

    /// Lets somebody look how full the queues are.
    pub(super) async fn watch_depths(&mut self, url: &str) -> Result<(), Error> {
        let depths = Depths::start(url, self.board.clone()).await?;
        self.tasks.spawn(depths.run(self.stopper.stop_of()));
        Ok(())
    }

    /// Kills the cruncher that has a file in its hands, or else the next that gets one, where that is allowed.
    pub(super) fn kill_one(&self) {
        self.by_hand.notify_one();
    }

    /// What happens next. None of them ends before it is told to, unless it fails.
    pub(super) async fn event(&mut self) -> Event {
        tokio::select! {
            Some(counted) = self.counted.recv() => Event::Counted(counted),
            Some(ended) = self.ended.recv() => Event::Ended(ended),
            Some(service) = self.tasks.join_next() => Event::Failed(match service {
                Ok(Err(why)) => why,
                Ok(Ok(())) => Error::Unfinished("a service ended too early".to_owned()),
                Err(why) => Error::Unfinished(format!("a service broke: {why}")),
            }),
            else => Event::Failed(Error::Unfinished("all services ended".to_owned())),
        }
    }

    /// Ends them and gives the totals.
    pub(super) async fn end(mut self) -> (Tally, Result<(), Error>) {
        self.stopper.stop();
        let all = async {
            // They may be waiting for someone to hear their last news.
            let counted = async { while self.counted.recv().await.is_some() {} };
            let ended = async { while self.ended.recv().await.is_some() {} };
            tokio::join!(counted, ended);
            let mut worked = Ok(());
            while let Some(ended) = self.tasks.join_next().await {
                worked = worked.and(ended.unwrap_or(Ok(())));
            }
            for connection in &self.connections {
                worked = worked.and(connection.close().await.map_err(Error::from));
            }
            worked
        };
        let in_time = tokio::time::timeout(END_TIMEOUT, all).await;
        let worked = in_time.unwrap_or_else(|_| Err(Error::Unfinished("a service did not end in time".to_owned())));
        let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        (std::mem::replace(&mut *tally, Tally::new("")), worked)
    }
}

/// What it means that the status queue cannot be had alone.
fn in_use(why: Error) -> Error {
    const ACCESS_REFUSED: u16 = 403;
    match &why {
        Error::Broker(cause) if cause.code() == Some(ACCESS_REFUSED) => Error::Unfinished(format!(
            "another status service takes results from the queue '{STATUS}' of this broker, so `--once` and `--chaos` would \
             miss some"
        )),
        _ => why,
    }
}
