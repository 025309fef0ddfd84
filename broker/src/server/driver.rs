//! Moves bytes between a stream and its connection: one task, one `poll` a turn.
//!
//! A turn sends what waits, reads once, acts on it, sends again and yields, so that batches form by themselves and a fast
//! publisher never keeps its worker from the consumers. The buffers belong to the worker thread and are lent to whose turn it
//! is; a connection keeps only the beginning of an unfinished frame, and what its socket did not take.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::Sleep;

use super::clock::Clock;
use super::source::Source;
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

/// What serves a connection.
pub(super) struct Driver<W> {
    sink: W,
    connection: Connection,
    clock: Clock,
    /// Bytes that have been read and not used.
    tail: Vec<u8>,
    /// True if the tail may hold whole frames, for which output had no room.
    unfinished: bool,
    timer: Option<Pin<Box<Sleep>>>,
    /// When the timer goes off, if it is set.
    armed: Option<Moment>,
    /// Until it is over, the tail waits to be heard: a test wants that.
    delay: Option<Pin<Box<Sleep>>>,
}

/// Why a connection is not served as usual any more.
enum Halt {
    /// Its publishing is stopped by an alarm: it is not read, and yet it may end.
    Blocked,
    /// It is over, with an error if the peer is gone.
    Over(io::Result<()>),
}

/// Serves a connection to its end.
pub(super) async fn drive<R: Source, W: AsyncWrite + Unpin>(mut source: R, mut driver: Box<Driver<W>>) {
    let outcome = loop {
        match poll_fn(|cx| driver.with_buffer(|driver| driver.poll(&mut source, cx))).await {
            Halt::Over(outcome) => break outcome,
            Halt::Blocked => {}
        }
        // On the heap, as all that few connections need: each would be larger for it.
        if Box::pin(driver.outlast_alarm(&mut source)).await {
            driver.hear_last_words(&mut source);
            break Err(io::ErrorKind::UnexpectedEof.into());
        }
    };
    driver.connection.handle_eof(driver.clock.now());
    if outcome.is_ok() {
        Box::pin(linger(source, driver.sink)).await;
    }
}

/// Lets the last words arrive: a socket that is closed with input unread takes them back.
async fn linger<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(mut source: R, mut sink: W) {
    let _ = tokio::time::timeout(LINGER_MAX, async {
        let mut left = LINGER_BYTES_MAX;
        let mut buffer = [0; 1024];
        sink.shutdown().await?;
        while left > 0 {
            match source.read(&mut buffer).await? {
                0 => break,
                n => left = left.saturating_sub(n),
            }
        }
        io::Result::Ok(())
    })
    .await;
}

impl<W: AsyncWrite + Unpin> Driver<W> {
    /// On the heap: asynchronous functions that hand it on would each have a place for it.
    pub(super) fn new(sink: W, connection: Connection, clock: Clock) -> Box<Self> {
        let (tail, unfinished, timer, armed) = (vec![], false, None, None);
        Box::new(Driver { sink, connection, clock, tail, unfinished, timer, armed, delay: None })
    }

    /// Does something with the worker's output buffer lent to the connection.
    fn with_buffer<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        if self.connection.outbox().is_unbuffered() {
            self.connection.outbox().lend(OUTPUT.take());
        }
        let outcome = work(self);
        if let Some(buffer) = self.connection.outbox().reclaim() {
            OUTPUT.set(buffer);
        }
        outcome
    }

    /// One turn.
    fn poll<R: Source>(&mut self, source: &mut R, cx: &mut Context<'_>) -> Poll<Halt> {
        match self.turn(source, cx) {
            Ok(None) => Poll::Pending,
            Ok(Some(halt)) => Poll::Ready(halt),
            Err(error) => Poll::Ready(Halt::Over(Err(error))),
        }
    }

    fn turn<R: Source>(&mut self, source: &mut R, cx: &mut Context<'_>) -> io::Result<Option<Halt>> {
        let now = self.clock.now();
        self.send(cx, now)?;
        if self.connection.is_closed() {
            return Ok(self.connection.outbox().is_empty().then_some(Halt::Over(Ok(()))));
        }
        if !self.connection.wants_input() {
            return Ok(self.connection.is_blocked().then_some(Halt::Blocked));
        }
        if self.is_delayed(cx) {
            return Ok(None);
        }
        let taken = INPUT.with_borrow_mut(|input| self.take_in(source, input, cx, now))?;
        if taken.is_ready() {
            self.connection.end_turn(now);
            self.flush(cx, now)?;
            cx.waker().wake_by_ref();
        }
        Ok(None)
    }

    /// What a turn has to do besides reading.
    fn send(&mut self, cx: &mut Context<'_>, now: Moment) -> io::Result<()> {
        self.connection.mailbox().register(cx.waker());
        if self.connection.mailbox().is_cut() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        self.connection.handle_durable(now);
        self.connection.handle_mailbox(now);
        if self.timer_is_over(cx, now) {
            self.connection.handle_timeout(now);
            cx.waker().wake_by_ref();
        }
        self.flush(cx, now)?;
        if !self.connection.is_closed() && self.connection.mailbox().is_waiting() && self.connection.has_output_room() {
            // The flush made room; otherwise the socket or the mailbox brings us back.
            cx.waker().wake_by_ref();
        }
        Ok(())
    }

    /// Serves a connection that is not read until that changes; true if the peer is gone before.
    async fn outlast_alarm<R: Source>(&mut self, source: &mut R) -> bool {
        let mut gone = pin!(source.gone());
        poll_fn(|cx| {
            if gone.as_mut().poll(cx).is_ready() {
                return Poll::Ready(true);
            }
            match self.with_buffer(|driver| driver.send(cx, driver.clock.now())) {
                Err(_) => Poll::Ready(true),
                Ok(()) if self.connection.is_blocked() => Poll::Pending,
                Ok(()) => Poll::Ready(false),
            }
        })
        .await
    }

    /// Takes in what a peer has sent before it went: no more than any connection may bring before the alarm stops it.
    fn hear_last_words<R: Source>(&mut self, source: &mut R) {
        let (now, mut cx) = (self.clock.now(), Context::from_waker(Waker::noop()));
        self.with_buffer(|driver| {
            if let Ok(Poll::Ready(())) = INPUT.with_borrow_mut(|input| driver.take_in(source, input, &mut cx, now)) {
                driver.connection.end_turn(now);
            }
        });
    }

    /// Reads as much as the stream has, behind what is left of the last read, and hands it over.
    fn take_in<R: Source>(
        &mut self,
        source: &mut R,
        input: &mut Vec<u8>,
        cx: &mut Context<'_>,
        now: Moment,
    ) -> io::Result<Poll<()>> {
        let kept = self.tail.len();
        if input.len() < kept + READ_BYTES {
            input.resize(kept + READ_BYTES, 0);
        }
        let mut end = kept;
        if !self.unfinished {
            let mut space = ReadBuf::new(&mut input[kept..kept + READ_BYTES]);
            if Pin::new(source).poll_read(cx, &mut space)?.is_pending() {
                return Ok(Poll::Pending);
            }
            if space.filled().is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            end += space.filled().len();
        }
        input[..kept].copy_from_slice(&self.tail);
        if !self.unfinished && self.begin_delay(cx) {
            self.tail.extend_from_slice(&input[kept..end]);
            return Ok(Poll::Pending);
        }
        let used = self.connection.handle_bytes(&input[..end], now);
        self.unfinished = !self.connection.has_output_room();
        self.tail.clear();
        if used == end && self.tail.capacity() > 0 {
            self.tail = vec![];
        }
        self.tail.extend_from_slice(&input[used..end]);
        Ok(Poll::Ready(()))
    }

    /// True if what has just been read must wait. It is heard like what output had no room for.
    fn begin_delay(&mut self, cx: &Context<'_>) -> bool {
        let delay = self.connection.delay();
        if delay.is_zero() {
            return false;
        }
        self.delay = Some(Box::pin(tokio::time::sleep(delay)));
        self.unfinished = true;
        cx.waker().wake_by_ref();
        true
    }

    /// True as long as what was read must wait.
    fn is_delayed(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(delay) = &mut self.delay else { return false };
        let waits = !self.connection.delay().is_zero() && delay.as_mut().poll(cx).is_pending();
        if !waits {
            self.delay = None;
        }
        waits
    }

    /// Writes until everything is written or the stream takes no more. What has been written and encrypted may still be on this
    /// side of the socket then, and follows when that has room.
    fn flush(&mut self, cx: &mut Context<'_>, now: Moment) -> io::Result<()> {
        if self.connection.is_held() {
            return Ok(());
        }
        loop {
            let outbox = self.connection.outbox();
            if outbox.is_empty() {
                return match Pin::new(&mut self.sink).poll_flush(cx) {
                    Poll::Ready(flushed) => flushed,
                    Poll::Pending => Ok(()),
                };
            }
            match write(Pin::new(&mut self.sink), cx, outbox) {
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
    fn timer_is_over(&mut self, cx: &mut Context<'_>, now: Moment) -> bool {
        let Some(deadline) = self.connection.deadline() else { return false };
        if deadline <= now {
            return true;
        }
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
fn write<W: AsyncWrite>(sink: Pin<&mut W>, cx: &mut Context<'_>, outbox: &Outbox) -> Poll<io::Result<usize>> {
    if let Some(bytes) = outbox.whole() {
        return sink.poll_write(cx, bytes);
    }
    let mut slices = [IoSlice::new(&[]); WRITE_PIECES_MAX];
    let pieces = outbox.pieces(&mut slices);
    sink.poll_write_vectored(cx, &slices[..pieces])
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::Config;
    use crate::connection::Peer;
    use crate::node::Node;
    use crate::server::source::ReadAhead;

    /// What a connection's task may hold besides the connection, in bytes: what few connections need, and none for long, is
    /// allocated when it is needed.
    const TASK_BYTES_MAX: usize = 192;

    #[tokio::test]
    async fn a_task_is_small() {
        let node = Arc::new(Node::new(&Config::in_memory(), 0));
        let peer = Peer::in_process("test");
        let (_, server) = tokio::io::duplex(1);
        let (source, sink) = tokio::io::split(server);
        let clock = Clock::start();
        let driver = Driver::new(sink, Connection::new(node, peer, clock.now()), clock);
        let task = drive(ReadAhead::new(source), driver);
        assert!(size_of_val(&task) <= TASK_BYTES_MAX, "{} bytes", size_of_val(&task));
    }
}
