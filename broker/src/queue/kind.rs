//! What a type of queue (x-queue-type) does not take, in RabbitMQ's words.

use std::fmt::Display;

use leveret_spec::{Table, Value};

use super::Declaration;
use crate::failure::Soft;

/// Arguments that only classic queues know.
const CLASSIC_ONLY: &[&str] = &["x-max-priority", "x-queue-mode", "x-queue-version", "x-queue-master-locator"];
/// Arguments that classic queues do not know. A delivery limit is none of them: here every queue may have one.
const NOT_CLASSIC: &[&str] = &[
    "x-max-in-memory-length",
    "x-max-in-memory-bytes",
    "x-quorum-initial-group-size",
    "x-dead-letter-strategy",
    "x-max-age",
    "x-stream-max-segment-size-bytes",
    "x-initial-cluster-size",
];

fn is_quorum(arguments: Table<'_>) -> bool {
    arguments.lookup("x-queue-type") == Some(Value::LongStr(b"quorum"))
}

/// RabbitMQ's module for the type.
fn module(quorum: bool) -> &'static str {
    if quorum { "rabbit_quorum_queue" } else { "rabbit_classic_queue" }
}

/// # Errors
/// 406 for the first argument that belongs to other types alone.
pub(super) fn check_arguments(arguments: Table<'_>, place: &dyn Display) -> Result<(), Soft> {
    let quorum = is_quorum(arguments);
    let foreign = if quorum { CLASSIC_ONLY } else { NOT_CLASSIC };
    match foreign.iter().find(|name| arguments.lookup(name).is_some()) {
        Some(name) => {
            let text = format!("invalid arg '{name}' for {place} of queue type {}", module(quorum));
            Err(Soft::precondition_failed(text))
        }
        None => Ok(()),
    }
}

/// A quorum queue stays, and belongs to everybody.
///
/// # Errors
/// 406 for the property that it cannot have.
pub(crate) fn check_properties(declaration: &Declaration, place: &dyn Display) -> Result<(), Soft> {
    let Declaration { durable, owner, auto_delete, arguments } = declaration;
    let properties = [(*auto_delete, "auto-delete"), (owner.is_some(), "exclusive-owner"), (!*durable, "non-durable")];
    match properties.iter().find(|(has, _)| *has) {
        Some((_, name)) if is_quorum(arguments.as_table()) => {
            Err(Soft::precondition_failed(format!("invalid property '{name}' for {place}")))
        }
        _ => Ok(()),
    }
}

/// # Errors
/// 406 for a queue that has to have a name of the client's choice.
pub(crate) fn check_unnamed(declaration: &Declaration) -> Result<(), Soft> {
    match is_quorum(declaration.arguments.as_table()) {
        true => {
            let text = format!("Cannot declare a server-named queue for type {}", module(true));
            Err(Soft::precondition_failed(text))
        }
        false => Ok(()),
    }
}
