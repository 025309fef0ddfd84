//! The memory in use, and the alarm when it is more than the limit, which can change.

use std::fs;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::watch;

use crate::alarms::Alarms;
use crate::config::MemoryLimit;
use crate::node::Node;

/// How often the memory in use is looked at while it is too much.
const ALARM_LOOK: Duration = Duration::from_millis(100);
/// The part of the limit that has to be free again for the alarm to end: a twentieth.
const HYSTERESIS: u64 = 20;
/// The size of a page where /proc counts in pages, in bytes.
const PAGE_BYTES: u64 = 4096;

/// Sets the limit; the alarm is on or off accordingly when this returns.
pub(super) fn set_limit(configured: MemoryLimit, alarms: &Alarms) {
    alarms.set_memory_limit(bytes(configured));
    look(alarms);
    // Whoever watches has to see to it from now on.
    alarms.want_look();
}

/// Compares the limit with the memory in use, and sets the alarm; true if that is on now.
pub(super) fn look(alarms: &Alarms) -> bool {
    alarms.judge_memory(|limit| is_too_much(limit, alarms.is_on()))
}

/// The limit in bytes; none if there is no limit or no way to know.
fn bytes(configured: MemoryLimit) -> Option<u64> {
    match configured {
        MemoryLimit::None => None,
        MemoryLimit::Bytes(bytes) => Some(bytes),
        MemoryLimit::Share(share) => total().map(|total| (total as f64 * share) as u64),
    }
}

/// What this process may have: the machine's memory, or its control group's part of it.
pub(super) fn total() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo").ok()?;
    let kib: u64 =
        machine.lines().find_map(|l| l.strip_prefix("MemTotal:"))?.split_whitespace().next()?.parse().ok()?;
    let groups = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let group = groups.iter().find_map(|path| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok());
    Some(group.unwrap_or(u64::MAX).min(kib * 1024))
}

/// The memory that this process has for itself, in bytes: resident and not shared.
fn in_use() -> Option<u64> {
    let pages = fs::read_to_string("/proc/self/statm").ok()?;
    let mut pages = pages.split_whitespace().skip(1).map(str::parse::<u64>);
    let (resident, shared) = (pages.next()?.ok()?, pages.next()?.ok()?);
    Some(resident.saturating_sub(shared) * PAGE_BYTES)
}

/// Watches until the broker ends.
pub(super) async fn run(node: Arc<Node>, mut stopped: watch::Receiver<bool>) {
    let watch = async {
        loop {
            poll_fn(|cx| if node.alarms.take_look(cx.waker()) { Poll::Ready(()) } else { Poll::Pending }).await;
            while look(&node.alarms) {
                tokio::time::sleep(ALARM_LOOK).await;
            }
        }
    };
    tokio::select! {
        () = watch => {}
        _ = stopped.wait_for(|&stopped| stopped) => {}
    }
}

fn is_too_much(limit: u64, alarmed: bool) -> bool {
    let mark = if alarmed { limit - limit / HYSTERESIS } else { limit };
    in_use().is_some_and(|bytes| bytes > mark)
}
