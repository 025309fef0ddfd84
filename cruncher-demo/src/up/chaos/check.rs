//! What chaos must not change: every file crunched, every address counted, each once.

use crate::crunch::Kind;
use crate::letter;
use crate::tally::Tally;
use crate::up::board::Board;
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

/// The account at the end.
#[derive(Debug, Serialize)]
pub(crate) struct Check {
    files: usize,
    crunched_fast: usize,
    crunched_slow: usize,
    killed: u64,
    redelivered: u64,
    results_twice: u64,
    addresses: usize,
    /// Counted without broker, queues and killing.
    addresses_without_chaos: usize,
    holds: bool,
}

impl Check {
    /// The account of this board, where `expected` addresses are in the files.
    pub(crate) fn of(board: &Board, expected: usize) -> Check {
        let Board { files, fast, slow, status, .. } = board;
        let (killed, redelivered) = (board.kills(), fast.redelivered + slow.redelivered);
        let all_crunched = [fast.crunched, slow.crunched] == [*files, *files];
        Check {
            files: *files,
            crunched_fast: fast.crunched,
            crunched_slow: slow.crunched,
            killed,
            redelivered,
            results_twice: status.twice,
            addresses: status.addresses,
            addresses_without_chaos: expected,
            holds: all_crunched && redelivered >= killed && status.addresses == expected,
        }
    }

    /// Is nothing lost, and nothing counted twice?
    pub(crate) fn holds(&self) -> bool {
        self.holds
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Check { files, crunched_fast, crunched_slow, killed, redelivered, results_twice, .. } = self;
        write!(
            f,
            "{killed} killed, {redelivered} files redelivered, {results_twice} results twice but counted once; "
        )?;
        write!(f, "{files} files sent, {crunched_fast} crunched fast, {crunched_slow} slow; ")?;
        write!(f, "{} addresses, {} without chaos: ", self.addresses, self.addresses_without_chaos)?;
        f.write_str(if self.holds { "nothing lost, nothing twice" } else { "THIS IS NOT THE SAME" })
    }
}

/// How many different addresses both crunchers find in those files, read here and now. Takes its time.
pub(crate) fn addresses_in(files: &BTreeSet<String>) -> usize {
    let mut tally = Tally::new("");
    for text in files.iter().filter_map(|name| letter::read(Path::new(name)).ok()) {
        for kind in Kind::BOTH {
            tally.record(kind.name(), &kind.find(&text));
        }
    }
    tally.addresses()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn harmed() -> Board {
        let mut board = Board { files: 2, ..Board::default() };
        for kind in Kind::BOTH {
            board.condemned(kind, false);
            board.came_back(kind);
            board.lane_mut(kind).crunched = 2;
        }
        board.status.addresses = 3;
        board
    }

    #[test]
    fn the_account_holds_when_all_is_there_once() {
        let check = Check::of(&harmed(), 3);
        assert!(check.holds());
        assert_eq!(
            check.to_string(),
            "2 killed, 2 files redelivered, 0 results twice but counted once; 2 files sent, 2 crunched fast, 2 slow; \
             3 addresses, 3 without chaos: nothing lost, nothing twice"
        );
    }

    #[test]
    fn what_is_lost_or_twice_shows() {
        assert!(!Check::of(&harmed(), 4).holds());
        assert!(!Check::of(&harmed(), 2).holds());
        assert!(!Check::of(&Board { files: 3, ..harmed() }, 3).holds());
        let mut owing = harmed();
        owing.slow.redelivered = 0;
        assert!(!Check::of(&owing, 3).holds());
    }

    #[test]
    fn the_addresses_are_counted_each_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        std::fs::write(path("a"), "ann@apple.com, bob at apple dot com").unwrap();
        std::fs::write(path("b"), "ANN@apple.com icon@2x.png").unwrap();
        assert_eq!(addresses_in(&BTreeSet::from([path("a"), path("b"), path("none")])), 3);
    }
}
