//! What a connection's handles and its I/O task share: the outbox, the channels, and how it ended.
//!
//! Order of locks: a channel's state, then the outbox or the topology. The list of channels is locked alone.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use leveret_spec::TableBuf;
use leveret_spec::frame;
use leveret_spec::method::MethodFrame;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::channels::Channels;
use super::outbox::{Link, Outbox};
use crate::channel::ChannelCore;
use crate::error::{Error, Result};
use crate::events::{Audience, Event};
use crate::lock::locked;
use crate::topology::{Change, Topology};

/// What is negotiated anew for each connection to a broker.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Negotiated {
    pub(crate) frame_max: usize,
    pub(crate) channel_max: u16,
    pub(crate) heartbeat: Option<Duration>,
}

/// The options that matter after the login.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) message_bytes_max: u64,
    pub(crate) unconfirmed_max: usize,
    pub(crate) timeout: Duration,
    /// A connection that is lost is made again.
    pub(crate) recovers: bool,
}

/// The shared half of a connection.
pub(crate) struct Shared {
    pub(crate) limits: Limits,
    /// As the broker that was connected first had them.
    pub(crate) server_properties: TableBuf,
    outbox: Mutex<Outbox>,
    channels: Mutex<Channels>,
    topology: Mutex<Topology>,
    /// Rung whenever a publisher that had to wait may try again.
    pub(crate) room: Notify,
    pub(crate) events: Audience,
    /// Rung when this program closes a connection that is not up.
    pub(super) given_up: Notify,
    stopped: Mutex<bool>,
    stopped_bell: Notify,
}

impl Shared {
    pub(super) fn new(limits: Limits, negotiated: &Negotiated, server_properties: TableBuf) -> Self {
        Shared {
            limits,
            server_properties,
            outbox: Mutex::new(Outbox::new(negotiated.frame_max)),
            channels: Mutex::new(Channels::new(negotiated.channel_max)),
            topology: Mutex::default(),
            room: Notify::new(),
            events: Audience::default(),
            given_up: Notify::new(),
            stopped: Mutex::new(false),
            stopped_bell: Notify::new(),
        }
    }

    pub(crate) fn outbox(&self) -> MutexGuard<'_, Outbox> {
        locked(&self.outbox)
    }

    /// Lets `write` append whole frames, and wakes the I/O task if it waits for them.
    pub(crate) fn append<T>(&self, write: impl FnOnce(&mut Outbox) -> Result<T>) -> Result<T> {
        let mut outbox = self.outbox();
        outbox.check_open()?;
        let written = write(&mut outbox);
        let driver = if outbox.bytes.is_empty() { None } else { outbox.driver.take() };
        drop(outbox);
        if let Some(driver) = driver {
            driver.wake();
        }
        written
    }

    /// Appends one method. Its frame may be too large for the connection if it carries a table.
    pub(crate) fn append_method(&self, channel: u16, method: &impl MethodFrame) -> Result<()> {
        self.append(|outbox| {
            let start = outbox.bytes.len();
            frame::put_method(&mut outbox.bytes, channel, method);
            if outbox.bytes.len() - start > outbox.frame_max {
                outbox.bytes.truncate(start);
                return Err(Error::TooLong("the arguments table"));
            }
            Ok(())
        })
    }

    /// Answers what the broker asked, unless nothing more is to be said because the connection is closed or being closed.
    pub(crate) fn answer(&self, channel: u16, method: &impl MethodFrame) {
        let _ = self.append(|outbox| {
            outbox.answer(|bytes| frame::put_method(bytes, channel, method));
            Ok(())
        });
    }

    /// Runs `attempt` until it gets through; `None` means that it has to wait: for room, for as long as that takes; for
    /// a connection that is lost to come back, for the time limit of the options.
    pub(crate) async fn when_there_is_room<T>(&self, mut attempt: impl FnMut() -> Result<Option<T>>) -> Result<T> {
        if let Some(done) = attempt()? {
            return Ok(done);
        }
        let mut deadline = None;
        loop {
            let mut bell = std::pin::pin!(self.room.notified());
            bell.as_mut().enable();
            let is_up = self.outbox().is_up();
            if let Some(done) = attempt()? {
                return Ok(done);
            }
            if is_up {
                deadline = None;
                bell.await;
                continue;
            }
            let limit = self.limits.timeout;
            let late = *deadline.get_or_insert_with(|| Instant::now().checked_add(limit));
            match late {
                Some(late) => {
                    timeout_at(late, bell).await.map_err(|_| Error::Timeout("new connection to the broker"))?
                }
                None => bell.await,
            }
        }
    }

    /// Gives a new channel the lowest free number; `None` while the connection is lost.
    pub(crate) fn add_channel(&self) -> Result<Option<Arc<ChannelCore>>> {
        self.outbox().check_open()?;
        locked(&self.channels).add()
    }

    /// The channel of that number, if the broker knows it.
    pub(crate) fn channel(&self, id: u16) -> Option<Arc<ChannelCore>> {
        let core = locked(&self.channels).at(id)?;
        core.is_on_the_wire().then_some(core)
    }

    /// Frees a channel's number.
    pub(crate) fn remove_channel(&self, core: &ChannelCore) {
        locked(&self.channels).remove(core);
    }

    pub(crate) fn channels(&self) -> MutexGuard<'_, Channels> {
        locked(&self.channels)
    }

    pub(crate) fn topology(&self) -> MutexGuard<'_, Topology> {
        locked(&self.topology)
    }

    /// What a call changes, if anybody will want to know.
    pub(crate) fn change(&self, make: impl FnOnce() -> Result<Change>) -> Result<Option<Box<Change>>> {
        if self.limits.recovers { make().map(|change| Some(Box::new(change))) } else { Ok(None) }
    }

    /// What was running has failed. Whoever waits learns of it; the channels are kept if the connection is to come back.
    pub(super) fn fail(&self, error: &Error) {
        let Some((before, was_blocked)) = self.begin_to_lose(error) else { return self.end(error) };
        // What ends an attempt need not end the calls of channels that were restored already.
        let told = match error {
            error if error.is_retryable() => error.clone(),
            error => io::Error::new(io::ErrorKind::ConnectionAborted, error.to_string()).into(),
        };
        let channels = locked(&self.channels).lose();
        for core in channels {
            if !core.suspend(self, &told) {
                self.remove_channel(&core);
            }
        }
        if was_blocked {
            self.events.tell(&Event::Unblocked);
        }
        if before == Link::Up {
            self.events.tell(&Event::Lost(error.clone()));
        }
        self.room.notify_waiters();
    }

    /// From now on the connection is not up; what it was, and whether publishers were blocked. `None` if it is not to come
    /// back.
    fn begin_to_lose(&self, error: &Error) -> Option<(Link, bool)> {
        let mut outbox = self.outbox();
        // A broker that is about to start may say anything.
        let passes = error.is_retryable() || outbox.link == Link::Restoring;
        if !self.limits.recovers || !passes || outbox.end.is_some() {
            return None;
        }
        let was_blocked = outbox.blocked.take().is_some();
        Some((std::mem::replace(&mut outbox.link, Link::Down), was_blocked))
    }

    /// There is a new connection, of which only the restoring knows. False if this program wants none any more.
    pub(super) fn begin_restoring(&self, negotiated: &Negotiated) -> bool {
        locked(&self.channels).limit(negotiated.channel_max);
        let mut outbox = self.outbox();
        outbox.restart(negotiated.frame_max);
        outbox.end.is_none()
    }

    /// Everything is as it was.
    pub(super) fn finish_restoring(&self) {
        let mut outbox = self.outbox();
        if outbox.link == Link::Restoring {
            outbox.link = Link::Up;
            drop(outbox);
            locked(&self.channels).accept();
            self.events.tell(&Event::Recovered);
        }
        self.room.notify_waiters();
    }

    /// Ends everything with this error, unless something ended it already.
    pub(super) fn end(&self, error: &Error) {
        let error = self.outbox().end.get_or_insert_with(|| error.clone()).clone();
        let channels = locked(&self.channels).take_all();
        for core in channels {
            core.end(&error);
        }
        self.room.notify_waiters();
    }

    /// The I/O task has let go of the stream.
    pub(super) fn mark_stopped(&self) {
        self.events.end();
        *locked(&self.stopped) = true;
        self.stopped_bell.notify_waiters();
    }

    /// Waits for `mark_stopped`.
    pub(super) async fn stopped(&self) -> Error {
        let mut bell = std::pin::pin!(self.stopped_bell.notified());
        bell.as_mut().enable();
        if !*locked(&self.stopped) {
            bell.await;
        }
        let closed_here = || Error::closed_here(crate::error::Scope::Connection);
        self.outbox().end.clone().unwrap_or_else(closed_here)
    }
}
