//! Names that no other test uses, in this process or another one at the same broker.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

static RUN: LazyLock<String> = LazyLock::new(|| {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{}-{:x}", std::process::id(), now.as_micros() & 0xFFFF_FFFF)
});
static NEXT: AtomicU32 = AtomicU32::new(0);

/// A new name, with something to recognise it by.
pub fn unique(what: &str) -> String {
    format!("lvt-{}-{}-{what}", *RUN, NEXT.fetch_add(1, Ordering::Relaxed))
}
