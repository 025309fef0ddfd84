//! What is published: where to, with which properties, and the body. Nothing is copied before it is encoded.

use leveret_spec::frame::{self, FrameKind};
use leveret_spec::{Properties, ShortBytes, Table, TableBuf, basic, content};

use crate::arguments::flags;
use crate::confirm::Fingerprint;
use crate::error::{Error, Result};

/// A message to publish. It borrows all its parts.
#[derive(Clone, Copy, Debug, Default)]
#[must_use = "a message does nothing until it is published"]
pub struct Publish<'a> {
    exchange: &'a str,
    routing_key: &'a str,
    mandatory: bool,
    properties: Properties<'a>,
    body: &'a [u8],
    /// A property that does not fit into its place.
    too_long: Option<&'static str>,
}

/// Builder methods for the properties that are short strings.
macro_rules! short_properties {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        ///
        /// Above 255 bytes, publishing fails with `TooLong`.
        pub fn $name(mut self, $name: &'a str) -> Self {
            match ShortBytes::try_from($name) {
                Ok(value) => self.properties.$name = Some(value),
                Err(_) => self.too_long = Some(concat!("the property ", stringify!($name))),
            }
            self
        }
    )*};
}

impl<'a> Publish<'a> {
    /// A message for an exchange.
    pub fn to_exchange(exchange: &'a str, routing_key: &'a str) -> Self {
        Publish { exchange, routing_key, ..Publish::default() }
    }

    /// A message for one queue, by way of the default exchange.
    pub fn to_queue(queue: &'a str) -> Self {
        Publish::to_exchange("", queue)
    }

    /// The body.
    pub fn body<B: AsRef<[u8]> + ?Sized>(mut self, body: &'a B) -> Self {
        self.body = body.as_ref();
        self
    }

    flags! {
        /// Asks for the message back if it reaches no queue.
        mandatory
    }

    /// All properties at once, for example those of a delivery that is passed on.
    pub fn properties(mut self, properties: Properties<'a>) -> Self {
        self.properties = properties;
        self
    }

    /// A persistent message survives a restart of the broker if its queue is durable.
    pub fn persistent(mut self) -> Self {
        self.properties.delivery_mode = Some(2);
        self
    }

    /// The application's headers.
    pub fn headers(mut self, headers: &'a TableBuf) -> Self {
        self.properties.headers = Some(headers.as_table());
        self
    }

    /// From 0 to 255, the highest first, on queues with `x-max-priority`.
    pub fn priority(mut self, priority: u8) -> Self {
        self.properties.priority = Some(priority);
        self
    }

    /// Seconds since 1970.
    pub fn timestamp(mut self, seconds: u64) -> Self {
        self.properties.timestamp = Some(seconds);
        self
    }

    short_properties! {
        /// The MIME type of the body.
        content_type
        /// The MIME encoding of the body.
        content_encoding
        /// What an answer is recognised by.
        correlation_id
        /// The queue that an answer should go to.
        reply_to
        /// The time to live in milliseconds, as decimal digits.
        expiration
        /// The application's message id.
        message_id
        /// The application's message type.
        message_type
        /// The publisher's login. The broker closes the channel if it is another one.
        user_id
        /// The publishing application.
        app_id
    }

    pub(crate) fn exchange_and_key(&self) -> (&'a str, &'a str) {
        (self.exchange, self.routing_key)
    }

    /// The headers that were given.
    pub(crate) fn own_headers(&self) -> Table<'a> {
        self.properties.headers.unwrap_or_default()
    }

    pub(crate) fn fingerprint(&self) -> Option<Fingerprint> {
        self.mandatory.then(|| Fingerprint::of(self.exchange.as_bytes(), self.routing_key.as_bytes(), self.body))
    }

    /// Appends the message's frames, or nothing.
    pub(crate) fn encode(&self, out: &mut Vec<u8>, channel: u16, frame_max: usize) -> Result<()> {
        let start = out.len();
        self.encode_head(out, channel, frame_max).inspect_err(|_| out.truncate(start))?;
        frame::put_body(out, channel, self.body, frame_max);
        Ok(())
    }

    fn encode_head(&self, out: &mut Vec<u8>, channel: u16, frame_max: usize) -> Result<()> {
        if let Some(what) = self.too_long {
            return Err(Error::TooLong(what));
        }
        let exchange = ShortBytes::try_from(self.exchange).map_err(|_| Error::TooLong("the exchange's name"))?;
        let routing_key = ShortBytes::try_from(self.routing_key).map_err(|_| Error::TooLong("the routing key"))?;
        let mandatory = self.mandatory;
        let publish = basic::Publish { reserved: 0, exchange, routing_key, mandatory, immediate: false };
        frame::put_method(out, channel, &publish);
        frame::put_head(out, FrameKind::Header, channel, 0);
        let payload_start = out.len();
        content::encode_header(out, self.body.len() as u64, &self.properties);
        let size = out.len() - payload_start;
        if size > frame::payload_max(frame_max) {
            return Err(Error::TooLong("the headers table"));
        }
        if let Some(announced) = out.get_mut(payload_start - 4..payload_start) {
            announced.copy_from_slice(&(size as u32).to_be_bytes());
        }
        out.push(frame::FRAME_END);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use leveret_spec::{ContentHeader, Method};

    #[test]
    fn a_message_is_a_method_a_header_and_bodies_of_the_negotiated_size() {
        let mut out = vec![];
        let body = [7u8; 10_000];
        let publish = Publish::to_exchange("x", "k").persistent().content_type("text/plain").mandatory().body(&body);
        publish.encode(&mut out, 3, 4096).unwrap();
        let mut rest = &out[..];
        let mut frames = vec![];
        while let Some((frame, length)) = frame::parse(rest, 4088).unwrap() {
            assert_eq!(frame.channel, 3);
            frames.push(frame);
            rest = &rest[length..];
        }
        assert_eq!(frames.iter().map(|f| f.kind as u8).collect::<Vec<_>>(), [1, 2, 3, 3, 3]);
        let Ok(Method::Basic(basic::Method::Publish(method))) = Method::decode(frames[0].payload) else { panic!() };
        assert!(method.mandatory && &*method.exchange == b"x" && &*method.routing_key == b"k");
        let header = ContentHeader::decode(frames[1].payload).unwrap();
        assert_eq!((header.body_size, header.properties.delivery_mode()), (10_000, Some(2)));
    }

    #[test]
    fn what_does_not_fit_leaves_nothing_behind() {
        let long = "x".repeat(256);
        let headers = TableBuf::new().with("k", "v".repeat(5000).as_str()).unwrap();
        for publish in [
            Publish::to_queue(&long),
            Publish::to_exchange(&long, ""),
            Publish::to_queue("q").message_id(&long),
            Publish::to_queue("q").headers(&headers),
        ] {
            let mut out = vec![1];
            assert!(matches!(publish.encode(&mut out, 1, 4096), Err(Error::TooLong(_))));
            assert_eq!(out, [1]);
        }
    }
}
