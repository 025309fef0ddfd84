//! What the services of `up` do at the moment, for whoever shows it: counts, depths, what is in whose hands. Pure.

use super::run::Run;
use crate::crunch::Kind;
use crate::messages::CruncherResult;
use crate::newest::remember;
use crate::status::Asked;
use crate::tally::{News, Tally};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many addresses and warnings are remembered for showing.
const SHOWN_MAX: usize = 64;

/// The picture, shared between those who paint it and those who look.
#[derive(Debug, Clone, Default)]
pub(crate) struct SharedBoard(Arc<Mutex<Board>>);

impl SharedBoard {
    /// The picture, to be looked at or painted on for a moment.
    pub(crate) fn open(&self) -> MutexGuard<'_, Board> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The picture.
#[derive(Debug, Clone, Default)]
pub(crate) struct Board {
    /// Where the broker is.
    pub(crate) broker: String,
    /// The watched domain.
    pub(crate) domain: String,
    /// How many files were sent.
    pub(crate) files: usize,
    pub(crate) fast: Lane,
    pub(crate) slow: Lane,
    pub(crate) status: StatusBoard,
    pub(crate) spammers: SpammersBoard,
    /// Are crunchers killed?
    pub(crate) chaos: bool,
    /// Is nothing more sent, and only what is outstanding finished?
    pub(crate) ending: bool,
}

/// A queue as the broker sees it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Depth {
    /// Messages that wait.
    pub(crate) ready: u32,
    /// Who consumes it.
    pub(crate) consumers: u32,
}

/// A cruncher and its queue.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lane {
    pub(crate) queue: Depth,
    pub(crate) state: CruncherState,
    /// Different files that have come out of it.
    pub(crate) crunched: usize,
    /// Files it has worked on to the end, one that came twice counted twice.
    pub(crate) handled: u64,
    /// Different addresses it found.
    pub(crate) found: usize,
    /// How often it was killed before its result was out, and after that.
    pub(crate) killed_before: u64,
    pub(crate) killed_after: u64,
    /// Files of this run that were delivered again.
    pub(crate) redelivered: u64,
    /// Files that a killed one had and that have not come back yet.
    pub(crate) owed: u64,
}

/// What a cruncher is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum CruncherState {
    /// It waits for a file.
    #[default]
    Idle,
    /// It works on this file, perhaps not the first to do so.
    Works {
        /// The file's name.
        file: String,
        /// Somebody had it before.
        again: bool,
    },
    /// It was killed with this file in its hands.
    Killed {
        /// The file's name.
        file: String,
    },
}

/// The status service and its queue.
#[derive(Debug, Clone, Default)]
pub(crate) struct StatusBoard {
    pub(crate) queue: Depth,
    pub(crate) results: u64,
    /// Results that came twice and were counted once.
    pub(crate) twice: u64,
    pub(crate) addresses: usize,
    pub(crate) in_domain: usize,
    /// The newest addresses, the newest last.
    pub(crate) newest: VecDeque<String>,
}

/// The spammers and their queues.
#[derive(Debug, Clone, Default)]
pub(crate) struct SpammersBoard {
    /// Messages that wait in the queues looked at.
    pub(crate) ready: u64,
    pub(crate) asked: u64,
    pub(crate) written: u64,
    pub(crate) given_up: u64,
    /// The newest warnings, the newest last.
    pub(crate) newest: VecDeque<Warning>,
}

/// A warning to somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Warning {
    pub(crate) local_part: String,
    pub(crate) progress: Progress,
}

/// How far a warning is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    Asked,
    Written,
    GivenUp,
}

impl Lane {
    /// How often it was killed.
    pub(crate) fn killed(&self) -> u64 {
        self.killed_before + self.killed_after
    }
}

impl Board {
    /// The lane of that cruncher.
    pub(crate) fn lane(&self, kind: Kind) -> &Lane {
        match kind {
            Kind::Fast => &self.fast,
            Kind::Slow => &self.slow,
        }
    }

    /// The lane of that cruncher, to paint on.
    pub(crate) fn lane_mut(&mut self, kind: Kind) -> &mut Lane {
        match kind {
            Kind::Fast => &mut self.fast,
            Kind::Slow => &mut self.slow,
        }
    }

    /// How often crunchers were killed.
    pub(crate) fn kills(&self) -> u64 {
        self.fast.killed() + self.slow.killed()
    }

    /// A cruncher has got a file.
    pub(super) fn began(&mut self, kind: Kind, file: &str, redelivered: bool) {
        let lane = self.lane_mut(kind);
        lane.state = CruncherState::Works { file: file.to_owned(), again: redelivered };
    }

    /// The file that it got is one of this run that somebody had before.
    pub(super) fn came_back(&mut self, kind: Kind) {
        let lane = self.lane_mut(kind);
        lane.redelivered += 1;
        lane.owed = lane.owed.saturating_sub(1);
    }

    /// It is done with it.
    pub(super) fn finished(&mut self, kind: Kind) {
        let lane = self.lane_mut(kind);
        lane.state = CruncherState::Idle;
        lane.handled += 1;
    }

    /// It will be killed with it, perhaps only `after` its result is out. This has to be known before: the result may
    /// be counted before the kill is.
    pub(super) fn condemned(&mut self, kind: Kind, after: bool) {
        let lane = self.lane_mut(kind);
        lane.owed += 1;
        if after {
            lane.killed_after += 1;
        } else {
            lane.killed_before += 1;
        }
    }

    /// It was killed with it.
    pub(super) fn killed(&mut self, kind: Kind, file: &str) {
        self.lane_mut(kind).state = CruncherState::Killed { file: file.to_owned() };
    }

    /// The status service has recorded a result.
    pub(super) fn recorded(&mut self, result: &CruncherResult, tally: &Tally) {
        self.status.results += 1;
        self.status.addresses = tally.addresses();
        self.status.in_domain = tally.new_in_domain_count();
        for kind in Kind::BOTH.into_iter().filter(|kind| kind.name() == result.cruncher) {
            self.lane_mut(kind).found = tally.found_by(kind.name());
        }
        for address in tally.latest() {
            remember(&mut self.status.newest, SHOWN_MAX, address.clone());
        }
    }

    /// The status service has asked for a warning.
    pub(super) fn asked(&mut self, news: &News, asked: Asked) {
        if asked == Asked::Queued {
            self.spammers.asked += 1;
            // It may have been faster than the confirm.
            if !self.spammers.newest.iter().any(|warning| warning.local_part == news.local_part) {
                self.warn(&news.local_part, Progress::Asked);
            }
        }
    }

    /// A warning has come to its end.
    pub(super) fn warning_ended(&mut self, local_part: &str, written: bool) {
        let progress = if written { Progress::Written } else { Progress::GivenUp };
        match written {
            true => self.spammers.written += 1,
            false => self.spammers.given_up += 1,
        }
        match self.spammers.newest.iter_mut().find(|warning| warning.local_part == local_part) {
            Some(warning) => warning.progress = progress,
            None => self.warn(local_part, progress),
        }
    }

    fn warn(&mut self, local_part: &str, progress: Progress) {
        remember(&mut self.spammers.newest, SHOWN_MAX, Warning { local_part: local_part.to_owned(), progress });
    }

    /// What only the run itself knows.
    pub(super) fn follow(&mut self, run: &Run) {
        self.files = run.files();
        self.status.twice = run.twice() as u64;
        for kind in Kind::BOTH {
            self.lane_mut(kind).crunched = run.crunched(kind);
        }
    }

    /// Has every file come back that a killed cruncher had, and every result that a killed one had sent come twice?
    pub(super) fn is_settled(&self) -> bool {
        let lanes = [&self.fast, &self.slow];
        let twice: u64 = lanes.iter().map(|lane| lane.killed_after).sum();
        lanes.iter().all(|lane| lane.owed == 0) && self.status.twice >= twice
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kill_is_settled_when_the_file_is_back_and_its_second_result_counted() {
        let mut board = Board::default();
        board.began(Kind::Slow, "a.txt", false);
        assert!(board.is_settled());
        board.condemned(Kind::Slow, true);
        assert!(!board.is_settled());
        board.came_back(Kind::Slow);
        assert!(!board.is_settled());
        board.status.twice = 1;
        assert!(board.is_settled());
        assert_eq!((board.slow.killed(), board.slow.redelivered), (1, 1));
    }

    #[test]
    fn a_warning_is_shown_once_however_early_it_ends() {
        let mut board = Board::default();
        let news = News { local_part: "ann".to_owned(), domain: "apple.com".to_owned() };
        board.warning_ended("ann", true);
        board.asked(&news, Asked::Queued);
        assert_eq!(board.spammers.newest, [Warning { local_part: "ann".to_owned(), progress: Progress::Written }]);
    }

    #[test]
    fn what_is_shown_has_a_bound() {
        let mut board = Board::default();
        for number in 0..10 * SHOWN_MAX {
            board.warning_ended(&number.to_string(), false);
        }
        assert_eq!(board.spammers.newest.len(), SHOWN_MAX);
        assert_eq!(board.spammers.given_up, 10 * SHOWN_MAX as u64);
    }
}
