//! Mandatory messages that came back, as a stream.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;

use crate::confirm::Returned;
use crate::error::Result;
use crate::mailbox::Mailbox;

/// Messages of a channel that were published as mandatory without waiting for a confirm, and reached no queue.
///
/// It ends like a `Consumer`. At most 10,000 messages, or 16 MiB of bodies, wait to be read; what comes back beyond
/// that is dropped.
#[must_use = "a stream that is not read keeps what comes back in memory"]
pub struct Returns {
    mailbox: Arc<Mailbox<Returned>>,
    ready: VecDeque<Returned>,
}

impl Returns {
    pub(crate) fn new(mailbox: Arc<Mailbox<Returned>>) -> Self {
        Returns { mailbox, ready: VecDeque::new() }
    }

    /// The next message that came back; `None` after the end. Nothing is lost if the future is dropped.
    pub async fn next(&mut self) -> Option<Result<Returned>> {
        poll_fn(|cx| self.poll_returned(cx)).await
    }

    pub(crate) fn poll_returned(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Returned>>> {
        self.mailbox.poll_next(&mut self.ready, cx)
    }
}

impl Stream for Returns {
    type Item = Result<Returned>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Returned>>> {
        self.poll_returned(cx)
    }
}

impl std::fmt::Debug for Returns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Returns").finish_non_exhaustive()
    }
}
