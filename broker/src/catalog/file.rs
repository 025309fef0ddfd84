//! The file: a redb database with two tables.
//!
//! ```text
//! about     name -> number      "version"          of what stands here; a newer one is refused
//!                               "ids set aside"    all lower numbers for queues may have been given out
//!                               "has begun"        the first start is over
//! catalog   key -> AMQP table, without its length
//! ```

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use leveret_spec::{Table, TableBuf};
use redb::backends::FileBackend;
use redb::{
    Builder, Database, DatabaseError, ReadableDatabase, ReadableTable, StorageBackend, TableDefinition, TableError,
};

use super::inbox::{Group, IDS_SET_ASIDE};
use super::key::Key;
use super::{Contents, Entry, OpenError};

/// Its name in the data directory.
pub(crate) const FILE: &str = "meta.redb";

const VERSION: u64 = 1;
/// Memory for pages of the file, in bytes: it is read once and then written in small pieces.
const CACHE_BYTES: usize = 4 << 20;

/// What a new file is given of the disk, in bytes: somewhat more than an empty database takes.
const SET_ASIDE_BYTES: u64 = 2 << 20;

const ABOUT: TableDefinition<'_, &str, u64> = TableDefinition::new("about");
const CATALOG: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("catalog");

const VERSION_NAME: &str = "version";
const IDS_NAME: &str = "ids set aside";
const BEGUN_NAME: &str = "has begun";

/// An open file.
pub(super) struct CatalogFile {
    database: Database,
}

/// What there was, and the numbers for queues that are free.
pub(super) struct Found {
    pub(super) contents: Contents,
    pub(super) next_id: u64,
    pub(super) ids_below: u64,
}

/// Makes the directory and the file if they are not there. Nobody else may look into either.
pub(super) fn backend(directory: &Path) -> Result<FileBackend, OpenError> {
    let path = directory.join(FILE);
    let fail = |error| OpenError::Io { path: path.clone(), error };
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|error| OpenError::Io { path: directory.to_owned(), error })?;
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(fail)?;
    sync_names(directory);
    set_aside(&file);
    FileBackend::new(file).map_err(|error| OpenError::of(error, &path))
}

/// Has the disk keep what the file will need, holes in it among that: a broker must start on a disk that is full, and opening the
/// database writes. Where that cannot be asked for, or there is no room, it is left to the writes.
fn set_aside(file: &File) {
    let bytes = file.metadata().map_or(0, |file| file.len()).max(SET_ASIDE_BYTES);
    let _ = rustix::fs::fallocate(file, rustix::fs::FallocateFlags::KEEP_SIZE, 0, bytes);
}

/// The names of the file and of its directory have to stay as well. Where that cannot be asked for, they were there before.
fn sync_names(directory: &Path) {
    let parent = directory.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    for folder in [directory, parent] {
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
    }
}

/// Opens what the backend has, and sets a block of numbers for queues aside.
pub(super) fn open(backend: impl StorageBackend, path: &Path) -> Result<(CatalogFile, Found), OpenError> {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true);
    let database = builder.create_with_backend(backend).map_err(|error| OpenError::of(error, path))?;
    let file = CatalogFile { database };
    let found = file.read(path)?;
    file.write(&Group { ids_below: Some(found.ids_below), ..Group::default() })
        .map_err(|error| OpenError::from_redb(error, path))?;
    Ok((file, found))
}

impl CatalogFile {
    /// Makes a copy of what is durable, in a directory that has none yet.
    ///
    /// # Errors
    /// The disk's; or that there is a catalog already.
    pub(super) fn copy(&self, path: &Path, target: &Path) -> Result<(), OpenError> {
        let copy = target.join(FILE);
        if copy.exists() {
            return Err(OpenError::Io { path: copy, error: io::ErrorKind::AlreadyExists.into() });
        }
        let found = self.read(path)?;
        let entries = found.contents.entries.into_iter().map(|entry| (entry.key, Some(entry.value)));
        let group = Group {
            entries: entries.collect(),
            has_begun: !found.contents.is_new,
            ids_below: Some(found.next_id),
            ..Group::default()
        };
        let (file, _) = open(backend(target)?, &copy)?;
        file.write(&group).map_err(|error| OpenError::from_redb(error, &copy))
    }

    fn read(&self, path: &Path) -> Result<Found, OpenError> {
        let fail = |error: redb::Error| OpenError::from_redb(error, path);
        let reading = self.database.begin_read().map_err(|error| fail(error.into()))?;
        let number = |name| -> Result<Option<u64>, redb::Error> {
            match reading.open_table(ABOUT) {
                Ok(about) => Ok(about.get(name)?.map(|number| number.value())),
                Err(TableError::TableDoesNotExist(_)) => Ok(None),
                Err(error) => Err(error.into()),
            }
        };
        if let Some(version) = number(VERSION_NAME).map_err(fail)?.filter(|&version| version > VERSION) {
            return Err(OpenError::Newer { path: path.to_owned(), version });
        }
        let mut entries = vec![];
        match reading.open_table(CATALOG) {
            Ok(catalog) => {
                for row in catalog.iter().map_err(|error| fail(error.into()))? {
                    let (key, value) = row.map_err(|error| fail(error.into()))?;
                    entries.push(entry(key.value(), value.value(), path)?);
                }
            }
            Err(TableError::TableDoesNotExist(_)) => {}
            Err(error) => return Err(fail(error.into())),
        }
        let next_id = number(IDS_NAME).map_err(fail)?.unwrap_or(1);
        let is_new = number(BEGUN_NAME).map_err(fail)?.is_none();
        Ok(Found { contents: Contents { is_new, entries }, next_id, ids_below: next_id + IDS_SET_ASIDE })
    }

    /// Writes a group, all of it or nothing, and syncs it.
    pub(super) fn write(&self, group: &Group) -> Result<(), redb::Error> {
        let writing = self.database.begin_write()?;
        {
            let mut about = writing.open_table(ABOUT)?;
            about.insert(VERSION_NAME, VERSION)?;
            if let Some(ids_below) = group.ids_below {
                about.insert(IDS_NAME, ids_below)?;
            }
            if group.has_begun {
                about.insert(BEGUN_NAME, 1)?;
            }
            let mut catalog = writing.open_table(CATALOG)?;
            for range in group.vhosts_gone.iter().flat_map(|vhost| Key::all_of(vhost)) {
                catalog.retain_in(range.start.as_bytes()..range.end.as_bytes(), |_, _| false)?;
            }
            for (key, value) in &group.entries {
                match value {
                    Some(value) => drop(catalog.insert(key.as_bytes(), value.as_table().as_bytes())?),
                    None => drop(catalog.remove(key.as_bytes())?),
                }
            }
        }
        Ok(writing.commit()?)
    }
}

fn entry(key: &[u8], value: &[u8], path: &Path) -> Result<Entry, OpenError> {
    let corrupt = |why: String| OpenError::Corrupt { path: path.to_owned(), why };
    let key = Key::read(key).ok_or_else(|| corrupt(format!("'{}' is no key", key.escape_ascii())))?;
    let value = Table::validate(value).map_err(|error| corrupt(format!("{key:?}: {error}")))?;
    Ok(Entry { key, value: TableBuf::from(value) })
}

impl OpenError {
    fn of(error: DatabaseError, path: &Path) -> Self {
        match error {
            DatabaseError::DatabaseAlreadyOpen => {
                OpenError::InUse(path.parent().map_or_else(PathBuf::new, Path::to_owned))
            }
            error => OpenError::from_redb(error.into(), path),
        }
    }

    fn from_redb(error: redb::Error, path: &Path) -> Self {
        let path = path.to_owned();
        match error {
            redb::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
                OpenError::Corrupt { path, why: error.to_string() }
            }
            redb::Error::Io(error) => OpenError::Io { path, error },
            redb::Error::Corrupted(why) => OpenError::Corrupt { path, why },
            error => OpenError::Corrupt { path, why: error.to_string() },
        }
    }
}

/// What the disk said, for the log.
pub(super) fn reason(error: redb::Error) -> String {
    match error {
        redb::Error::Io(error) => error.to_string(),
        error => error.to_string(),
    }
}
