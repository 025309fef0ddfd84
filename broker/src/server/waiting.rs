//! Waiting for what a broker has to come to, so that tests need not sleep.

use std::fmt;
use std::time::Duration;

use super::Broker;

/// How long to wait for something that should come.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// Looks one behind the other, while the other tasks have a turn each, and then the pause between two looks.
const QUICK_LOOKS: usize = 16;
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(1);

/// What was waited for has not come, in one sentence.
#[derive(Debug)]
pub struct TimedOut(&'static str);

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no {} within {WAIT_MAX:?}", self.0)
    }
}

impl std::error::Error for TimedOut {}

/// Waits for what should come.
pub(super) async fn at_most<T>(coming: impl Future<Output = T>, what: &'static str) -> Result<T, TimedOut> {
    tokio::time::timeout(WAIT_MAX, coming).await.map_err(|_| TimedOut(what))
}

impl Broker {
    /// Waits until something holds, and looks about every millisecond.
    ///
    /// ```
    /// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use leveret::{Broker, Config};
    /// # use leveret_client::{Connection, Consume, QueueDeclare, Publish};
    /// # let broker = Broker::start(Config::in_memory()).await?;
    /// # let connection = Connection::over(broker.connect(), Default::default()).await?;
    /// # let channel = connection.open_channel().await?;
    /// # channel.queue_declare(QueueDeclare::new("jobs")).await?;
    /// # channel.publish_confirmed(Publish::to_queue("jobs").body("one")).await?;
    /// # let worker = tokio::spawn(async move {
    /// #     let mut jobs = channel.consume(Consume::new("jobs")).await?;
    /// #     if let Some(job) = jobs.next().await { job?.ack().await?; }
    /// #     Ok::<_, leveret_client::Error>(connection)
    /// # });
    /// let jobs = broker.queue("/", "jobs").ok_or("declared")?;
    /// broker.wait_until(|_| jobs.is_empty()).await?; // delivered and acknowledged
    /// # worker.await??;
    /// # broker.wait_until(|broker| broker.connections().is_empty()).await?;
    /// # broker.shutdown().await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// If it does not hold within half a minute.
    pub async fn wait_until(&self, mut condition: impl FnMut(&Self) -> bool) -> Result<(), TimedOut> {
        let holds = async {
            let mut looks = 0;
            while !condition(self) {
                looks += 1;
                match looks {
                    ..=QUICK_LOOKS => tokio::task::yield_now().await,
                    _ => tokio::time::sleep(LOOK_AGAIN_AFTER).await,
                }
            }
        };
        at_most(holds, "such state of the broker").await
    }
}
