//! What goes wrong in a conversation, and how far it reaches: a soft error ends the channel, a hard one the connection.

use std::fmt;

use leveret_spec::ReplyCode;

/// Ends the channel that raised it (403, 404, 405, 406).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Soft {
    pub(crate) code: ReplyCode,
    pub(crate) text: String,
}

/// Ends the connection (320 and everything from 501 on).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hard {
    pub(crate) code: ReplyCode,
    pub(crate) text: String,
}

/// Either of them: what a method on a channel may raise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    Soft(Soft),
    Hard(Hard),
}

macro_rules! raisers {
    ($type:ident: $($name:ident $code:ident;)*) => {
        impl $type {
            $(pub(crate) fn $name(text: impl Into<String>) -> Self {
                $type { code: ReplyCode::$code, text: text.into() }
            })*
        }
    };
}

raisers! { Soft:
    access_refused AccessRefused;
    not_found NotFound;
    resource_locked ResourceLocked;
    precondition_failed PreconditionFailed;
}

raisers! { Hard:
    connection_forced ConnectionForced;
    frame_error FrameError;
    internal_error InternalError;
    command_invalid CommandInvalid;
    channel_error ChannelError;
    unexpected_frame UnexpectedFrame;
    resource_error ResourceError;
    not_allowed NotAllowed;
    not_implemented NotImplemented;
    access_refused AccessRefused;
}

/// The reply text as RabbitMQ writes it: the code's name, then the explanation.
fn reply_text(f: &mut fmt::Formatter<'_>, code: ReplyCode, text: &str) -> fmt::Result {
    write!(f, "{} - {text}", code.name())
}

impl fmt::Display for Soft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        reply_text(f, self.code, &self.text)
    }
}

impl fmt::Display for Hard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        reply_text(f, self.code, &self.text)
    }
}

impl From<Soft> for Failure {
    fn from(soft: Soft) -> Self {
        Failure::Soft(soft)
    }
}

impl From<Hard> for Failure {
    fn from(hard: Hard) -> Self {
        Failure::Hard(hard)
    }
}
