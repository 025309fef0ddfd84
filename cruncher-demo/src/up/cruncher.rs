//! A cruncher that somebody watches: what it does shows on the board, and it may be made to take its time or to die.

use super::board::{Board, SharedBoard};
use super::chaos::{Fate, Fates};
use super::run::is_of;
use crate::crunch::{Cruncher, Kind};
use crate::error::Error;
use crate::messages;
use crate::service::Service;
use crate::stop::Stop;
use leveret_client::Delivery;
use std::sync::Arc;
use std::sync::MutexGuard;
use std::time::Duration;
use tokio::sync::{Notify, mpsc};

/// By how much the fast cruncher is faster when files are made to last.
const FASTER: u32 = 4;

/// See the file's head.
pub(super) struct Watched {
    pub(super) cruncher: Cruncher,
    pub(super) kind: Kind,
    /// How long a file lasts at least with the slow cruncher.
    pub(super) pace: Duration,
    pub(super) board: SharedBoard,
    /// The run whose files count; others are crunched and no more.
    pub(super) run: String,
    /// Once it is told to end, no file lasts.
    pub(super) stop: Stop,
    pub(super) doom: Option<Doom>,
}

/// What ends a cruncher before its time.
pub(super) struct Doom {
    pub(super) fates: Fates,
    pub(super) by_hand: Arc<Notify>,
    pub(super) died: mpsc::Sender<()>,
}

impl Watched {
    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.open()
    }

    /// Lets the file last, and tells what is to happen then. With a file of others in hand, nobody dies.
    async fn linger(&mut self, ours: bool, redelivered: bool) -> Fate {
        let pace = if self.kind == Kind::Fast { self.pace / FASTER } else { self.pace };
        let Some(doom) = self.doom.as_ref().filter(|_| ours) else {
            tokio::select! {
                biased;
                () = self.stop.asked() => {}
                () = tokio::time::sleep(pace) => {}
            }
            return Fate::Lives;
        };
        let fate = doom.fates.next(redelivered);
        let pace = if fate == Fate::DiesBefore { pace / 2 } else { pace };
        tokio::select! {
            biased;
            () = self.stop.asked() => Fate::Lives,
            () = doom.by_hand.notified() => Fate::DiesBefore,
            () = tokio::time::sleep(pace) => fate,
        }
    }

    /// Nothing of this cruncher goes on from here.
    async fn die(&self, file: &str) {
        let Some(doom) = &self.doom else { return };
        self.board().killed(self.kind, file);
        // Whoever hears it drops this future, and the runtime that it runs on.
        if doom.died.send(()).await.is_ok() {
            std::future::pending().await
        }
    }
}

impl Service for Watched {
    async fn handle(&mut self, delivery: &Delivery) -> Result<(), Error> {
        let redelivered = delivery.redelivered();
        let file = messages::file_name(delivery.properties(), delivery.body()).unwrap_or_default();
        let ours = is_of(&self.run, messages::label(delivery.properties()).as_deref());
        self.board().began(self.kind, &file, redelivered);
        if ours && redelivered {
            self.board().came_back(self.kind);
        }
        let fate = self.linger(ours, redelivered).await;
        if fate != Fate::Lives {
            self.board().condemned(self.kind, fate == Fate::DiesAfter);
        }
        if fate == Fate::DiesBefore {
            self.die(&file).await;
        }
        self.cruncher.handle(delivery).await?;
        if fate == Fate::DiesAfter {
            self.die(&file).await;
        }
        self.board().finished(self.kind);
        Ok(())
    }
}
