//! The connection's only timer: heartbeats (section 4.2.7) while it is open, a time limit while it closes.
//!
//! It ticks every half period. A tick sends a heartbeat if nothing was written since the last one; the fourth silent
//! tick in a row, two periods without a byte from the broker, ends the connection. So no clock is read per message.

use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

use crate::error::{Error, Result};

const SILENT_TICKS_MAX: u8 = 4;

enum Mode {
    Off,
    Beating { half: Duration },
    Closing,
}

/// See the file's head.
pub(super) struct Pulse {
    mode: Mode,
    timer: Pin<Box<Sleep>>,
    wrote: bool,
    silent_ticks: u8,
}

impl Pulse {
    pub(super) fn new(period: Option<Duration>) -> Self {
        let half = period.map_or(Duration::ZERO, |p| p / 2);
        let mode = if half.is_zero() { Mode::Off } else { Mode::Beating { half } };
        Pulse { mode, timer: Box::pin(sleep(half)), wrote: false, silent_ticks: 0 }
    }

    /// Bytes came.
    pub(super) fn heard(&mut self) {
        self.silent_ticks = 0;
    }

    /// More than a heartbeat went.
    pub(super) fn spoke(&mut self) {
        self.wrote = true;
    }

    /// From now on only the time limit for closing counts.
    pub(super) fn close_within(&mut self, limit: Duration) {
        self.mode = match Instant::now().checked_add(limit) {
            Some(deadline) => {
                self.timer.as_mut().reset(deadline);
                Mode::Closing
            }
            None => Mode::Off,
        };
    }

    /// True if a heartbeat is due.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Result<bool> {
        let mut due = false;
        loop {
            let half = match self.mode {
                Mode::Off => return Ok(false),
                Mode::Beating { half } => half,
                Mode::Closing if self.timer.as_mut().poll(cx).is_ready() => return Err(Error::Timeout("close-ok")),
                Mode::Closing => return Ok(false),
            };
            if self.timer.as_mut().poll(cx).is_pending() {
                return Ok(due);
            }
            if self.silent_ticks == SILENT_TICKS_MAX {
                return Err(Error::Timeout("heartbeat from the broker"));
            }
            self.silent_ticks += 1;
            due |= !std::mem::take(&mut self.wrote);
            self.timer.as_mut().reset(Instant::now() + half);
        }
    }
}
