//! Follows a run of `up`: publishes the files, hears what comes of them, does what the person at the terminal wishes.

use super::Settings;
use super::bars::Bars;
use super::board::SharedBoard;
use super::run::{Run, is_of};
use super::services::{Event, Services};
use super::spammers::Counted;
use super::view::{View, Wish};
use crate::error::Error;
use crate::prompt::{self, Entered};
use crate::screen::Screen;
use crate::stop::Stop;
use std::collections::BTreeSet;
use std::io::IsTerminal;
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
    pub(super) async fn watch(&mut self, files: &[String], mut stop: Stop) -> Result<(), Error> {
        let mut closed = self.view.as_ref().map(View::closed);
        for file in files {
            tokio::select! {
                biased;
                () = stop.asked() => return self.interrupted(),
                () = asked(closed.as_mut()) => return self.interrupted(),
                published = self.publish(file) => published?,
            }
        }
        let interactive = !self.settings.once && self.view.is_none() && std::io::stdin().is_terminal();
        let mut entered = interactive.then(|| prompt::entered(&self.screen));
        let mut feed = self.settings.every.map(interval);
        if let Some(feed) = &mut feed {
            feed.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        let mut again = files.iter().cycle();
        while !(self.settings.once && self.is_over()) {
            tokio::select! {
                biased;
                () = stop.asked() => return self.interrupted(),
                () = asked(closed.as_mut()) => return self.interrupted(),
                event = self.services.event() => self.follow(event)?,
                wish = wish(self.view.as_mut()) => self.grant(wish, files).await?,
                name = next_name(entered.as_mut()) => match name {
                    Some((name, _answered)) => self.publish(&name).await?,
                    None => return Ok(()),
                },
                () = tick(feed.as_mut()) => {
                    if let Some(file) = again.next().filter(|_| self.has_room()) {
                        self.publish(file).await?;
                    }
                }
                () = tokio::time::sleep(self.settings.patience), if self.settings.once => {
                    return Err(Error::Unfinished(format!("nothing happens any more, {}", self.run.missing())));
                }
            }
            self.bars.warned(&self.run);
            self.board.open().follow(&self.run);
        }
        Ok(())
    }

    /// Gives the terminal back, and what there is to tell.
    pub(super) fn end(self) -> (Services, Run, BTreeSet<String>, Result<(), Error>) {
        let Up { services, run, sent, bars, view, .. } = self;
        bars.clear();
        (services, run, sent, view.map_or(Ok(()), View::leave))
    }

    fn is_over(&self) -> bool {
        self.run.is_over() && self.board.open().is_settled()
    }

    fn has_room(&self) -> bool {
        self.run.outstanding() < OUTSTANDING_MAX
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
    async fn grant(&mut self, wish: Wish, files: &[String]) -> Result<(), Error> {
        match wish {
            Wish::File(name) => self.publish(&name).await?,
            Wish::Kill => self.services.kill_one(),
            Wish::Again => {
                for file in files {
                    if self.has_room() {
                        self.publish(file).await?;
                    }
                }
            }
        }
        Ok(())
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

    fn interrupted(&self) -> Result<(), Error> {
        if self.settings.once { Err(Error::Unfinished(self.run.missing())) } else { Ok(()) }
    }
}

async fn asked(stop: Option<&mut Stop>) {
    match stop {
        Some(stop) => stop.asked().await,
        None => std::future::pending().await,
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
