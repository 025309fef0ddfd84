//! What happens around the status service of the page: results and warnings go onto the board, and a spammer is started
//! for each new address before its warning is published.

use super::feed::Feed;
use super::uploads::Uploads;
use crate::error::Error;
use crate::messages::CruncherResult;
use crate::screen::Screen;
use crate::service::serve;
use crate::spam::{Ended, Spammer, Warnings};
use crate::status::{Asked, Surroundings};
use crate::stop::Stop;
use crate::tally::{News, Tally};
use leveret_client::Connection;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::mpsc;

/// How many spammers may run at a time. Each has a channel, of which a connection has 2047.
const SPAMMERS_MAX: usize = 1000;

/// Puts what the status service does onto the board.
pub(super) struct Watch {
    pub(super) feed: Arc<Feed>,
    pub(super) uploads: Arc<Uploads>,
    /// None when spammers run elsewhere.
    pub(super) spammers: Option<Spammers>,
}

impl Surroundings for Watch {
    fn recorded(&mut self, result: &CruncherResult, tally: &Tally) {
        self.feed.tell(|board| board.recorded(result, tally, Instant::now()));
    }

    fn asked(&mut self, news: &News, asked: Asked) {
        self.feed.tell(|board| board.asked(news, asked));
    }

    async fn expect(&mut self, news: &News, _label: Option<&str>) -> Result<bool, Error> {
        match &mut self.spammers {
            Some(spammers) => spammers.start(&news.local_part).await,
            None => Ok(true),
        }
    }

    /// Only now: a broker that goes before the warnings are published, and forgets the result, gets the letter again.
    async fn counted(&mut self, result: CruncherResult) {
        self.uploads.crunched(result.label.as_deref(), &result.cruncher);
    }
}

/// Starts spammers on one connection.
pub(super) struct Spammers {
    pub(super) connection: Connection,
    pub(super) warnings: Warnings,
    pub(super) screen: Screen,
    pub(super) stop: Stop,
    pub(super) ended: mpsc::Sender<Ended>,
    pub(super) running: HashSet<String>,
}

impl Spammers {
    /// Starts a spammer for that address unless it runs already. False: there can be none.
    ///
    /// # Errors
    /// When the connection is lost.
    pub(super) async fn start(&mut self, local_part: &str) -> Result<bool, Error> {
        if self.running.contains(local_part) {
            return Ok(true);
        }
        let started = match self.running.len() < SPAMMERS_MAX {
            true => self.spawn(local_part).await,
            false => Err(Error::Unfinished(format!("more than {SPAMMERS_MAX} spammers"))),
        };
        match started {
            Ok(()) => {
                self.running.insert(local_part.to_owned());
                Ok(true)
            }
            // One queue that cannot be had is no reason to end; a lost connection is.
            Err(why) if self.connection.is_open() => {
                let domain = &self.warnings.domain;
                self.screen.note(&format!("status: {local_part}@{domain} gets no warning: {why}"));
                Ok(false)
            }
            Err(why) => Err(why),
        }
    }

    async fn spawn(&self, local_part: &str) -> Result<(), Error> {
        let channel = self.connection.open_channel().await?;
        let started = Spammer::start(local_part, self.warnings.clone(), channel, self.screen.clone());
        let (mut spammer, consumer) = started.await?;
        spammer.tell(self.ended.clone());
        let (stop, screen, connection) = (self.stop.clone(), self.screen.clone(), self.connection.clone());
        tokio::spawn(async move {
            let served = serve(spammer, consumer, stop, None).await;
            // With the connection all of them end; that is told once, by others.
            if let (Err(why), true) = (served, connection.is_open()) {
                screen.note(&format!("spam: {why}"));
            }
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::board::Board;
    use super::super::rows::{Broker, Fixed, Link};
    use super::*;

    #[tokio::test]
    async fn a_letter_goes_out_again_until_its_warnings_are_published() {
        let (run, domain) = ("run".to_owned(), "apple.com".to_owned());
        let (uploads, tally) = (Arc::new(Uploads::new(&run).unwrap()), Tally::new(&domain));
        let fixed = Fixed { run, domain, out: None, own_services: false, letter_bytes_max: 1 };
        let broker = Broker { link: Link::Connecting, address: String::new(), embedded: false, healed: 0 };
        let feed = Arc::new(Feed::new(Board::new(fixed, broker)));
        let mut watch = Watch { feed, uploads: uploads.clone(), spammers: None };
        uploads.release(uploads.store("a.txt", "ann@apple.com").await.unwrap());
        uploads.published();

        let results = ["fast", "slow"].map(|cruncher| CruncherResult {
            cruncher: cruncher.to_owned(),
            file: None,
            label: Some(uploads.label(1)),
            addresses: vec![],
        });
        results.iter().for_each(|result| watch.recorded(result, &tally));
        assert_eq!(uploads.again(), 1);
        uploads.published();
        for result in results {
            watch.counted(result).await;
        }
        assert_eq!(uploads.again(), 0);
        assert_eq!(uploads.end(), None);
    }
}
