//! Where the I/O task leaves items for one reader: filled and emptied in batches, one wake-up per batch.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

use crate::error::Error;
use crate::lock::locked;

struct Inside<T> {
    items: VecDeque<T>,
    reader: Option<Waker>,
    /// Set once: nothing more will come, and why if that was an error.
    end: Option<Option<Error>>,
    /// The reader is gone.
    abandoned: bool,
}

/// Items on their way to one reader.
pub(crate) struct Mailbox<T>(Mutex<Inside<T>>);

impl<T> Mailbox<T> {
    pub(crate) fn new() -> Self {
        Mailbox(Mutex::new(Inside { items: VecDeque::new(), reader: None, end: None, abandoned: false }))
    }

    /// Takes the items over, or leaves them where they are if nobody will read them. The number of items that wait.
    pub(crate) fn append(&self, items: &mut VecDeque<T>) -> usize {
        let mut inside = locked(&self.0);
        if inside.abandoned {
            return 0;
        }
        if inside.items.is_empty() {
            std::mem::swap(&mut inside.items, items);
        } else {
            inside.items.append(items);
        }
        let (waiting, reader) = (inside.items.len(), inside.reader.take());
        drop(inside);
        if let Some(reader) = reader {
            reader.wake();
        }
        waiting
    }

    /// Nothing more will come. Only the first call counts.
    pub(crate) fn finish(&self, error: Option<Error>) {
        let mut inside = locked(&self.0);
        inside.end.get_or_insert(error);
        let reader = inside.reader.take();
        drop(inside);
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    /// Drops what waits.
    pub(crate) fn clear(&self) {
        let unread = std::mem::take(&mut locked(&self.0).items);
        // Not under the lock.
        drop(unread);
    }

    /// Refuses further items and returns those that wait.
    pub(crate) fn abandon(&self) -> VecDeque<T> {
        let mut inside = locked(&self.0);
        inside.abandoned = true;
        std::mem::take(&mut inside.items)
    }

    /// Exchanges an empty `ready` for what has come. After the last item: the error once, if there is one.
    pub(crate) fn poll_next(&self, ready: &mut VecDeque<T>, cx: &mut Context<'_>) -> Poll<Option<Result<T, Error>>> {
        if let Some(item) = ready.pop_front() {
            return Poll::Ready(Some(Ok(item)));
        }
        let mut inside = locked(&self.0);
        std::mem::swap(&mut inside.items, ready);
        if let Some(item) = ready.pop_front() {
            return Poll::Ready(Some(Ok(item)));
        }
        match &mut inside.end {
            Some(error) => Poll::Ready(error.take().map(Err)),
            None => {
                inside.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// The next item that has come, if there is one.
    pub(crate) fn next_ready(&self, ready: &mut VecDeque<T>) -> Option<T> {
        if ready.is_empty() {
            std::mem::swap(&mut locked(&self.0).items, ready);
        }
        ready.pop_front()
    }

    /// The number of items that wait and are such.
    pub(crate) fn count(&self, such: impl Fn(&T) -> bool) -> usize {
        locked(&self.0).items.iter().filter(|item| such(item)).count()
    }

    /// The number of items that wait.
    pub(crate) fn len(&self) -> usize {
        locked(&self.0).items.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    async fn next(mailbox: &Mailbox<u32>) -> Option<Result<u32, Error>> {
        let mut ready = VecDeque::new();
        poll_fn(|cx| mailbox.poll_next(&mut ready, cx)).await
    }

    #[tokio::test]
    async fn the_error_comes_once_after_the_last_item() {
        let mailbox = Mailbox::new();
        mailbox.append(&mut VecDeque::from([1]));
        mailbox.finish(Some(Error::Timeout("x")));
        mailbox.finish(None);
        assert!(matches!(next(&mailbox).await, Some(Ok(1))));
        assert!(matches!(next(&mailbox).await, Some(Err(Error::Timeout("x")))));
        assert!(next(&mailbox).await.is_none());
    }

    #[test]
    fn an_abandoned_mailbox_leaves_items_with_the_sender() {
        let mailbox = Mailbox::new();
        mailbox.append(&mut VecDeque::from([1, 2]));
        assert_eq!(mailbox.abandon(), [1, 2]);
        let mut late = VecDeque::from([3]);
        mailbox.append(&mut late);
        assert_eq!((late.len(), mailbox.len()), (1, 0));
    }
}
