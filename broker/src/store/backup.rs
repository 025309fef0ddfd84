//! A copy of a store that is in use: its sealed segments, which nobody writes to any more.
//!
//! The writer is asked for a seal first, and nothing is freed until the copy is there. Files of the same file system get a
//! second name, which costs nothing; a segment with two names is not written over when it is dead, but removed.

use std::io;
use std::path::Path;

use super::disk::Disk;
use super::format::FORMAT;
use super::spares;

/// What is copied at once, in bytes.
const STEP_BYTES: u64 = 1 << 20;

/// Copies the segments with these numbers to `target`, an empty directory at `path`.
pub(super) fn copy(disk: &dyn Disk, segments: &[u32], target: &dyn Disk, path: &Path) -> io::Result<()> {
    if target.list()?.iter().any(|name| name == FORMAT || spares::segment_number(name).is_some()) {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is a store already"));
    }
    for number in segments {
        let name = spares::segment_name(*number);
        if disk.link(&name, path).is_err() {
            copy_file(disk, target, &name)?;
        }
    }
    // Last, so that half a copy is none.
    copy_file(disk, target, FORMAT)?;
    target.sync_dir()
}

fn copy_file(disk: &dyn Disk, target: &dyn Disk, name: &str) -> io::Result<()> {
    let (from, to) = (disk.open(name)?, target.create(name)?);
    let bytes = from.bytes()?;
    let mut step = vec![0; STEP_BYTES.min(bytes) as usize];
    for offset in (0..bytes).step_by(STEP_BYTES as usize) {
        let part = &mut step[..STEP_BYTES.min(bytes - offset) as usize];
        from.read_at(offset, part)?;
        to.write_at(offset, part)?;
    }
    to.sync()
}
