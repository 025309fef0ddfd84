//! The I/O task of a connection: one turn reads once, hands out what came, and writes what waits.
//!
//! ```text
//! running --(connection.close, close-ok, broken protocol, socket error, no heartbeat)--> draining --> done
//! ```
//!
//! Everybody who waits learns of the end when draining begins; draining only gets the last frames out. What comes then,
//! the end or another connection, is the supervisor's business.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use leveret_spec::frame;
use leveret_spec::{ReplyCode, ShortStr, connection};
use tokio::io::{AsyncRead, AsyncWrite};

use super::dispatch::Dispatch;
use super::input::Input;
use super::pulse::Pulse;
use super::shared::{Negotiated, Shared};
use crate::error::{Error, Result};

/// How long the last frames may take to leave.
const DRAIN: Duration = Duration::from_secs(5);
/// An output buffer that a burst has made larger than this is given back when it is written.
const KEPT_BYTES_MAX: usize = 1 << 20;

/// See the file's head.
pub(super) struct Driver<S> {
    stream: S,
    shared: Arc<Shared>,
    input: Input,
    dispatch: Dispatch,
    output: Output,
    pulse: Pulse,
    frame_max: usize,
    closing: bool,
    /// Why the connection is over, while the last frames leave.
    failure: Option<Error>,
}

/// A stream on which the login is done.
pub(super) struct Session<S> {
    pub(super) stream: S,
    /// What came behind the login's last frame.
    pub(super) input: Input,
    pub(super) negotiated: Negotiated,
}

/// What is being written.
#[derive(Default)]
struct Output {
    bytes: Vec<u8>,
    written: usize,
    flushed: bool,
}

enum Refill {
    Done,
    /// There is more, but this turn has written enough.
    NotNow,
    /// The outbox is empty. The next frame wakes this task.
    Nothing,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Driver<S> {
    pub(super) fn new(session: Session<S>, shared: Arc<Shared>) -> Self {
        let Session { stream, input, negotiated } = session;
        let pulse = Pulse::new(negotiated.heartbeat);
        let dispatch = Dispatch::new(shared.clone());
        let output = Output { flushed: true, ..Output::default() };
        let frame_max = negotiated.frame_max;
        Driver { stream, shared, input, dispatch, output, pulse, frame_max, closing: false, failure: None }
    }

    /// One turn of a running connection. `Ready` if there may be more to read at once.
    fn turn(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>> {
        let overfull = self.look_around(cx);
        if self.pulse.poll(cx)? {
            frame::put_heartbeat(&mut self.shared.outbox().bytes);
        }
        let read = if overfull { Poll::Pending } else { self.read(cx)? };
        let _ = self.write(cx)?;
        // Nothing wakes this task for what was left unread.
        let readable = overfull && !self.shared.outbox().is_overfull();
        Ok(if readable { Poll::Ready(()) } else { read })
    }

    /// From the call for a close on, the time for the broker's answer runs. True if the broker must not be heard now.
    fn look_around(&mut self, cx: &mut Context<'_>) -> bool {
        let mut outbox = self.shared.outbox();
        if outbox.closing && !self.closing {
            self.closing = true;
            self.pulse.close_within(self.shared.limits.timeout);
        } else if outbox.closer.is_none() {
            outbox.closer = Some(cx.waker().clone());
        }
        outbox.is_overfull()
    }

    /// Reads once and handles every frame that is complete.
    fn read(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>> {
        let filled = self.input.poll_fill(&mut self.stream, cx)?;
        match filled {
            Poll::Pending => return Ok(Poll::Pending),
            Poll::Ready(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            Poll::Ready(_) => self.pulse.heard(),
        }
        let handled = self.handle_frames();
        let finished = self.dispatch.finish_burst();
        handled.and(finished).map(Poll::Ready)
    }

    /// Handles what is in the buffer, up to a frame that is not complete.
    fn handle_frames(&mut self) -> Result<()> {
        let payload_max = frame::payload_max(self.frame_max);
        loop {
            let unread = self.input.unread();
            let Some((frame, length)) = frame::parse(unread, payload_max)? else { return Ok(()) };
            let handled = self.dispatch.handle(frame, unread.get(length..).unwrap_or_default());
            self.input.consume(length);
            handled?;
        }
    }

    /// Writes what waits, once around: publishers that keep up with the socket must not keep this task from reading.
    /// `Ready` if nothing is left.
    fn write(&mut self, cx: &mut Context<'_>) -> io::Result<Poll<()>> {
        let mut refilled = false;
        loop {
            if self.output.written == self.output.bytes.len() {
                match self.refill(cx, refilled) {
                    Refill::Done => refilled = true,
                    Refill::NotNow => {
                        cx.waker().wake_by_ref();
                        return Ok(Poll::Pending);
                    }
                    Refill::Nothing => return self.flush(cx),
                }
            }
            if self.write_some(cx)?.is_pending() {
                return Ok(Poll::Pending);
            }
        }
    }

    /// Writes what is in the output buffer, and no more.
    fn write_out(&mut self, cx: &mut Context<'_>) -> io::Result<Poll<()>> {
        while self.output.written < self.output.bytes.len() {
            if self.write_some(cx)?.is_pending() {
                return Ok(Poll::Pending);
            }
        }
        self.flush(cx)
    }

    fn write_some(&mut self, cx: &mut Context<'_>) -> io::Result<Poll<()>> {
        let rest = self.output.bytes.get(self.output.written..).unwrap_or_default();
        match Pin::new(&mut self.stream).poll_write(cx, rest)? {
            Poll::Pending => return Ok(Poll::Pending),
            Poll::Ready(0) => return Err(io::ErrorKind::WriteZero.into()),
            Poll::Ready(length) => self.output.written += length,
        }
        self.output.flushed = false;
        Ok(Poll::Ready(()))
    }

    fn flush(&mut self, cx: &mut Context<'_>) -> io::Result<Poll<()>> {
        if !self.output.flushed {
            let flushed = Pin::new(&mut self.stream).poll_flush(cx)?;
            self.output.flushed = flushed.is_ready();
            return Ok(flushed);
        }
        Ok(Poll::Ready(()))
    }

    /// Exchanges the empty output buffer for the outbox, once per turn.
    fn refill(&mut self, cx: &mut Context<'_>, refilled: bool) -> Refill {
        self.output.written = 0;
        self.output.bytes.clear();
        if self.output.bytes.capacity() > KEPT_BYTES_MAX {
            self.output.bytes = Vec::new();
        }
        let mut outbox = self.shared.outbox();
        if outbox.bytes.is_empty() {
            outbox.driver.get_or_insert_with(|| cx.waker().clone()).clone_from(cx.waker());
            return Refill::Nothing;
        }
        if refilled {
            return Refill::NotNow;
        }
        std::mem::swap(&mut outbox.bytes, &mut self.output.bytes);
        outbox.answer_bytes = 0;
        drop(outbox);
        // A heartbeat alone is an empty frame. It does not count, or every second one would be left out.
        if self.output.bytes.len() > frame::FRAME_OVERHEAD {
            self.pulse.spoke();
        }
        self.shared.room.notify_waiters();
        Refill::Done
    }

    /// The connection is over. If the broker broke the protocol it is told so; no answer is waited for.
    fn begin_draining(&mut self, error: Error) {
        tracing::debug!(reason = %error, "the connection ends");
        self.shared.fail(&error);
        // No channel appends any more, and what is in the outbox is for this broker alone.
        let mut last = std::mem::take(&mut self.shared.outbox().bytes);
        let code = match &error {
            Error::Protocol(_) => Some(ReplyCode::FrameError),
            Error::MessageTooLarge { .. } => Some(ReplyCode::ContentTooLarge),
            _ => None,
        };
        if let Some(code) = code {
            let text = error.to_string();
            let close = connection::Close {
                reply_code: code.code(),
                reply_text: ShortStr::cut(&text),
                ..connection::Close::default()
            };
            frame::put_method(&mut last, 0, &close);
        }
        self.output.bytes.append(&mut last);
        self.pulse.close_within(DRAIN);
        self.failure = Some(error);
    }

    /// Ends when the last frames are out, which a network that has failed will not carry.
    fn drain(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if matches!(self.failure, Some(Error::Io(_) | Error::Timeout(_))) {
            return Poll::Ready(Ok(()));
        }
        self.pulse.poll(cx)?;
        ready!(self.write_out(cx)?);
        Pin::new(&mut self.stream).poll_shutdown(cx).map_err(Error::from)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Future for Driver<S> {
    /// Why the connection is over.
    type Output = Error;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Error> {
        let this = &mut *self;
        if this.failure.is_none() {
            match this.turn(cx) {
                Ok(read) => {
                    if read.is_ready() {
                        // One read per turn: those who got something come first.
                        cx.waker().wake_by_ref();
                    }
                    return Poll::Pending;
                }
                Err(error) => this.begin_draining(error),
            }
        }
        // Whether the last bytes got out changes nothing any more.
        let _ = ready!(this.drain(cx));
        let polled_again = || Error::Protocol(String::from("the connection is over"));
        Poll::Ready(this.failure.take().unwrap_or_else(polled_again))
    }
}
