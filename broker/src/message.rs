//! A message: immutable, shared, one allocation.
//!
//! It keeps the bytes as they stand on the publisher's wire, from basic.publish's exchange to the end of the body, so that
//! one copy takes it in and, since basic.deliver ends with the same fields, one copy sends it out:
//!
//! ```text
//! | exchange | routing key | bits | CE | 02 channel size | header payload | CE | 03 channel size | body | CE |
//!   shortstr   shortstr      u8     \_______________________ tail ______________________________________/
//! ```
//!
//! The bits, which nobody needs once the message is in, count the deaths that a dead letter has behind it.
//! The two channel numbers are the publisher's and rewritten on the way out. A message without a body ends after the header
//! frame. A body that came in several frames is stored as if it had come in one.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use leveret_spec::frame::{self, FRAME_END, FRAME_HEADER, FrameKind};
use leveret_spec::{ContentHeader, Malformed, Properties, RawProperties, ShortBytes, Table, TableBuf, Value, content};

/// Everything a publisher said, in one allocation; a clone shares it.
#[derive(Clone)]
pub(crate) struct Message(Arc<[u8]>);

/// The bit that tells a count of deaths from what a publisher sent in its place.
const DIED: u8 = 0x80;

/// From the address's end to the header frame's payload: the bits, publish's end octet, the frame's head.
const BEFORE_HEADER: usize = 2 + FRAME_HEADER;

impl Message {
    /// From the wire: `bytes` begin at basic.publish's exchange and end with the end octet of the last content frame, the
    /// three frames having come one right behind the other, and been checked.
    pub(crate) fn from_wire(bytes: &[u8]) -> Self {
        Message(Arc::from(bytes))
    }

    /// What `from_wire` takes.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// True if it is in more than one place.
    pub(crate) fn is_shared(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    /// From its parts: `address` is exchange and routing key as on the wire.
    pub(crate) fn from_parts(address: &[u8], header: &[u8], body: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(address.len() + header.len() + body.len() + 20);
        bytes.extend_from_slice(address);
        bytes.extend_from_slice(&[0, FRAME_END]);
        frame::put_head(&mut bytes, FrameKind::Header, 0, header.len() as u32);
        bytes.extend_from_slice(header);
        bytes.push(FRAME_END);
        if !body.is_empty() {
            frame::put_head(&mut bytes, FrameKind::Body, 0, body.len() as u32);
            bytes.extend_from_slice(body);
            bytes.push(FRAME_END);
        }
        Message(Arc::from(bytes))
    }

    /// A message that did not come over the wire.
    pub(crate) fn assemble(
        exchange: ShortBytes<'_>,
        key: ShortBytes<'_>,
        properties: &Properties<'_>,
        body: &[u8],
    ) -> Self {
        let mut header = vec![];
        content::encode_header(&mut header, body.len() as u64, properties);
        Message::from_parts(&join_address(exchange, key), &header, body)
    }

    /// The same for tests.
    #[cfg(test)]
    pub(crate) fn compose(exchange: &str, key: &str, properties: &Properties<'_>, body: &[u8]) -> Self {
        let short = |text| ShortBytes::try_from(text).unwrap();
        Message::assemble(short(exchange), short(key), properties, body)
    }

    /// The same content with other properties, under another address.
    pub(crate) fn readdressed(
        &self,
        exchange: ShortBytes<'_>,
        key: ShortBytes<'_>,
        properties: &Properties<'_>,
    ) -> Self {
        Message::assemble(exchange, key, properties, self.body())
    }

    /// The same message with the header `x-delivery-count`, which quorum queues keep.
    pub(crate) fn with_delivery_count(&self, count: u16) -> Self {
        self.with_header("x-delivery-count", Some(Value::I64(count.into())))
    }

    /// The message as its receivers may see it: without the header BCC.
    pub(crate) fn without_blind_copies(self) -> Self {
        match self.properties().checked_headers().is_some_and(|headers| headers.lookup("BCC").is_some()) {
            true => self.with_header("BCC", None),
            false => self,
        }
    }

    fn with_header(&self, name: &str, value: Option<Value<'_>>) -> Self {
        let properties = self.properties().decode();
        let mut headers = TableBuf::new();
        for (other, value) in properties.headers.unwrap_or_default().iter().filter(|(n, _)| **n != *name.as_bytes()) {
            headers.push(other, value);
        }
        if let Some(value) = value {
            headers.push(ShortBytes::try_from(name).unwrap_or_default(), value);
        }
        let (exchange, key) = split_address(self.address());
        let mut message =
            self.readdressed(exchange, key, &Properties { headers: Some(headers.as_table()), ..properties });
        if self.deaths() > 0 {
            message.set_deaths(self.deaths());
        }
        message
    }

    /// The time to live that the publisher gave it.
    #[inline]
    pub(crate) fn time_to_live(&self) -> Option<Duration> {
        if !self.has_properties() {
            return None;
        }
        let ms = self.properties().expiration()?;
        std::str::from_utf8(&ms).ok()?.parse().ok().map(Duration::from_millis)
    }

    /// How many of the message's recorded deaths came after a client published it.
    pub(crate) fn deaths(&self) -> usize {
        let bits = self.0[self.address_len()];
        if bits & DIED != 0 { usize::from(bits & !DIED) } else { 0 }
    }

    /// Notes how many they are, on a message that nobody shares yet.
    pub(crate) fn set_deaths(&mut self, deaths: usize) {
        let at = self.address_len();
        if let Some(bits) = Arc::get_mut(&mut self.0).and_then(|bytes| bytes.get_mut(at)) {
            *bits = DIED | u8::try_from(deaths).unwrap_or(u8::MAX);
        }
    }

    /// Rewrites the table tag `L` to `l` in the headers, for clients that refuse the first; the publisher's own copy is
    /// the only one yet.
    ///
    /// # Errors
    /// `Malformed` if the headers are no table.
    pub(crate) fn normalize_headers(&mut self) -> Result<(), Malformed> {
        let Some(range) = self.properties().headers_range() else { return Ok(()) };
        let start = self.address_len() + BEFORE_HEADER + ContentHeader::FIXED;
        match Arc::get_mut(&mut self.0).and_then(|bytes| bytes.get_mut(start + range.start..start + range.end)) {
            Some(headers) if headers.contains(&b'L') => Table::normalize(headers),
            _ => Ok(()),
        }
    }

    /// Length of exchange and routing key as on the wire.
    #[inline]
    fn address_len(&self) -> usize {
        let exchange = usize::from(self.0[0]);
        2 + exchange + usize::from(self.0[1 + exchange])
    }

    /// Exchange and routing key as on the wire.
    #[inline]
    pub(crate) fn address(&self) -> &[u8] {
        &self.0[..self.address_len()]
    }

    /// Publish's end octet, header frame and body frame.
    #[inline]
    fn tail(&self) -> &[u8] {
        &self.0[self.address_len() + 1..]
    }

    /// The header frame's payload.
    #[inline]
    pub(crate) fn header(&self) -> &[u8] {
        let tail = self.tail();
        let size = u32::from_be_bytes([tail[4], tail[5], tail[6], tail[7]]) as usize;
        &tail[1 + FRAME_HEADER..1 + FRAME_HEADER + size]
    }

    /// False for a message with no property at all.
    #[inline]
    pub(crate) fn has_properties(&self) -> bool {
        let flags = self.address_len() + BEFORE_HEADER + ContentHeader::FIXED;
        self.0.get(flags..flags + 2) != Some(&[0, 0])
    }

    /// The properties as they came; they have been checked.
    #[inline]
    pub(crate) fn properties(&self) -> RawProperties<'_> {
        RawProperties::of(&self.header()[ContentHeader::FIXED..]).unwrap_or_default()
    }

    /// The body.
    pub(crate) fn body(&self) -> &[u8] {
        let header_end = 1 + FRAME_HEADER + self.header().len() + 1;
        match self.tail().get(header_end + FRAME_HEADER..) {
            Some([body @ .., _end]) => body,
            _ => &[],
        }
    }

    /// Where the body stands in `as_bytes`.
    pub(crate) fn body_range(&self) -> Range<usize> {
        let end = self.0.len() - usize::from(self.body_len() > 0);
        end - self.body_len()..end
    }

    /// The body's length in bytes.
    #[inline]
    pub(crate) fn body_len(&self) -> usize {
        let tail = self.tail();
        let header = u32::from_be_bytes([tail[4], tail[5], tail[6], tail[7]]) as usize;
        // Behind the header frame: the body frame's head and end octet, if there is a body.
        (tail.len() - (1 + FRAME_HEADER + header + 1)).saturating_sub(FRAME_HEADER + 1)
    }

    /// What it takes in memory, in bytes, as far as queues count it.
    #[inline]
    pub(crate) fn size(&self) -> usize {
        self.0.len()
    }

    /// Appends the content frames, numbered for `channel` and split for `frame_max` (bytes, 0 = no limit).
    #[inline]
    pub(crate) fn put_content(&self, out: &mut Vec<u8>, channel: u16, frame_max: usize) {
        let tail = self.tail();
        let header = u32::from_be_bytes([tail[4], tail[5], tail[6], tail[7]]) as usize;
        let body_at = 1 + FRAME_HEADER + header + 1;
        if tail.len() - body_at > frame_max && frame_max > 0 {
            self.put_split(out, channel, frame_max);
            return;
        }
        let number = channel.to_be_bytes();
        // Without publish's end octet, which the caller has put at the end of its own method.
        let start = out.len();
        out.extend_from_slice(&tail[1..]);
        out[start + 1..start + 3].copy_from_slice(&number);
        if tail.len() > body_at {
            let body = start + body_at - 1;
            out[body + 1..body + 3].copy_from_slice(&number);
        }
    }

    /// Appends the header frame, numbered for `channel`.
    pub(crate) fn put_header(&self, out: &mut Vec<u8>, channel: u16) {
        let header = self.header();
        frame::put_head(out, FrameKind::Header, channel, header.len() as u32);
        out.extend_from_slice(header);
        out.push(FRAME_END);
    }

    #[cold]
    fn put_split(&self, out: &mut Vec<u8>, channel: u16, frame_max: usize) {
        self.put_header(out, channel);
        frame::put_body(out, channel, self.body(), frame_max);
    }
}

/// An address as on the wire.
fn join_address(exchange: ShortBytes<'_>, key: ShortBytes<'_>) -> Vec<u8> {
    [&[exchange.len() as u8], exchange.as_bytes(), &[key.len() as u8], key.as_bytes()].concat()
}

/// The parts of an address: exchange and routing key.
pub(crate) fn split_address(address: &[u8]) -> (ShortBytes<'_>, ShortBytes<'_>) {
    let parts = || {
        let (&exchange, rest) = address.split_first()?;
        let (exchange, rest) = rest.split_at_checked(exchange.into())?;
        let (&key, rest) = rest.split_first()?;
        Some((ShortBytes::new(exchange).ok()?, ShortBytes::new(rest.get(..key.into())?).ok()?))
    };
    parts().unwrap_or_default()
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (exchange, key) = split_address(self.address());
        write!(f, "Message({exchange:?} {key:?} {:?} {} bytes)", self.properties(), self.body().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_body(body: &[u8]) -> Message {
        let properties = Properties { priority: Some(3), ..Properties::default() };
        Message::compose("x", "key", &properties, body)
    }

    #[test]
    fn the_parts_of_a_message_are_found_again() {
        let message = with_body(b"hello");
        let (exchange, key) = split_address(message.address());
        assert_eq!((&*exchange, &*key), (&b"x"[..], &b"key"[..]));
        assert_eq!((message.body(), message.properties().priority()), (&b"hello"[..], Some(3)));
        assert_eq!(with_body(b"").body(), b"");
    }

    #[test]
    fn content_frames_carry_the_consumers_channel_and_frame_size() {
        for (body, frame_max, sizes) in
            [(&b"hello"[..], 131_072, vec![5]), (b"hello", 10, vec![2, 2, 1]), (b"", 0, vec![])]
        {
            let mut out = vec![];
            with_body(body).put_content(&mut out, 7, frame_max);
            let (mut rest, mut found) = (&out[..], vec![]);
            while let Some((frame, length)) = frame::parse(rest, 1000).unwrap() {
                assert_eq!(frame.channel, 7);
                if frame.kind == FrameKind::Body {
                    found.push(frame.payload.len());
                }
                rest = &rest[length..];
            }
            assert!(rest.is_empty());
            assert_eq!(found, sizes);
        }
    }
}
