//! The surroundings of the status service within `up`: a spammer is started for each new address before its warning
//! is published, so that none is lost.

use super::board::SharedBoard;
use super::run;
use crate::error::Error;
use crate::messages::CruncherResult;
use crate::screen::Screen;
use crate::service::serve;
use crate::spam::{Ended, Spammer, Warnings};
use crate::status::{Asked, Surroundings};
use crate::stop::Stop;
use crate::tally::{News, Tally};
use leveret_client::{Connection, Consumer};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// How many spammers may run at a time. Each has a channel, of which a connection has 2047.
const SPAMMERS_MAX: usize = 1000;

/// A result that was counted, and whom the warnings go to that follow from it.
#[derive(Debug)]
pub(super) struct Counted {
    pub(super) result: CruncherResult,
    pub(super) expected: Vec<String>,
}

/// Starts spammers and tells what happens.
pub(super) struct Spammers {
    connection: Connection,
    warnings: Warnings,
    screen: Screen,
    stop: Stop,
    room: Arc<Semaphore>,
    /// With it, only messages of that run count, and a spammer ends with its one warning.
    only: Option<String>,
    expected: Vec<String>,
    counted: mpsc::Sender<Counted>,
    ended: mpsc::Sender<Ended>,
    board: SharedBoard,
}

/// Who hears of it.
pub(super) struct Listeners {
    pub(super) counted: mpsc::Sender<Counted>,
    pub(super) ended: mpsc::Sender<Ended>,
    pub(super) board: SharedBoard,
}

impl Spammers {
    pub(super) fn new(
        connection: Connection,
        warnings: Warnings,
        screen: Screen,
        stop: Stop,
        only: Option<String>,
        Listeners { counted, ended, board }: Listeners,
    ) -> Spammers {
        let room = Arc::new(Semaphore::new(SPAMMERS_MAX));
        Spammers { connection, warnings, screen, stop, room, only, expected: Vec::new(), counted, ended, board }
    }

    /// Room for one more: waits for it where spammers end by themselves.
    async fn room(&self) -> Option<OwnedSemaphorePermit> {
        match self.only {
            Some(_) => Arc::clone(&self.room).acquire_owned().await.ok(),
            None => Arc::clone(&self.room).try_acquire_owned().ok(),
        }
    }

    async fn spawn(&self, local_part: &str, label: Option<&str>, room: OwnedSemaphorePermit) -> Result<(), Error> {
        let channel = self.connection.open_channel().await?;
        let (mut spammer, consumer) =
            Spammer::start(local_part, self.warnings.clone(), channel, self.screen.clone()).await?;
        spammer.tell(self.ended.clone());
        if let (Some(_), Some(label)) = (&self.only, label) {
            spammer.end_after(label);
        }
        tokio::spawn(watched(spammer, consumer, self.stop.clone(), self.screen.clone(), room));
        Ok(())
    }
}

async fn watched(spammer: Spammer, consumer: Consumer, stop: Stop, screen: Screen, _room: OwnedSemaphorePermit) {
    let channel = consumer.channel().clone();
    let served = serve(spammer, consumer, stop, None).await;
    if let Err(why) = served.and(channel.close().await.map_err(Error::from)) {
        screen.note(&format!("spam: {why}"));
    }
}

impl Surroundings for Spammers {
    fn counts(&self, result: &CruncherResult) -> bool {
        self.only.as_ref().is_none_or(|id| run::is_of(id, result.label.as_deref()))
    }

    fn recorded(&mut self, result: &CruncherResult, tally: &Tally) {
        self.board.open().recorded(result, tally);
    }

    fn asked(&mut self, news: &News, asked: Asked) {
        self.board.open().asked(news, asked);
    }

    async fn expect(&mut self, news: &News, label: Option<&str>) -> Result<bool, Error> {
        let News { local_part, domain } = news;
        let Some(room) = self.room().await else {
            let why = format!("more than {SPAMMERS_MAX} spammers");
            self.screen.note(&format!("status: {local_part}@{domain} gets no warning: {why}"));
            return Ok(false);
        };
        match self.spawn(local_part, label, room).await {
            Ok(()) => {
                self.expected.push(local_part.clone());
                Ok(true)
            }
            // One queue that cannot be had is no reason to end; a lost connection is.
            Err(why) if self.connection.is_open() => {
                self.screen.note(&format!("status: {local_part}@{domain} gets no warning: {why}"));
                Ok(false)
            }
            Err(why) => Err(why),
        }
    }

    async fn counted(&mut self, result: CruncherResult) {
        let expected = std::mem::take(&mut self.expected);
        // Nobody listens any more once the run is over.
        let _ = self.counted.send(Counted { result, expected }).await;
    }
}
