//! A message, with all that its publisher said.

use std::borrow::Cow;
use std::fmt;

use leveret_spec::{Properties, ShortBytes, Value};

use crate::message::{Message, split_address};

/// A message as somebody published it.
#[derive(Clone)]
pub struct MessageView {
    message: Message,
    redelivered: bool,
}

impl MessageView {
    pub(crate) fn of(message: Message, redelivered: bool) -> Self {
        MessageView { message, redelivered }
    }

    /// The exchange that it was published to.
    pub fn exchange(&self) -> Cow<'_, str> {
        let (exchange, _) = split_address(self.message.address());
        text(exchange)
    }

    /// The routing key that it was published with.
    pub fn routing_key(&self) -> Cow<'_, str> {
        let (_, key) = split_address(self.message.address());
        text(key)
    }

    /// Its properties.
    pub fn properties(&self) -> Properties<'_> {
        self.message.properties().decode()
    }

    /// A header; none if it has none of that name.
    pub fn header(&self, name: &str) -> Option<Value<'_>> {
        self.message.properties().headers()?.lookup(name)
    }

    /// Its body.
    pub fn body(&self) -> &[u8] {
        self.message.body()
    }

    /// Its body as text.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self.body())
    }

    /// It was given to somebody before, who did not acknowledge it.
    pub fn redelivered(&self) -> bool {
        self.redelivered
    }
}

fn text(name: ShortBytes<'_>) -> Cow<'_, str> {
    String::from_utf8_lossy(name.as_bytes())
}

impl fmt::Debug for MessageView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("MessageView");
        shown.field("exchange", &self.exchange()).field("routing_key", &self.routing_key());
        shown.field("properties", &self.message.properties()).field("body_bytes", &self.message.body_len()).finish()
    }
}
