//! What a second declaration must have in common with the first, and RabbitMQ's words for it when it has not.

use std::fmt::Display;

use leveret_spec::{Table, Value};

use crate::exchange;
use crate::failure::Soft;
use crate::queue::{self, argument_type};

fn inequivalent(name: &str, place: &dyn Display, received: &dyn Display, current: &dyn Display) -> Soft {
    Soft::precondition_failed(format!(
        "inequivalent arg '{name}' for {place}: received {received} but current is {current}"
    ))
}

fn same<T: PartialEq + Display>(name: &str, place: &dyn Display, received: T, current: T) -> Result<(), Soft> {
    if received == current {
        return Ok(());
    }
    Err(inequivalent(name, place, &format_args!("'{received}'"), &format_args!("'{current}'")))
}

/// A value as the texts print it.
struct Shown<'a>(Value<'a>);

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.0.as_i64(), self.0) {
            (Some(number), _) => write!(f, "{number}"),
            (None, Value::LongStr(text) | Value::Bytes(text)) => f.write_str(&String::from_utf8_lossy(text)),
            (None, Value::Bool(bit)) => write!(f, "{bit}"),
            (None, Value::F64(number)) => write!(f, "{number}"),
            (None, Value::Timestamp(seconds)) => write!(f, "{seconds}"),
            (None, other) => write!(f, "{other:?}"),
        }
    }
}

/// One side of a comparison in which the other side has nothing.
struct OneSided<'a>(Option<Value<'a>>);

impl Display for OneSided<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(value) => write!(f, "the value '{}' of type '{}'", Shown(value), argument_type(value)),
            None => f.write_str("none"),
        }
    }
}

fn same_argument(name: &str, place: &dyn Display, received: Table<'_>, current: Table<'_>) -> Result<(), Soft> {
    // A classic queue is what one gets without asking for a type.
    let plain = |v: Value<'_>| name == "x-queue-type" && v == Value::LongStr(b"classic");
    match (received.lookup(name), current.lookup(name)) {
        (None, None) => Ok(()),
        (Some(one), None) | (None, Some(one)) if plain(one) => Ok(()),
        (Some(new), Some(old)) => match (new.as_i64(), old.as_i64()) {
            (Some(a), Some(b)) if a == b => Ok(()),
            _ if new == old => Ok(()),
            _ => Err(inequivalent(name, place, &format_args!("'{}'", Shown(new)), &format_args!("'{}'", Shown(old)))),
        },
        (new, old) => Err(inequivalent(name, place, &OneSided(new), &OneSided(old))),
    }
}

/// Compares queue declarations; ownership comes before everything else.
pub(super) fn check_queue(existing: &queue::Queue, received: &queue::Declaration) -> Result<(), Soft> {
    let current = &existing.declaration;
    if current.owner != received.owner {
        return Err(existing.locked());
    }
    same("durable", existing, received.durable, current.durable)?;
    same("auto_delete", existing, received.auto_delete, current.auto_delete)?;
    queue::compared_arguments()
        .try_for_each(|name| same_argument(name, existing, received.arguments.as_table(), current.arguments.as_table()))
}

/// Compares exchange declarations.
pub(super) fn check_exchange(existing: &exchange::Exchange, received: &exchange::Declaration) -> Result<(), Soft> {
    let current = &existing.declaration;
    same("type", existing, received.kind.name(), current.kind.name())?;
    same("durable", existing, received.durable, current.durable)?;
    same("auto_delete", existing, received.auto_delete, current.auto_delete)?;
    same("internal", existing, received.internal, current.internal)?;
    same_argument("alternate-exchange", existing, received.arguments.as_table(), current.arguments.as_table())
}
