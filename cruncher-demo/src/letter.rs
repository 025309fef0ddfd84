//! Reads the file that a message names. A name comes from a stranger: only plain files of a sensible size are opened.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Largest file that is read.
pub const FILE_BYTES_MAX: u64 = 64 << 20;

/// Why a file gives no text.
#[derive(Debug)]
pub enum Unreadable {
    /// Missing, forbidden or broken.
    Io(io::Error),
    /// A folder, device or pipe.
    NoFile,
    /// Above `FILE_BYTES_MAX`.
    TooLarge,
    /// Bytes that are no UTF-8.
    NoText,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unreadable::Io(error) => error.fmt(f),
            Unreadable::NoFile => f.write_str("not a file"),
            Unreadable::TooLarge => write!(f, "larger than {} MiB", FILE_BYTES_MAX >> 20),
            Unreadable::NoText => f.write_str("not UTF-8 text"),
        }
    }
}

impl From<io::Error> for Unreadable {
    fn from(error: io::Error) -> Unreadable {
        Unreadable::Io(error)
    }
}

/// The text of the file at `path`.
///
/// # Errors
/// Why there is none.
pub fn read(path: &Path) -> Result<String, Unreadable> {
    let metadata = path.metadata()?;
    if !metadata.is_file() {
        return Err(Unreadable::NoFile);
    }
    let mut bytes = Vec::new();
    // The file may grow while it is read.
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(Unreadable::TooLarge);
    }
    String::from_utf8(bytes).map_err(|_| Unreadable::NoText)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_file_is_read_anything_else_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let (text, binary) = (folder.path().join("a.txt"), folder.path().join("b.bin"));
        std::fs::write(&text, "caf\u{e9}").unwrap();
        std::fs::write(&binary, [0xff, 0xfe]).unwrap();
        assert_eq!(read(&text).unwrap(), "caf\u{e9}");
        assert!(matches!(read(&binary), Err(Unreadable::NoText)));
        assert!(matches!(read(folder.path()), Err(Unreadable::NoFile)));
        assert!(matches!(read(&folder.path().join("none")), Err(Unreadable::Io(_))));
        assert!(matches!(read(Path::new("a\0b")), Err(Unreadable::Io(_))));
    }

    #[test]
    fn a_file_above_the_limit_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let large = folder.path().join("large");
        File::create(&large).unwrap().set_len(FILE_BYTES_MAX + 1).unwrap();
        assert!(matches!(read(&large), Err(Unreadable::TooLarge)));
    }
}
