//! A message that came from the broker, in one allocation.
//!
//! ```text
//! data:  exchange | routing key | property flags and properties | body
//!                 ^exchange_end ^key_end                        ^body_start
//! ```

use std::borrow::Cow;

use bytes::{Buf, Bytes};
use leveret_spec::RawProperties;

/// A message that came from the broker: where it was published to, its properties and its body.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    data: Bytes,
    exchange_end: usize,
    key_end: usize,
    body_start: usize,
}

/// A message of which the parts come one after another.
#[derive(Debug)]
pub(crate) struct MessageParts {
    data: Vec<u8>,
    exchange_end: usize,
    key_end: usize,
    body_start: usize,
}

impl MessageParts {
    /// With room for `rest` bytes of properties and body.
    pub(crate) fn new(exchange: &[u8], routing_key: &[u8], rest: usize) -> Self {
        let (exchange_end, key_end) = (exchange.len(), exchange.len() + routing_key.len());
        let mut data = Vec::with_capacity(key_end + rest);
        data.extend_from_slice(exchange);
        data.extend_from_slice(routing_key);
        MessageParts { data, exchange_end, key_end, body_start: key_end }
    }

    pub(crate) fn put_properties(&mut self, properties: RawProperties<'_>) {
        self.data.extend_from_slice(properties.as_bytes());
        self.body_start = self.data.len();
    }

    pub(crate) fn put_body(&mut self, piece: &[u8]) {
        self.data.extend_from_slice(piece);
    }

    pub(crate) fn finish(self) -> Message {
        let MessageParts { data, exchange_end, key_end, body_start } = self;
        Message { data: Bytes::from(data), exchange_end, key_end, body_start }
    }
}

impl Message {
    fn part(&self, range: std::ops::Range<usize>) -> &[u8] {
        self.data.get(range).unwrap_or_default()
    }

    /// The exchange it was published to; empty is the default exchange.
    pub fn exchange(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self.part(0..self.exchange_end))
    }

    /// The routing key. Bytes that are not UTF-8 are replaced; see `routing_key_bytes`.
    pub fn routing_key(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self.routing_key_bytes())
    }

    /// The routing key as it came: AMQP allows any bytes.
    pub fn routing_key_bytes(&self) -> &[u8] {
        self.part(self.exchange_end..self.key_end)
    }

    /// The properties, decoded one by one when they are asked for.
    pub fn properties(&self) -> RawProperties<'_> {
        RawProperties::of(self.part(self.key_end..self.body_start)).unwrap_or_default()
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        self.part(self.body_start..self.data.len())
    }

    /// The body, shared with this message.
    pub fn body_bytes(&self) -> Bytes {
        self.clone().into_body()
    }

    /// The body alone, without copying.
    pub fn into_body(mut self) -> Bytes {
        self.data.advance(self.body_start.min(self.data.len()));
        self.data
    }
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Message")
            .field("exchange", &self.exchange())
            .field("routing_key", &self.routing_key())
            .field("properties", &self.properties())
            .field("body_bytes", &self.body().len())
            .finish()
    }
}
