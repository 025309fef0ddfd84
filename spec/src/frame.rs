//! Frames (section 2.3.5), taken apart in place and put together in place.
//!
//! ```text
//! 0      1         3             7                  size+7 size+8
//! +------+---------+-------------+  +------------+  +-----------+
//! | type | channel |    size     |  |  payload   |  | frame-end |
//! +------+---------+-------------+  +------------+  +-----------+
//!  octet    short       long         size octets       0xCE
//! ```

use nom::Parser;
use nom::bytes::streaming::take;
use nom::number::streaming::{be_u8, be_u16, be_u32};

use crate::content::ContentHeader;
use crate::method::MethodFrame;

/// Ends every frame.
pub const FRAME_END: u8 = 0xCE;
/// What a frame adds to its payload, in bytes.
pub const FRAME_OVERHEAD: usize = 8;
/// The part of a frame before its payload, in bytes.
pub const FRAME_HEADER: usize = 7;
/// The smallest frame_max that may be negotiated, in bytes (section 4.2.3 and RabbitMQ up to 4.0).
pub const FRAME_MIN_SIZE: usize = 4096;

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum FrameKind {
    /// A method: class, id, arguments.
    Method = 1,
    /// A content header: body size and properties.
    Header = 2,
    /// A piece of a content body.
    Body = 3,
    /// Nothing: the peer is alive.
    Heartbeat = 8,
}

impl FrameKind {
    const fn of(octet: u8) -> Option<FrameKind> {
        match octet {
            1 => Some(FrameKind::Method),
            2 => Some(FrameKind::Header),
            3 => Some(FrameKind::Body),
            8 => Some(FrameKind::Heartbeat),
            _ => None,
        }
    }
}

/// One frame in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What it carries.
    pub kind: FrameKind,
    /// The channel's number; 0 is the connection itself.
    pub channel: u16,
    /// What stands between the frame's header and its end octet.
    pub payload: &'a [u8],
}

impl Frame<'_> {
    /// Appends the frame as `parse` found it.
    #[inline]
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_head(out, self.kind, self.channel, self.payload.len() as u32);
        out.extend_from_slice(self.payload);
        out.push(FRAME_END);
    }
}

/// The bytes are no frame and never will be one, however many follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// A payload larger than the limit. Known from the frame's first seven bytes.
    TooLarge {
        /// The type octet, which may be unknown.
        kind: u8,
        /// The announced payload, in bytes.
        size: u32,
    },
    /// No such frame type.
    UnknownKind {
        /// The type octet.
        kind: u8,
        /// The frame's channel.
        channel: u16,
    },
    /// The octet after the payload is not 0xCE.
    BadEnd {
        /// The type octet.
        kind: u8,
        /// What stands in the end octet's place.
        end: u8,
    },
}

/// Takes the first frame off `input`: the frame and its length in bytes, or `None` when more bytes are needed.
///
/// # Errors
/// `FrameError` as soon as it is certain; a payload above `payload_max` bytes is refused before it has arrived.
#[inline]
pub fn parse(input: &[u8], payload_max: usize) -> Result<Option<(Frame<'_>, usize)>, FrameError> {
    type Streamed<'a, T> = nom::IResult<&'a [u8], T, ()>;
    let head: Streamed<'_, (u8, u16, u32)> = (be_u8, be_u16, be_u32).parse(input);
    let Ok((rest, (kind, channel, size))) = head else { return Ok(None) };
    if size as usize > payload_max {
        return Err(FrameError::TooLarge { kind, size });
    }
    let tail: Streamed<'_, (&[u8], u8)> = (take(size), be_u8).parse(rest);
    let Ok((_, (payload, end))) = tail else { return Ok(None) };
    if end != FRAME_END {
        return Err(FrameError::BadEnd { kind, end });
    }
    match FrameKind::of(kind) {
        Some(kind) => Ok(Some((Frame { kind, channel, payload }, payload.len() + FRAME_OVERHEAD))),
        None => Err(FrameError::UnknownKind { kind, channel }),
    }
}

/// Appends a frame's first seven bytes.
#[inline]
pub fn put_head(out: &mut Vec<u8>, kind: FrameKind, channel: u16, size: u32) {
    let [c0, c1] = channel.to_be_bytes();
    let [s0, s1, s2, s3] = size.to_be_bytes();
    out.extend_from_slice(&[kind as u8, c0, c1, s0, s1, s2, s3]);
}

/// Appends a frame whose payload `payload` appends; its size is filled in afterwards.
#[inline]
fn put_frame(out: &mut Vec<u8>, kind: FrameKind, channel: u16, payload: impl FnOnce(&mut Vec<u8>)) {
    put_head(out, kind, channel, 0);
    let start = out.len();
    payload(out);
    let size = u32::try_from(out.len() - start).unwrap_or(u32::MAX);
    out[start - 4..start].copy_from_slice(&size.to_be_bytes());
    out.push(FRAME_END);
}

/// Appends a method frame.
#[inline]
pub fn put_method(out: &mut Vec<u8>, channel: u16, method: &impl MethodFrame) {
    put_frame(out, FrameKind::Method, channel, |out| method.encode(out));
}

/// Appends a content header frame.
pub fn put_header(out: &mut Vec<u8>, channel: u16, header: &ContentHeader<'_>) {
    put_frame(out, FrameKind::Header, channel, |out| header.encode(out));
}

/// Appends a body in as many frames as `frame_max` (bytes, 0 = unlimited) makes it; an empty body has none.
pub fn put_body(out: &mut Vec<u8>, channel: u16, body: &[u8], frame_max: usize) {
    for payload in body.chunks(payload_max(frame_max)) {
        Frame { kind: FrameKind::Body, channel, payload }.encode(out);
    }
}

/// The largest payload of a frame of `frame_max` bytes, where 0 stands for no limit.
pub const fn payload_max(frame_max: usize) -> usize {
    match frame_max {
        0 => u32::MAX as usize,
        n => n.saturating_sub(FRAME_OVERHEAD).saturating_add((n <= FRAME_OVERHEAD) as usize),
    }
}

/// Appends a heartbeat.
pub fn put_heartbeat(out: &mut Vec<u8>) {
    put_frame(out, FrameKind::Heartbeat, 0, |_| {});
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heartbeat() -> Vec<u8> {
        let mut out = vec![];
        put_heartbeat(&mut out);
        out
    }

    #[test]
    fn a_frame_that_has_not_arrived_whole_needs_more_bytes() {
        let bytes = heartbeat();
        for cut in 0..bytes.len() {
            assert_eq!(parse(&bytes[..cut], 100), Ok(None));
        }
        let frame = Frame { kind: FrameKind::Heartbeat, channel: 0, payload: &[] };
        assert_eq!(parse(&bytes, 100), Ok(Some((frame, 8))));
    }

    #[test]
    fn a_frame_that_is_too_large_is_refused_by_its_first_seven_bytes() {
        let announced = [1, 0, 1, 0xFF, 0xFF, 0xFF, 0xFF];
        assert_eq!(parse(&announced, 4096), Err(FrameError::TooLarge { kind: 1, size: u32::MAX }));
    }

    #[test]
    fn a_wrong_end_octet_and_an_unknown_type_are_told_apart() {
        let mut bytes = heartbeat();
        bytes[7] = 0;
        assert_eq!(parse(&bytes, 100), Err(FrameError::BadEnd { kind: 8, end: 0 }));
        bytes = heartbeat();
        bytes[0] = 5;
        assert_eq!(parse(&bytes, 100), Err(FrameError::UnknownKind { kind: 5, channel: 0 }));
    }

    #[test]
    fn a_body_is_split_at_the_negotiated_frame_size() {
        let mut out = vec![];
        put_body(&mut out, 1, &[7; 25], 18);
        let mut sizes = vec![];
        let mut rest = &out[..];
        while let Some((frame, length)) = parse(rest, 10).unwrap() {
            sizes.push(frame.payload.len());
            rest = &rest[length..];
        }
        assert_eq!(sizes, [10, 10, 5]);
        let mut none = vec![];
        put_body(&mut none, 1, &[], 18);
        assert!(none.is_empty());
    }
}
