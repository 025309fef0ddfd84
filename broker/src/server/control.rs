//! A socket in the data directory, for commands on this machine to a broker that runs: who may open the directory may give them.
//!
//! A command is one line; so is the answer.
//!
//! ```text
//! backup /absolute/path        ok, or a sentence that says what stands against it
//! ```

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

use super::disk;
use crate::storage::Storage;

/// Its name in the data directory.
pub(super) const SOCKET: &str = "control.sock";

/// The longest command, in bytes, and how long one may take to come.
const COMMAND_BYTES_MAX: u64 = 8192;
const COMMAND_TIME_MAX: Duration = Duration::from_secs(10);
/// How long to wait after a connection that could not be accepted.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// Listens; whoever had the name before is gone, since the directory is ours.
pub(super) fn listen(directory: &Path) -> io::Result<UnixListener> {
    let path = directory.join(SOCKET);
    let _ = fs::remove_file(&path);
    let listener = UnixListener::bind(&path)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Serves for ever, one command after the other.
pub(super) async fn serve(listener: UnixListener, storage: Storage) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                if let Err(error) = answer(stream, &storage).await {
                    tracing::debug!(%error, "a command was not answered");
                }
            }
            Err(_) => tokio::time::sleep(ACCEPT_AGAIN_AFTER).await,
        }
    }
}

async fn answer(stream: UnixStream, storage: &Storage) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    timeout(COMMAND_TIME_MAX, (&mut stream).take(COMMAND_BYTES_MAX).read_line(&mut line)).await??;
    let outcome = match line.trim_end_matches('\n').split_once(' ') {
        Some(("backup", target)) if Path::new(target).is_absolute() => {
            disk::backup(storage, PathBuf::from(target)).await.map(|()| "ok".to_owned())
        }
        _ => Err("unknown command".into()),
    };
    let text = outcome.unwrap_or_else(|error| error);
    stream.write_all(format!("{text}\n").as_bytes()).await
}
