//! The board and the browsers that watch it. A browser gets all of the board first and each change from then on. One
//! that is too slow gets all of it once more instead of what it missed, so that none makes the server grow.

use super::board::Board;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast};

/// How many changes a browser may be behind.
const BEHIND_MAX: usize = 256;
/// How many browsers may watch.
const BROWSERS_MAX: usize = 128;

/// The board, and who hears of its changes.
#[derive(Debug)]
pub(super) struct Feed {
    board: Mutex<Board>,
    changes: broadcast::Sender<Arc<str>>,
    places: Arc<Semaphore>,
}

impl Feed {
    pub(super) fn new(board: Board) -> Feed {
        let (changes, _) = broadcast::channel(BEHIND_MAX);
        Feed { board: Mutex::new(board), changes, places: Arc::new(Semaphore::new(BROWSERS_MAX)) }
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the board and tells everyone.
    pub(super) fn tell(&self, change: impl FnOnce(&mut Board) -> Option<String>) {
        let mut board = self.board();
        if let Some(change) = change(&mut board) {
            // Under the lock, so that a snapshot is followed by exactly what it lacks. Nobody may be watching.
            let _ = self.changes.send(change.into());
        }
    }

    /// Looks at the board.
    pub(super) fn look<T>(&self, look: impl FnOnce(&Board) -> T) -> T {
        look(&self.board())
    }

    /// Does anybody watch?
    pub(super) fn is_watched(&self) -> bool {
        self.changes.receiver_count() > 0
    }

    /// One more browser; none if there are too many.
    pub(super) fn watch(self: &Arc<Feed>) -> Option<Watcher> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        let (first, changes) = self.begin();
        Some(Watcher { feed: Arc::clone(self), first: Some(first), changes, _place: place })
    }

    fn begin(&self) -> (Arc<str>, broadcast::Receiver<Arc<str>>) {
        let board = self.board();
        (board.snapshot().into(), self.changes.subscribe())
    }
}

/// A browser's place.
#[derive(Debug)]
pub(super) struct Watcher {
    feed: Arc<Feed>,
    first: Option<Arc<str>>,
    changes: broadcast::Receiver<Arc<str>>,
    _place: OwnedSemaphorePermit,
}

impl Watcher {
    /// What the browser is to hear next.
    pub(super) async fn next(&mut self) -> Arc<str> {
        if let Some(first) = self.first.take() {
            return first;
        }
        match self.changes.recv().await {
            Ok(change) => change,
            Err(_) => {
                let (snapshot, changes) = self.feed.begin();
                self.changes = changes;
                snapshot
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::rows::{Broker, Fixed, Link};
    use super::*;
    use serde_json::Value;

    fn feed() -> Arc<Feed> {
        let (run, domain) = (String::new(), String::new());
        let fixed = Fixed { run, domain, out: None, own_services: true, letter_bytes_max: 1 };
        let broker = Broker { link: Link::Connecting, address: String::new(), embedded: false, healed: 0 };
        Arc::new(Feed::new(Board::new(fixed, broker)))
    }

    async fn heard(watcher: &mut Watcher) -> Value {
        serde_json::from_str(&watcher.next().await).unwrap()
    }

    #[tokio::test]
    async fn a_browser_gets_all_and_then_each_change() {
        let feed = feed();
        feed.tell(|board| board.letter("1", "one", 1));
        let mut watcher = feed.watch().unwrap();
        feed.tell(|board| board.letter("2", "two", 1));
        let first = heard(&mut watcher).await;
        assert_eq!((first["letters"].as_array().unwrap().len(), &first["letters"][0]["name"]), (1, &"one".into()));
        assert_eq!(heard(&mut watcher).await["letters"][0]["name"], "two");
    }

    #[tokio::test]
    async fn a_browser_that_is_too_slow_gets_all_again() {
        let feed = feed();
        let mut watcher = feed.watch().unwrap();
        heard(&mut watcher).await;
        for number in 0..2 * BEHIND_MAX {
            feed.tell(|board| board.letter("x", &number.to_string(), 1));
        }
        let again = heard(&mut watcher).await;
        assert!(again["fixed"].is_object());
        assert_eq!(again["letters"].as_array().unwrap().last().unwrap()["name"], (2 * BEHIND_MAX - 1).to_string());
        feed.tell(|board| board.letter("y", "next", 1));
        assert_eq!(heard(&mut watcher).await["letters"][0]["name"], "next");
    }

    #[tokio::test]
    async fn a_browser_more_than_there_are_places_is_turned_away() {
        let feed = feed();
        let mut watchers: Vec<_> = (0..BROWSERS_MAX).map(|_| feed.watch().unwrap()).collect();
        assert!(feed.watch().is_none());
        watchers.pop();
        assert!(feed.watch().is_some());
    }
}
