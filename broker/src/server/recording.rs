//! Recordings of what clients publish, for tests of programs that publish.

use std::future::poll_fn;
use std::sync::{Arc, Weak};
use std::task::Poll;

use super::waiting::{self, TimedOut};
use super::{Broker, MessageView};
use crate::node::Node;
use crate::recording::{Publish, Tape};

/// What was published since [`Broker::record`]: as clients published it, whatever became of it. It holds up to 100,000
/// publishes and 64 MiB; when it is full, the oldest go and [`Recording::missed`] counts them. Recording ends when it is
/// dropped.
pub struct Recording {
    tape: Arc<Tape>,
    node: Weak<Node>,
}

/// A publish that was recorded.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RecordedPublish {
    /// The virtual host.
    pub vhost: String,
    /// What was published, with its exchange and routing key.
    pub message: MessageView,
    /// The queues that it was routed to; none if no binding leads anywhere, or if it was refused
    /// ([`Faults::refuse_publishes`](crate::Faults::refuse_publishes)).
    pub queues: Vec<String>,
}

impl Broker {
    /// Begins to record what clients publish, to any exchange. Publishes of a transaction are there when it is committed, and
    /// those that close their channel (404 for an exchange that does not exist) never are.
    ///
    /// ```
    /// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use leveret::{Broker, Config};
    /// # use leveret_client::{Connection, Publish};
    /// # let broker = Broker::start(Config::in_memory()).await?;
    /// let mut published = broker.record();
    /// let connection = Connection::over(broker.connect(), Default::default()).await?;
    /// let channel = connection.open_channel().await?;
    /// channel.publish(Publish::to_exchange("amq.topic", "orders.new").body("one")).await?;
    ///
    /// let order = published.next().await?;
    /// assert_eq!(order.message.exchange(), "amq.topic");
    /// assert_eq!(order.message.routing_key(), "orders.new");
    /// assert_eq!(order.message.body(), b"one");
    /// assert!(order.queues.is_empty()); // nobody has bound a queue
    /// # broker.shutdown().await?;
    /// # Ok(()) }
    /// ```
    pub fn record(&self) -> Recording {
        self.begin_recording(None)
    }

    /// The same for what is published to one exchange, in any virtual host. An empty name is the default exchange.
    pub fn record_exchange(&self, exchange: &str) -> Recording {
        self.begin_recording(Some(exchange))
    }

    fn begin_recording(&self, exchange: Option<&str>) -> Recording {
        let node = &self.shared.node;
        let tape = node.recordings.begin(exchange);
        node.watch_recordings();
        Recording { tape, node: Arc::downgrade(node) }
    }
}

impl Recording {
    /// Takes the oldest publish out, and waits for one if there is none.
    ///
    /// # Errors
    /// If there is none within half a minute.
    pub async fn next(&mut self) -> Result<RecordedPublish, TimedOut> {
        let taken = poll_fn(|cx| match self.tape.pop_or_wait(cx.waker()) {
            Some(publish) => Poll::Ready(publish.into()),
            None => Poll::Pending,
        });
        waiting::at_most(taken, "publish").await
    }

    /// Takes the oldest publish out, if there is any.
    pub fn try_next(&self) -> Option<RecordedPublish> {
        self.tape.pop().map(RecordedPublish::from)
    }

    /// All that is there, the oldest first. It stays.
    pub fn all(&self) -> Vec<RecordedPublish> {
        self.tape.all().into_iter().map(RecordedPublish::from).collect()
    }

    /// How many publishes are there.
    pub fn len(&self) -> usize {
        self.tape.len()
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many had to go because there were too many.
    pub fn missed(&self) -> u64 {
        self.tape.missed()
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        if let Some(node) = self.node.upgrade() {
            node.recordings.end(&self.tape);
            node.watch_recordings();
        }
    }
}

impl std::fmt::Debug for Recording {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recording").field("len", &self.len()).field("missed", &self.missed()).finish()
    }
}

impl From<Publish> for RecordedPublish {
    fn from(publish: Publish) -> Self {
        RecordedPublish {
            vhost: publish.vhost.to_string(),
            message: MessageView::of(publish.message, false),
            queues: publish.queues.iter().map(ToString::to_string).collect(),
        }
    }
}
