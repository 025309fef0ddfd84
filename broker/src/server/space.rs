//! The room on the disk that has the data directory, and the alarm when it is too little.

use std::future::poll_fn;
use std::path::Path;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use super::memory;
use crate::config::DiskFreeLimit;
use crate::node::Node;
use crate::store::{MessageStore, Store, Ticket};

/// How often it is looked at while something is written or it is too little.
const LOOK: Duration = Duration::from_millis(100);
/// The same where there is so little room that it may be gone by then.
const LOOK_CLOSELY: Duration = Duration::from_millis(10);
const LITTLE_BYTES: u64 = 1 << 30;

/// The limit in bytes.
pub(super) fn limit(configured: DiskFreeLimit) -> u64 {
    match configured {
        DiskFreeLimit::Bytes(bytes) => bytes,
        DiskFreeLimit::OfMemory(times) => memory::total().map_or(0, |total| (total as f64 * times) as u64),
    }
}

/// Sets the alarm; true if it is on now.
pub(super) fn look(node: &Node, store: &Store, directory: &Path) -> bool {
    // Where nobody can tell, there is room.
    let free = rustix::fs::statvfs(directory).map_or(u64::MAX, |disk| disk.f_bavail.saturating_mul(disk.f_frsize));
    // What the log has set aside is as good as free, and all there may be after a backlog.
    node.alarms.judge_disk(free.saturating_add(store.spare_bytes()), store.trouble().is_some())
}

/// Watches for ever. While nothing is written, nothing is looked at.
pub(super) async fn watch(node: Arc<Node>, store: Arc<Store>, directory: &Path) {
    loop {
        let written = store.durable();
        while look(&node, &store, directory) {
            tokio::time::sleep(LOOK).await;
        }
        poll_fn(|cx| {
            if store.durable() > written || store.failed().is_some() || store.trouble().is_some() {
                return Poll::Ready(());
            }
            store.wake_when_durable(Ticket::after(written), cx.waker());
            Poll::Pending
        })
        .await;
        if store.failed().is_some() {
            // Nothing is written any more.
            std::future::pending::<()>().await;
        }
        let is_little = node.alarms.disk_free() < LITTLE_BYTES;
        tokio::time::sleep(if is_little { LOOK_CLOSELY } else { LOOK }).await;
    }
}
