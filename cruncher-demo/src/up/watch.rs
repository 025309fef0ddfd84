//! Follows a run of `up`: publishes the files, hears what comes of them, does what the person at the terminal wishes.

use super::Settings;
use super::bars::Bars;
use super::board::SharedBoard;
use super::endings::{Ending, Endings};
use super::run::{Run, is_of};
use super::services::{Event, Services};
use super::spammers::Counted;
use super::view::{View, Wish};
use crate::crunch::Kind;
use crate::error::Error;
use crate::prompt::{self, Entered};
use crate::screen::Screen;
use crate::stop::Stop;
use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::pin::pin;
use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior, interval};

/// How many results may be outstanding when files are sent again and again, or by a key.
const OUTSTANDING_MAX: usize = 200;

/// A run, and everything around it.
pub(super) struct Up<'u> {
    settings: &'u Settings,
    screen: Screen,
    services: Services,
    run: Run,
    board: SharedBoard,
    view: Option<View>,
    bars: Bars,
    /// The names that were sent, for the account after chaos.
    sent: BTreeSet<String>,
}

/// What is left at the end.
pub(super) struct Remains {
    pub(super) services: Services,
    pub(super) run: Run,
    /// The names that were sent, if all came of them that had to.
    pub(super) sent: Option<BTreeSet<String>>,
    /// Whether the view lived to its end.
    pub(super) view: Result<(), Error>,
}

impl<'u> Up<'u> {
    pub(super) fn new(
        settings: &'u Settings,
        screen: Screen,
        services: Services,
        run: Run,
        board: SharedBoard,
        view: Option<View>,
        files: usize,
    ) -> Up<'u> {
        let bars = Bars::new(settings, &screen, files);
        Up { settings, screen, services, run, board, view, bars, sent: BTreeSet::new() }
    }

    /// Publishes `files` and those that are entered, and follows what comes of them.
    pub(super) async fn watch(&mut self, files: &[String], stop: Stop) -> Result<(), Error> {
        let mut endings = Endings::new(stop, self.view.as_ref());
        match self.work(files, &mut endings).await? {
            Some(Ending::Told) if self.finishes() => self.finish(&mut endings).await,
            Some(_) if self.settings.once => Err(Error::Unfinished(self.run.missing())),
            _ => Ok(()),
        }
    }

    /// Works until somebody wants an end, or until all is done and that is the end.
    async fn work(&mut self, files: &[String], endings: &mut Endings) -> Result<Option<Ending>, Error> {
        let mut ending = self.send(files, endings).await?;
        let interactive = !self.settings.once && self.view.is_none() && std::io::stdin().is_terminal();
        let mut entered = interactive.then(|| prompt::entered(&self.screen));
        let mut feed = self.settings.every.map(interval);
        if let Some(feed) = &mut feed {
            feed.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        let mut again = files.iter().cycle();
        while ending.is_none() && !(self.settings.once && self.is_over()) {
            ending = tokio::select! {
                biased;
                ending = endings.next() => Some(ending),
                event = self.services.event() => self.follow(event).map(|()| None)?,
                wish = wish(self.view.as_mut()) => self.grant(wish, files, endings).await?,
                name = next_name(entered.as_mut()) => match name {
                    Some((name, _answered)) => self.send([&name], endings).await?,
                    None => Some(Ending::Told),
                },
                () = tick(feed.as_mut()) => self.send(again.next().filter(|_| self.room() > 0), endings).await?,
                () = tokio::time::sleep(self.settings.patience), if self.settings.once => return Err(self.stuck()),
            };
            self.show();
        }
        Ok(ending)
    }

    /// Waits for what is outstanding, unless somebody does not want to.
    async fn finish(&mut self, endings: &mut Endings) -> Result<(), Error> {
        self.board.open().ending = true;
        self.screen.note("up: nothing more is sent; what is outstanding comes first, once more ends at once");
        while !self.is_over() {
            tokio::select! {
                biased;
                _ = endings.next() => return Ok(()),
                event = self.services.event() => self.follow(event)?,
                () = tokio::time::sleep(self.settings.patience) => return Err(self.stuck()),
            }
            self.show();
        }
        Ok(())
    }

    /// Gives the terminal back, and what there is to tell.
    pub(super) fn end(self) -> Remains {
        let sent = self.is_over().then_some(self.sent);
        self.bars.clear();
        Remains { services: self.services, run: self.run, sent, view: self.view.map_or(Ok(()), View::leave) }
    }

    fn is_over(&self) -> bool {
        self.run.is_over() && self.board.open().is_settled()
    }

    /// Is the account made even when the end is wished for?
    fn finishes(&self) -> bool {
        self.settings.chaos && !self.settings.once
    }

    fn stuck(&self) -> Error {
        Error::Unfinished(format!("nothing happens any more, {}", self.run.missing()))
    }

    fn show(&self) {
        self.bars.warned(&self.run);
        self.board.open().follow(&self.run);
    }

    /// For how many more files there is room.
    fn room(&self) -> usize {
        OUTSTANDING_MAX.saturating_sub(self.run.outstanding()).div_ceil(Kind::BOTH.len())
    }

    /// Publishes those files, unless somebody wants an end meanwhile. Where all is accounted for, what is being published
    /// then has to be taken by the broker first: it would be crunched, or would not.
    async fn send<'f>(
        &mut self,
        files: impl IntoIterator<Item = &'f String>,
        endings: &mut Endings,
    ) -> Result<Option<Ending>, Error> {
        let finishes = self.finishes();
        for file in files {
            let mut told = None;
            let mut published = pin!(self.publish(file));
            loop {
                tokio::select! {
                    biased;
                    published = &mut published => break published?,
                    ending = endings.next() => match told {
                        None if finishes && ending == Ending::Told => told = Some(ending),
                        None => return Ok(Some(ending)),
                        Some(_) => return Ok(Some(Ending::Left)),
                    }
                }
            }
            if told.is_some() {
                return Ok(told);
            }
        }
        Ok(None)
    }

    async fn publish(&mut self, file: &str) -> Result<(), Error> {
        let label = self.run.add_file();
        if self.settings.chaos {
            self.sent.insert(file.to_owned());
        }
        prompt::publish(&self.services.prompt, file, Some(&label)).await?;
        self.board.open().follow(&self.run);
        Ok(())
    }

    /// Does what the person at the terminal wishes.
    async fn grant(&mut self, wish: Wish, files: &[String], endings: &mut Endings) -> Result<Option<Ending>, Error> {
        match wish {
            Wish::File(name) => self.send([&name], endings).await,
            Wish::Again => self.send(files.iter().take(self.room()), endings).await,
            Wish::Kill => {
                self.services.kill_one();
                Ok(None)
            }
        }
    }

    fn follow(&mut self, event: Event) -> Result<(), Error> {
        match event {
            Event::Counted(Counted { result, expected }) => {
                if self.run.counted(result.label.as_deref(), &result.cruncher, expected) {
                    self.bars.crunched(&result.cruncher);
                }
            }
            Event::Ended(ended) => {
                if !self.settings.counts_own() || is_of(self.run.id(), ended.label.as_deref()) {
                    self.run.warning_ended(&ended.local_part, ended.written);
                    self.board.open().warning_ended(&ended.local_part, ended.written);
                }
            }
            Event::Failed(why) => return Err(why),
        }
        Ok(())
    }
}

/// What is wished next. That there is nobody any more who could, `View::closed` tells.
async fn wish(view: Option<&mut View>) -> Wish {
    let wish = match view {
        Some(view) => view.wish().await,
        None => None,
    };
    match wish {
        Some(wish) => wish,
        None => std::future::pending().await,
    }
}

async fn next_name(entered: Option<&mut mpsc::Receiver<Entered>>) -> Option<Entered> {
    match entered {
        Some(entered) => entered.recv().await,
        None => std::future::pending().await,
    }
}

async fn tick(feed: Option<&mut Interval>) {
    match feed {
        Some(feed) => drop(feed.tick().await),
        None => std::future::pending().await,
    }
}
