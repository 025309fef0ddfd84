//! The answers to a channel's calls, owned.

use leveret_spec::{Method, basic, queue};

use crate::delivery::Delivered;

/// What a call got back.
#[derive(Debug)]
pub(crate) enum Reply {
    /// It is done.
    Done,
    /// queue.declare-ok.
    Queue(QueueStatus),
    /// How many messages: purge-ok, delete-ok.
    Count(u32),
    /// basic.get-ok with its message and how many are ready after it, or basic.get-empty.
    Got(Option<Box<(Delivered, u32)>>),
}

/// What the broker says of a queue that was declared.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueStatus {
    /// Its name, which the broker made up if none was given.
    pub name: String,
    /// Messages that are ready for delivery.
    pub messages: u32,
    /// Consumers.
    pub consumers: u32,
}

impl Reply {
    pub(super) fn of(method: &Method<'_>) -> Reply {
        match method {
            Method::Queue(queue::Method::DeclareOk(ok)) => Reply::Queue(QueueStatus {
                name: ok.queue.as_str().to_owned(),
                messages: ok.message_count,
                consumers: ok.consumer_count,
            }),
            Method::Queue(queue::Method::PurgeOk(queue::PurgeOk { message_count }))
            | Method::Queue(queue::Method::DeleteOk(queue::DeleteOk { message_count })) => Reply::Count(*message_count),
            Method::Basic(basic::Method::GetEmpty(_)) => Reply::Got(None),
            _ => Reply::Done,
        }
    }
}
