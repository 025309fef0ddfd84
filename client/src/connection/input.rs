//! The read buffer: one read per turn into as much room as the traffic deserves, frames parsed where they lie.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

/// What a quiet connection holds, in bytes.
const QUIET: usize = 8 << 10;
/// What a busy connection grows to, in bytes, unless a larger frame is on its way.
const BUSY: usize = 256 << 10;

/// Bytes from the peer that were not yet consumed.
pub(crate) struct Input {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Input {
    pub(crate) fn new() -> Self {
        Input { bytes: vec![0; QUIET], start: 0, end: 0 }
    }

    pub(crate) fn unread(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    pub(crate) fn consume(&mut self, length: usize) {
        self.start = (self.start + length).min(self.end);
    }

    /// Reads once. Zero bytes are the end of the stream.
    pub(crate) fn poll_fill<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        self.make_room();
        let mut buffer = ReadBuf::new(self.bytes.get_mut(self.end..).unwrap_or_default());
        ready!(Pin::new(stream).poll_read(cx, &mut buffer))?;
        let (length, full) = (buffer.filled().len(), buffer.remaining() == 0);
        self.end += length;
        if full && self.bytes.len() < BUSY {
            self.bytes.resize((self.bytes.len() * 4).min(BUSY), 0);
        }
        Poll::Ready(Ok(length))
    }

    /// Moves what is left to the front when little room is behind it. The buffer doubles if one frame fills it, so it
    /// stays within twice the frame size, and within twice of what has arrived.
    fn make_room(&mut self) {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.bytes.len() - self.end < self.bytes.len() / 2 && self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.end == self.bytes.len() {
            self.bytes.resize(self.bytes.len() * 2, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    #[tokio::test]
    async fn what_is_left_survives_moving_and_growing() {
        let data: Vec<u8> = (0..100_000u32).map(|n| n as u8).collect();
        let mut stream = &data[..];
        let mut input = Input::new();
        let mut seen = vec![];
        while poll_fn(|cx| input.poll_fill(&mut stream, cx)).await.unwrap() > 0 {
            let take = input.unread().len() / 3;
            seen.extend_from_slice(&input.unread()[..take]);
            input.consume(take);
        }
        seen.extend_from_slice(input.unread());
        assert_eq!(seen, data);
    }
}
