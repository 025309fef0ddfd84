//! What the store asks of a disk: one directory of files, and the two calls that make things stay, for files and for names.
//!
//! Nothing that was written stays before `sync`, and no name that was made, changed or removed before `sync_dir`: until then
//! a crash keeps any part of it and loses any other.

pub(crate) mod real;
#[cfg(test)]
pub(crate) mod simulated;

use std::io;
use std::path::Path;
use std::sync::Arc;

/// A directory.
pub(crate) trait Disk: Send + Sync {
    /// Keeps others from the directory, until `unlock` or until this is dropped.
    ///
    /// # Errors
    /// `ResourceBusy` if another has it.
    fn lock(&self) -> io::Result<()>;

    /// Lets others have it again.
    fn unlock(&self);

    /// The names of its files.
    fn list(&self) -> io::Result<Vec<String>>;

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;

    /// A file without content, in the place of one that may have had this name.
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;

    /// Takes the place of a file that may have the new name.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    fn remove(&self, name: &str) -> io::Result<()>;

    /// True if the file is in other directories too, so that nothing may be written over it.
    fn is_linked(&self, name: &str) -> io::Result<bool>;

    /// Gives the file the same name in another directory as well.
    fn link(&self, name: &str, folder: &Path) -> io::Result<()>;

    /// The bytes that files may still take, as far as anybody can tell.
    fn room(&self) -> u64;

    /// The bytes that it has in all, as far as anybody can tell.
    fn size(&self) -> u64;

    /// After it, what was done to names stays.
    fn sync_dir(&self) -> io::Result<()>;
}

/// A file, for whoever has it open; it may have lost its name.
pub(crate) trait DiskFile: Send + Sync {
    fn bytes(&self) -> io::Result<u64>;

    /// Fills the buffer.
    ///
    /// # Errors
    /// `UnexpectedEof` if the file ends before.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// Writes all of it.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// After it, what was written stays. After a failure nobody knows what does, and trying again tells nothing.
    fn sync(&self) -> io::Result<()>;
}
