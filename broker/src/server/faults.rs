//! What may go wrong, on demand: for tests of programs that have to cope with it.

use std::collections::HashSet;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use super::{Broker, Shared};
use crate::alarms::Resource;
use crate::failure::Hard;
use crate::queue::Mailbox;

/// Switches that let a running broker do to its clients what brokers, disks and networks do to them in production. Each stays
/// as it is until it is switched again; [`Faults::clear`] switches all of them off.
///
/// ```
/// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use leveret::{Broker, Config};
/// use leveret_client::{Connection, Publish, QueueDeclare};
///
/// let broker = Broker::start(Config::in_memory()).await?;
/// let connection = Connection::over(broker.connect(), Default::default()).await?;
/// let channel = connection.open_channel().await?;
/// channel.queue_declare(QueueDeclare::new("orders")).await?;
///
/// broker.faults().refuse_next_publishes(1);
/// let order = || Publish::to_queue("orders").body("one");
/// assert!(!channel.publish_confirmed(order()).await?.is_acked()); // basic.nack
/// assert!(channel.publish_confirmed(order()).await?.is_acked());
///
/// assert_eq!(broker.faults().drop_connections().await, 1); // the socket is gone, without a word
/// # broker.shutdown().await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Copy)]
pub struct Faults<'b> {
    shared: &'b Arc<Shared>,
}

impl Broker {
    /// What may go wrong, to be switched on.
    pub fn faults(&self) -> Faults<'_> {
        Faults { shared: &self.shared }
    }
}

impl Faults<'_> {
    /// Cuts all connections without connection.close, as a network or a broker that is gone does; how many. They may come
    /// again, unless [`Faults::refuse_connections`] is on. When this returns, what they had not acknowledged is in its queues
    /// again, and what was exclusive to them is gone.
    pub async fn drop_connections(&self) -> usize {
        self.cut(self.shared.mailboxes()).await
    }

    /// Cuts the connections of a name, in the same way; how many. The name is the one that the client gave
    /// (`connection_name`), or the broker's (`127.0.0.1:40000 -> 127.0.0.1:5672`).
    pub async fn drop_connection(&self, name: &str) -> usize {
        let connections = self.shared.node.roster.connections();
        let named = connections.iter().map(|connection| &connection.facts).filter(|facts| facts.has_name(name));
        self.cut(named.map(|facts| facts.mailbox.clone()).collect()).await
    }

    async fn cut(&self, mailboxes: Vec<Arc<Mailbox>>) -> usize {
        let cut: HashSet<_> = mailboxes.iter().map(Arc::as_ptr).map(<*const Mailbox>::addr).collect();
        mailboxes.iter().for_each(|mailbox| mailbox.cut());
        loop {
            let mut left = pin!(self.shared.left.notified());
            left.as_mut().enable();
            let is_there = |mailbox: &Arc<Mailbox>| cut.contains(&Arc::as_ptr(mailbox).addr());
            if !self.shared.connections.lock().values().any(is_there) {
                return mailboxes.len();
            }
            left.await;
        }
    }

    /// Closes all connections with connection.close, code 320 and this reason, as an operator does.
    pub fn close_connections(&self, reason: &str) {
        self.shared.send_away(&Hard::connection_forced(reason));
    }

    /// Lets nobody in: who connects is cut off before the first byte.
    pub fn refuse_connections(&self, on: bool) {
        self.shared.node.switches.refuse_connections(on);
    }

    /// Refuses what is published, as a full queue with `x-overflow: reject-publish` does: basic.nack on channels in confirm
    /// mode, 406 for tx.commit, and otherwise the message is lost without a word.
    pub fn refuse_publishes(&self, on: bool) {
        self.shared.node.refuse_publishes(if on { u64::MAX } else { 0 });
    }

    /// Refuses the next publishes, so many of them, and takes those after them.
    pub fn refuse_next_publishes(&self, count: u64) {
        self.shared.node.refuse_publishes(count);
    }

    /// Stops publishers as the memory alarm does: connection.blocked to each that publishes, whose connection is not read any
    /// more, and connection.unblocked when it is over. Consumers on other connections go on.
    pub fn block_publishers(&self, on: bool) {
        self.shared.node.alarms.order(Resource::Memory, on);
    }

    /// Raises the disk alarm, as a disk with too little room does: publishers are stopped, with another reason. A broker in
    /// memory does the same.
    pub fn fill_disk(&self, on: bool) {
        self.shared.node.alarms.order(Resource::Disk, on);
    }

    /// Lets the disk of a durable broker fail for good: what is published and not confirmed is refused (basic.nack),
    /// connections are closed (541), and [`Broker::failed`] resolves. False, and nothing happens, for a broker in memory.
    pub fn fail_disk(&self, why: &str) -> bool {
        let storage = self.shared.node.storage.as_ref();
        storage.inspect(|storage| crate::store::MessageStore::fail(&*storage.store, why.into())).is_some()
    }

    /// Has everything that clients send heard so much later than it comes, as over a slow line; zero ends it at once. What comes
    /// while something waits is heard so much later than that. Deliveries and answers leave as ever.
    pub fn delay(&self, delay: Duration) {
        self.shared.node.switches.set_delay(delay);
        // What waits may not have to any more.
        self.shared.mailboxes().iter().for_each(|mailbox| mailbox.wake());
    }

    /// Switches everything off. A disk that has failed stays so.
    pub fn clear(&self) {
        self.refuse_connections(false);
        self.refuse_publishes(false);
        self.block_publishers(false);
        self.fill_disk(false);
        self.delay(Duration::ZERO);
    }
}

impl std::fmt::Debug for Faults<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Faults").field("switches", &self.shared.node.switches).finish()
    }
}
