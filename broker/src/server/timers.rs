//! The task that looks at queues when their time has come: one for the whole broker.

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::Poll;

use tokio::sync::watch;
use tokio::time::Instant;

use super::clock::Clock;
use crate::node::Node;

/// Runs until the broker ends.
pub(super) async fn run(node: Arc<Node>, clock: Clock, mut stopped: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            () = until_due(&node, clock) => node.handle_timeouts(node.timeline.at(clock.now())),
            _ = stopped.wait_for(|&stopped| stopped) => return,
        }
    }
}

/// Sleeps until the first timer is over, whichever that is by then.
async fn until_due(node: &Node, clock: Clock) {
    let sleep = tokio::time::sleep_until(Instant::now());
    tokio::pin!(sleep);
    let mut armed = None;
    poll_fn(|cx| {
        node.timers.register(cx.waker());
        let deadline = node.timers.deadline().and_then(|moment| node.timeline.clock_at(moment));
        let Some(deadline) = deadline else { return Poll::Pending };
        if armed != Some(deadline) {
            armed = Some(deadline);
            sleep.as_mut().reset(clock.instant(deadline));
        }
        sleep.as_mut().poll(cx)
    })
    .await;
}
