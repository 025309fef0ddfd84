//! Where a connection's bytes come from, and how it is noticed that nobody is there any more although nothing is read.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, Interest, ReadBuf, ReadHalf};
use tokio::net::tcp::OwnedReadHalf;

/// Bytes that are read ahead from a stream that does not tell otherwise whether its other end is there.
const AHEAD_BYTES_MAX: usize = 64 << 10;

/// What wakes who waits for the end of a socket: the other side has closed it (which is what this kernel's priority stands for,
/// since nobody asks for urgent data), or it is broken.
#[cfg(any(target_os = "linux", target_os = "android"))]
const END: Interest = Interest::PRIORITY.add(Interest::ERROR);
/// Other kernels tell when it is broken.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const END: Interest = Interest::ERROR;

/// The reading half of a stream.
pub(super) trait Source: AsyncRead + Send + Unpin + 'static {
    /// Waits until the other end is gone, whatever it has sent before. What it has sent can still be read. (The end of a socket
    /// that has sent more than the kernel takes is behind that; writing to it brings it out.)
    fn gone(&mut self) -> impl Future<Output = ()> + Send;
}

impl Source for OwnedReadHalf {
    async fn gone(&mut self) {
        // An error says that the runtime is gone, and all sockets with it.
        let _ = self.ready(END).await;
    }
}

/// A stream within the process, or one that is encrypted. Only reading shows that its other end is gone, so some of it is read
/// and kept.
pub(super) struct ReadAhead<S> {
    half: ReadHalf<S>,
    ahead: Vec<u8>,
}

impl<S> ReadAhead<S> {
    pub(super) fn new(half: ReadHalf<S>) -> Self {
        ReadAhead { half, ahead: vec![] }
    }
}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Source for ReadAhead<S> {
    async fn gone(&mut self) {
        while self.ahead.len() < AHEAD_BYTES_MAX {
            let room = AHEAD_BYTES_MAX - self.ahead.len();
            match (&mut self.half).take(room as u64).read_buf(&mut self.ahead).await {
                Ok(1..) => {}
                Ok(0) | Err(_) => return,
            }
        }
        std::future::pending().await
    }
}

impl<S: AsyncRead> AsyncRead for ReadAhead<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, space: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() {
            return Pin::new(&mut self.half).poll_read(cx, space);
        }
        let taken = self.ahead.len().min(space.remaining());
        space.put_slice(&self.ahead[..taken]);
        self.ahead.drain(..taken);
        if self.ahead.is_empty() {
            self.ahead = vec![];
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncWriteExt, DuplexStream};

    use super::*;

    fn pair() -> (DuplexStream, ReadAhead<DuplexStream>) {
        let (client, server) = tokio::io::duplex(2 * AHEAD_BYTES_MAX);
        (client, ReadAhead::new(tokio::io::split(server).0))
    }

    #[tokio::test]
    async fn a_stream_within_the_process_tells_its_end_and_loses_nothing() {
        let (mut client, mut source) = pair();
        client.write_all(b"last ").await.unwrap();
        tokio::select! {
            biased;
            () = source.gone() => panic!("it is there"),
            () = tokio::task::yield_now() => {}
        }
        client.write_all(b"words").await.unwrap();
        drop(client);
        source.gone().await;
        let mut read = vec![];
        source.read_to_end(&mut read).await.unwrap();
        assert_eq!(read, b"last words");
    }

    #[tokio::test]
    async fn a_stream_within_the_process_is_not_read_far_ahead() {
        let (mut client, mut source) = pair();
        client.write_all(&[0; 2 * AHEAD_BYTES_MAX]).await.unwrap();
        tokio::select! {
            biased;
            () = source.gone() => panic!("it is there"),
            () = tokio::task::yield_now() => {}
        }
        assert_eq!(source.ahead.len(), AHEAD_BYTES_MAX);
    }
}
