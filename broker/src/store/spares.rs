//! Segments that are ready before they are needed: files of the right length that have their room on the disk already.
//!
//! A sync of a file that grows, or that gets its blocks only now, takes several times as long as one that does not.

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use super::disk::{Disk, DiskFile};
use super::format::UNFINISHED;

/// Zeroes are written in steps of this many bytes.
const STEP_BYTES: usize = 512 << 10;
/// More than this many are removed.
const KEPT_MAX: usize = 4;
/// A spare is made while the disk has room for it and so much more, in bytes, unless segments are shorter than that: others
/// write there too, the catalog among them, and must not find the disk full because of room that nobody needs yet.
const LEFT_FREE: u64 = 8 << 20;
/// Where there is no room for a spare of the usual length, one of at least this is made for what cannot wait, in bytes: acks,
/// which make room.
const SHORT_BYTES: u64 = 1 << 20;

/// The name of a segment.
pub(super) fn segment_name(number: u32) -> String {
    format!("{number:08x}.seg")
}

/// The number of the segment with this name.
pub(super) fn segment_number(name: &str) -> Option<u32> {
    let digits = name.strip_suffix(".seg").filter(|digits| digits.len() == 8)?;
    u32::from_str_radix(digits, 16).ok()
}

fn spare_name(number: u32) -> String {
    format!("spare-{number:08x}.seg")
}

/// The number of the spare with this name.
pub(super) fn spare_number(name: &str) -> Option<u32> {
    u32::from_str_radix(name.strip_prefix("spare-")?.strip_suffix(".seg")?, 16).ok()
}

/// The spares of one store.
pub(super) struct Spares {
    disk: Arc<dyn Disk>,
    segment_bytes: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    ready: Vec<String>,
    /// Higher than the number of any spare.
    next: u32,
    wanted: usize,
    /// There was none when one was needed, and there have not been enough since.
    is_late: bool,
    /// None is needed any more.
    is_over: bool,
    /// One of another length, for the very next segment.
    fitting: Option<String>,
    /// Why the last one could not be made.
    trouble: Option<String>,
    /// There is no room at all for the next segment.
    is_stuck: bool,
}

impl Spares {
    pub(super) fn new(disk: Arc<dyn Disk>, segment_bytes: u64) -> Self {
        Spares { disk, segment_bytes, state: Mutex::new(State { wanted: 1, ..State::default() }) }
    }

    /// One that was found at the start.
    pub(super) fn found(&self, number: u32) {
        let mut state = self.state.lock();
        state.next = state.next.max(number.saturating_add(1));
        state.ready.push(spare_name(number));
    }

    pub(super) fn segment_bytes(&self) -> u64 {
        self.segment_bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.state.lock().ready.is_empty()
    }

    /// True if another should be made.
    pub(super) fn is_short(&self) -> bool {
        let state = self.state.lock();
        state.ready.len() < state.wanted
    }

    /// Why there are too few, if one could not be made.
    pub(super) fn trouble(&self) -> Option<String> {
        let state = self.state.lock();
        state.trouble.clone().filter(|_| state.is_stuck || state.ready.len() < state.wanted)
    }

    /// What they have room for, in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.state.lock().ready.len() as u64 * self.segment_bytes
    }

    /// From now on so many are kept ready.
    pub(super) fn want(&self, wanted: usize) {
        self.state.lock().wanted = wanted;
    }

    /// Makes one at once: somebody waits for it.
    pub(super) fn prepare(&self) -> io::Result<()> {
        self.state.lock().is_late = true;
        self.make_one(&mut |_| Ok(()))
    }

    /// Makes one for later, with a `rest` after each step, unless spares are needed faster than that. Others never find more
    /// than one step in front of them on the disk: 64 MiB on their way at once would hold up every sync for that long.
    pub(super) fn prepare_gently(&self, rest: &mut dyn FnMut()) -> io::Result<()> {
        self.make_one(&mut |file| {
            let (is_late, is_over) = {
                let state = self.state.lock();
                (state.is_late, state.is_over)
            };
            if is_over {
                return Err(io::ErrorKind::Interrupted.into());
            }
            if !is_late {
                file.sync()?;
                rest();
            }
            Ok(())
        })
    }

    fn make_one(&self, after_step: &mut dyn FnMut(&dyn DiskFile) -> io::Result<()>) -> io::Result<()> {
        let number = self.next();
        let made = match self.disk.room() < self.segment_bytes + self.segment_bytes.min(LEFT_FREE) {
            true => Err(io::ErrorKind::StorageFull.into()),
            false => make(&*self.disk, &spare_name(number), self.segment_bytes, after_step),
        };
        let mut state = self.state.lock();
        state.trouble = made.as_ref().err().map(ToString::to_string);
        if made.is_ok() {
            state.ready.push(spare_name(number));
            state.is_late &= state.ready.len() < state.wanted;
        }
        made
    }

    /// Gives up the one that is being made for nobody yet, and any like it.
    pub(super) fn end(&self) {
        self.state.lock().is_over = true;
    }

    /// Sees to a segment of at least so many bytes, with which `take` cannot fail.
    ///
    /// # Errors
    /// `StorageFull`, with which nothing has changed: there may be room later.
    pub(super) fn reserve(&self, bytes: u64) -> io::Result<()> {
        let made = match self.has_one_of(bytes) {
            Ok(true) => Ok(None),
            Ok(false) => self.make_fitting(bytes).map(Some),
            Err(error) => Err(error),
        };
        let mut state = self.state.lock();
        state.is_stuck = made.is_err();
        match made {
            Ok(fitting) => state.fitting = fitting,
            Err(error) => {
                state.trouble = Some(error.to_string());
                return Err(error);
            }
        }
        Ok(())
    }

    /// True if one of the usual length is long enough, and there is one or can be.
    fn has_one_of(&self, bytes: u64) -> io::Result<bool> {
        if bytes > self.segment_bytes || !self.is_empty() {
            return Ok(bytes <= self.segment_bytes);
        }
        match self.prepare() {
            Err(error) if error.kind() == io::ErrorKind::StorageFull => Ok(false),
            made => made.map(|()| true),
        }
    }

    fn make_fitting(&self, bytes: u64) -> io::Result<String> {
        let name = spare_name(self.next());
        make(&*self.disk, &name, bytes.max(SHORT_BYTES.min(self.segment_bytes)), &mut |_| Ok(()))?;
        Ok(name)
    }

    fn next(&self) -> u32 {
        let mut state = self.state.lock();
        state.next += 1;
        state.next - 1
    }

    pub(super) fn take(&self) -> Option<String> {
        let mut state = self.state.lock();
        state.fitting.take().or_else(|| state.ready.pop())
    }

    /// Makes a spare of a segment that is dead, or removes it. Its new name stays after the next `sync_dir`.
    pub(super) fn retire(&self, segment: u32, bytes: u64) -> io::Result<()> {
        let name = segment_name(segment);
        let enough = self.state.lock().ready.len() >= KEPT_MAX;
        if enough || bytes != self.segment_bytes || self.disk.is_linked(&name)? {
            return self.disk.remove(&name);
        }
        let spare = spare_name(self.next());
        self.disk.rename(&name, &spare)?;
        self.state.lock().ready.push(spare);
        Ok(())
    }
}

/// Makes a file of zeroes. Its name stays after the next `sync_dir`.
pub(super) fn make(
    disk: &dyn Disk,
    name: &str,
    bytes: u64,
    after_step: &mut dyn FnMut(&dyn DiskFile) -> io::Result<()>,
) -> io::Result<()> {
    let unfinished = format!("{name}{UNFINISHED}");
    let mut filled = || {
        let file = disk.create(&unfinished)?;
        let zeroes = vec![0; STEP_BYTES.min(bytes as usize)];
        for offset in (0..bytes).step_by(STEP_BYTES) {
            file.write_at(offset, &zeroes[..zeroes.len().min((bytes - offset) as usize)])?;
            after_step(&*file)?;
        }
        file.sync()?;
        disk.rename(&unfinished, name)
    };
    // Half a file helps nobody, least of all on a full disk.
    filled().inspect_err(|_| drop(disk.remove(&unfinished)))
}
