//! How what a virtual host has is written in the catalog, and read again. Names are in the keys.

use std::sync::Arc;

use leveret_spec::table::ArrayBuf;
use leveret_spec::{Table, TableBuf, Value};
use sha2::{Digest, Sha256};

use super::Metadata;
use crate::auth::Pattern;
use crate::catalog::Entry;
use crate::exchange::{self, Binding, DestinationId};
use crate::policy::{ApplyTo, Definition, Policy, Term};
use crate::queue;
use crate::storage::QUEUE_ID;
use crate::store::QueueId;

/// What a destination is, in a binding's key.
const TO_QUEUE: &[u8] = b"q";
const TO_EXCHANGE: &[u8] = b"e";

/// A table of fields with short names.
fn table(fields: &[(&str, Value<'_>)]) -> TableBuf {
    let mut table = TableBuf::new();
    for (name, value) in fields {
        // Names of our own are short.
        let _ = table.insert(name, *value);
    }
    table
}

fn text(value: Option<Value<'_>>) -> Option<&str> {
    value?.as_str()
}

fn number(value: Option<Value<'_>>) -> Option<usize> {
    usize::try_from(value?.as_i64()?).ok()
}

fn flag(value: Option<Value<'_>>) -> Option<bool> {
    if let Some(Value::Bool(flag)) = value { Some(flag) } else { None }
}

fn arguments(table: Table<'_>) -> Option<TableBuf> {
    if let Some(Value::Table(arguments)) = table.lookup("arguments") { Some(arguments.into()) } else { None }
}

pub(super) fn of_queue(declaration: &queue::Declaration, id: QueueId) -> TableBuf {
    table(&[
        (QUEUE_ID, Value::I64(id.0 as i64)),
        ("auto_delete", declaration.auto_delete.into()),
        ("arguments", declaration.arguments.as_table().into()),
    ])
}

pub(super) fn queue(record: Table<'_>) -> Option<queue::Declaration> {
    Some(queue::Declaration {
        durable: true,
        owner: None,
        auto_delete: flag(record.lookup("auto_delete"))?,
        arguments: arguments(record)?,
    })
}

pub(super) fn of_exchange(declaration: &exchange::Declaration) -> TableBuf {
    table(&[
        ("type", declaration.kind.name().into()),
        ("auto_delete", declaration.auto_delete.into()),
        ("internal", declaration.internal.into()),
        ("arguments", declaration.arguments.as_table().into()),
    ])
}

pub(super) fn exchange(record: Table<'_>) -> Option<exchange::Declaration> {
    Some(exchange::Declaration {
        kind: exchange::Kind::of(text(record.lookup("type"))?)?,
        durable: true,
        auto_delete: flag(record.lookup("auto_delete"))?,
        internal: flag(record.lookup("internal"))?,
        arguments: arguments(record)?,
    })
}

/// What a binding's key has behind the virtual host's name.
pub(super) struct BindingName {
    source: Arc<str>,
    destination: DestinationId,
    key: Box<[u8]>,
    /// Nothing without arguments.
    digest: Vec<u8>,
}

impl BindingName {
    pub(super) fn of(source: &Arc<str>, binding: &Binding) -> Self {
        let arguments = binding.arguments.as_table();
        let digest = if arguments.is_empty() { vec![] } else { Sha256::digest(arguments.as_bytes()).to_vec() };
        BindingName { source: source.clone(), destination: binding.destination.id(), key: binding.key.clone(), digest }
    }

    pub(super) fn parts(&self) -> [&[u8]; 5] {
        let (kind, name) = match &self.destination {
            DestinationId::Queue(name) => (TO_QUEUE, name),
            DestinationId::Exchange(name) => (TO_EXCHANGE, name),
        };
        [self.source.as_bytes(), kind, name.as_bytes(), &self.key, &self.digest]
    }
}

pub(super) fn of_binding(binding: &Binding) -> TableBuf {
    table(&[("arguments", binding.arguments.as_table().into())])
}

/// A binding of the catalog: source, destination, routing key and arguments.
pub(super) fn binding(entry: &Entry) -> Option<(&str, DestinationId, &[u8], TableBuf)> {
    let destination = entry.key.text(3).into();
    let destination = match entry.key.parts().nth(2)? {
        TO_QUEUE => DestinationId::Queue(destination),
        TO_EXCHANGE => DestinationId::Exchange(destination),
        _ => return None,
    };
    Some((entry.key.text(1), destination, entry.key.parts().nth(4)?, arguments(entry.value.as_table())?))
}

pub(super) fn of_policy(policy: &Policy) -> TableBuf {
    let mut definition = TableBuf::new();
    for (name, term) in &policy.definition {
        // Only settings that are known are in a definition, and their names are short.
        let _ = match term {
            Term::Number(number) => definition.insert(name, *number),
            Term::Text(text) => definition.insert(name, text.as_str()),
            Term::Flag(flag) => definition.insert(name, *flag),
        };
    }
    table(&[
        ("pattern", policy.pattern.text().into()),
        ("apply_to", policy.apply_to.name().into()),
        ("priority", policy.priority.into()),
        ("definition", definition.as_table().into()),
    ])
}

pub(super) fn policy(name: &str, record: Table<'_>) -> Option<Policy> {
    let Some(Value::Table(terms)) = record.lookup("definition") else { return None };
    let term = |value: Value<'_>| match value {
        Value::I64(number) => Some(Term::Number(number)),
        Value::Bool(flag) => Some(Term::Flag(flag)),
        other => other.as_str().map(|text| Term::Text(text.into())),
    };
    let terms = terms.iter().map(|(key, value)| Some((String::from_utf8(key.as_bytes().into()).ok()?, term(value)?)));
    Some(Policy {
        name: name.into(),
        pattern: Pattern::new(text(record.lookup("pattern"))?).ok()?,
        apply_to: ApplyTo::of(text(record.lookup("apply_to"))?)?,
        priority: record.lookup("priority")?.as_i64()?,
        definition: terms.collect::<Option<Definition>>()?,
    })
}

impl Metadata {
    pub(crate) fn record(&self) -> TableBuf {
        let mut tags = ArrayBuf::new();
        for tag in &self.tags {
            tags.push(tag.as_str());
        }
        let mut fields: Vec<(&str, Value<'_>)> =
            vec![("description", self.description.as_str().into()), ("tags", tags.as_array().into())];
        fields.extend(self.default_queue_type.as_deref().map(|kind| ("default_queue_type", kind.into())));
        fields.extend(self.connections_max.map(|most| ("max_connections", Value::I64(most as i64))));
        fields.extend(self.queues_max.map(|most| ("max_queues", Value::I64(most as i64))));
        table(&fields)
    }

    /// What was recorded; none if it cannot be.
    pub(crate) fn recorded(record: Table<'_>) -> Option<Self> {
        let Some(Value::Array(tags)) = record.lookup("tags") else { return None };
        Some(Metadata {
            description: text(record.lookup("description"))?.into(),
            tags: tags.iter().map(|tag| text(Some(tag)).map(str::to_owned)).collect::<Option<_>>()?,
            default_queue_type: text(record.lookup("default_queue_type")).map(str::to_owned),
            connections_max: number(record.lookup("max_connections")),
            queues_max: number(record.lookup("max_queues")),
        })
    }
}
