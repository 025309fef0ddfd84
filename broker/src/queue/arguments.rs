//! The arguments of queue.declare that the broker knows: their types and ranges (wire.md 1.4 rows 45 to 49), and what they
//! set.

use leveret_spec::{Table, Value};

use crate::failure::Soft;

/// What a queue's arguments set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    /// x-max-priority: 0 is a queue without priorities.
    pub(crate) max_priority: u8,
}

/// What an argument's value may be.
enum Kind {
    /// An integer in this range.
    Integer(std::ops::RangeInclusive<i64>),
    Text(&'static [&'static str]),
    Boolean,
}

/// Milliseconds in ten years, RabbitMQ's longest time.
const TEN_YEARS_MS: i64 = 315_360_000_000;

/// Arguments that are checked, and compared when a queue is declared again.
const KNOWN: &[(&str, Kind)] = &[
    ("x-max-priority", Kind::Integer(0..=255)),
    ("x-expires", Kind::Integer(1..=TEN_YEARS_MS)),
    ("x-message-ttl", Kind::Integer(0..=TEN_YEARS_MS)),
    ("x-max-length", Kind::Integer(0..=i64::MAX)),
    ("x-max-length-bytes", Kind::Integer(0..=i64::MAX)),
    ("x-delivery-limit", Kind::Integer(-1..=i64::MAX)),
    ("x-dead-letter-exchange", Kind::Text(&[])),
    ("x-dead-letter-routing-key", Kind::Text(&[])),
    ("x-overflow", Kind::Text(&["drop-head", "reject-publish", "reject-publish-dlx"])),
    ("x-queue-mode", Kind::Text(&["default", "lazy"])),
    ("x-queue-type", Kind::Text(&["classic", "quorum"])),
    ("x-single-active-consumer", Kind::Boolean),
];

impl Limits {
    /// Checks the arguments of a queue that `place` names in texts (`queue 'q' in vhost '/'`).
    ///
    /// # Errors
    /// 406 with RabbitMQ's text for the first argument that does not hold.
    pub(crate) fn of(arguments: Table<'_>, place: &dyn std::fmt::Display) -> Result<Self, Soft> {
        for (name, kind) in KNOWN {
            if let Some(value) = arguments.lookup(name) {
                check_one(name, kind, value, place)?;
            }
        }
        if arguments.lookup("x-dead-letter-routing-key").is_some()
            && arguments.lookup("x-dead-letter-exchange").is_none()
        {
            return Err(invalid("x-dead-letter-routing-key", place, "routing_key_but_no_dlx_defined"));
        }
        let number = |name| arguments.lookup(name).and_then(Value::as_i64);
        Ok(Limits { max_priority: number("x-max-priority").and_then(|n| u8::try_from(n).ok()).unwrap_or(0) })
    }
}

fn invalid(name: &str, place: &dyn std::fmt::Display, why: impl std::fmt::Display) -> Soft {
    Soft::precondition_failed(format!("invalid arg '{name}' for {place}: {why}"))
}

fn check_one(name: &str, kind: &Kind, value: Value<'_>, place: &dyn std::fmt::Display) -> Result<(), Soft> {
    match kind {
        Kind::Integer(range) => match value.as_i64() {
            None => Err(invalid(name, place, format_args!("{{unacceptable_type,{}}}", argument_type(value)))),
            Some(0) if !range.contains(&0) => Err(invalid(name, place, "{value_zero,0}")),
            Some(n) if n < 0 && !range.contains(&n) => {
                Err(invalid(name, place, format_args!("{{value_negative,{n}}}")))
            }
            Some(n) if !range.contains(&n) && name == "x-max-priority" => {
                Err(invalid(name, place, format_args!("{{max_value_exceeded,{n}}}")))
            }
            Some(n) if !range.contains(&n) => Err(invalid(name, place, format_args!("{{value_too_big,{n}}}"))),
            Some(_) => Ok(()),
        },
        Kind::Text(allowed) => match value {
            Value::LongStr(text) if allowed.is_empty() || allowed.iter().any(|a| a.as_bytes() == text) => Ok(()),
            Value::LongStr(text) => {
                Err(invalid(name, place, format_args!("{{invalid_value,<<\"{}\">>}}", String::from_utf8_lossy(text))))
            }
            _ if name.starts_with("x-dead-letter") => Err(Soft::precondition_failed(format!(
                "invalid type '{}' for arg '{name}' in {place}",
                argument_type(value)
            ))),
            _ => Err(invalid(name, place, format_args!("{{unacceptable_type,{}}}", argument_type(value)))),
        },
        Kind::Boolean => match value {
            Value::Bool(_) => Ok(()),
            _ => Err(invalid(name, place, format_args!("{{unacceptable_type,{}}}", argument_type(value)))),
        },
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
