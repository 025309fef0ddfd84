//! Plays a script on two brokers, step by step, and compares.

use std::collections::BTreeMap;

use leveret_spec::{connection, exchange, queue};

use super::act::{Names, act};
use super::step::{Place, Step};
use super::wire::{Address, Wire};
use crate::{default, short};

/// The exchanges, named after their types, that a script finds.
const EXCHANGES: [&str; 4] = ["direct", "topic", "fanout", "headers"];

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
    names: Names,
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
    // Names that differ let a broker be compared with itself, to see what it does by chance.
    let mut ours = Player::new(ours, &format!("{name}o"), connections)?;
    let mut theirs = Player::new(theirs, &format!("{name}t"), connections)?;
    let newer = theirs.wires.first().is_some_and(|wire| wire.major >= 4);
    let mut found = None;
    for (number, (place, step)) in script.iter().enumerate() {
        let step = if newer { &for_newer(step) } else { step };
        let (mut a, mut b) = (ours.step(*place, step)?, theirs.step(*place, step)?);
        if newer {
            a.values_mut().chain(b.values_mut()).flatten().for_each(pass_over_newer);
        }
        if a != b && of_each_consumer(&a) == of_each_consumer(&b) {
            // Queues were free to deliver to one channel in this order or that; all that follows depends on it.
            break;
        }
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

/// Answers in which only the order of each consumer's deliveries counts, and not how they mix with others'.
fn of_each_consumer(answers: &Answers) -> Answers {
    let by_consumer = |events: &Vec<String>| {
        let mut plain: Vec<String> = vec![];
        let mut deliveries: Vec<(String, u64, String)> = vec![];
        for event in events {
            let parts = event.split_once(", delivery_tag: ").and_then(|(consumer, rest)| {
                let (tag, rest) = rest.split_once(", ")?;
                Some((consumer.to_owned(), tag.parse().ok()?, rest.to_owned()))
            });
            match parts {
                Some(parts) => deliveries.push(parts),
                None => plain.push(event.clone()),
            }
        }
        deliveries.sort();
        plain.extend(deliveries.into_iter().map(|(consumer, _, rest)| format!("{consumer} {rest}")));
        plain
    };
    answers.iter().map(|(place, events)| (*place, by_consumer(events))).collect()
}

/// A step that RabbitMQ 4 does as well: newer ones take a channel's limit for a consumer's, `GlobalPrefetch` of the table of
/// differences.
fn for_newer(step: &Step) -> Step {
    match step {
        Step::Qos { count, .. } => Step::Qos { count: *count, global: false },
        other => other.clone(),
    }
}

/// Takes out of an answer what RabbitMQ 4 does otherwise: `DeadLettersLoseCopies` and `DeadLettersAreNew` of the table of
/// differences.
fn pass_over_newer(event: &mut String) {
    if event.contains("x-death: ") {
        *event = event.replace("redelivered: true", "redelivered: false");
        if let Some((before, copies)) = event.split_once("CC: [")
            && let Some((_, after)) = copies.split_once("], ")
        {
            *event = format!("{before}{after}");
        }
    }
}

fn show(answers: &Answers) -> String {
    let lines = answers.iter().flat_map(|((connection, channel), events)| {
        events.iter().map(move |event| format!("    {connection}.{channel}  {event}\n"))
    });
    lines.collect()
}

impl<'a> Player<'a> {
    fn new(address: &'a Address, name: &str, connections: usize) -> std::io::Result<Self> {
        let mut wires = (0..connections).map(|_| Wire::connect(address)).collect::<Result<Vec<_>, _>>()?;
        let names = Names::new(name);
        if let Some(wire) = wires.first_mut() {
            wire.ensure_channel(1);
            for kind in EXCHANGES {
                let name = names.full(kind);
                wire.send(1, &exchange::Declare { exchange: short(&name), kind: short(kind), ..default() });
            }
            wire.rest(&[]);
            wire.collect();
        }
        Ok(Player { address, names, wires })
    }

    fn step(&mut self, place: Place, step: &Step) -> std::io::Result<Answers> {
        if self.wires[place.connection].closed {
            self.wires[place.connection] = Wire::connect(self.address)?;
        }
        self.wires[place.connection].ensure_channel(place.channel);
        act(&mut self.wires[place.connection], place.channel, &self.names, step);
        self.rest();
        let mut answers = Answers::new();
        for (connection, wire) in self.wires.iter_mut().enumerate() {
            for (channel, events) in wire.collect() {
                let events = events.into_iter().map(|event| self.names.strip(&event)).collect();
                answers.insert((connection, channel), events);
            }
        }
        Ok(answers)
    }

    /// Every queue has done what the channels have told it, and every channel what the queues have: twice round, for what
    /// one connection does another may have to hear of.
    fn rest(&mut self) {
        let queues = ["a", "b", "c"].map(|name| self.names.full(name));
        for _ in 0..2 {
            for wire in self.wires.iter_mut().filter(|wire| !wire.closed) {
                wire.rest(&[]);
                let generated = wire.generated.iter().filter(|_| !wire.closed).cloned();
                let queues: Vec<String> = queues.iter().cloned().chain(generated).collect();
                wire.rest(&queues);
            }
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
        for name in ["a", "b", "c"].map(|name| self.names.full(name)) {
            wire.ensure_channel(1);
            wire.send(1, &queue::Delete { queue: short(&name), ..default() });
            wire.rest(&[]);
        }
        for name in EXCHANGES.iter().chain(&["x", "y"]).map(|name| self.names.full(name)) {
            wire.ensure_channel(1);
            wire.send(1, &exchange::Delete { exchange: short(&name), ..default() });
            wire.rest(&[]);
        }
        close(&mut wire);
        Ok(())
    }
}

/// Closes a connection and waits until the broker has done so.
pub(super) fn close(wire: &mut Wire) {
    wire.send(0, &connection::Close { reply_code: 200, ..default() });
    wire.receive_until(|_| false);
}
