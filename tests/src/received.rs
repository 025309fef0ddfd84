//! What a peer has received: methods, and the content behind them.

use leveret_spec::method::MethodFrame;
use leveret_spec::{
    Method, Properties, RawProperties, Table, Value, access, basic, channel, confirm, connection, exchange, queue, tx,
};

/// A method with its content, if it has one.
#[derive(Debug)]
pub struct Received {
    /// The method. What a test receives stays in memory until its process ends.
    pub method: Method<'static>,
    /// What followed it.
    pub content: Option<Content>,
}

/// A message's content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// Flags and properties as on the wire.
    pub raw: Vec<u8>,
    /// The body.
    pub body: Vec<u8>,
    /// The sizes of the body frames that it came in.
    pub frames: Vec<usize>,
}

impl Content {
    /// The properties, decoded.
    pub fn properties(&self) -> Properties<'_> {
        RawProperties::of(&self.raw).map(RawProperties::decode).unwrap_or_default()
    }

    /// The headers, none if there is no such property.
    pub fn headers(&self) -> Table<'_> {
        self.properties().headers.unwrap_or_default()
    }

    /// One of the headers, as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers().lookup(name).and_then(Value::as_str)
    }

    /// The header x-death, the latest death first.
    pub fn deaths(&self) -> Vec<Death> {
        match self.headers().lookup("x-death") {
            Some(Value::Array(deaths)) => deaths.iter().map(Death::of).collect(),
            _ => vec![],
        }
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// One entry of the header x-death: what happened to a message in a queue, and how often.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Death {
    /// `rejected`, `expired`, `maxlen` or `delivery_limit`.
    pub reason: String,
    /// The queue.
    pub queue: String,
    /// How often.
    pub count: i64,
    /// The exchange that the message had been published to.
    pub exchange: String,
    /// The routing keys that it had.
    pub routing_keys: Vec<String>,
    /// The property `expiration` that it had.
    pub original_expiration: Option<String>,
}

impl Death {
    fn of(entry: Value<'_>) -> Death {
        let Value::Table(entry) = entry else { return Death::default() };
        let text = |name| entry.lookup(name).and_then(Value::as_str).map(str::to_owned);
        let routing_keys = match entry.lookup("routing-keys") {
            Some(Value::Array(keys)) => keys.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            _ => vec![],
        };
        let timed = matches!(entry.lookup("time"), Some(Value::Timestamp(1..)));
        assert!(timed, "a death has a time: {entry:?}");
        Death {
            reason: text("reason").unwrap_or_default(),
            queue: text("queue").unwrap_or_default(),
            count: entry.lookup("count").and_then(Value::as_i64).unwrap_or_default(),
            exchange: text("exchange").unwrap_or_default(),
            routing_keys,
            original_expiration: text("original-expiration"),
        }
    }

    /// A death and how often it was died, for comparing with.
    pub fn told(&self) -> (&str, &str, i64) {
        (&self.reason, &self.queue, self.count)
    }
}

/// A method that a broker sends.
pub trait Answer: MethodFrame + Copy {
    /// The method, if it is this one.
    fn of(method: Method<'static>) -> Option<Self>;
}

macro_rules! answers {
    ($($class:ident($module:ident) { $($name:ident $(<$life:lifetime>)?)* })*) => {$($(
        impl Answer for $module::$name $(<$life>)? {
            fn of(method: Method<'static>) -> Option<Self> {
                match method {
                    Method::$class($module::Method::$name(answer)) => Some(answer),
                    _ => None,
                }
            }
        }
    )*)*};
}

answers! {
    Connection(connection) { Blocked<'static> Unblocked Start<'static> Tune OpenOk<'static> Close<'static> CloseOk UpdateSecretOk }
    Channel(channel) { OpenOk<'static> FlowOk Close<'static> CloseOk }
    Access(access) { RequestOk }
    Exchange(exchange) { DeclareOk DeleteOk BindOk UnbindOk }
    Queue(queue) { DeclareOk<'static> BindOk PurgeOk DeleteOk UnbindOk }
    Basic(basic) {
        QosOk ConsumeOk<'static> Cancel<'static> CancelOk<'static> Return<'static> Deliver<'static> GetOk<'static>
        GetEmpty<'static> Ack Nack RecoverOk
    }
    Confirm(confirm) { SelectOk }
    Tx(tx) { SelectOk CommitOk RollbackOk }
}
