//! The bars of `up --once` on a terminal, where no live view is wanted.

use super::Settings;
use super::run::Run;
use crate::crunch::Kind;
use crate::screen::Screen;
use indicatif::ProgressBar;

/// One for each cruncher, one for the warnings.
pub(super) struct Bars {
    fast: ProgressBar,
    slow: ProgressBar,
    warned: ProgressBar,
}

impl Bars {
    pub(super) fn new(settings: &Settings, screen: &Screen, files: usize) -> Bars {
        let screen = if settings.once { screen.clone() } else { Screen::default() };
        let files = files as u64;
        Bars { fast: screen.bar("fast", files), slow: screen.bar("slow", files), warned: screen.bar("warned", 0) }
    }

    pub(super) fn crunched(&self, cruncher: &str) {
        let bar = if cruncher == Kind::Fast.name() { &self.fast } else { &self.slow };
        bar.inc(1);
    }

    pub(super) fn warned(&self, run: &Run) {
        self.warned.set_length(run.warnings() as u64);
        self.warned.set_position(run.warned() as u64);
    }

    pub(super) fn clear(&self) {
        for bar in [&self.fast, &self.slow, &self.warned] {
            bar.finish_and_clear();
        }
    }
}
