//! Who is here: the open connections with their channels and consumers, for those who list, count and close them.
//!
//! An entry is written by its own connection and read by everybody. Figures are stored at the end of a turn, never per
//! message, and nobody waits for them.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, AtomicU64, Ordering};
use std::task::Waker;

use atomic_waker::AtomicWaker;
use leveret_spec::TableBuf;
use parking_lot::Mutex;

use crate::queue::{ConnectionId, ConsumerKey, Mailbox, Queue};
use crate::time::Moment;

/// The open connections of one broker.
#[derive(Default)]
pub(crate) struct Roster {
    members: Mutex<Members>,
    /// Who waits for consumers whose time has come to be dealt with.
    waiter: AtomicWaker,
}

#[derive(Default)]
struct Members {
    connections: BTreeMap<u64, Arc<Connection>>,
    channels: usize,
    users: HashMap<Arc<str>, Usage>,
    vhosts: HashMap<Arc<str>, usize>,
}

/// What one user has open.
#[derive(Default)]
struct Usage {
    connections: usize,
    channels: usize,
}

/// Both ends of a connection over TCP.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Addresses {
    pub(crate) peer: SocketAddr,
    pub(crate) local: SocketAddr,
}

/// What a client and the broker have agreed on for TLS, under RabbitMQ's names.
#[derive(Debug)]
pub(crate) struct TlsSession {
    pub(crate) protocol: &'static str,
    pub(crate) key_exchange: &'static str,
    pub(crate) cipher: &'static str,
}

/// What is known of a connection from its start.
pub(crate) struct Facts {
    pub(crate) id: ConnectionId,
    /// `peer:port -> host:port`.
    pub(crate) name: Arc<str>,
    /// None within the process.
    pub(crate) addresses: Option<Addresses>,
    pub(crate) tls: Option<&'static TlsSession>,
    pub(crate) user: Arc<str>,
    pub(crate) vhost: Arc<str>,
    pub(crate) mechanism: &'static str,
    pub(crate) client_properties: TableBuf,
    /// Since 1970.
    pub(crate) connected_at_ms: u64,
    pub(crate) channel_max: u16,
    pub(crate) frame_max: u32,
    pub(crate) heartbeat_s: u16,
    /// Where it can be told to close.
    pub(crate) mailbox: Arc<Mailbox>,
}

/// An open connection.
pub(crate) struct Connection {
    pub(crate) facts: Facts,
    /// By number.
    channels: Mutex<Vec<Arc<Channel>>>,
    /// When its consumers have to be looked at, as the bits of a moment.
    overdue_at: AtomicU64,
}

/// How many connections, or channels, there may be; none is no limit.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bounds {
    pub(crate) of_node: Option<usize>,
    /// For connections only.
    pub(crate) of_vhost: Option<usize>,
    pub(crate) of_user: Option<usize>,
}

/// The bound that a new connection or channel would break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    Node(usize),
    Vhost(usize),
    User(usize),
}

/// An open channel: what its connection tells of it.
#[derive(Default)]
pub(crate) struct Channel {
    pub(crate) number: u16,
    pub(crate) confirms: AtomicBool,
    pub(crate) transactional: AtomicBool,
    pub(crate) prefetch: AtomicU16,
    pub(crate) shared_prefetch: AtomicU32,
    pub(crate) unacked: AtomicU32,
    consumers: Mutex<BTreeMap<Box<str>, Consumer>>,
}

/// A consumer.
#[derive(Clone)]
pub(crate) struct Consumer {
    pub(crate) queue: Arc<Queue>,
    pub(crate) key: ConsumerKey,
    pub(crate) no_ack: bool,
    pub(crate) exclusive: bool,
    pub(crate) prefetch: u16,
    pub(crate) arguments: TableBuf,
}

/// A connection's place in the roster, which ends with it.
pub(crate) struct Presence {
    roster: Arc<Roster>,
    connection: Arc<Connection>,
}

impl Facts {
    /// What the client calls the connection.
    pub(crate) fn client_name(&self) -> Option<&str> {
        self.client_properties.as_table().lookup("connection_name").and_then(|name| name.as_str())
    }

    /// True if client or broker call it so.
    pub(crate) fn has_name(&self, name: &str) -> bool {
        *self.name == *name || self.client_name() == Some(name)
    }
}

impl Roster {
    /// Takes a connection in, if the bounds allow another one.
    pub(crate) fn enter(self: &Arc<Self>, facts: Facts, bounds: Bounds) -> Result<Presence, Full> {
        let mut members = self.members.lock();
        if let Some(most) = bounds.of_node.filter(|&most| members.connections.len() >= most) {
            return Err(Full::Node(most));
        }
        let of_vhost = members.vhosts.get(&facts.vhost).copied().unwrap_or(0);
        if let Some(most) = bounds.of_vhost.filter(|&most| of_vhost >= most) {
            return Err(Full::Vhost(most));
        }
        let of_user = members.users.get(&facts.user).map_or(0, |usage| usage.connections);
        if let Some(most) = bounds.of_user.filter(|&most| of_user >= most) {
            return Err(Full::User(most));
        }
        let connection =
            Arc::new(Connection { facts, channels: Mutex::default(), overdue_at: Moment::NEVER.to_bits().into() });
        *members.vhosts.entry(connection.facts.vhost.clone()).or_default() += 1;
        members.users.entry(connection.facts.user.clone()).or_default().connections += 1;
        members.connections.insert(connection.facts.id.0, connection.clone());
        Ok(Presence { roster: self.clone(), connection })
    }

    fn leave(&self, connection: &Connection) {
        let channels = std::mem::take(&mut *connection.channels.lock()).len();
        let Facts { id, user, vhost, .. } = &connection.facts;
        let mut members = self.members.lock();
        members.connections.remove(&id.0);
        members.channels -= channels;
        if let Some(count) = members.vhosts.get_mut(vhost) {
            *count -= 1;
            if *count == 0 {
                members.vhosts.remove(vhost);
            }
        }
        if let Some(usage) = members.users.get_mut(user) {
            usage.connections -= 1;
            usage.channels -= channels;
            if usage.connections == 0 {
                members.users.remove(user);
            }
        }
    }

    /// When the first connection has to look at its consumers.
    pub(crate) fn next_overdue(&self) -> Moment {
        let members = self.members.lock();
        members.connections.values().map(|connection| connection.overdue_at()).min().unwrap_or(Moment::NEVER)
    }

    /// Has the connections that watch over consumers see what time it is.
    pub(crate) fn wake_watching(&self) {
        for connection in self.members.lock().connections.values() {
            if connection.overdue_at() != Moment::NEVER {
                connection.facts.mailbox.wake();
            }
        }
    }

    /// True once no consumer has to be looked at any more at `now`.
    pub(crate) fn is_looked_after(&self, now: Moment, waker: &Waker) -> bool {
        self.waiter.register(waker);
        self.next_overdue() > now
    }

    /// All connections, the oldest first.
    pub(crate) fn connections(&self) -> Vec<Arc<Connection>> {
        self.members.lock().connections.values().cloned().collect()
    }

    /// The connection of that number.
    pub(crate) fn connection(&self, id: ConnectionId) -> Option<Arc<Connection>> {
        self.members.lock().connections.get(&id.0).cloned()
    }
}

impl Presence {
    /// The connection's number.
    pub(crate) fn id(&self) -> ConnectionId {
        self.connection.facts.id
    }

    /// When the connection has to look at its consumers.
    pub(crate) fn look_at(&self, moment: Option<Moment>) {
        let bits = moment.unwrap_or(Moment::NEVER).to_bits();
        // Nobody else changes it, and all connections share who waits.
        if self.connection.overdue_at.load(Ordering::Relaxed) != bits {
            self.connection.overdue_at.store(bits, Ordering::Release);
            self.roster.waiter.wake();
        }
    }

    /// Adds a channel, if the bounds allow another one. The user's is looked at first.
    pub(crate) fn open_channel(&self, channel: Arc<Channel>, bounds: Bounds) -> Result<(), Full> {
        let members = &mut *self.roster.members.lock();
        let of_user = members.users.entry(self.connection.facts.user.clone()).or_default();
        if let Some(most) = bounds.of_user.filter(|&most| of_user.channels >= most) {
            return Err(Full::User(most));
        }
        if let Some(most) = bounds.of_node.filter(|&most| members.channels >= most) {
            return Err(Full::Node(most));
        }
        of_user.channels += 1;
        members.channels += 1;
        let mut channels = self.connection.channels.lock();
        match channels.binary_search_by_key(&channel.number, |c| c.number) {
            Ok(at) => channels[at] = channel,
            Err(at) => {
                reserve_for_one(&mut channels);
                channels.insert(at, channel);
            }
        }
        Ok(())
    }

    /// Takes a channel out.
    pub(crate) fn close_channel(&self, number: u16) {
        let mut members = self.roster.members.lock();
        let mut channels = self.connection.channels.lock();
        let Ok(at) = channels.binary_search_by_key(&number, |c| c.number) else { return };
        channels.remove(at);
        members.channels -= 1;
        if let Some(usage) = members.users.get_mut(&self.connection.facts.user) {
            usage.channels -= 1;
        }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.roster.leave(&self.connection);
        self.roster.waiter.wake();
    }
}

impl Connection {
    fn overdue_at(&self) -> Moment {
        Moment::from_bits(self.overdue_at.load(Ordering::Acquire))
    }

    /// Its channels, in the order of their numbers.
    pub(crate) fn channels(&self) -> Vec<Arc<Channel>> {
        self.channels.lock().clone()
    }

    /// How many channels it has.
    pub(crate) fn channel_count(&self) -> usize {
        self.channels.lock().len()
    }
}

impl Channel {
    pub(crate) fn new(number: u16) -> Self {
        Channel { number, ..Channel::default() }
    }

    /// Its consumers by tag.
    pub(crate) fn consumers(&self) -> Vec<(Box<str>, Consumer)> {
        self.consumers.lock().iter().map(|(tag, consumer)| (tag.clone(), consumer.clone())).collect()
    }

    /// How many consumers it has.
    pub(crate) fn consumer_count(&self) -> usize {
        self.consumers.lock().len()
    }

    pub(crate) fn add_consumer(&self, tag: &str, consumer: Consumer) {
        self.consumers.lock().insert(tag.into(), consumer);
    }

    pub(crate) fn remove_consumer(&self, tag: &str) {
        self.consumers.lock().remove(tag);
    }

    /// The prefetch of consumers that run has changed.
    pub(crate) fn set_running_prefetch(&self, prefetch: u16) {
        self.consumers.lock().values_mut().for_each(|consumer| consumer.prefetch = prefetch);
    }

    /// Forgets the consumers of a channel that ends.
    pub(crate) fn clear_consumers(&self) {
        self.consumers.lock().clear();
    }

    /// Stores how many deliveries are unsettled.
    #[inline]
    pub(crate) fn store_unacked(&self, count: usize) {
        self.unacked.store(u32::try_from(count).unwrap_or(u32::MAX), Ordering::Relaxed);
    }
}

/// Makes room for one more where there is none: most connections have one channel.
pub(crate) fn reserve_for_one<T>(channels: &mut Vec<T>) {
    if channels.capacity() == 0 {
        channels.reserve_exact(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(id: u64, user: &str) -> Facts {
        Facts {
            id: ConnectionId(id),
            name: format!("c{id}").into(),
            addresses: None,
            tls: None,
            user: user.into(),
            vhost: "/".into(),
            mechanism: "PLAIN",
            client_properties: TableBuf::new(),
            connected_at_ms: 0,
            channel_max: 0,
            frame_max: 0,
            heartbeat_s: 0,
            mailbox: Arc::default(),
        }
    }

    #[test]
    fn a_connection_is_listed_as_long_as_it_is_there() {
        let roster = Arc::<Roster>::default();
        let presence = roster.enter(facts(1, "u"), Bounds::default()).ok();
        assert_eq!(roster.connections().len(), 1);
        drop(presence);
        assert!(roster.connections().is_empty() && roster.connection(ConnectionId(1)).is_none());
    }

    #[test]
    fn bounds_count_what_is_open_and_nothing_else() {
        let roster = Arc::<Roster>::default();
        let bounds = Bounds { of_node: Some(9), of_vhost: Some(2), of_user: Some(1) };
        let first = roster.enter(facts(1, "u"), bounds).ok();
        assert_eq!(roster.enter(facts(2, "u"), bounds).err(), Some(Full::User(1)));
        let _second = roster.enter(facts(3, "v"), bounds).ok();
        assert_eq!(roster.enter(facts(4, "w"), bounds).err(), Some(Full::Vhost(2)));
        drop(first);
        assert!(roster.enter(facts(5, "u"), bounds).is_ok());
    }

    #[test]
    fn channels_are_counted_for_their_user_over_all_connections() {
        let roster = Arc::<Roster>::default();
        let enter = |id| roster.enter(facts(id, "u"), Bounds::default()).ok().unwrap();
        let (a, b) = (enter(1), enter(2));
        let bounds = Bounds { of_user: Some(2), ..Bounds::default() };
        let open = |presence: &Presence, number| presence.open_channel(Arc::new(Channel::new(number)), bounds);
        assert_eq!((open(&a, 1), open(&b, 1), open(&a, 2)), (Ok(()), Ok(()), Err(Full::User(2))));
        b.close_channel(1);
        assert_eq!(open(&a, 2), Ok(()));
        drop(a);
        assert_eq!(open(&b, 7), Ok(()));
    }

    #[test]
    fn channels_are_counted_for_the_whole_broker() {
        let roster = Arc::<Roster>::default();
        let enter = |id, user| roster.enter(facts(id, user), Bounds::default()).ok().unwrap();
        let (a, b) = (enter(1, "u"), enter(2, "v"));
        let bounds = Bounds { of_node: Some(2), of_user: Some(1), of_vhost: None };
        let open = |presence: &Presence, number| presence.open_channel(Arc::new(Channel::new(number)), bounds);
        assert_eq!((open(&a, 1), open(&b, 1)), (Ok(()), Ok(())));
        assert_eq!(open(&a, 2), Err(Full::User(1)), "the user comes first");
        let c = enter(3, "w");
        assert_eq!(open(&c, 1), Err(Full::Node(2)));
        b.close_channel(1);
        b.close_channel(1);
        assert_eq!((open(&c, 1), open(&b, 1)), (Ok(()), Err(Full::Node(2))));
        drop(a);
        assert_eq!(open(&b, 1), Ok(()));
    }
}
