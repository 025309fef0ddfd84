//! Bytes on their way to the socket. Large bodies are not copied into it: they go out of their messages.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::ops::Range;

use leveret_spec::frame::{self, FRAME_END, FrameKind};
use leveret_spec::method::MethodFrame;

use crate::message::Message;
use crate::queue::Entry;

/// Bytes sent that may stand in front of unsent ones.
const SENT_BYTES_MAX: usize = 1 << 20;
/// A body from this size on costs more to copy, in bytes, than to write from where it is.
const SHARED_BYTES_MIN: usize = 4 << 10;

/// What the socket has not taken, in order: `bytes`, with parts of messages between them.
#[derive(Default)]
pub(crate) struct Outbox {
    bytes: Vec<u8>,
    /// How much of `bytes` is gone.
    sent: usize,
    parts: VecDeque<Part>,
    /// Bytes of all parts.
    parts_bytes: usize,
}

/// A part of a message that goes out before the byte `before` of the outbox's own.
struct Part {
    before: usize,
    message: Message,
    range: Range<usize>,
}

impl Outbox {
    /// Appends a method.
    #[inline]
    pub(crate) fn put_method(&mut self, channel: u16, method: &impl MethodFrame) {
        frame::put_method(&mut self.bytes, channel, method);
    }

    /// Appends whatever `put` writes.
    pub(crate) fn put(&mut self, put: impl FnOnce(&mut Vec<u8>)) {
        put(&mut self.bytes);
    }

    /// Appends basic.deliver with its content; `tag` is the consumer tag as on the wire.
    #[inline]
    pub(super) fn put_delivery(
        &mut self,
        channel: u16,
        tag: &[u8],
        delivery_tag: u64,
        entry: &Entry,
        frame_max: usize,
    ) {
        const DELIVER: [u8; 4] = [0, 60, 0, 60];
        let address = entry.message.address();
        let out = &mut self.bytes;
        let size = entry.message.size();
        out.reserve(if size < SHARED_BYTES_MIN { size + tag.len() + 32 } else { 0 });
        frame::put_head(out, FrameKind::Method, channel, (4 + tag.len() + 9 + address.len()) as u32);
        out.extend_from_slice(&DELIVER);
        out.extend_from_slice(tag);
        let [a, b, c, d, e, f, g, h] = delivery_tag.to_be_bytes();
        out.extend_from_slice(&[a, b, c, d, e, f, g, h, entry.redelivered().into()]);
        out.extend_from_slice(address);
        out.push(FRAME_END);
        self.put_content(&entry.message, channel, frame_max);
    }

    /// Appends a message's content frames, numbered for `channel` and split for `frame_max` (bytes, 0 = no limit).
    #[inline]
    pub(super) fn put_content(&mut self, message: &Message, channel: u16, frame_max: usize) {
        if message.size() < SHARED_BYTES_MIN || message.body_len() < SHARED_BYTES_MIN {
            message.put_content(&mut self.bytes, channel, frame_max);
        } else {
            self.share_content(message, channel, frame_max);
        }
    }

    fn share_content(&mut self, message: &Message, channel: u16, frame_max: usize) {
        message.put_header(&mut self.bytes, channel);
        let body = message.body_range();
        let payload_max = frame::payload_max(frame_max);
        for start in body.clone().step_by(payload_max) {
            let end = body.end.min(start + payload_max);
            frame::put_head(&mut self.bytes, FrameKind::Body, channel, (end - start) as u32);
            self.parts_bytes += end - start;
            self.parts.push_back(Part { before: self.bytes.len(), message: message.clone(), range: start..end });
            self.bytes.push(FRAME_END);
        }
    }

    /// How many bytes the socket has not taken.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.sent + self.parts_bytes
    }

    /// True if the socket has taken everything.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the socket has not taken, if that is in one piece.
    #[inline]
    pub(crate) fn whole(&self) -> Option<&[u8]> {
        self.parts.is_empty().then(|| &self.bytes[self.sent..])
    }

    /// The first pieces of it, as many as there is room for; how many they are.
    pub(crate) fn pieces<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut from = self.sent;
        let mut filled = 0;
        let mut put = |piece: &'a [u8]| match slices.get_mut(filled) {
            Some(slice) if !piece.is_empty() => {
                *slice = IoSlice::new(piece);
                filled += 1;
                true
            }
            Some(_) => true,
            None => false,
        };
        for part in &self.parts {
            if !put(&self.bytes[from..part.before]) || !put(&part.message.as_bytes()[part.range.clone()]) {
                return filled;
            }
            from = part.before;
        }
        put(&self.bytes[from..]);
        filled
    }

    /// The socket took that many bytes.
    pub(crate) fn advance(&mut self, mut taken: usize) {
        while let Some(part) = self.parts.front_mut() {
            let own = taken.min(part.before - self.sent);
            let shared = (taken - own).min(part.range.len());
            self.sent += own;
            part.range.start += shared;
            self.parts_bytes -= shared;
            taken -= own + shared;
            if part.before > self.sent || !part.range.is_empty() {
                return self.tidy_up();
            }
            self.parts.pop_front();
        }
        self.sent += taken;
        if self.sent >= self.bytes.len() {
            self.bytes.clear();
            self.sent = 0;
            // An idle connection holds no buffers.
            self.parts = VecDeque::new();
        }
        self.tidy_up();
    }

    /// What was sent must not pile up behind a slow socket.
    fn tidy_up(&mut self) {
        if self.sent > SENT_BYTES_MAX {
            self.bytes.drain(..self.sent);
            self.parts.iter_mut().for_each(|part| part.before -= self.sent);
            self.sent = 0;
        }
    }

    /// True without a buffer of its own.
    pub(crate) fn is_unbuffered(&self) -> bool {
        self.bytes.capacity() == 0
    }

    /// Lends a buffer, which `reclaim` gives back.
    pub(crate) fn lend(&mut self, buffer: Vec<u8>) {
        self.bytes = buffer;
    }

    /// The buffer, if nothing is in it.
    pub(crate) fn reclaim(&mut self) -> Option<Vec<u8>> {
        (self.bytes.is_empty() && self.parts.is_empty()).then(|| std::mem::take(&mut self.bytes))
    }

    /// All that the socket has not taken, copied.
    #[cfg(test)]
    pub(crate) fn to_vec(&self) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); 256];
        let pieces = self.pieces(&mut slices);
        joined(&slices[..pieces])
    }
}

#[cfg(test)]
fn joined(slices: &[IoSlice<'_>]) -> Vec<u8> {
    slices.iter().flat_map(|slice| slice.iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use leveret_spec::Properties;

    use super::*;

    fn filled(bodies: &[usize], frame_max: usize) -> (Outbox, Vec<u8>) {
        let (mut shared, mut copied) = (Outbox::default(), vec![]);
        for (number, &size) in bodies.iter().enumerate() {
            let body: Vec<u8> = (0..size).map(|at| (at + number) as u8).collect();
            let message = Message::compose("x", "key", &Properties::default(), &body);
            shared.put_content(&message, 7, frame_max);
            message.put_content(&mut copied, 7, frame_max);
            shared.put(|out| out.extend_from_slice(b"between"));
            copied.extend_from_slice(b"between");
        }
        (shared, copied)
    }

    #[test]
    fn what_is_shared_goes_out_as_if_it_were_copied() {
        for (bodies, frame_max) in
            [(&[0, 5000, 1, 4096, 4095][..], 0), (&[9000, 100, 8192], 4096), (&[100_000], 131_072), (&[], 4096)]
        {
            let (shared, copied) = filled(bodies, frame_max);
            assert_eq!(shared.len(), copied.len());
            assert!(shared.to_vec() == copied, "{bodies:?} {frame_max}");
        }
    }

    #[test]
    fn a_socket_may_take_any_number_of_bytes() {
        for step in [1, 7, 4096, 5000, 100_000] {
            let (mut outbox, expected) = filled(&[5000, 10, 9000, 4096], 4096);
            let mut out = vec![];
            while !outbox.is_empty() {
                let mut slices = [IoSlice::new(&[]); 3];
                let pieces = outbox.pieces(&mut slices);
                let offered = joined(&slices[..pieces]);
                let taken = offered.len().min(step);
                out.extend_from_slice(&offered[..taken]);
                outbox.advance(taken);
            }
            assert!(out == expected, "{step} bytes at a time");
            assert!(outbox.reclaim().is_some());
        }
    }

    #[test]
    fn what_was_sent_is_given_back() {
        let (mut outbox, expected) = filled(&[300, 5000].repeat(4000), 0);
        let mut out = vec![];
        while !outbox.is_empty() {
            let mut slices = [IoSlice::new(&[]); 16];
            let pieces = outbox.pieces(&mut slices);
            let offered = joined(&slices[..pieces]);
            out.extend_from_slice(&offered);
            outbox.advance(offered.len());
            assert!(outbox.sent <= SENT_BYTES_MAX);
        }
        assert!(out == expected);
    }
}
