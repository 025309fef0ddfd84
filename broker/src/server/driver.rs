//! Moves bytes between a stream and its connection: one task, one `poll` a turn.
//!
//! A turn sends what waits, reads once, acts on it, sends again and yields, so that batches form by themselves and a fast
//! publisher never keeps its worker from the consumers. The buffers belong to the worker thread and are lent to whose turn it
//! is; a connection keeps only the beginning of an unfinished frame, and what its socket did not take.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::Sleep;

use super::clock::Clock;
use crate::connection::{Connection, Outbox};
use crate::time::Moment;

/// Bytes read at once.
const READ_BYTES: usize = 256 << 10;
/// Pieces written at once: what the output of a turn with 16 KiB messages has, and more.
const WRITE_PIECES_MAX: usize = 128;
/// What a peer that was told goodbye may still send before it is cut off, and for how long.
const LINGER_BYTES_MAX: usize = 1 << 20;
const LINGER_MAX: Duration = Duration::from_secs(1);

thread_local! {
    static INPUT: RefCell<Vec<u8>> = const { RefCell::new(vec![]) };
    static OUTPUT: Cell<Vec<u8>> = const { Cell::new(vec![]) };
}

struct Driver<S> {
    stream: S,
    connection: Connection,
    clock: Clock,
    /// Bytes that have been read and not used.
    tail: Vec<u8>,
    /// True if the tail may hold whole frames, for which output had no room.
    unfinished: bool,
    timer: Option<Pin<Box<Sleep>>>,
    /// When the timer goes off, if it is set.
    armed: Option<Moment>,
}

/// Serves a connection to its end.
pub(super) async fn drive<S: AsyncRead + AsyncWrite + Unpin>(stream: S, connection: Connection, clock: Clock) {
    let (tail, unfinished, timer, armed) = (vec![], false, None, None);
    let mut driver = Driver { stream, connection, clock, tail, unfinished, timer, armed };
    let outcome = poll_fn(|cx| {
        if driver.connection.outbox().is_unbuffered() {
            driver.connection.outbox().lend(OUTPUT.take());
        }
        let outcome = driver.poll(cx);
        if let Some(buffer) = driver.connection.outbox().reclaim() {
            OUTPUT.set(buffer);
        }
        outcome
    })
    .await;
    driver.connection.handle_eof(clock.now());
    if outcome.is_ok() {
        linger(driver.stream).await;
    }
}

/// Lets the last words arrive: a socket that is closed with input unread takes them back.
async fn linger<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) {
    let _ = tokio::time::timeout(LINGER_MAX, async {
        let mut left = LINGER_BYTES_MAX;
        let mut buffer = [0; 1024];
        stream.shutdown().await?;
        while left > 0 {
            match stream.read(&mut buffer).await? {
                0 => break,
                n => left = left.saturating_sub(n),
            }
        }
        io::Result::Ok(())
    })
    .await;
}

impl<S: AsyncRead + AsyncWrite + Unpin> Driver<S> {
    /// One turn; ready when the connection is over, with an error if the peer is gone.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let now = self.clock.now();
        self.connection.mailbox().register(cx.waker());
        self.connection.handle_durable(now);
        self.connection.handle_mailbox(now);
        if self.timer_is_over(cx) {
            self.connection.handle_timeout(now);
            cx.waker().wake_by_ref();
        }
        self.flush(cx, now)?;
        if self.connection.is_closed() {
            return if self.connection.outbox().is_empty() { Poll::Ready(Ok(())) } else { Poll::Pending };
        }
        if self.connection.mailbox().is_waiting() && self.connection.has_output_room() {
            // The flush made room; otherwise the socket or the mailbox brings us back.
            cx.waker().wake_by_ref();
        }
        if !self.connection.wants_input() {
            return Poll::Pending;
        }
        ready!(INPUT.with_borrow_mut(|input| self.take_in(input, cx, now)))?;
        self.connection.end_turn(now);
        self.flush(cx, now)?;
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Reads as much as the stream has, behind what is left of the last read, and hands it over.
    fn take_in(&mut self, input: &mut Vec<u8>, cx: &mut Context<'_>, now: Moment) -> Poll<io::Result<()>> {
        let kept = self.tail.len();
        if input.len() < kept + READ_BYTES {
            input.resize(kept + READ_BYTES, 0);
        }
        let mut end = kept;
        if !self.unfinished {
            let mut space = ReadBuf::new(&mut input[kept..kept + READ_BYTES]);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut space))?;
            if space.filled().is_empty() {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            end += space.filled().len();
        }
        input[..kept].copy_from_slice(&self.tail);
        let used = self.connection.handle_bytes(&input[..end], now);
        self.unfinished = !self.connection.has_output_room();
        self.tail.clear();
        if used == end && self.tail.capacity() > 0 {
            self.tail = vec![];
        }
        self.tail.extend_from_slice(&input[used..end]);
        Poll::Ready(Ok(()))
    }

    /// Writes until everything is written or the stream takes no more.
    fn flush(&mut self, cx: &mut Context<'_>, now: Moment) -> io::Result<()> {
        if self.connection.is_held() {
            return Ok(());
        }
        loop {
            let outbox = self.connection.outbox();
            if outbox.is_empty() {
                return Ok(());
            }
            match write(Pin::new(&mut self.stream), cx, outbox) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(n)) => self.connection.handle_written(n, now),
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => {
                    self.connection.handle_written(0, now);
                    return Ok(());
                }
            }
        }
    }

    /// True if a deadline that was set is over. A deadline that has moved on lets the timer go off early, which does no harm
    /// and spares setting it with every message.
    fn timer_is_over(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(deadline) = self.connection.deadline() else { return false };
        let instant = self.clock.instant(deadline);
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(instant)));
        if self.armed.is_none_or(|armed| deadline < armed) {
            timer.as_mut().reset(instant);
            self.armed = Some(deadline);
        }
        if timer.as_mut().poll(cx).is_pending() {
            return false;
        }
        self.armed = None;
        true
    }
}

/// One write of what the outbox has.
fn write<S: AsyncWrite>(stream: Pin<&mut S>, cx: &mut Context<'_>, outbox: &Outbox) -> Poll<io::Result<usize>> {
    if let Some(bytes) = outbox.whole() {
        return stream.poll_write(cx, bytes);
    }
    let mut slices = [IoSlice::new(&[]); WRITE_PIECES_MAX];
    let pieces = outbox.pieces(&mut slices);
    stream.poll_write_vectored(cx, &slices[..pieces])
}
