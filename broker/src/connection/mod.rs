//! One peer's conversation, without its socket: bytes and time in, bytes and deadlines out.
//!
//! ```text
//! Handshake: header -> start-ok -> tune-ok -> open -> Running --client's close--> Closing --its EOF---> Closed
//!     |  (Refused: a pause, then nothing)                |                                            ^
//!     +--------------------------------------------------+--broker's close--> Closing --close-ok------+
//! ```
//!
//! `handle_*` takes an event in, `poll_*` and the getters take work out. A turn of the driver is: `handle_mailbox`, write
//! what `outbox` has, read if `wants_input`, `handle_bytes`, `end_turn`, write again.

mod channels;
mod closing;
mod handshake;
mod heartbeat;
mod mistakes;
mod running;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use crate::channel::Outbox;
use crate::failure::Hard;
use crate::node::Node;
use crate::queue::{Mailbox, Notice, Turn};
use crate::roster::{Addresses, TlsSession};
use crate::time::Moment;

use closing::Closing;
use handshake::Handshake;
use heartbeat::Heartbeat;
use running::Running;

/// Output that may wait for the socket before the connection reads and delivers no more, in bytes.
const OUTPUT_BYTES_MAX: usize = 1 << 20;
/// How long a socket may take nothing although there is something for it, if heartbeats do not say otherwise.
const STALLED_MAX: Duration = Duration::from_secs(60);

/// Who is at the other end.
#[derive(Debug)]
pub(crate) struct Peer {
    /// For log lines: `127.0.0.1:40000 -> 127.0.0.1:5672`.
    pub(crate) name: Arc<str>,
    /// True on the same machine or in the same process, where users like guest may come from.
    pub(crate) loopback: bool,
    /// None within the process.
    pub(crate) addresses: Option<Addresses>,
    /// None without TLS.
    pub(crate) tls: Option<&'static TlsSession>,
}

impl Peer {
    /// A peer in this process.
    pub(crate) fn in_process(name: &str) -> Self {
        Peer { name: name.into(), loopback: true, addresses: None, tls: None }
    }

    /// A peer at an address.
    pub(crate) fn over_tcp(addresses: Addresses) -> Self {
        let name = format!("{} -> {}", addresses.peer, addresses.local);
        Peer { name: name.into(), loopback: is_loopback(addresses.peer.ip()), addresses: Some(addresses), tls: None }
    }
}

/// True on this machine.
pub(crate) fn is_loopback(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_loopback(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.to_ipv4_mapped().is_some_and(|v4| v4.is_loopback()),
    }
}

/// A connection.
pub(crate) struct Connection {
    phase: Phase,
    mailbox: Arc<Mailbox>,
    heartbeat: Heartbeat,
    /// Since when the socket has taken nothing of what waits.
    stalled_since: Option<Moment>,
}

enum Phase {
    Handshake(Box<Handshake>),
    Running(Box<Running>),
    Closing(Closing),
    Closed(Outbox),
}

impl Connection {
    pub(crate) fn new(node: Arc<Node>, peer: Peer, now: Moment) -> Self {
        let mailbox = Arc::new(Mailbox::default());
        Connection {
            heartbeat: Heartbeat::off(now),
            phase: Phase::Handshake(Box::new(Handshake::new(node, peer, mailbox.clone(), now))),
            mailbox,
            stalled_since: None,
        }
    }

    /// Where the rest of the broker leaves what this connection has to send.
    pub(crate) fn mailbox(&self) -> &Arc<Mailbox> {
        &self.mailbox
    }

    /// Takes in what has come; how many bytes were used. The rest has to be given again, with more behind it or, if
    /// `wants_input` was false meanwhile, as it is.
    pub(crate) fn handle_bytes(&mut self, input: &[u8], now: Moment) -> usize {
        self.heartbeat.received(now);
        self.begin_turn(now);
        let mut used = 0;
        loop {
            let rest = &input[used..];
            let (taken, next) = match &mut self.phase {
                Phase::Handshake(handshake) => handshake.handle_bytes(rest, now),
                Phase::Running(running) => running.handle_bytes(rest, now),
                Phase::Closing(closing) => closing.handle_bytes(rest),
                Phase::Closed(_) => (rest.len(), None),
            };
            used += taken;
            match next {
                Some(next) => self.enter(next, now),
                None => return used,
            }
        }
    }

    fn enter(&mut self, next: Next, now: Moment) {
        self.begin_turn(now);
        let phase = std::mem::replace(&mut self.phase, Phase::Closed(Outbox::default()));
        self.phase = match (phase, next) {
            (Phase::Handshake(_), Next::Run(mut running, interval)) => {
                self.heartbeat = Heartbeat::every(interval, now);
                running.link.turn.now = running.link.node.timeline.at(now);
                Phase::Running(running)
            }
            (phase, Next::Answered) => Phase::Closing(Closing::answered(phase.end(), now)),
            (phase, Next::Close(reason)) => {
                Phase::Closing(Closing::new(phase.end(), &reason, self.heartbeat.interval(), now))
            }
            (phase, _) => Phase::Closed(phase.end()),
        };
    }

    /// Sends what has waited for the message store and stays by now.
    pub(crate) fn handle_durable(&mut self, now: Moment) {
        if let Phase::Running(running) = &mut self.phase
            && running.waits_for_store()
            && let Some(next) = running.handle_durable()
        {
            self.enter(next, now);
        }
    }

    /// True as long as nothing may be sent, since it promises what does not stay yet.
    pub(crate) fn is_held(&self) -> bool {
        matches!(&self.phase, Phase::Running(running) if running.is_held())
    }

    /// Collects what the mailbox has, if there is room for it in the output.
    pub(crate) fn handle_mailbox(&mut self, now: Moment) {
        if !self.mailbox.is_waiting() {
            return;
        }
        self.begin_turn(now);
        let next = match &mut self.phase {
            Phase::Running(running) => {
                let was_blocked = running.is_blocked();
                let next = running.handle_mailbox();
                if was_blocked && !running.is_blocked() {
                    self.heartbeat.received(now);
                }
                next
            }
            // Here the only news is that it has to end.
            Phase::Handshake(_) => told_to_close(&self.mailbox),
            // What is left in the mailbox must be taken, or it would be announced for ever.
            Phase::Closing(closing) => told_to_close(&self.mailbox).filter(|_| closing.is_answered()),
            _ => None,
        };
        if let Some(next) = next {
            self.enter(next, now);
        }
    }

    fn begin_turn(&mut self, now: Moment) {
        if let Phase::Running(running) = &mut self.phase {
            running.link.turn.now = running.link.node.timeline.at(now);
        }
    }

    /// Ends a turn: what it brought reaches the queues, the client and the other connections.
    pub(crate) fn end_turn(&mut self, now: Moment) {
        if let Phase::Running(running) = &mut self.phase {
            running.end_turn(now);
        }
    }

    /// The peer is gone without a word.
    pub(crate) fn handle_eof(&mut self, now: Moment) {
        self.enter(Next::End, now);
    }

    /// Acts on what `deadline` has promised.
    pub(crate) fn handle_timeout(&mut self, now: Moment) {
        let stalled = self.stalled_since.is_some_and(|since| now >= since + self.stalled_max());
        let listening = matches!(&self.phase, Phase::Running(_)) && !self.is_blocked();
        let silent = listening && self.heartbeat.peer_is_silent(now);
        if stalled || silent {
            tracing::info!(stalled, silent, "peer is gone");
            self.enter(Next::End, now);
            // Nobody takes what is left.
            self.phase = Phase::Closed(Outbox::default());
            self.stalled_since = None;
            return;
        }
        let over = match &mut self.phase {
            Phase::Handshake(handshake) => handshake.deadline() <= now,
            Phase::Closing(closing) => closing.deadline() <= now,
            Phase::Running(running) => {
                running.handle_timeout(now);
                if self.heartbeat.is_due(now) {
                    running.link.out.put(leveret_spec::frame::put_heartbeat);
                    self.heartbeat.sent(now);
                }
                false
            }
            Phase::Closed(_) => false,
        };
        if over {
            self.phase = Phase::Closed(Outbox::default());
        }
    }

    /// When `handle_timeout` has to be called, if nothing else happens before.
    pub(crate) fn deadline(&self) -> Option<Moment> {
        let stalled = self.stalled_since.map(|since| since + self.stalled_max());
        let phase = match &self.phase {
            Phase::Handshake(handshake) => Some(handshake.deadline()),
            Phase::Running(running) => {
                [self.heartbeat.deadline(!running.is_blocked()), running.deadline()].into_iter().flatten().min()
            }
            Phase::Closing(closing) => Some(closing.deadline()),
            Phase::Closed(_) => None,
        };
        [phase, stalled].into_iter().flatten().min()
    }

    fn stalled_max(&self) -> Duration {
        match self.heartbeat.interval() {
            Duration::ZERO => STALLED_MAX,
            interval => interval * 2,
        }
    }

    /// What has to go to the socket.
    pub(crate) fn outbox(&mut self) -> &mut Outbox {
        match &mut self.phase {
            Phase::Handshake(handshake) => &mut handshake.out,
            Phase::Running(running) => &mut running.link.out,
            Phase::Closing(closing) => &mut closing.out,
            Phase::Closed(out) => out,
        }
    }

    /// The socket took `written` bytes; 0 if it takes none for now.
    pub(crate) fn handle_written(&mut self, written: usize, now: Moment) {
        self.outbox().advance(written);
        if written > 0 {
            self.heartbeat.sent(now);
        }
        if self.outbox().is_empty() {
            self.stalled_since = None;
        } else if written > 0 || self.stalled_since.is_none() {
            self.stalled_since = Some(now);
        }
    }

    /// True if output has room for more deliveries and replies.
    pub(crate) fn has_output_room(&mut self) -> bool {
        self.outbox().len() < OUTPUT_BYTES_MAX
    }

    /// True if more bytes may be read and handled now.
    pub(crate) fn wants_input(&mut self) -> bool {
        if let Phase::Running(running) = &mut self.phase {
            running.check_resumed();
            if running.is_paused() {
                return false;
            }
        }
        self.has_output_room()
    }

    /// True while an alarm stops this publisher, and no input is wanted for that.
    pub(crate) fn is_blocked(&self) -> bool {
        matches!(&self.phase, Phase::Running(running) if running.is_blocked())
    }

    /// How much later than it comes the broker hears what the peer sends: not at all, unless a test wants it to.
    #[inline]
    pub(crate) fn delay(&self) -> Duration {
        match &self.phase {
            Phase::Handshake(handshake) => handshake.delay(),
            Phase::Running(running) => running.link.node.switches.delay(),
            Phase::Closing(_) | Phase::Closed(_) => Duration::ZERO,
        }
    }

    /// True once nothing more comes of it but what is in the outbox.
    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed(_))
    }
}

impl Phase {
    /// Ends whatever was going on; what still has to be written.
    fn end(self) -> Outbox {
        match self {
            Phase::Handshake(handshake) => handshake.out,
            Phase::Running(mut running) => running.end(),
            Phase::Closing(closing) => closing.out,
            Phase::Closed(out) => out,
        }
    }
}

/// What comes after the phase at hand.
enum Next {
    /// The handshake is done; heartbeats go at this interval.
    Run(Box<Running>, Duration),
    /// The broker closes the connection.
    Close(Reason),
    /// The client has closed the connection and has its answer.
    Answered,
    /// It is over.
    End,
}

/// Why the broker closes a connection, and the method that gave cause, if one did.
struct Reason {
    failure: Hard,
    class: u16,
    method: u16,
    /// False if what comes next cannot be understood.
    in_step: bool,
}

impl Reason {
    fn of(failure: Hard) -> Self {
        Reason { failure, class: 0, method: 0, in_step: true }
    }
}

/// Ends a connection that is not open if somebody wants it to.
fn told_to_close(mailbox: &Mailbox) -> Option<Next> {
    let mut inbox = Default::default();
    mailbox.collect(&mut inbox);
    inbox.notices.into_iter().find_map(|notice| matches!(notice, Notice::Close(_)).then_some(Next::End))
}

/// Tells a connection to close, from elsewhere in the broker.
pub(crate) fn close(mailbox: &Arc<Mailbox>, reason: Hard) {
    let mut turn = Turn::default();
    mailbox.notify(Notice::Close(reason), &mut turn);
    turn.finish();
}

#[cfg(test)]
mod tests;
