//! The disk that there is.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Disk, DiskFile};

/// A directory that only its owner may look into.
pub(crate) struct RealDisk {
    path: PathBuf,
    folder: File,
    lock: File,
}

impl RealDisk {
    /// Makes the directory if it is not there.
    ///
    /// # Errors
    /// What the system says against it.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        if let Some(parent) = path.parent() {
            // The directory's own name has to stay as well; where that cannot be asked for, it has been there before.
            let _ = File::open(if parent.as_os_str().is_empty() { Path::new(".") } else { parent })
                .and_then(|parent| parent.sync_all());
        }
        let lock = private().create(true).truncate(false).open(path.join("LOCK"))?;
        Ok(RealDisk { path: path.to_owned(), folder: File::open(path)?, lock })
    }
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    options
}

impl Disk for RealDisk {
    fn lock(&self) -> io::Result<()> {
        self.lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => io::ErrorKind::ResourceBusy.into(),
            TryLockError::Error(error) => error,
        })
    }

    fn unlock(&self) {
        // What cannot be unlocked is when it is dropped.
        let _ = self.lock.unlock();
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let names = fs::read_dir(&self.path)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        names.collect()
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(RealFile(private().open(self.path.join(name))?)))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(RealFile(private().create(true).truncate(true).open(self.path.join(name))?)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    fn is_linked(&self, name: &str) -> io::Result<bool> {
        Ok(fs::metadata(self.path.join(name))?.nlink() > 1)
    }

    fn link(&self, name: &str, folder: &Path) -> io::Result<()> {
        fs::hard_link(self.path.join(name), folder.join(name))
    }

    fn room(&self) -> u64 {
        rustix::fs::fstatvfs(&self.folder).map_or(u64::MAX, |disk| disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    fn size(&self) -> u64 {
        rustix::fs::fstatvfs(&self.folder).map_or(u64::MAX, |disk| disk.f_blocks.saturating_mul(disk.f_frsize))
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.folder.sync_all()
    }
}

struct RealFile(File);

impl DiskFile for RealFile {
    fn bytes(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(buffer, offset)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}
