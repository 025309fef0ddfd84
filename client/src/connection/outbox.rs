//! Encoded frames on their way to the I/O task, and the state of the link that they are for.
//!
//! ```text
//! up --(lost)--> down --(a new connection)--> restoring --(all is as it was)--> up
//!                  ^--------(lost again)---------'
//! ```

use std::task::Waker;

use crate::error::{Error, Result};

/// Publishers wait while so many bytes wait for the socket: about what fits into a core's cache beside the rest.
const OUTBOX_BYTES_MAX: usize = 256 << 10;

/// While so many bytes of answers wait for the socket, nothing is read: a broker that asks and does not take the answers must
/// not make them pile up. What the program publishes is not among them: a broker that blocks publishers must be heard.
const ANSWER_BYTES_MAX: usize = 512 << 10;

/// Whether there is a connection to the broker. How it ends for good stands beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    Up,
    /// There is one, over which the state of the one before is being restored.
    Restoring,
    Down,
}

/// See the file's head.
pub(crate) struct Outbox {
    pub(crate) bytes: Vec<u8>,
    /// How many of them the broker has caused.
    pub(super) answer_bytes: usize,
    /// The I/O task, while it waits for bytes. It is woken by the first ones, not by each.
    pub(crate) driver: Option<Waker>,
    /// The I/O task at any time.
    pub(crate) closer: Option<Waker>,
    pub(crate) link: Link,
    /// Why nothing may be appended any more.
    pub(crate) end: Option<Error>,
    /// connection.close is among the bytes or was.
    pub(crate) closing: bool,
    /// The broker's reason for connection.blocked, while that holds.
    pub(crate) blocked: Option<String>,
    /// The largest frame, in bytes.
    pub(crate) frame_max: usize,
}

impl Outbox {
    pub(super) fn new(frame_max: usize) -> Self {
        Outbox {
            bytes: Vec::new(),
            answer_bytes: 0,
            driver: None,
            closer: None,
            link: Link::Up,
            end: None,
            closing: false,
            blocked: None,
            frame_max,
        }
    }

    /// Nothing of the last connection goes into the new one.
    pub(super) fn restart(&mut self, frame_max: usize) {
        let end = self.end.take();
        *self = Outbox { link: Link::Restoring, end, ..Outbox::new(frame_max) };
    }

    /// True while everything that can wait has to wait for the socket.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes.len() >= OUTBOX_BYTES_MAX
    }

    /// Appends what the broker has caused.
    pub(crate) fn answer(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let before = self.bytes.len();
        write(&mut self.bytes);
        self.answer_bytes += self.bytes.len() - before;
    }

    /// True while what the broker says must wait for it to read.
    pub(super) fn is_overfull(&self) -> bool {
        self.answer_bytes >= ANSWER_BYTES_MAX
    }

    pub(super) fn is_up(&self) -> bool {
        self.link == Link::Up
    }

    pub(super) fn check_open(&self) -> Result<()> {
        self.end.clone().map_or(Ok(()), Err)
    }
}
