//! What a script can do. A script's queues and exchanges have short names here; the wire gives each script its own.

use std::fmt;

/// Which of the script's connections, and which channel of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The connection, from 0.
    pub connection: usize,
    /// The channel's number.
    pub channel: u16,
}

/// The value of a declaration's argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the type is all there is to say")]
pub enum Argument {
    Number(i64),
    Text(&'static str),
    Flag(bool),
    /// One of the script's own names.
    Name(&'static str),
}

/// A table, as it is written in a script.
pub type Arguments = &'static [(&'static str, Argument)];

/// What is published.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the properties")]
pub struct Message {
    pub mandatory: bool,
    pub priority: Option<u8>,
    pub expiration: Option<&'static str>,
    pub user_id: Option<&'static str>,
    /// Answers shall come by direct reply-to.
    pub direct_reply: bool,
    /// The header CC.
    pub cc: &'static [&'static str],
    /// The header BCC.
    pub bcc: &'static [&'static str],
    pub headers: Arguments,
    pub body: u32,
}

/// One thing that a client does.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the methods and their arguments")]
pub enum Step {
    DeclareQueue {
        queue: &'static str,
        passive: bool,
        durable: bool,
        exclusive: bool,
        auto_delete: bool,
        arguments: Arguments,
    },
    DeclareExchange {
        exchange: &'static str,
        kind: &'static str,
        passive: bool,
        durable: bool,
        auto_delete: bool,
        internal: bool,
        alternate: Option<&'static str>,
    },
    Bind {
        queue: &'static str,
        exchange: &'static str,
        key: &'static str,
        arguments: Arguments,
    },
    Unbind {
        queue: &'static str,
        exchange: &'static str,
        key: &'static str,
        arguments: Arguments,
    },
    BindExchange {
        destination: &'static str,
        source: &'static str,
        key: &'static str,
    },
    UnbindExchange {
        destination: &'static str,
        source: &'static str,
        key: &'static str,
    },
    Publish {
        exchange: &'static str,
        key: &'static str,
        message: Message,
    },
    /// Answers the latest request for a direct reply that the connection has received.
    Answer {
        body: u32,
    },
    Get {
        queue: &'static str,
        no_ack: bool,
    },
    Consume {
        queue: &'static str,
        tag: &'static str,
        no_ack: bool,
        exclusive: bool,
        priority: Option<i32>,
    },
    Cancel {
        tag: &'static str,
    },
    /// `nth` outstanding delivery of the channel; if there is none, the tag of that number.
    Ack {
        nth: usize,
        multiple: bool,
    },
    Nack {
        nth: usize,
        multiple: bool,
        requeue: bool,
    },
    Reject {
        nth: usize,
        requeue: bool,
    },
    Recover {
        requeue: bool,
    },
    Qos {
        count: u16,
        global: bool,
    },
    Purge {
        queue: &'static str,
    },
    DeleteQueue {
        queue: &'static str,
        if_unused: bool,
        if_empty: bool,
    },
    DeleteExchange {
        exchange: &'static str,
        if_unused: bool,
    },
    ConfirmSelect,
    TxSelect,
    TxCommit,
    TxRollback,
    CloseChannel,
    CloseConnection,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connection {} channel {}", self.connection, self.channel)
    }
}
