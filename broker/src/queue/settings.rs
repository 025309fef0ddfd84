//! What the arguments of queue.declare set: their types and ranges, and RabbitMQ's words for those that do not hold.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use leveret_spec::{Table, Value};

use super::kind;
use crate::failure::Soft;
use crate::policy::{Definition, Term};

/// What a queue was told to do with its messages and itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    /// x-max-priority: 0 is a queue without priorities.
    pub(crate) max_priority: u8,
    /// x-message-ttl.
    pub(crate) message_ttl: Option<Duration>,
    /// x-expires: how long the queue may be unused.
    pub(crate) expires: Option<Duration>,
    /// x-max-length: ready messages.
    pub(crate) max_length: Option<usize>,
    /// x-max-length-bytes: bytes of the bodies of ready messages.
    pub(crate) max_length_bytes: Option<usize>,
    /// x-overflow.
    pub(crate) overflow: Overflow,
    /// x-dead-letter-exchange and x-dead-letter-routing-key.
    pub(crate) dead_letter: Option<Arc<DeadLetterTo>>,
    /// x-delivery-limit: deliveries that may fail.
    pub(crate) delivery_limit: Option<u16>,
    /// x-consumer-timeout: how long a consumer may keep a delivery; zero is for ever.
    pub(crate) consumer_timeout: Option<Duration>,
    /// x-single-active-consumer.
    pub(crate) single_active_consumer: bool,
    /// x-queue-type quorum: deliveries are counted in the header x-delivery-count.
    pub(crate) quorum: bool,
}

/// What a full queue does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Overflow {
    /// Drops its oldest messages.
    #[default]
    DropHead,
    /// Refuses new ones.
    RejectPublish,
    /// Refuses new ones and dead-letters them.
    RejectPublishDeadLetter,
}

/// Where dead letters go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DeadLetterTo {
    pub(crate) exchange: Box<[u8]>,
    /// The routing key, if it is not the message's own.
    pub(crate) routing_key: Option<Box<[u8]>>,
}

/// What an argument's value may be.
enum Kind {
    /// An integer in this range.
    Integer(std::ops::RangeInclusive<i64>),
    /// One of these texts; any, if there are none.
    Text(&'static [&'static str]),
    Boolean,
}

/// Milliseconds in ten years, RabbitMQ's longest time.
const TEN_YEARS_MS: i64 = 315_360_000_000;

/// Arguments that are checked, and compared when a queue is declared again, in RabbitMQ's order: the first that does not
/// hold is named.
const KNOWN: &[(&str, Kind)] = &[
    ("x-expires", Kind::Integer(1..=TEN_YEARS_MS)),
    ("x-message-ttl", Kind::Integer(0..=TEN_YEARS_MS)),
    ("x-dead-letter-exchange", Kind::Text(&[])),
    ("x-dead-letter-routing-key", Kind::Text(&[])),
    ("x-max-length", Kind::Integer(0..=i64::MAX)),
    ("x-max-length-bytes", Kind::Integer(0..=i64::MAX)),
    ("x-max-priority", Kind::Integer(0..=255)),
    ("x-overflow", Kind::Text(&["drop-head", "reject-publish", "reject-publish-dlx"])),
    ("x-queue-mode", Kind::Text(&["default", "lazy"])),
    ("x-single-active-consumer", Kind::Boolean),
    ("x-queue-type", Kind::Text(&["classic", "quorum"])),
    ("x-delivery-limit", Kind::Integer(-1..=i64::MAX)),
    ("x-consumer-timeout", Kind::Integer(0..=TEN_YEARS_MS)),
];

impl Settings {
    /// Reads the arguments of a queue that `place` names in texts (`queue 'q' in vhost '/'`).
    ///
    /// # Errors
    /// 406 with RabbitMQ's text for the first argument that does not hold.
    pub(crate) fn of(arguments: Table<'_>, place: &dyn Display) -> Result<Self, Soft> {
        for (name, kind) in KNOWN {
            if let Some(value) = arguments.lookup(name) {
                check(name, kind, value, place)?;
            }
        }
        kind::check_arguments(arguments, place)?;
        let text = |name| match arguments.lookup(name) {
            Some(Value::LongStr(text)) => Some(text),
            _ => None,
        };
        let number = |name| arguments.lookup(name).and_then(Value::as_i64);
        let length = |name| number(name).and_then(|n| usize::try_from(n).ok());
        let ms = |name| number(name).and_then(|n| u64::try_from(n).ok()).map(Duration::from_millis);
        let (exchange, key) = (text("x-dead-letter-exchange"), text("x-dead-letter-routing-key"));
        if key.is_some() && exchange.is_none() {
            return Err(invalid("x-dead-letter-routing-key", place, "routing_key_but_no_dlx_defined"));
        }
        let to = |exchange: &[u8]| DeadLetterTo { exchange: exchange.into(), routing_key: key.map(Into::into) };
        Ok(Settings {
            max_priority: number("x-max-priority").and_then(|n| u8::try_from(n).ok()).unwrap_or(0),
            message_ttl: ms("x-message-ttl"),
            expires: ms("x-expires"),
            max_length: length("x-max-length"),
            max_length_bytes: length("x-max-length-bytes"),
            overflow: text("x-overflow").map_or(Overflow::DropHead, Overflow::of),
            dead_letter: exchange.map(to).map(Arc::new),
            delivery_limit: number("x-delivery-limit").and_then(|n| u16::try_from(n).ok()),
            consumer_timeout: ms("x-consumer-timeout"),
            single_active_consumer: arguments.lookup("x-single-active-consumer") == Some(Value::Bool(true)),
            quorum: text("x-queue-type") == Some(b"quorum"),
        })
    }
}

impl Settings {
    /// With a policy beside the arguments: of two numbers the smaller holds, of two texts the argument's.
    pub(crate) fn with_policy(&self, definition: &Definition) -> Self {
        let number = |key: &str| match definition.get(key) {
            Some(Term::Number(n)) => u64::try_from(*n).ok(),
            _ => None,
        };
        let text = |key: &str| match definition.get(key) {
            Some(Term::Text(text)) => Some(text.as_bytes()),
            _ => None,
        };
        let time = |key| number(key).map(Duration::from_millis);
        let length = |key| number(key).and_then(|n| usize::try_from(n).ok());
        let overflow = match self.overflow {
            Overflow::DropHead => text("overflow").map_or(Overflow::DropHead, Overflow::of),
            own => own,
        };
        let dead_letter = self.dead_letter.clone().or_else(|| {
            let routing_key = text("dead-letter-routing-key").map(Into::into);
            text("dead-letter-exchange").map(|to| Arc::new(DeadLetterTo { exchange: to.into(), routing_key }))
        });
        Settings {
            message_ttl: smaller(self.message_ttl, time("message-ttl")),
            expires: smaller(self.expires, time("expires")),
            max_length: smaller(self.max_length, length("max-length")),
            max_length_bytes: smaller(self.max_length_bytes, length("max-length-bytes")),
            delivery_limit: smaller(self.delivery_limit, number("delivery-limit").and_then(|n| u16::try_from(n).ok())),
            consumer_timeout: smaller(self.consumer_timeout, time("consumer-timeout")),
            overflow,
            dead_letter,
            ..self.clone()
        }
    }
}

impl Overflow {
    fn of(text: &[u8]) -> Self {
        match text {
            b"reject-publish" => Overflow::RejectPublish,
            b"reject-publish-dlx" => Overflow::RejectPublishDeadLetter,
            _ => Overflow::DropHead,
        }
    }
}

/// The smaller of two limits, of which either may be missing.
fn smaller<T: Ord>(a: Option<T>, b: Option<T>) -> Option<T> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

fn invalid(name: &str, place: &dyn Display, why: impl Display) -> Soft {
    Soft::precondition_failed(format!("invalid arg '{name}' for {place}: {why}"))
}

fn check(name: &str, kind: &Kind, value: Value<'_>, place: &dyn Display) -> Result<(), Soft> {
    let expected = |what| invalid(name, place, format_args!("\"expected {what}, got {}\"", argument_type(value)));
    match (kind, value) {
        (Kind::Integer(range), _) => {
            let number = value.as_i64().ok_or_else(|| expected("integer"))?;
            if range.contains(&number) {
                return Ok(());
            }
            Err(invalid(
                name,
                place,
                match number {
                    0 => "{value_zero,0}".into(),
                    ..0 => format!("{{value_negative,{number}}}"),
                    _ if name == "x-max-priority" => format!("{{max_value_exceeded,{number}}}"),
                    _ => format!("{{value_too_large,{number}}}"),
                },
            ))
        }
        (Kind::Text(allowed), Value::LongStr(text)) => {
            if allowed.is_empty() || allowed.iter().any(|a| a.as_bytes() == text) {
                return Ok(());
            }
            let text = String::from_utf8_lossy(text);
            Err(match name.trim_start_matches("x-") {
                "queue-type" => invalid(name, place, format_args!("\"unsupported queue type '{text}'\"")),
                what => invalid(name, place, format_args!("invalid_{}", what.replace('-', "_"))),
            })
        }
        (Kind::Text(_), _) if name.starts_with("x-dead-letter") => {
            let text = format!("invalid type '{}' for arg '{name}' in {place}", argument_type(value));
            Err(Soft::precondition_failed(text))
        }
        (Kind::Boolean, Value::Bool(_)) => Ok(()),
        (Kind::Boolean | Kind::Text(_), _) => {
            Err(invalid(name, place, format_args!("{{unacceptable_type,{}}}", argument_type(value))))
        }
    }
}

/// The name that RabbitMQ's texts give a field's type.
pub(crate) fn argument_type(value: Value<'_>) -> &'static str {
    match value {
        Value::Bool(_) => "bool",
        Value::I8(_) => "byte",
        Value::U8(_) => "unsignedbyte",
        Value::I16(_) => "short",
        Value::U16(_) => "unsignedshort",
        Value::I32(_) => "signedint",
        Value::U32(_) => "unsignedint",
        Value::I64(_) => "long",
        Value::F32(_) => "float",
        Value::F64(_) => "double",
        Value::Decimal { .. } => "decimal",
        Value::LongStr(_) => "longstr",
        Value::Bytes(_) => "binary",
        Value::Timestamp(_) => "timestamp",
        Value::Array(_) => "array",
        Value::Table(_) => "table",
        Value::Void => "void",
    }
}

/// The names of the arguments that a second declaration must repeat.
pub(crate) fn compared_arguments() -> impl Iterator<Item = &'static str> {
    KNOWN.iter().map(|(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use leveret_spec::TableBuf;

    use super::*;

    fn read(name: &str, value: Value<'_>) -> Result<Settings, String> {
        let table = TableBuf::new().with(name, value).unwrap();
        Settings::of(table.as_table(), &"queue 'q' in vhost '/'").map_err(|soft| soft.text)
    }

    #[test]
    fn integers_of_any_width_are_taken() {
        for value in [Value::I8(5), Value::U16(5), Value::I32(5), Value::I64(5)] {
            assert_eq!(read("x-max-priority", value).map(|s| s.max_priority), Ok(5));
        }
    }

    #[test]
    fn what_does_not_hold_is_named_in_rabbitmqs_words() {
        for (name, value, text) in [
            ("x-expires", Value::I32(0), "invalid arg 'x-expires' for queue 'q' in vhost '/': {value_zero,0}"),
            (
                "x-message-ttl",
                Value::I32(-1),
                "invalid arg 'x-message-ttl' for queue 'q' in vhost '/': {value_negative,-1}",
            ),
            (
                "x-max-length",
                "1".into(),
                "invalid arg 'x-max-length' for queue 'q' in vhost '/': \"expected integer, got longstr\"",
            ),
            ("x-overflow", "spill".into(), "invalid arg 'x-overflow' for queue 'q' in vhost '/': invalid_overflow"),
            (
                "x-max-priority",
                Value::I32(256),
                "invalid arg 'x-max-priority' for queue 'q' in vhost '/': {max_value_exceeded,256}",
            ),
            (
                "x-dead-letter-exchange",
                Value::I32(1),
                "invalid type 'signedint' for arg 'x-dead-letter-exchange' in queue 'q' in vhost '/'",
            ),
            (
                "x-dead-letter-routing-key",
                "k".into(),
                "invalid arg 'x-dead-letter-routing-key' for queue 'q' in vhost '/': routing_key_but_no_dlx_defined",
            ),
        ] {
            assert_eq!(read(name, value).map(drop), Err(text.into()));
        }
    }
}
