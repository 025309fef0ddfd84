//! The connection is closed, by the broker, which waits for close-ok, or by the client, which closes the socket next. Either
//! way not for ever, and nothing else is heard.

use std::time::Duration;

use leveret_spec::frame::{self, FrameKind};
use leveret_spec::{Method, ShortStr, connection};

use super::{Next, Reason};
use crate::channel::Outbox;
use crate::time::Moment;

/// The longest wait for close-ok, or for the client to close the socket.
const PATIENCE_MAX: Duration = Duration::from_secs(30);
/// The wait when what the peer sends cannot be understood any more.
const PATIENCE_OUT_OF_STEP: Duration = Duration::from_secs(3);

pub(super) struct Closing {
    pub(super) out: Outbox,
    in_step: bool,
    /// True if the client has closed the connection and has its answer.
    answered: bool,
    deadline: Moment,
}

impl Closing {
    pub(super) fn new(mut out: Outbox, reason: &Reason, heartbeat: Duration, now: Moment) -> Self {
        let text = reason.failure.to_string();
        tracing::warn!(reason = %text, class = reason.class, method = reason.method, "closing connection");
        let close = connection::Close {
            reply_code: reason.failure.code.code(),
            reply_text: ShortStr::cut(&text),
            class_id: reason.class,
            method_id: reason.method,
        };
        out.put_method(0, &close);
        let patience = match (reason.in_step, heartbeat) {
            (false, _) => PATIENCE_OUT_OF_STEP,
            (true, Duration::ZERO) => PATIENCE_MAX,
            (true, interval) => interval.min(PATIENCE_MAX),
        };
        Closing { out, in_step: reason.in_step, answered: false, deadline: now + patience }
    }

    /// The client has closed the connection and `out` ends with the answer. It may ask again (two of its threads may close at
    /// once), and the socket is its to close.
    pub(super) fn answered(out: Outbox, now: Moment) -> Self {
        Closing { out, in_step: true, answered: true, deadline: now + PATIENCE_MAX }
    }

    /// True if there is nothing to wait for but the client's end of the socket.
    pub(super) fn is_answered(&self) -> bool {
        self.answered
    }

    pub(super) fn deadline(&self) -> Moment {
        self.deadline
    }

    pub(super) fn handle_bytes(&mut self, input: &[u8]) -> (usize, Option<Next>) {
        let mut used = 0;
        while self.in_step {
            match frame::parse(&input[used..], u32::MAX as usize) {
                Ok(None) => return (used, None),
                Err(_) => self.in_step = false,
                Ok(Some((frame, length))) => {
                    used += length;
                    if frame.channel != 0 || frame.kind != FrameKind::Method {
                        continue;
                    }
                    match Method::decode(frame.payload) {
                        Ok(Method::Connection(connection::Method::CloseOk(_))) => return (used, Some(Next::End)),
                        // Both sides close at once: each answers the other.
                        Ok(Method::Connection(connection::Method::Close(_))) => {
                            self.out.put_method(0, &connection::CloseOk {});
                        }
                        _ => {}
                    }
                }
            }
        }
        (input.len(), None)
    }
}
