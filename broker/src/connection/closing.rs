//! The broker has closed the connection: it waits for close-ok, not for ever, and hears nothing else.

use std::time::Duration;

use leveret_spec::frame::{self, FrameKind};
use leveret_spec::{Method, ShortStr, connection};

use super::{Next, Reason};
use crate::channel::Outbox;
use crate::time::Moment;

/// The longest wait for close-ok.
const PATIENCE_MAX: Duration = Duration::from_secs(30);
/// The wait when what the peer sends cannot be understood any more.
const PATIENCE_OUT_OF_STEP: Duration = Duration::from_secs(3);

pub(super) struct Closing {
    pub(super) out: Outbox,
    in_step: bool,
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
        Closing { out, in_step: reason.in_step, deadline: now + patience }
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
