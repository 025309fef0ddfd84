//! What a peer has received: methods, and the content behind them.

use leveret_spec::method::MethodFrame;
use leveret_spec::{Method, Properties, RawProperties, access, basic, channel, confirm, connection, exchange, queue};

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

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
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
    Connection(connection) { Start<'static> Tune OpenOk<'static> Close<'static> CloseOk UpdateSecretOk }
    Channel(channel) { OpenOk<'static> FlowOk Close<'static> CloseOk }
    Access(access) { RequestOk }
    Exchange(exchange) { DeclareOk DeleteOk BindOk UnbindOk }
    Queue(queue) { DeclareOk<'static> BindOk PurgeOk DeleteOk UnbindOk }
    Basic(basic) {
        QosOk ConsumeOk<'static> Cancel<'static> CancelOk<'static> Return<'static> Deliver<'static> GetOk<'static>
        GetEmpty<'static> Ack Nack RecoverOk
    }
    Confirm(confirm) { SelectOk }
}
