//! Time that is made to pass. What is due on the way happens in its order, each at its own time, as if it had passed by itself.

use std::future::poll_fn;
use std::task::Poll;
use std::time::{Duration, SystemTime};

use super::{Broker, Shared};
use crate::time::Moment;

/// As far as it goes at once. Nothing lives longer: no time limit of a message or a queue is above ten years.
const ADVANCE_MAX: Duration = Duration::from_secs(100 * 365 * 86_400);
/// Times at which something is due that are told apart; what comes after them happens all at the end.
const STEPS_MAX: usize = 10_000;

impl Broker {
    /// Lets time pass for messages, queues and consumers: by how much, without sleeping. When this returns, everything has
    /// happened that was due by then: messages have expired and are in the queues behind their dead-letter exchange, unused
    /// queues are deleted, consumers that kept a delivery too long are cancelled. Each of it happens at its own time, so that
    /// a message that waits one minute in one queue and then two in another is through after three.
    ///
    /// ```
    /// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use leveret::{Broker, Config};
    /// use leveret_client::{Connection, Publish, QueueDeclare};
    ///
    /// let broker = Broker::start(Config::in_memory().paused_clock()).await?;
    /// let connection = Connection::over(broker.connect(), Default::default()).await?;
    /// let channel = connection.open_channel().await?;
    /// channel.queue_declare(QueueDeclare::new("codes")).await?;
    /// channel.publish_confirmed(Publish::to_queue("codes").expiration("3600000").body("1234")).await?;
    ///
    /// let codes = broker.queue("/", "codes").ok_or("declared")?;
    /// broker.advance(Duration::from_secs(3599)).await;
    /// assert_eq!(codes.ready(), 1);
    /// broker.advance(Duration::from_secs(1)).await;
    /// assert_eq!(codes.ready(), 0);
    /// # broker.shutdown().await?;
    /// # Ok(()) }
    /// ```
    ///
    /// With [`Config::paused_clock`](crate::Config::paused_clock) no time passes otherwise. Heartbeats, the handshake's time
    /// limit and connections that hang go by the system's clock in any case. What clients have sent and not been answered may
    /// come before or after. After ten thousand times at which something was due, everything that is left happens at the end.
    pub async fn advance(&self, by: Duration) {
        self.shared.advance(by).await;
    }

    /// What time it is for the broker: the system's at its start, and what has passed since then.
    pub fn time(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(self.shared.node.epoch_s) + self.shared.now().since_start()
    }
}

impl Shared {
    /// What time it is for queues and messages.
    pub(super) fn now(&self) -> Moment {
        self.node.timeline.at(self.clock.now())
    }

    async fn advance(&self, by: Duration) {
        let _alone = self.advancing.lock().await;
        let end = self.now() + by.min(ADVANCE_MAX);
        for step in 0.. {
            let due = if step < STEPS_MAX { self.node.next_due() } else { end };
            self.node.timeline.advance_to(due.min(end), self.clock.now());
            self.catch_up().await;
            if due >= end && self.node.next_due() > end {
                break;
            }
        }
        // Who has slept until the time has something else to sleep for.
        self.node.timers.wake();
        self.node.roster.wake_watching();
    }

    /// Does what is due.
    async fn catch_up(&self) {
        let now = self.now();
        self.node.handle_timeouts(now);
        if self.node.roster.next_overdue() <= now {
            self.node.roster.wake_watching();
            poll_fn(|cx| match self.node.roster.is_looked_after(now, cx.waker()) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            })
            .await;
        }
        tokio::task::consume_budget().await;
    }
}
