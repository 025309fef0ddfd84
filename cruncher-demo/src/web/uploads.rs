//! The letters that were handed in: files in a folder of their own, since the crunchers are told file names, and the
//! order in which they are published.
//!
//! ```text
//! store -> release -> next -> published -> crunched by both -> kept for a while -> deleted
//!                      ^-------- again, when the broker forgot it
//! ```

use crate::crunch::Kind;
use crate::error::Error;
use crate::messages::number_of;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// How many letters may wait for their crunchers.
pub(super) const UNFINISHED_MAX: usize = 1000;
/// How many bytes of letters may lie in the folder.
const BYTES_MAX: usize = 256 << 20;
/// How many crunched letters stay, for crunchers that get a message once more.
const KEPT_MAX: usize = 100;
/// Longest part of a letter's name that becomes a part of the file's.
const NAME_CHARS_MAX: usize = 60;

/// Why a letter is not taken.
#[derive(Debug)]
pub(super) enum Refused {
    /// Too many wait already.
    Busy,
    /// It cannot be written.
    Io(io::Error),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::Busy => write!(f, "too many letters wait for the crunchers; try again later"),
            Refused::Io(why) => write!(f, "the letter cannot be kept: {why}"),
        }
    }
}

/// A letter on its way.
#[derive(Debug)]
struct Upload {
    path: String,
    bytes: usize,
    /// May it be published?
    released: bool,
    crunched_by: BTreeSet<&'static str>,
}

#[derive(Debug, Default)]
struct State {
    last: u64,
    unfinished: BTreeMap<u64, Upload>,
    waiting: VecDeque<u64>,
    kept: VecDeque<Upload>,
    bytes: usize,
}

/// All letters that were handed in.
#[derive(Debug)]
pub(super) struct Uploads {
    folder: PathBuf,
    run: String,
    state: Mutex<State>,
    released: Notify,
}

impl Uploads {
    /// A new folder among the temporary ones; labels begin with `run`.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) fn new(run: &str) -> Result<Uploads, Error> {
        let mut folder = tempfile::Builder::new();
        // Letters are nobody else's business.
        #[cfg(unix)]
        folder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
        let made = folder.prefix("cruncher-letters-").tempdir();
        let made = made.map_err(|source| Error::File { what: "make a folder for letters".to_owned(), source })?;
        let state = Mutex::new(State::default());
        Ok(Uploads { folder: made.keep(), run: run.to_owned(), state, released: Notify::new() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a letter and gives its number; it waits until it is released.
    pub(super) async fn store(&self, name: &str, text: &str) -> Result<u64, Refused> {
        let (number, path) = self.reserve(name, text.len())?;
        if let Err(why) = tokio::fs::write(&path, text).await {
            // What is there of it takes room on a disk that may be full.
            let _ = tokio::fs::remove_file(&path).await;
            self.forget(number);
            return Err(Refused::Io(why));
        }
        Ok(number)
    }

    fn reserve(&self, name: &str, bytes: usize) -> Result<(u64, String), Refused> {
        let mut state = self.state();
        while state.bytes + bytes > BYTES_MAX && !state.kept.is_empty() {
            state.drop_oldest();
        }
        if state.unfinished.len() >= UNFINISHED_MAX || state.bytes + bytes > BYTES_MAX {
            return Err(Refused::Busy);
        }
        state.last += 1;
        let number = state.last;
        let path = self.folder.join(file_name(number, name)).display().to_string();
        state.bytes += bytes;
        let upload = Upload { path: path.clone(), bytes, released: false, crunched_by: BTreeSet::new() };
        state.unfinished.insert(number, upload);
        Ok((number, path))
    }

    fn forget(&self, number: u64) {
        let mut state = self.state();
        if let Some(upload) = state.unfinished.remove(&number) {
            state.bytes -= upload.bytes;
        }
    }

    /// A letter may be published.
    pub(super) fn release(&self, number: u64) {
        let mut state = self.state();
        if let Some(upload) = state.unfinished.get_mut(&number) {
            upload.released = true;
            state.waiting.push_back(number);
            self.released.notify_one();
        }
    }

    /// What the message of a letter is labelled with.
    pub(super) fn label(&self, number: u64) -> String {
        format!("{}/{number}", self.run)
    }

    /// The queue by which a broker remembers these letters.
    pub(super) fn mark(&self) -> String {
        format!("page@{}", self.run)
    }

    /// The next letter to publish and its file. It stays the next one until it is published.
    pub(super) async fn next(&self) -> (u64, String) {
        loop {
            let released = self.released.notified();
            let next = {
                let state = self.state();
                state.waiting.front().and_then(|number| Some((*number, state.unfinished.get(number)?.path.clone())))
            };
            match next {
                Some(next) => return next,
                None => released.await,
            }
        }
    }

    /// The broker has the letter that was next.
    pub(super) fn published(&self) {
        let mut state = self.state();
        if let Some(number) = state.waiting.pop_front() {
            // A result can be faster than the broker's word that it has the letter.
            state.finish_if_crunched(number);
        }
    }

    /// A broker that keeps nothing has forgotten all messages: what is not crunched is published again. How many had been.
    pub(super) fn again(&self) -> usize {
        let mut state = self.state();
        let waited = state.waiting.len();
        state.waiting =
            state.unfinished.iter().filter(|(_, upload)| upload.released).map(|(number, _)| *number).collect();
        self.released.notify_one();
        state.waiting.len().saturating_sub(waited)
    }

    /// A cruncher is done with the letter of that label.
    pub(super) fn crunched(&self, label: Option<&str>, cruncher: &str) {
        let number = label.and_then(|label| number_of(&self.run, label));
        let kind = [Kind::Fast, Kind::Slow].into_iter().find(|kind| kind.name() == cruncher);
        let Some((number, kind)) = number.zip(kind) else { return };
        let mut state = self.state();
        let Some(upload) = state.unfinished.get_mut(&number) else { return };
        upload.crunched_by.insert(kind.name());
        if !state.waiting.contains(&number) {
            state.finish_if_crunched(number);
        }
    }

    /// Deletes what was crunched; what was not stays for the crunchers, and is reported.
    pub(super) fn end(&self) -> Option<(usize, &Path)> {
        let mut state = self.state();
        while !state.kept.is_empty() {
            state.drop_oldest();
        }
        let left = state.unfinished.len();
        (left > 0).then_some((left, self.folder.as_path()))
    }
}

impl Drop for Uploads {
    fn drop(&mut self) {
        // It stays if there is something in it.
        let _ = std::fs::remove_dir(&self.folder);
    }
}

impl State {
    fn finish_if_crunched(&mut self, number: u64) {
        let is_crunched = |upload: &Upload| upload.crunched_by.len() >= [Kind::Fast, Kind::Slow].len();
        if self.unfinished.get(&number).is_some_and(is_crunched) {
            self.kept.extend(self.unfinished.remove(&number));
        }
        if self.kept.len() > KEPT_MAX {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(upload) = self.kept.pop_front() {
            self.bytes -= upload.bytes;
            // Whoever took it away did the same.
            let _ = std::fs::remove_file(&upload.path);
        }
    }
}

/// A file name that says which letter it is and stays in its folder.
fn file_name(number: u64, name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
    let name: String = name.chars().take(NAME_CHARS_MAX).map(plain).collect();
    format!("{number}-{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uploads() -> Uploads {
        Uploads::new("run").unwrap()
    }

    async fn released(uploads: &Uploads, name: &str) -> u64 {
        let number = uploads.store(name, "ann@apple.com").await.unwrap();
        uploads.release(number);
        number
    }

    fn files(uploads: &Uploads) -> usize {
        std::fs::read_dir(&uploads.folder).map_or(0, Iterator::count)
    }

    #[tokio::test]
    async fn a_letter_stays_the_next_one_until_it_is_published() {
        let uploads = uploads();
        let (one, two) = (released(&uploads, "a").await, released(&uploads, "b").await);
        assert_eq!(uploads.next().await.0, one);
        assert_eq!(uploads.next().await.0, one);
        uploads.published();
        assert_eq!(uploads.next().await.0, two);
        assert_eq!(uploads.end(), Some((2, uploads.folder.as_path())));
        std::fs::remove_dir_all(&uploads.folder).unwrap();
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn of_a_letter_that_finds_no_room_nothing_stays() {
        let uploads = uploads();
        std::os::unix::fs::symlink("/dev/full", uploads.folder.join(file_name(1, "a"))).unwrap();
        assert!(matches!(uploads.store("a", "ann@apple.com").await, Err(Refused::Io(_))));
        let state = uploads.state();
        assert_eq!((files(&uploads), state.unfinished.len(), state.bytes), (0, 0, 0));
    }

    #[tokio::test]
    async fn a_letter_is_finished_when_both_have_crunched_it_however_early() {
        let uploads = uploads();
        let label = uploads.label(released(&uploads, "a").await);
        for cruncher in ["fast", "fast", "slow"] {
            uploads.crunched(Some(&label), cruncher);
        }
        let other = uploads.label(released(&uploads, "b").await);
        assert_eq!(uploads.state().unfinished.len(), 2);
        uploads.published();
        uploads.published();
        for cruncher in ["fast", "unknown", "another"] {
            uploads.crunched(Some(&other), cruncher);
        }
        assert_eq!((uploads.state().unfinished.len(), files(&uploads)), (1, 2));
        uploads.crunched(Some(&other), "slow");
        assert_eq!((uploads.state().unfinished.len(), files(&uploads)), (0, 2));
        for label in [None, Some("run"), Some("run/x"), Some("run/7"), Some("other/1")] {
            uploads.crunched(label, "fast");
        }
        assert_eq!(uploads.end(), None);
        let folder = uploads.folder.clone();
        drop(uploads);
        assert!(!folder.exists());
    }

    #[tokio::test]
    async fn what_a_broker_forgot_is_published_again_in_order() {
        let uploads = uploads();
        let numbers = [released(&uploads, "a").await, released(&uploads, "b").await, released(&uploads, "c").await];
        let unwritten = uploads.reserve("d", 1).unwrap().0;
        uploads.published();
        uploads.published();
        for cruncher in ["fast", "slow"] {
            uploads.crunched(Some(&uploads.label(numbers[0])), cruncher);
        }
        assert_eq!(uploads.again(), 1, "the other one waits for the first time");
        uploads.release(unwritten);
        for number in [numbers[1], numbers[2], unwritten] {
            assert_eq!(uploads.next().await.0, number);
            uploads.published();
        }
        uploads.end();
        std::fs::remove_dir_all(&uploads.folder).unwrap();
    }

    #[tokio::test]
    async fn too_many_letters_are_refused_and_crunched_ones_make_room() {
        let uploads = uploads();
        let large = BYTES_MAX / 2 + 1;
        let (first, path) = uploads.reserve("a", large).unwrap();
        assert!(matches!(uploads.reserve("b", large), Err(Refused::Busy)));
        std::fs::write(&path, "ann@apple.com").unwrap();
        uploads.release(first);
        uploads.published();
        for cruncher in ["fast", "slow"] {
            uploads.crunched(Some(&uploads.label(first)), cruncher);
        }
        let (second, _) = uploads.reserve("b", large).unwrap();
        assert!(!Path::new(&path).exists());
        uploads.forget(second);
        for _ in 0..UNFINISHED_MAX {
            uploads.reserve("c", 0).unwrap();
        }
        assert!(matches!(uploads.reserve("d", 0), Err(Refused::Busy)));
        uploads.end();
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_reads_the_letters() {
        use std::os::unix::fs::PermissionsExt;

        let metadata = std::fs::metadata(&uploads().folder).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_file_stays_in_its_folder_whatever_the_letter_is_called() {
        assert_eq!(file_name(7, "../a b/<script>.eml"), "7-.._a_b__script_.eml");
        assert_eq!(file_name(1, "\u{fc}"), "1-_");
        assert!(file_name(1, &"x".repeat(5000)).len() < 100);
    }
}
