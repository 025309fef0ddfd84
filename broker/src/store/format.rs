//! The file that says what kind of store this is.
//!
//! ```text
//! leveret store 1
//! uuid 0123456789abcdef0123456789abcdef
//! crc32c 01234567                         of the two lines above
//! ```

use std::io;

use super::OpenError;
use super::disk::{Disk, DiskFile};

/// Its name.
pub(super) const FORMAT: &str = "FORMAT";
const VERSION: u32 = 1;
/// A file is written under a name that ends so, until it is whole.
pub(super) const UNFINISHED: &str = ".tmp";

/// The store's uuid.
pub(super) fn read(disk: &dyn Disk) -> Result<u128, OpenError> {
    let fault = |error| OpenError::io("read FORMAT", error);
    let file = disk.open(FORMAT).map_err(fault)?;
    let mut bytes = vec![0; file.bytes().map_err(fault)?.min(1024) as usize];
    file.read_at(0, &mut bytes).map_err(fault)?;
    let text = String::from_utf8_lossy(&bytes);
    let version = text.strip_prefix("leveret store ").and_then(|rest| rest.lines().next()?.parse().ok());
    match version {
        Some(VERSION) => {}
        Some(newer) if newer > VERSION => return Err(OpenError::Newer(newer)),
        _ => return Err(OpenError::corrupt(FORMAT, 0, "it does not say what store this is")),
    }
    let uuid = text.lines().find_map(|line| u128::from_str_radix(line.strip_prefix("uuid ")?, 16).ok());
    uuid.filter(|uuid| written(*uuid) == text)
        .ok_or_else(|| OpenError::corrupt(FORMAT, 0, "it is not what was written"))
}

fn written(uuid: u128) -> String {
    let checked = format!("leveret store {VERSION}\nuuid {uuid:032x}\n");
    format!("{checked}crc32c {:08x}\n", crc32c::crc32c(checked.as_bytes()))
}

/// Makes it, before anything else gets a name: segments without it are refused.
pub(super) fn create(disk: &dyn Disk, uuid: u128) -> io::Result<()> {
    let unfinished = format!("{FORMAT}{UNFINISHED}");
    let file = disk.create(&unfinished)?;
    file.write_at(0, written(uuid).as_bytes())?;
    file.sync()?;
    disk.rename(&unfinished, FORMAT)?;
    disk.sync_dir()
}
