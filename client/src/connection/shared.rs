//! What a connection's handles and its I/O task share: the outbox, the channels, and how it ended.
//!
//! Order of locks: a channel's state, then the outbox. The list of channels is locked alone.

use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Waker;
use std::time::Duration;

use leveret_spec::TableBuf;
use leveret_spec::frame;
use leveret_spec::method::MethodFrame;
use tokio::sync::Notify;

use crate::channel::ChannelCore;
use crate::error::{Error, Result};
use crate::lock::locked;

/// Publishers wait while so many bytes wait for the socket: about what fits into a core's cache beside the rest.
const OUTBOX_BYTES_MAX: usize = 256 << 10;

/// What was negotiated, and the options that matter afterwards.
#[derive(Debug)]
pub(crate) struct Limits {
    pub(crate) frame_max: usize,
    pub(crate) channel_max: u16,
    pub(crate) heartbeat: Option<Duration>,
    pub(crate) message_bytes_max: u64,
    pub(crate) unconfirmed_max: usize,
    pub(crate) timeout: Duration,
}

/// Encoded frames that wait for the I/O task.
#[derive(Default)]
pub(crate) struct Outbox {
    pub(crate) bytes: Vec<u8>,
    /// The I/O task, while it waits for bytes. It is woken by the first ones, not by each.
    pub(crate) driver: Option<Waker>,
    /// The I/O task at any time.
    pub(crate) closer: Option<Waker>,
    /// Why nothing may be appended any more.
    pub(crate) end: Option<Error>,
    /// connection.close is among the bytes or was.
    pub(crate) closing: bool,
    /// The broker's reason for connection.blocked, while that holds.
    pub(crate) blocked: Option<String>,
}

impl Outbox {
    /// True while everything that can wait has to wait for the socket.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes.len() >= OUTBOX_BYTES_MAX
    }

    fn check_open(&self) -> Result<()> {
        self.end.clone().map_or(Ok(()), Err)
    }
}

/// The shared half of a connection.
pub(crate) struct Shared {
    pub(crate) limits: Limits,
    pub(crate) server_properties: TableBuf,
    outbox: Mutex<Outbox>,
    channels: Mutex<Vec<Option<Arc<ChannelCore>>>>,
    /// Rung whenever a publisher that had to wait may try again.
    pub(crate) room: Notify,
    stopped: Mutex<bool>,
    stopped_bell: Notify,
}

impl Shared {
    pub(crate) fn new(limits: Limits, server_properties: TableBuf) -> Self {
        Shared {
            limits,
            server_properties,
            outbox: Mutex::default(),
            channels: Mutex::default(),
            room: Notify::new(),
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
            if outbox.bytes.len() - start > self.limits.frame_max {
                outbox.bytes.truncate(start);
                return Err(Error::TooLong("the arguments table"));
            }
            Ok(())
        })
    }

    /// Runs `attempt` until it gets through; `None` means that there is no room now.
    pub(crate) async fn when_there_is_room<T>(&self, mut attempt: impl FnMut() -> Result<Option<T>>) -> Result<T> {
        if let Some(done) = attempt()? {
            return Ok(done);
        }
        loop {
            let mut bell = std::pin::pin!(self.room.notified());
            bell.as_mut().enable();
            if let Some(done) = attempt()? {
                return Ok(done);
            }
            bell.await;
        }
    }

    /// Gives a new channel the lowest free number.
    pub(crate) fn add_channel(&self) -> Result<Arc<ChannelCore>> {
        let mut channels = locked(&self.channels);
        let index = channels.iter().position(Option::is_none).unwrap_or(channels.len());
        let id = u16::try_from(index + 1).ok().filter(|&id| id <= self.limits.channel_max);
        let id = id.ok_or(Error::Usage("all channels that were negotiated are open"))?;
        let core = Arc::new(ChannelCore::new(id));
        match channels.get_mut(index) {
            Some(slot) => *slot = Some(core.clone()),
            None => channels.push(Some(core.clone())),
        }
        Ok(core)
    }

    pub(crate) fn channel(&self, id: u16) -> Option<Arc<ChannelCore>> {
        let index = usize::from(id).checked_sub(1)?;
        locked(&self.channels).get(index)?.clone()
    }

    /// Frees a channel's number.
    pub(crate) fn remove_channel(&self, id: u16) {
        let index = usize::from(id).wrapping_sub(1);
        if let Some(slot) = locked(&self.channels).get_mut(index) {
            *slot = None;
        }
    }

    /// Ends everything with this error, unless something ended it already.
    pub(crate) fn end(&self, error: &Error) {
        self.outbox().end.get_or_insert_with(|| error.clone());
        let channels = std::mem::take(&mut *locked(&self.channels));
        for core in channels.into_iter().flatten() {
            core.end(error);
        }
        self.room.notify_waiters();
    }

    /// The I/O task has let go of the stream.
    pub(crate) fn mark_stopped(&self) {
        *locked(&self.stopped) = true;
        self.stopped_bell.notify_waiters();
    }

    /// Waits for `mark_stopped`.
    pub(crate) async fn stopped(&self) -> Error {
        let mut bell = std::pin::pin!(self.stopped_bell.notified());
        bell.as_mut().enable();
        if !*locked(&self.stopped) {
            bell.await;
        }
        let closed_here = || Error::closed_here(crate::error::Scope::Connection);
        self.outbox().end.clone().unwrap_or_else(closed_here)
    }
}
