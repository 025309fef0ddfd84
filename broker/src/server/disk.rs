//! What a broker has on disk: opened before it starts, closed when everybody has gone. Neither may hold a worker up.

use std::future::poll_fn;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use tokio::sync::watch;
use tokio::task;

use super::{Fault, Shared, StartError};
use crate::catalog::{self, Kind};
use crate::config::Config;
use crate::entropy::Entropy;
use crate::failure::Hard;
use crate::node::Node;
use crate::storage::{Opened, Storage};
use crate::store::{self, MessageStore};

/// A broker with what its directory has, or one in memory. `epoch_ms` is its start, in milliseconds since
/// 1970; `with_defaults` gives it its first user and virtual host if it is
/// new.
pub(super) async fn node(config: &Config, epoch_ms: u64, with_defaults: bool) -> Result<Node, StartError> {
    let epoch_s = epoch_ms / 1000;
    let Some(directory) = &config.data_dir else {
        return Ok(match with_defaults {
            true => Node::new(config, epoch_s),
            false => Node::blank(config, epoch_s, None),
        });
    };
    let config = config.clone();
    let directory = absolute(directory);
    blocking(move || {
        let begin = Instant::now();
        let mut options = store::Options::new(Entropy::System.uuid());
        options.accept_data_loss = config.accept_data_loss;
        let opened = Storage::open(&directory, &options, epoch_ms)?;
        let found = found(&opened);
        let node = Node::recovered(&config, epoch_s, opened, with_defaults)
            .map_err(|error| format!("{}: {error}", directory.display()))?;
        let ms = begin.elapsed().as_millis();
        tracing::info!("{found} in {}, read in {ms} ms", directory.display());
        Ok(node)
    })
    .await
    .map_err(StartError)
}

/// Where a directory is, whatever becomes of the process's own.
pub(super) fn absolute(directory: &Path) -> PathBuf {
    std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned())
}

fn found(opened: &Opened) -> String {
    let (vhosts, queues) = (opened.contents.of(Kind::Vhost).count(), opened.contents.of(Kind::Queue).count());
    let recovered = &opened.recovered;
    let (messages, bytes) = (recovered.messages, recovered.log_bytes);
    format!("{vhosts} virtual hosts, {queues} durable queues, {messages} messages, {bytes} bytes of log")
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, String> + Send + 'static) -> Result<T, String> {
    task::spawn_blocking(work).await.unwrap_or_else(|_| Err("the data could not be read".into()))
}

/// Watches until the broker ends. When the disk has failed, nothing becomes durable any more: `failed` hears why, nobody is
/// let in and everybody is sent away.
pub(super) async fn watch(shared: Arc<Shared>, storage: Storage, failed: watch::Sender<Option<Fault>>) {
    let why = poll_fn(|cx| {
        storage.store.wake_when_durable(store::Ticket::NEVER, cx.waker());
        storage.catalog.wake_when_durable(catalog::Ticket::NEVER, cx.waker());
        match storage.store.failed().or_else(|| storage.catalog.failed()) {
            Some(why) => Poll::Ready(why.to_owned()),
            None => Poll::Pending,
        }
    })
    .await;
    tracing::error!("{why}; nothing becomes durable any more, and the broker ends");
    failed.send_replace(Some(Fault(why)));
    shared.alive.lock().take();
    shared.send_away(&Hard::internal_error("the broker's disk has failed"));
}

/// Copies all that is durable, while the broker goes on.
pub(super) async fn backup(storage: &Storage, target: PathBuf) -> Result<(), String> {
    let storage = storage.clone();
    let copied = task::spawn_blocking(move || storage.backup(&target)).await;
    copied.unwrap_or_else(|_| Err("the copy was not finished".into()))
}

/// Writes what was handed in, and gives the files up.
pub(super) async fn close(storage: &Storage) {
    let storage = storage.clone();
    // One that has panicked has said so.
    let _ = task::spawn_blocking(move || storage.close()).await;
}
