//! The live view of `up`: a thread that draws the board some times a second and hears the keys.

mod compact;
mod draw;
mod flow;
mod keys;
mod lists;
mod meter;
#[cfg(test)]
mod tests;

use super::Settings;
use super::board::SharedBoard;
use crate::error::Error;
use crate::screen::Lines;
use crate::stop::{Stop, Stopper};
use crate::terminal::{DRAWING_THREAD, Taken, is_taken};
use draw::{Scene, draw};
use keys::{Answer, Keys};
use meter::Meter;
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// From one picture to the next, unless a key comes first.
const PICTURE: Duration = Duration::from_millis(100);
/// How many wishes may wait; further ones are as good as not said.
const WISHES_MAX: usize = 16;
/// How many lines are fetched for the list of what happens.
const LINES_MAX: usize = 100;

/// What the person at the terminal wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wish {
    /// This file to be crunched.
    File(String),
    /// All files once more.
    Again,
    /// A cruncher to be killed.
    Kill,
}

/// Is there a terminal for a live view, and is it wanted?
pub(super) fn is_wanted(settings: &Settings) -> bool {
    let able = std::env::var("TERM").is_ok_and(|term| !term.is_empty() && term != "dumb") || cfg!(windows);
    !settings.plain && !settings.json && able && io::stdout().is_terminal() && io::stdin().is_terminal()
}

/// The view, until it is dropped.
pub(super) struct View {
    thread: Option<JoinHandle<()>>,
    over: Arc<AtomicBool>,
    wishes: mpsc::Receiver<Wish>,
    told: Option<Stop>,
    closed: Stop,
}

impl View {
    /// Takes the terminal over and draws `board` and `lines` on it.
    ///
    /// # Errors
    /// When the terminal cannot be had.
    pub(super) fn start(board: SharedBoard, lines: Lines, chaos: bool) -> Result<View, Error> {
        let failed = |source| Error::File { what: "draw on the terminal (--plain prints lines)".to_owned(), source };
        let taken = Taken::over(lines.clone()).map_err(failed)?;
        let (over, (wish, wishes)) = (Arc::new(AtomicBool::new(false)), mpsc::channel(WISHES_MAX));
        let ((telling, told), (closing, closed)) = (chaos.then(Stop::new).unzip(), Stop::new());
        let painter = Painter {
            board,
            lines,
            keys: Keys::new(chaos),
            meter: Meter::default(),
            wish,
            telling,
            over: over.clone(),
        };
        let paint = move || painter.paint(taken, &closing);
        let thread = std::thread::Builder::new().name(DRAWING_THREAD.to_owned()).spawn(paint).map_err(failed)?;
        Ok(View { thread: Some(thread), over, wishes, told, closed })
    }

    /// The next wish; nothing if there will be none.
    pub(super) async fn wish(&mut self) -> Option<Wish> {
        self.wishes.recv().await
    }

    /// Gives the terminal back.
    ///
    /// # Errors
    /// When the view had broken before.
    pub(super) fn leave(mut self) -> Result<(), Error> {
        self.join().map_err(|()| Error::Unfinished("the view broke".to_owned()))
    }

    fn join(&mut self) -> Result<(), ()> {
        // The thread looks at it many times a second.
        self.over.store(true, Ordering::SeqCst);
        self.thread.take().map_or(Ok(()), |thread| thread.join().map_err(drop))
    }

    /// Hears that the person wants an end in order, if there is more to it than leaving.
    pub(super) fn told(&self) -> Option<Stop> {
        self.told.clone()
    }

    /// Hears that the person has left the view, or that it broke.
    pub(super) fn closed(&self) -> Stop {
        self.closed.clone()
    }
}

impl Drop for View {
    fn drop(&mut self) {
        // If it panicked, it has said so.
        let _ = self.join();
    }
}

struct Painter {
    board: SharedBoard,
    lines: Lines,
    keys: Keys,
    meter: Meter,
    wish: mpsc::Sender<Wish>,
    /// With chaos, the first wish to quit leaves the view open until the account can be made.
    telling: Option<Stopper>,
    over: Arc<AtomicBool>,
}

impl Painter {
    /// Draws until the view is over. A terminal that is gone ends it too.
    fn paint(mut self, mut taken: Taken, closing: &Stopper) {
        while !self.over.load(Ordering::SeqCst) && is_taken() {
            match self.picture(&mut taken) {
                Ok(true) => {}
                Ok(false) | Err(_) => break,
            }
        }
        drop(taken);
        closing.stop();
    }

    /// Draws once and hears keys until the next picture is due. False: the person wants to leave.
    fn picture(&mut self, taken: &mut Taken) -> io::Result<bool> {
        let (board, now) = (self.board.open().clone(), Instant::now());
        self.meter.sample(now, &board);
        let lines = self.lines.newest(LINES_MAX);
        let scene = Scene {
            board: &board,
            rates: self.meter.rates(),
            lines: &lines,
            input: self.keys.input(),
            chaos: board.chaos,
        };
        taken.terminal().draw(|frame| draw(frame, &scene))?;
        if !event::poll(PICTURE)? {
            return Ok(true);
        }
        match event::read()? {
            Event::Key(key) if key.kind != KeyEventKind::Release => match self.keys.pressed(key) {
                Answer::Quit => match self.telling.take() {
                    Some(telling) => telling.stop(),
                    None => return Ok(false),
                },
                Answer::Wish(wish) => drop(self.wish.try_send(wish)),
                Answer::Nothing => {}
            },
            Event::Paste(text) => self.keys.pasted(&text),
            // A new size shows with the next picture.
            _ => {}
        }
        Ok(true)
    }
}
