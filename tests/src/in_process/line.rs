//! One client's connection: bytes out as they are, and bytes in until what has to come has come.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use leveret_spec::frame;
use leveret_spec::method::MethodFrame;
use leveret_spec::{Method, PROTOCOL_HEADER, channel, connection};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::broken;
use crate::{default, short};

/// Room for what comes, at first.
const INPUT_BYTES: usize = 256 << 10;
/// A frame with basic.ack, in bytes.
const ACK_BYTES: usize = 21;

/// A connection, and what came last on it.
#[derive(Debug)]
pub struct Line<S> {
    stream: S,
    input: Vec<u8>,
    come: usize,
}

/// What an exchange has to bring on one line.
#[derive(Clone, Copy, Debug)]
pub enum Awaited {
    /// So many bytes.
    Bytes(usize),
    /// One frame.
    Frame,
    /// Confirms, up to the publish of that number.
    Confirm(u64),
}

/// One line's part of an exchange.
#[derive(Debug)]
pub struct Part<'l, S> {
    line: &'l mut Line<S>,
    output: &'l [u8],
    awaited: Awaited,
}

impl<'l, S> Part<'l, S> {
    /// Sends `output` and waits for what is `awaited`.
    pub fn of(line: &'l mut Line<S>, output: &'l [u8], awaited: Awaited) -> Self {
        Part { line, output, awaited }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Part<'_, S> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.output.is_empty() {
            match Pin::new(&mut self.line.stream).poll_write(cx, self.output)? {
                Poll::Ready(written) => self.output = &self.output[written..],
                Poll::Pending => break,
            }
        }
        while !self.line.has(self.awaited) {
            match self.line.poll_read(cx)? {
                Poll::Ready(()) => {}
                Poll::Pending => return Poll::Pending,
            }
        }
        if self.output.is_empty() { Poll::Ready(Ok(())) } else { Poll::Pending }
    }
}

/// Sends on all lines and reads from all of them, until each has what it waits for.
///
/// # Errors
/// If the broker closes one of them.
pub async fn exchange<S, const N: usize>(mut parts: [Part<'_, S>; N]) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    parts.iter_mut().for_each(|part| part.line.come = 0);
    poll_fn(|cx| {
        let mut pending = false;
        for part in &mut parts {
            pending |= part.poll(cx)?.is_pending();
        }
        if pending { Poll::Pending } else { Poll::Ready(Ok(())) }
    })
    .await
}

impl<S: AsyncRead + AsyncWrite + Unpin> Line<S> {
    /// Logs in as guest and opens channel 1.
    ///
    /// # Errors
    /// If the broker does not let it.
    pub async fn open(stream: S) -> io::Result<Self> {
        let mut line = Line { stream, input: vec![0; INPUT_BYTES], come: 0 };
        exchange([Part::of(&mut line, &PROTOCOL_HEADER, Awaited::Frame)]).await?;
        let (mechanism, locale) = (short("PLAIN"), short("en_US"));
        let start_ok = connection::StartOk { mechanism, response: b"\0guest\0guest", locale, ..default() };
        line.ask(0, &start_ok).await?;
        let mut agreed = vec![];
        frame::put_method(&mut agreed, 0, &connection::TuneOk { channel_max: 0x7FF, frame_max: 131_072, heartbeat: 0 });
        frame::put_method(&mut agreed, 0, &connection::Open { virtual_host: short("/"), ..default() });
        exchange([Part::of(&mut line, &agreed, Awaited::Frame)]).await?;
        line.ask(1, &channel::Open::default()).await?;
        Ok(line)
    }

    /// Sends a method and waits for its answer.
    ///
    /// # Errors
    /// If the answer is that the channel or the connection is closed.
    pub async fn ask(&mut self, channel: u16, method: &impl MethodFrame) -> io::Result<()> {
        let mut output = vec![];
        frame::put_method(&mut output, channel, method);
        exchange([Part::of(self, &output, Awaited::Frame)]).await?;
        match frame::parse(self.received(), usize::MAX) {
            Ok(Some((frame, _))) => match Method::decode(frame.payload) {
                Ok(Method::Channel(channel::Method::Close(close))) => Err(broken(&close.reply_text)),
                Ok(Method::Connection(connection::Method::Close(close))) => Err(broken(&close.reply_text)),
                _ => Ok(()),
            },
            _ => Err(broken("does not speak AMQP")),
        }
    }

    /// What the last exchange has brought.
    pub fn received(&self) -> &[u8] {
        &self.input[..self.come]
    }

    fn has(&self, awaited: Awaited) -> bool {
        match awaited {
            Awaited::Bytes(bytes) => self.come >= bytes,
            Awaited::Frame => matches!(frame::parse(self.received(), usize::MAX), Ok(Some(_)) | Err(_)),
            // They come in frames of one length, and only the last of them counts.
            Awaited::Confirm(number) => {
                let whole = self.come - self.come % ACK_BYTES;
                self.come >= ACK_BYTES && self.input[whole - 10..whole - 2] == number.to_be_bytes()
            }
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.come == self.input.len() {
            self.input.resize(self.come * 2, 0);
        }
        let mut space = ReadBuf::new(&mut self.input[self.come..]);
        match Pin::new(&mut self.stream).poll_read(cx, &mut space)? {
            Poll::Ready(()) if space.filled().is_empty() => Poll::Ready(Err(broken("has closed the connection"))),
            Poll::Ready(()) => {
                self.come += space.filled().len();
                Poll::Ready(Ok(()))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}
