//! Frames that cannot be: how RabbitMQ names them.

use leveret_spec::frame::{self, Frame, FrameError};
use leveret_spec::{Malformed, MethodError};

use super::Reason;
use crate::failure::Hard;

/// Bytes of a payload that a text shows: no text is longer than 255 bytes.
const SHOWN: usize = 100;

/// What comes after it cannot be understood.
fn out_of_step(failure: Hard) -> Reason {
    Reason { in_step: false, ..Reason::of(failure) }
}

/// A payload as Erlang writes binaries: `<<"text">>`, or `<<1,2,3>>`.
fn octets(payload: &[u8]) -> String {
    let shown = &payload[..payload.len().min(SHOWN)];
    if !shown.is_empty() && shown.iter().all(|b| (b' '..=b'~').contains(b)) {
        return format!("<<\"{}\">>", String::from_utf8_lossy(shown));
    }
    let numbers: Vec<String> = shown.iter().map(u8::to_string).collect();
    format!("<<{}>>", numbers.join(","))
}

pub(super) fn unknown_frame(kind: u8, payload: &[u8]) -> Reason {
    out_of_step(Hard::frame_error(format!("type {kind}, all octets = {}: unknown_frame", octets(payload))))
}

/// A frame that may not come on its channel.
pub(super) fn misplaced_frame(frame: Frame<'_>) -> Reason {
    let text = format!("type {}, all octets = {}", frame.kind as u8, octets(frame.payload));
    Reason::of(Hard::unexpected_frame(text))
}

pub(super) fn bad_frame(error: FrameError, frame_max: usize) -> Reason {
    out_of_step(match error {
        FrameError::TooLarge { kind, size } => {
            let max = frame::payload_max(frame_max);
            Hard::frame_error(format!("type {kind}, all octets = <<>>: {{frame_too_large,{size},{max}}}"))
        }
        FrameError::UnknownKind { kind, .. } => return unknown_frame(kind, &[]),
        FrameError::BadEnd { kind, end } => {
            Hard::frame_error(format!("type {kind}, all octets = <<>>: {{invalid_frame_end_marker,{end}}}"))
        }
    })
}

pub(super) fn undecodable(error: MethodError, payload: &[u8]) -> Reason {
    match error {
        MethodError::Unknown { class, method } => {
            Reason { class, method, ..Reason::of(Hard::command_invalid("unimplemented method")) }
        }
        MethodError::Malformed { why: why @ Malformed("Malformed UTF-8 in shortstr"), .. } => {
            Reason::of(Hard::frame_error(why.0))
        }
        MethodError::Malformed { class, method, .. } => {
            let failure = Hard::frame_error(format!("cannot decode {}", octets(payload.get(4..).unwrap_or_default())));
            Reason { class, method, ..Reason::of(failure) }
        }
    }
}
