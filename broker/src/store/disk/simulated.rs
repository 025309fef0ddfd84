//! A disk that lies as disks may: what was not synced stays in part, in any part, and any call may fail.
//!
//! A file's content is there twice: as programs see it, and as it is on the disk. A write makes its sectors dirty, a sync
//! brings the dirty ones to the disk; after a sync that failed they are dirty no more and may not be on the disk either. Names
//! are there twice as well. All chance comes from a seed.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Disk, DiskFile};

/// What a disk keeps or loses as a whole.
const SECTOR: usize = 512;

/// Repeatable chance: SplitMix64.
#[derive(Clone, Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Chance(seed)
    }

    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.bits() % end
    }

    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The power is gone: the call is done in part, and no further call works.
    Crash,
    /// This call fails, the next ones work.
    Once,
}

#[derive(Clone, Debug, Default)]
struct Inode {
    seen: Vec<u8>,
    kept: Vec<u8>,
    dirty: Vec<u32>,
}

#[derive(Clone, Debug)]
enum NameOp {
    Create(String, usize),
    Rename(String, usize),
    Remove(String, usize),
}

struct State {
    chance: Chance,
    inodes: Vec<Inode>,
    seen: BTreeMap<String, usize>,
    kept: BTreeMap<String, usize>,
    unsynced: Vec<NameOp>,
    /// Calls until the fault.
    fault: Option<(u64, Fault)>,
    calls: u64,
    is_down: bool,
    is_locked: bool,
    room: u64,
}

/// A handle on the disk; clones are the same disk.
#[derive(Clone)]
pub(crate) struct SimulatedDisk(Arc<Mutex<State>>);

impl SimulatedDisk {
    pub(crate) fn new(seed: u64) -> Self {
        SimulatedDisk(Arc::new(Mutex::new(State {
            chance: Chance::new(seed),
            inodes: vec![],
            seen: BTreeMap::new(),
            kept: BTreeMap::new(),
            unsynced: vec![],
            fault: None,
            calls: 0,
            is_down: false,
            is_locked: false,
            room: u64::MAX,
        })))
    }

    /// After this many further calls that change something, the next one meets the fault.
    pub(crate) fn fault_after(&self, calls: u64, fault: Fault) {
        self.0.lock().fault = Some((calls, fault));
    }

    /// True from a crash until the power is back.
    pub(crate) fn is_down(&self) -> bool {
        self.0.lock().is_down
    }

    /// Calls so far that change something.
    pub(crate) fn calls(&self) -> u64 {
        self.0.lock().calls
    }

    /// From now on files may take so many bytes.
    pub(crate) fn limit(&self, room: u64) {
        self.0.lock().room = room;
    }

    /// Leaves room for so much more than there is.
    pub(crate) fn leave(&self, bytes: u64) {
        let mut state = self.0.lock();
        state.room = state.used() + bytes;
    }

    /// What a process leaves that ends without a word, with the power on.
    pub(crate) fn restart(&self) {
        let mut state = self.0.lock();
        state.is_locked = false;
        state.fault = None;
    }

    /// The power fails and comes back: of what was not synced, some is there and some is not.
    pub(crate) fn crash(&self) {
        let state = &mut *self.0.lock();
        for op in std::mem::take(&mut state.unsynced) {
            if state.chance.one_in(2) {
                apply(&mut state.kept, op);
            }
        }
        state.seen = state.kept.clone();
        for (number, inode) in state.inodes.iter_mut().enumerate() {
            if !state.kept.values().any(|kept| *kept == number) {
                *inode = Inode::default();
            }
        }
        // As often as not, all of what is dirty stays or nothing.
        let mood = state.chance.below(4);
        for inode in &mut state.inodes {
            if inode.seen == inode.kept {
                inode.dirty.clear();
                continue;
            }
            for sector in std::mem::take(&mut inode.dirty) {
                let stays = match mood {
                    0 => true,
                    1 => false,
                    _ => state.chance.one_in(2),
                };
                if stays {
                    keep(inode, sector);
                }
            }
            inode.seen = inode.kept.clone();
        }
        (state.is_down, state.is_locked, state.fault) = (false, false, None);
    }

    /// Changes a bit of a file where it lies.
    pub(crate) fn flip(&self, name: &str, at: usize, bit: u8) {
        let state = &mut *self.0.lock();
        if let Some(inode) = state.seen.get(name).and_then(|number| state.inodes.get_mut(*number)) {
            inode.seen[at] ^= 1 << bit;
            inode.kept[at] ^= 1 << bit;
        }
    }

    /// Cuts a file off.
    pub(crate) fn truncate(&self, name: &str, bytes: usize) {
        let state = &mut *self.0.lock();
        if let Some(inode) = state.seen.get(name).and_then(|number| state.inodes.get_mut(*number)) {
            inode.seen.truncate(bytes);
            inode.kept.truncate(bytes);
        }
    }

    /// A file as programs see it.
    pub(crate) fn content(&self, name: &str) -> Vec<u8> {
        let state = self.0.lock();
        state.seen.get(name).map(|number| state.inodes[*number].seen.clone()).unwrap_or_default()
    }
}

fn apply(names: &mut BTreeMap<String, usize>, op: NameOp) {
    match op {
        NameOp::Create(name, inode) => drop(names.insert(name, inode)),
        NameOp::Rename(to, inode) => {
            // A file never has two names by a rename, whichever renames before this one were lost.
            names.retain(|_, named| *named != inode);
            names.insert(to, inode);
        }
        NameOp::Remove(name, inode) => {
            if names.get(&name) == Some(&inode) {
                names.remove(&name);
            }
        }
    }
}

fn keep(inode: &mut Inode, sector: u32) {
    let start = sector as usize * SECTOR;
    let end = (start + SECTOR).min(inode.seen.len());
    if inode.kept.len() < end {
        inode.kept.resize(end, 0);
    }
    inode.kept[start..end].copy_from_slice(&inode.seen[start..end]);
}

impl State {
    /// A call that changes something; the fault that it meets.
    fn call(&mut self) -> io::Result<Option<Fault>> {
        if self.is_down {
            return Err(io::Error::other("the power is gone"));
        }
        self.calls += 1;
        match &mut self.fault {
            Some((0, fault)) => {
                let fault = *fault;
                self.is_down = fault == Fault::Crash;
                self.fault = None;
                Ok(Some(fault))
            }
            Some((calls, _)) => {
                *calls -= 1;
                Ok(None)
            }
            None => Ok(None),
        }
    }

    /// A call that is done or not done.
    fn whole_call(&mut self) -> io::Result<()> {
        match self.call()? {
            None => Ok(()),
            // Done, but nobody hears of it.
            Some(Fault::Crash) if self.chance.one_in(2) => Ok(()),
            Some(_) => Err(io::Error::other("an error that the test asked for")),
        }
    }

    fn number(&self, name: &str) -> io::Result<usize> {
        self.seen.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn name_op(&mut self, op: NameOp) {
        apply(&mut self.seen, op.clone());
        self.unsynced.push(op);
    }

    fn used(&self) -> u64 {
        self.seen.values().map(|number| self.inodes[*number].seen.len() as u64).sum()
    }
}

impl Disk for SimulatedDisk {
    fn lock(&self) -> io::Result<()> {
        let mut state = self.0.lock();
        if state.is_locked {
            return Err(io::ErrorKind::ResourceBusy.into());
        }
        state.is_locked = true;
        Ok(())
    }

    fn unlock(&self) {
        self.0.lock().is_locked = false;
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.0.lock().seen.keys().cloned().collect())
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let number = self.0.lock().number(name)?;
        Ok(Arc::new(SimulatedFile { disk: self.clone(), number }))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.0.lock();
        state.whole_call()?;
        let number = state.inodes.len();
        state.inodes.push(Inode::default());
        state.name_op(NameOp::Create(name.to_owned(), number));
        Ok(Arc::new(SimulatedFile { disk: self.clone(), number }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.0.lock();
        state.whole_call()?;
        let number = state.number(from)?;
        state.name_op(NameOp::Rename(to.to_owned(), number));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.0.lock();
        state.whole_call()?;
        let number = state.number(name)?;
        state.name_op(NameOp::Remove(name.to_owned(), number));
        Ok(())
    }

    fn is_linked(&self, _name: &str) -> io::Result<bool> {
        Ok(false)
    }

    fn link(&self, _name: &str, _folder: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn room(&self) -> u64 {
        let state = self.0.lock();
        state.room.saturating_sub(state.used())
    }

    fn size(&self) -> u64 {
        u64::MAX
    }

    fn sync_dir(&self) -> io::Result<()> {
        let mut state = self.0.lock();
        state.whole_call()?;
        for op in std::mem::take(&mut state.unsynced) {
            apply(&mut state.kept, op);
        }
        Ok(())
    }
}

struct SimulatedFile {
    disk: SimulatedDisk,
    number: usize,
}

impl DiskFile for SimulatedFile {
    fn bytes(&self) -> io::Result<u64> {
        Ok(self.disk.0.lock().inodes[self.number].seen.len() as u64)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let state = self.disk.0.lock();
        let from = state.inodes[self.number].seen.get(offset as usize..).unwrap_or_default();
        let bytes = from.get(..buffer.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(bytes);
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let state = &mut *self.disk.0.lock();
        let fault = state.call()?;
        let mut written = bytes.len();
        if fault.is_some() {
            written = state.chance.below(written as u64 + 1) as usize / SECTOR * SECTOR;
        }
        let grows = (offset + written as u64).saturating_sub(state.inodes[self.number].seen.len() as u64);
        if grows > 0 && state.used() + grows > state.room {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let inode = &mut state.inodes[self.number];
        let (start, end) = (offset as usize, offset as usize + written);
        if inode.seen.len() < end {
            inode.seen.resize(end, 0);
        }
        inode.seen[start..end].copy_from_slice(&bytes[..written]);
        if written > 0 {
            let sectors = start / SECTOR..end.div_ceil(SECTOR);
            inode.dirty.retain(|dirty| !sectors.contains(&(*dirty as usize)));
            inode.dirty.extend(sectors.map(|sector| sector as u32));
        }
        match fault {
            None => Ok(()),
            Some(_) => Err(io::Error::other("an error that the test asked for")),
        }
    }

    fn sync(&self) -> io::Result<()> {
        let state = &mut *self.disk.0.lock();
        let fault = state.call()?;
        if fault == Some(Fault::Crash) {
            return Err(io::Error::other("the power is gone"));
        }
        let inode = &mut state.inodes[self.number];
        for sector in std::mem::take(&mut inode.dirty) {
            // What a sync that fails leaves unwritten is not tried again by the next one.
            if fault.is_none() || state.chance.one_in(2) {
                keep(inode, sector);
            }
        }
        match fault {
            None => Ok(()),
            Some(_) => Err(io::Error::other("an error that the test asked for")),
        }
    }
}
