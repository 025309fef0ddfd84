//! Does what a step says, on one broker.

use leveret_spec::frame::{self, FrameKind};
use leveret_spec::table::ArrayBuf;
use leveret_spec::{Properties, TableBuf, Value, basic, channel, confirm, content, exchange, queue, tx};

use super::play::close;
use super::step::{Argument, Arguments, Message, Step};
use super::wire::{REPLIES, Wire};
use crate::{default, octets, short};

/// Keeps a script's names apart from others'.
pub(super) struct Names {
    prefix: String,
}

impl Names {
    pub(super) fn new(script: &str) -> Self {
        Names { prefix: format!("{script}-") }
    }

    /// The name on the wire: what the broker has made itself has no prefix.
    pub(super) fn full(&self, name: &str) -> String {
        if name.is_empty() || name.starts_with("amq.") { name.into() } else { format!("{}{name}", self.prefix) }
    }

    /// What a broker has said, in the script's names.
    pub(super) fn strip(&self, text: &str) -> String {
        text.replace(&self.prefix, "")
    }

    fn table(&self, arguments: Arguments) -> TableBuf {
        let mut table = TableBuf::new();
        for (key, value) in arguments {
            let name;
            let value = match value {
                Argument::Number(number) => Value::I64(*number),
                Argument::Text(text) => Value::from(*text),
                Argument::Flag(flag) => Value::Bool(*flag),
                Argument::Name(own) => {
                    name = self.full(own);
                    Value::from(name.as_str())
                }
            };
            table.push(octets(*key), value);
        }
        table
    }
}

/// Sends what the step says.
pub(super) fn act(wire: &mut Wire, number: u16, names: &Names, step: &Step) {
    match step {
        Step::Publish { exchange, key, message } => {
            // On the default exchange a key is a queue's name; elsewhere it stays as it is.
            let keys = |key: &str| if exchange.is_empty() { names.full(key) } else { key.into() };
            publish(wire, number, &names.full(exchange), keys, key, message, names);
        }
        Step::Answer { body } => {
            let method = basic::Publish { routing_key: octets(&wire.reply_to), ..default() };
            let mut out = vec![];
            put_publish(&mut out, number, &method, &default(), &body.to_string());
            wire.send_bytes(&out);
        }
        Step::Get { queue, no_ack } => {
            wire.get_no_ack = *no_ack;
            let queue = names.full(queue);
            wire.send(number, &basic::Get { queue: short(&queue), no_ack: *no_ack, ..default() });
        }
        Step::Consume { .. } => consume(wire, number, names, step),
        Step::Cancel { tag } => wire.send(number, &basic::Cancel { consumer_tag: short(tag), no_wait: false }),
        Step::Ack { nth, multiple } => {
            let delivery_tag = settle(wire, number, *nth, *multiple);
            wire.send(number, &basic::Ack { delivery_tag, multiple: *multiple });
        }
        Step::Nack { nth, multiple, requeue } => {
            let delivery_tag = settle(wire, number, *nth, *multiple);
            wire.send(number, &basic::Nack { delivery_tag, multiple: *multiple, requeue: *requeue });
        }
        Step::Reject { nth, requeue } => {
            let delivery_tag = settle(wire, number, *nth, false);
            wire.send(number, &basic::Reject { delivery_tag, requeue: *requeue });
        }
        Step::Recover { requeue } => {
            wire.outstanding.remove(&number);
            wire.send(number, &basic::Recover { requeue: *requeue });
        }
        Step::Qos { count, global } => {
            wire.send(number, &basic::Qos { prefetch_size: 0, prefetch_count: *count, global: *global });
        }
        Step::ConfirmSelect => wire.send(number, &confirm::Select { no_wait: false }),
        Step::TxSelect => wire.send(number, &tx::Select {}),
        Step::TxCommit => {
            wire.send(number, &tx::Commit {});
            // RabbitMQ takes nothing else on a channel while it commits.
            wire.receive_until(|wire| wire.committed || !wire.open.contains(&number));
            wire.committed = false;
        }
        Step::TxRollback => wire.send(number, &tx::Rollback {}),
        Step::CloseChannel => {
            wire.send(number, &channel::Close { reply_code: 200, ..default() });
            wire.receive_until(|wire| !wire.open.contains(&number));
        }
        Step::CloseConnection => close(wire),
        entity => entities(wire, number, names, entity),
    }
}

/// Steps that make and remove exchanges, queues and bindings.
fn entities(wire: &mut Wire, number: u16, names: &Names, step: &Step) {
    let full = |name: &str| names.full(name);
    match step {
        Step::DeclareQueue { queue, passive, durable, exclusive, auto_delete, arguments } => {
            let (queue, arguments) = (full(queue), names.table(arguments));
            wire.send(
                number,
                &queue::Declare {
                    queue: short(&queue),
                    passive: *passive,
                    durable: *durable,
                    exclusive: *exclusive,
                    auto_delete: *auto_delete,
                    arguments: arguments.as_table(),
                    ..default()
                },
            );
        }
        Step::DeclareExchange { exchange, kind, passive, durable, auto_delete, internal, alternate } => {
            let mut arguments = TableBuf::new();
            if let Some(alternate) = alternate {
                arguments.push(octets("alternate-exchange"), Value::from(full(alternate).as_str()));
            }
            let exchange = full(exchange);
            wire.send(
                number,
                &exchange::Declare {
                    exchange: short(&exchange),
                    kind: short(kind),
                    passive: *passive,
                    durable: *durable,
                    auto_delete: *auto_delete,
                    internal: *internal,
                    arguments: arguments.as_table(),
                    ..default()
                },
            );
        }
        Step::Bind { queue, exchange, key, arguments } => {
            let (queue, exchange, arguments) = (full(queue), full(exchange), names.table(arguments));
            let (queue, exchange, arguments) = (short(&queue), short(&exchange), arguments.as_table());
            wire.send(number, &queue::Bind { queue, exchange, routing_key: short(key), arguments, ..default() });
        }
        Step::Unbind { queue, exchange, key, arguments } => {
            let (queue, exchange, arguments) = (full(queue), full(exchange), names.table(arguments));
            let (queue, exchange, arguments) = (short(&queue), short(&exchange), arguments.as_table());
            wire.send(number, &queue::Unbind { queue, exchange, routing_key: short(key), arguments, ..default() });
        }
        Step::BindExchange { destination, source, key } => {
            let (destination, source) = (full(destination), full(source));
            let (destination, source) = (short(&destination), short(&source));
            wire.send(number, &exchange::Bind { destination, source, routing_key: short(key), ..default() });
        }
        Step::UnbindExchange { destination, source, key } => {
            let (destination, source) = (full(destination), full(source));
            let (destination, source) = (short(&destination), short(&source));
            wire.send(number, &exchange::Unbind { destination, source, routing_key: short(key), ..default() });
        }
        Step::Purge { queue } => wire.send(number, &queue::Purge { queue: short(&full(queue)), ..default() }),
        Step::DeleteQueue { queue, if_unused, if_empty } => {
            let (queue, if_unused, if_empty) = (full(queue), *if_unused, *if_empty);
            wire.send(number, &queue::Delete { queue: short(&queue), if_unused, if_empty, ..default() });
        }
        Step::DeleteExchange { exchange, if_unused } => {
            let exchange = full(exchange);
            wire.send(number, &exchange::Delete { exchange: short(&exchange), if_unused: *if_unused, ..default() });
        }
        _ => {}
    }
}

fn consume(wire: &mut Wire, number: u16, names: &Names, step: &Step) {
    let Step::Consume { queue, tag, no_ack, exclusive, priority } = step else { return };
    if *queue == REPLIES {
        wire.replies.insert(number);
    }
    if *no_ack {
        wire.no_ack.insert((number, (*tag).into()));
    } else {
        wire.no_ack.remove(&(number, (*tag).into()));
    }
    let mut arguments = TableBuf::new();
    if let Some(priority) = priority {
        arguments.push(octets("x-priority"), Value::I32(*priority));
    }
    let queue = names.full(queue);
    wire.send(
        number,
        &basic::Consume {
            queue: short(&queue),
            consumer_tag: short(tag),
            no_ack: *no_ack,
            exclusive: *exclusive,
            arguments: arguments.as_table(),
            ..default()
        },
    );
}

fn publish(
    wire: &mut Wire,
    number: u16,
    exchange: &str,
    keys: impl Fn(&str) -> String,
    key: &str,
    message: &Message,
    names: &Names,
) {
    let mut headers = names.table(message.headers);
    for (header, copies) in [("CC", message.cc), ("BCC", message.bcc)] {
        if !copies.is_empty() {
            let list = copies.iter().fold(ArrayBuf::new(), |mut list, key| {
                list.push(keys(key).as_str());
                list
            });
            headers.push(octets(header), Value::Array(list.as_array()));
        }
    }
    let with_headers = !(message.headers.is_empty() && message.cc.is_empty() && message.bcc.is_empty());
    let properties = Properties {
        headers: with_headers.then(|| headers.as_table()),
        priority: message.priority,
        expiration: message.expiration.map(octets),
        user_id: message.user_id.map(octets),
        reply_to: message.direct_reply.then(|| octets(REPLIES)),
        ..default()
    };
    let key = keys(key);
    let method = basic::Publish {
        exchange: octets(exchange),
        routing_key: octets(&key),
        mandatory: message.mandatory,
        ..default()
    };
    let mut out = vec![];
    put_publish(&mut out, number, &method, &properties, &message.body.to_string());
    wire.send_bytes(&out);
}

fn put_publish(out: &mut Vec<u8>, number: u16, method: &basic::Publish<'_>, properties: &Properties<'_>, body: &str) {
    frame::put_method(out, number, method);
    let mut header = vec![];
    content::encode_header(&mut header, body.len() as u64, properties);
    frame::put_head(out, FrameKind::Header, number, header.len() as u32);
    out.extend(header);
    out.push(frame::FRAME_END);
    frame::put_body(out, number, body.as_bytes(), 131_072);
}

/// The tag of the nth outstanding delivery, which is outstanding no more; without one the tag of that number.
fn settle(wire: &mut Wire, number: u16, nth: usize, multiple: bool) -> u64 {
    let outstanding = wire.outstanding.entry(number).or_default();
    outstanding.sort_unstable();
    let Some(&tag) = outstanding.get(nth) else { return nth as u64 };
    outstanding.retain(|&other| if multiple { other > tag } else { other != tag });
    tag
}
