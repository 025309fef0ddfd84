//! A message that is built on its channel, and published and confirmed with one `await`.

use std::pin::Pin;

use leveret_spec::{Properties, Table, TableBuf, Value};

use crate::channel::Channel;
use crate::error::{Error, Result};
use crate::publish::Publish;

/// A message under construction on a channel. Awaiting it publishes it and waits for the broker's word.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use leveret_client::{Connection, Error, QueueDeclare};
/// # let broker = leveret::Broker::start(leveret::Config::in_memory()).await?;
/// # let connection = Connection::over(broker.connect(), Default::default()).await?;
/// # let channel = connection.open_channel().await?;
/// # channel.queue_declare(QueueDeclare::new("jobs")).await?;
/// channel.publish_to_queue("jobs").persistent().header("attempt", 1).body("resize cat.png").await?;
///
/// let lost = channel.publish_to_queue("no such queue").mandatory().body("hello?").await;
/// assert!(matches!(lost, Err(Error::Returned(_))));
/// # Ok(())
/// # }
/// ```
///
/// `Ok` means that the broker has taken responsibility. The errors are `Nacked` if it refused the message, `Returned` if
/// a mandatory one reached no queue, `TooLong` for what does not fit, `Unconfirmed` if the connection was lost meanwhile, and
/// what closed the channel or connection: whether the message arrived is not known then. The same holds if the future is
/// dropped before it is done.
#[must_use = "a message does nothing until it is awaited"]
#[derive(Debug)]
pub struct Publishing<'a> {
    channel: &'a Channel,
    publish: Publish<'a>,
    /// What `header` gave, which goes before headers among the properties.
    headers: TableBuf,
    /// A body of its own, in the place of a borrowed one.
    pub(crate) own_body: Option<Vec<u8>>,
    /// What went wrong while it was built.
    pub(crate) error: Option<Error>,
}

/// Builder methods that `Publish` has too.
macro_rules! of_publish {
    ($($(#[$doc:meta])* $name:ident($($argument:ident: $type:ty)?);)*) => {$(
        $(#[$doc])*
        pub fn $name(mut self $(, $argument: $type)?) -> Self {
            self.publish = self.publish.$name($($argument)?);
            self
        }
    )*};
}

impl<'a> Publishing<'a> {
    pub(crate) fn new(channel: &'a Channel, publish: Publish<'a>) -> Self {
        Publishing { channel, publish, headers: TableBuf::new(), own_body: None, error: None }
    }

    /// The body.
    pub fn body<B: AsRef<[u8]> + ?Sized>(mut self, body: &'a B) -> Self {
        self.publish = self.publish.body(body);
        self.own_body = None;
        self
    }

    /// Sets one of the application's headers, in the place of another one of that key, also among `properties`. A key
    /// above 255 bytes makes publishing fail with `TooLong`.
    pub fn header<'v>(mut self, key: &str, value: impl Into<Value<'v>>) -> Self {
        match TableBuf::new().with(key, value) {
            Ok(header) => self.headers = merged(self.headers.as_table(), header.as_table()),
            Err(_) => self.error = Some(Error::TooLong("a header's key")),
        }
        self
    }

    of_publish! {
        /// Asks for the message back if it reaches no queue: `Returned` then.
        mandatory();
        /// A persistent message survives a restart of the broker if its queue is durable.
        persistent();
        /// All properties at once, for example those of a delivery that is passed on. What `header` sets stays.
        properties(properties: Properties<'a>);
        /// From 0 to 255, the highest first, on queues with `x-max-priority`.
        priority(priority: u8);
        /// Seconds since 1970.
        timestamp(seconds: u64);
        /// The MIME type of the body.
        content_type(content_type: &'a str);
        /// The MIME encoding of the body.
        content_encoding(content_encoding: &'a str);
        /// What an answer is recognised by.
        correlation_id(correlation_id: &'a str);
        /// The queue that an answer should go to.
        reply_to(reply_to: &'a str);
        /// The time to live in milliseconds, as decimal digits.
        expiration(expiration: &'a str);
        /// The application's message id.
        message_id(message_id: &'a str);
        /// The application's message type.
        message_type(message_type: &'a str);
        /// The publisher's login. The broker closes the channel if it is another one.
        user_id(user_id: &'a str);
        /// The publishing application.
        app_id(app_id: &'a str);
    }

    async fn send(self) -> Result<()> {
        let Publishing { channel, mut publish, headers, own_body, error } = self;
        if let Some(error) = error {
            return Err(error);
        }
        let headers = (!headers.as_table().is_empty()).then(|| merged(publish.own_headers(), headers.as_table()));
        if let Some(headers) = &headers {
            publish = publish.headers(headers);
        }
        if let Some(body) = &own_body {
            publish = publish.body(body);
        }
        channel.publish_confirmed(publish).await?.into_result()
    }
}

/// Both, with the values of `first` for keys that both have.
fn merged(second: Table<'_>, first: Table<'_>) -> TableBuf {
    let mut all = TableBuf::new();
    let replaced = |key: &[u8]| first.iter().any(|(other, _)| other.as_bytes() == key);
    for (key, value) in second.iter().filter(|(key, _)| !replaced(key.as_bytes())).chain(first.iter()) {
        all.push(key, value);
    }
    all
}

impl<'a> IntoFuture for Publishing<'a> {
    type Output = Result<()>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<()>> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}
