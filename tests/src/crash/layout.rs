//! The queues under test, and which messages may be where.
//!
//! ```text
//! plain, priority, quorum          one queue each, by way of the default exchange
//! work  (rejected) dead            dead letters
//! desk  (one transaction) moved    consumed, and published anew in one transaction
//! copies: fan-a, fan-b, fan-c      one body in three queues, one of them bound twice
//! ```

use leveret_client::QueueDeclare;

/// A queue by its place in [`QUEUES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Queue(pub(super) u8);

/// The durable fanout exchange.
pub(super) const EXCHANGE: &str = "copies";
/// The highest priority on the queue that has some.
pub(super) const PRIORITY_MAX: u8 = 5;

pub(super) const PLAIN: Queue = Queue(0);
pub(super) const PRIORITY: Queue = Queue(1);
pub(super) const QUORUM: Queue = Queue(2);
pub(super) const WORK: Queue = Queue(3);
pub(super) const DEAD: Queue = Queue(4);
pub(super) const DESK: Queue = Queue(5);
pub(super) const MOVED: Queue = Queue(6);
pub(super) const COPIES: [Queue; 3] = [Queue(7), Queue(8), Queue(9)];

const NAMES: [&str; 10] = ["plain", "priority", "quorum", "work", "dead", "desk", "moved", "fan-a", "fan-b", "fan-c"];

/// Where messages are published to: one queue, or all three copies.
pub(super) const ROUTES: [&[Queue]; 6] = [&[PLAIN], &[PRIORITY], &[QUORUM], &[WORK], &[DESK], &COPIES];

impl Queue {
    pub(super) fn all() -> impl Iterator<Item = Queue> {
        (0..NAMES.len() as u8).map(Queue)
    }

    pub(super) fn name(self) -> &'static str {
        NAMES[usize::from(self.0)]
    }

    /// Where a message was published to that is in this queue: each message has one place, here or there.
    pub(super) fn origin(self) -> Queue {
        match self {
            DEAD => WORK,
            MOVED => DESK,
            queue => queue,
        }
    }

    /// Where its messages go in the end, if not out of the broker.
    pub(super) fn next(self) -> Option<Queue> {
        match self {
            WORK => Some(DEAD),
            DESK => Some(MOVED),
            _ => None,
        }
    }

    /// True if messages that are not persistent survive in it.
    pub(super) fn keeps_all(self) -> bool {
        self == QUORUM
    }

    /// What it is declared with.
    pub(super) fn declaration(self) -> QueueDeclare<'static> {
        let declare = QueueDeclare::new(self.name()).durable();
        match self {
            PRIORITY => declare.argument("x-max-priority", i32::from(PRIORITY_MAX)),
            QUORUM => declare.argument("x-queue-type", "quorum"),
            WORK => declare.argument("x-dead-letter-exchange", "").argument("x-dead-letter-routing-key", DEAD.name()),
            _ => declare,
        }
    }
}
