//! Plays a script on two brokers, step by step, and compares.

use std::collections::BTreeMap;

use leveret_spec::frame::{self, FrameKind};
use leveret_spec::{Properties, TableBuf, Value, basic, channel, confirm, connection, content, exchange, queue, tx};

use super::step::{Argument, Place, Step};
use super::wire::{Address, Wire};
use crate::{default, octets, short};

/// What came in one step, by connection and channel.
type Answers = BTreeMap<(usize, u16), Vec<String>>;

/// Where two brokers parted.
#[derive(Debug)]
pub struct Difference {
    /// The step's number; the number of steps for what is compared at the end.
    pub step: usize,
    /// What our broker answered.
    pub ours: String,
    /// What the other one answered.
    pub theirs: String,
}

/// A script on its way through one broker.
struct Player<'a> {
    address: &'a Address,
    /// Keeps this script's names apart from others'.
    prefix: String,
    wires: Vec<Wire>,
}

/// Plays a script on both brokers; `name` must be used once.
///
/// # Errors
/// If a broker cannot be reached.
pub fn compare(
    script: &[(Place, Step)],
    ours: &Address,
    theirs: &Address,
    name: &str,
) -> std::io::Result<Option<Difference>> {
    let connections = script.iter().map(|(place, _)| place.connection + 1).max().unwrap_or(0);
    let mut ours = Player::new(ours, name, connections)?;
    let mut theirs = Player::new(theirs, name, connections)?;
    let mut found = None;
    for (number, (place, step)) in script.iter().enumerate() {
        let (a, b) = (ours.step(*place, step)?, theirs.step(*place, step)?);
        if a != b {
            found = Some(Difference { step: number, ours: show(&a), theirs: show(&b) });
            break;
        }
    }
    let (a, b) = (ours.confirmed(), theirs.confirmed());
    if found.is_none() && a != b {
        found = Some(Difference { step: script.len(), ours: a, theirs: b });
    }
    ours.clean_up()?;
    theirs.clean_up()?;
    Ok(found)
}

fn show(answers: &Answers) -> String {
    let lines = answers.iter().flat_map(|((connection, channel), events)| {
        events.iter().map(move |event| format!("    {connection}.{channel}  {event}\n"))
    });
    lines.collect()
}

impl<'a> Player<'a> {
    fn new(address: &'a Address, name: &str, connections: usize) -> std::io::Result<Self> {
        let wires = (0..connections).map(|_| Wire::connect(address)).collect::<Result<_, _>>()?;
        Ok(Player { address, prefix: format!("{name}-"), wires })
    }

    /// The name on the wire: what the broker has made itself has no prefix.
    fn full(&self, name: &str) -> String {
        if name.is_empty() || name.starts_with("amq.") { name.into() } else { format!("{}{name}", self.prefix) }
    }

    fn step(&mut self, place: Place, step: &Step) -> std::io::Result<Answers> {
        if self.wires[place.connection].closed {
            self.wires[place.connection] = Wire::connect(self.address)?;
        }
        self.wires[place.connection].ensure_channel(place.channel);
        self.act(place, step);
        self.rest();
        let mut answers = Answers::new();
        for (connection, wire) in self.wires.iter_mut().enumerate() {
            for (channel, events) in wire.collect() {
                let events = events.into_iter().map(|event| event.replace(&self.prefix, "")).collect();
                answers.insert((connection, channel), events);
            }
        }
        Ok(answers)
    }

    /// Every queue has done what the channels have told it, and every channel what the queues have: twice round, for what
    /// one connection does another may have to hear of.
    fn rest(&mut self) {
        let queues = ["a", "b", "c"].map(|name| self.full(name));
        for _ in 0..2 {
            for wire in self.wires.iter_mut().filter(|wire| !wire.closed) {
                wire.rest(&[]);
                wire.rest(&queues);
            }
        }
    }

    fn act(&mut self, place: Place, step: &Step) {
        let names: Vec<String> = names(step).iter().map(|name| self.full(name)).collect();
        let name = |n: usize| short(names.get(n).map_or("", String::as_str));
        let wire = &mut self.wires[place.connection];
        let number = place.channel;
        match step {
            Step::DeclareQueue { passive, durable, exclusive, auto_delete, arguments: given, .. } => {
                let mut arguments = TableBuf::new();
                for (key, value) in *given {
                    let value = match value {
                        Argument::Number(number) => Value::I64(*number),
                        Argument::Text(text) => Value::from(*text),
                        Argument::Flag(flag) => Value::Bool(*flag),
                    };
                    arguments.push(octets(*key), value);
                }
                wire.send(
                    number,
                    &queue::Declare {
                        queue: name(0),
                        passive: *passive,
                        durable: *durable,
                        exclusive: *exclusive,
                        auto_delete: *auto_delete,
                        arguments: arguments.as_table(),
                        ..default()
                    },
                );
            }
            Step::DeclareExchange { kind, passive, durable, auto_delete, internal, .. } => {
                wire.send(
                    number,
                    &exchange::Declare {
                        exchange: name(0),
                        kind: short(kind),
                        passive: *passive,
                        durable: *durable,
                        auto_delete: *auto_delete,
                        internal: *internal,
                        ..default()
                    },
                );
            }
            Step::Bind { key, .. } => {
                wire.send(
                    number,
                    &queue::Bind { queue: name(0), exchange: name(1), routing_key: short(key), ..default() },
                );
            }
            Step::Unbind { key, .. } => {
                wire.send(
                    number,
                    &queue::Unbind { queue: name(0), exchange: name(1), routing_key: short(key), ..default() },
                );
            }
            Step::BindExchange { key, .. } => {
                let (destination, source) = (name(0), name(1));
                wire.send(number, &exchange::Bind { destination, source, routing_key: short(key), ..default() });
            }
            Step::UnbindExchange { key, .. } => {
                let (destination, source) = (name(0), name(1));
                wire.send(number, &exchange::Unbind { destination, source, routing_key: short(key), ..default() });
            }
            Step::Publish { exchange, key, mandatory, priority, body } => {
                // On the default exchange the key is a queue's name; elsewhere it stays as it is.
                let key = if exchange.is_empty() { names[1].as_str() } else { key };
                let method = basic::Publish {
                    exchange: octets(names[0].as_str()),
                    routing_key: octets(key),
                    mandatory: *mandatory,
                    ..default()
                };
                publish(wire, number, &method, *priority, &body.to_string());
            }
            Step::Get { no_ack, .. } => {
                wire.get_no_ack = *no_ack;
                wire.send(number, &basic::Get { queue: name(0), no_ack: *no_ack, ..default() });
            }
            Step::Consume { tag, no_ack, exclusive, priority, .. } => {
                if *no_ack {
                    wire.no_ack.insert((number, (*tag).into()));
                } else {
                    wire.no_ack.remove(&(number, (*tag).into()));
                }
                let mut arguments = TableBuf::new();
                if let Some(priority) = priority {
                    arguments.push(octets("x-priority"), Value::I32(*priority));
                }
                wire.send(
                    number,
                    &basic::Consume {
                        queue: name(0),
                        consumer_tag: short(tag),
                        no_ack: *no_ack,
                        exclusive: *exclusive,
                        arguments: arguments.as_table(),
                        ..default()
                    },
                );
            }
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
            Step::Recover => {
                wire.outstanding.remove(&number);
                wire.send(number, &basic::Recover { requeue: true });
            }
            Step::Qos { count, global } => {
                wire.send(number, &basic::Qos { prefetch_size: 0, prefetch_count: *count, global: *global });
            }
            Step::Purge { .. } => wire.send(number, &queue::Purge { queue: name(0), ..default() }),
            Step::DeleteQueue { if_unused, if_empty, .. } => {
                let (if_unused, if_empty) = (*if_unused, *if_empty);
                wire.send(number, &queue::Delete { queue: name(0), if_unused, if_empty, ..default() });
            }
            Step::DeleteExchange { if_unused, .. } => {
                wire.send(number, &exchange::Delete { exchange: name(0), if_unused: *if_unused, ..default() });
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
        }
    }

    /// What is confirmed on the channels that are still open.
    fn confirmed(&self) -> String {
        let lines = self.wires.iter().enumerate().flat_map(|(connection, wire)| {
            wire.confirmed
                .iter()
                .map(move |(channel, tags)| format!("    {connection}.{channel}  confirmed {tags:?}\n"))
        });
        lines.collect()
    }

    /// Removes what the script has made. Exclusive queues go with their connections, and only then can names be reused.
    fn clean_up(mut self) -> std::io::Result<()> {
        for wire in self.wires.iter_mut().filter(|wire| !wire.closed) {
            close(wire);
        }
        let mut wire = Wire::connect(self.address)?;
        for name in ["a", "b", "c", "x", "y"].map(|name| self.full(name)) {
            wire.ensure_channel(1);
            wire.send(1, &queue::Delete { queue: short(&name), ..default() });
            wire.send(1, &exchange::Delete { exchange: short(&name), ..default() });
            wire.rest(&[]);
        }
        close(&mut wire);
        Ok(())
    }
}

/// Closes a connection and waits until the broker has done so.
fn close(wire: &mut Wire) {
    wire.send(0, &connection::Close { reply_code: 200, ..default() });
    wire.receive_until(|_| false);
}

/// The names in a step, in the order of its arguments.
fn names(step: &Step) -> Vec<&'static str> {
    match step {
        Step::DeclareQueue { queue, .. }
        | Step::Get { queue, .. }
        | Step::Consume { queue, .. }
        | Step::Purge { queue }
        | Step::DeleteQueue { queue, .. } => vec![queue],
        Step::DeclareExchange { exchange, .. } | Step::DeleteExchange { exchange, .. } => vec![exchange],
        Step::Bind { queue, exchange, .. } | Step::Unbind { queue, exchange, .. } => vec![queue, exchange],
        Step::BindExchange { destination, source, .. } | Step::UnbindExchange { destination, source, .. } => {
            vec![destination, source]
        }
        Step::Publish { exchange, key, .. } => vec![exchange, key],
        _ => vec![],
    }
}

fn publish(wire: &mut Wire, number: u16, method: &basic::Publish<'_>, priority: Option<u8>, body: &str) {
    let mut out = vec![];
    frame::put_method(&mut out, number, method);
    let mut header = vec![];
    content::encode_header(&mut header, body.len() as u64, &Properties { priority, ..default() });
    frame::put_head(&mut out, FrameKind::Header, number, header.len() as u32);
    out.extend(header);
    out.push(frame::FRAME_END);
    frame::put_body(&mut out, number, body.as_bytes(), 131_072);
    wire.send_bytes(&out);
}

/// The tag of the nth outstanding delivery, which is outstanding no more; without one the tag of that number.
fn settle(wire: &mut Wire, number: u16, nth: usize, multiple: bool) -> u64 {
    let outstanding = wire.outstanding.entry(number).or_default();
    outstanding.sort_unstable();
    let Some(&tag) = outstanding.get(nth) else { return nth as u64 };
    outstanding.retain(|&other| if multiple { other > tag } else { other != tag });
    tag
}
