//! What all clients of a run share: the clock, the ledger, the numbers that are given once.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use leveret_client::{Channel, Connection, Delivery, Error, QueueDeclare};

use super::content::{self, Id};
use super::layout::Queue;
use super::ledger::{At, Kind, Ledger};

/// See the head of this file.
pub(super) struct Site {
    pub(super) seed: u64,
    begin: Instant,
    ledger: Mutex<Ledger>,
    numbers: AtomicU64,
    /// By publisher.
    sequences: Vec<AtomicU64>,
    /// The broker is about to end: connections may be lost.
    ending: AtomicBool,
}

/// What ended a client.
pub(super) type Ended = Result<(), Error>;

impl Site {
    pub(super) fn new(seed: u64, publishers: usize) -> Site {
        Site {
            seed,
            begin: Instant::now(),
            ledger: Mutex::default(),
            numbers: AtomicU64::new(1),
            sequences: (0..publishers).map(|_| AtomicU64::new(1)).collect(),
            ending: AtomicBool::new(false),
        }
    }

    pub(super) fn now(&self) -> At {
        self.begin.elapsed()
    }

    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number that nobody else gets.
    pub(super) fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// A publisher's next message.
    pub(super) fn next_id(&self, publisher: u16) -> Id {
        let next = self.sequences.get(usize::from(publisher));
        Id { publisher, sequence: next.map_or(0, |next| next.fetch_add(1, Ordering::Relaxed)) }
    }

    /// Says whether the broker is about to end.
    pub(super) fn set_ending(&self, ending: bool) {
        self.ending.store(ending, Ordering::SeqCst);
    }

    /// A client has ended: that is the broker's fault unless the broker has ended.
    pub(super) fn ended(&self, who: &str, ended: Ended) {
        let Err(error) = ended else { return };
        let expected = match error.code() {
            Some(code) => code == 320 || code == 200,
            None => true,
        };
        if !expected || !self.ending.load(Ordering::SeqCst) {
            self.ledger().fault(Kind::Refused, None, None, format!("{who} ended: {error}"));
        }
    }

    /// Tells the ledger what came; none if it is no message of ours.
    pub(super) fn received(&self, consumer: u64, queue: Queue, delivery: &Delivery) -> Option<Id> {
        let read = content::read(self.seed, delivery);
        let (at, mut ledger) = (self.now(), self.ledger());
        match read {
            Ok((id, altered)) => {
                ledger.received((consumer, queue), (id, altered), delivery.redelivered(), at);
                Some(id)
            }
            Err(text) => {
                ledger.fault(Kind::Altered, None, Some(queue), text);
                None
            }
        }
    }
}

/// A channel on a connection of its own.
pub(super) async fn channel(url: &str) -> Result<Channel, Error> {
    // A client ends with its broker: the ledger counts its life as one.
    Connection::open_with(url, |options| options.without_recovery()).await?.open_channel().await
}

/// The number of messages that are ready, as an answer to everything that this channel sent before.
pub(super) async fn ready(channel: &Channel, queue: Queue) -> Result<u32, Error> {
    Ok(channel.queue_declare(QueueDeclare::new(queue.name()).passive()).await?.messages)
}
