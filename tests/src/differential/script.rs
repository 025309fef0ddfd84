//! Makes scripts: valid enough to get somewhere, wrong often enough to be told so.

use super::step::{Argument, Place, Step};

const QUEUES: [&str; 3] = ["a", "b", "c"];
const EXCHANGES: [&str; 2] = ["x", "y"];
const SOURCES: [&str; 5] = ["x", "y", "amq.direct", "amq.topic", "amq.fanout"];
const TAGS: [&str; 3] = ["t", "u", "v"];
const KEYS: [&str; 6] = ["a", "b", "k", "k.l", "k.*", "#"];

/// What queues are declared with.
const ARGUMENTS: &[&[(&str, Argument)]] = &[
    &[("x-max-priority", Argument::Number(3))],
    &[("x-max-length", Argument::Number(2))],
    &[("x-max-length", Argument::Number(1)), ("x-overflow", Argument::Text("reject-publish"))],
    &[("x-max-length", Argument::Number(1)), ("x-dead-letter-exchange", Argument::Text("amq.fanout"))],
    &[("x-dead-letter-exchange", Argument::Text("amq.topic")), ("x-dead-letter-routing-key", Argument::Text("k.l"))],
    &[("x-max-length-bytes", Argument::Number(3)), ("x-dead-letter-exchange", Argument::Text("amq.direct"))],
    &[("x-single-active-consumer", Argument::Flag(true))],
    &[("x-max-priority", Argument::Number(2)), ("x-max-length", Argument::Number(3))],
    &[("x-message-ttl", Argument::Number(0)), ("x-dead-letter-exchange", Argument::Text("amq.fanout"))],
];

/// SplitMix64: the same seed gives the same script, everywhere and always.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % sides as u64) as usize
    }

    fn one_in(&mut self, sides: usize) -> bool {
        self.roll(sides) == 0
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.roll(from.len())]
    }
}

/// The script of a seed.
pub fn script(seed: u64) -> Vec<(Place, Step)> {
    let mut dice = Dice(seed.wrapping_mul(0x1234_5678_9ABC_DEF1));
    let length = 6 + dice.roll(30);
    let connections = 1 + dice.roll(2);
    let mut steps = vec![];
    for number in 0..length {
        let place = Place { connection: dice.roll(connections), channel: 1 + dice.roll(2) as u16 };
        // Without anything declared there is little to be done.
        let step = if number < 3 && !dice.one_in(4) { declare(&mut dice) } else { any(&mut dice, number as u32) };
        steps.push((place, step));
    }
    steps
}

fn declare(dice: &mut Dice) -> Step {
    let arguments = ARGUMENTS.get(dice.roll(2 * ARGUMENTS.len())).copied().unwrap_or_default();
    Step::DeclareQueue {
        queue: dice.pick(&QUEUES),
        passive: dice.one_in(8),
        durable: dice.one_in(6),
        exclusive: dice.one_in(6),
        auto_delete: dice.one_in(5),
        arguments,
    }
}

fn any(dice: &mut Dice, body: u32) -> Step {
    match dice.roll(60) {
        0..=7 => declare(dice),
        8..=10 => Step::DeclareExchange {
            exchange: dice.pick(&EXCHANGES),
            kind: dice.pick(&["direct", "fanout", "topic", "headers"]),
            passive: dice.one_in(6),
            durable: dice.one_in(8),
            auto_delete: dice.one_in(4),
            internal: dice.one_in(8),
        },
        11..=13 => Step::Bind { queue: dice.pick(&QUEUES), exchange: dice.pick(&SOURCES), key: dice.pick(&KEYS) },
        14 => Step::Unbind { queue: dice.pick(&QUEUES), exchange: dice.pick(&SOURCES), key: dice.pick(&KEYS) },
        15 => Step::BindExchange {
            destination: dice.pick(&EXCHANGES),
            source: dice.pick(&SOURCES),
            key: dice.pick(&KEYS),
        },
        16 => Step::UnbindExchange {
            destination: dice.pick(&EXCHANGES),
            source: dice.pick(&SOURCES),
            key: dice.pick(&KEYS),
        },
        17..=31 => publish(dice, body),
        32..=35 => Step::Get { queue: dice.pick(&QUEUES), no_ack: dice.one_in(3) },
        36..=40 => Step::Consume {
            queue: dice.pick(&QUEUES),
            tag: dice.pick(&TAGS),
            no_ack: dice.one_in(3),
            exclusive: dice.one_in(8),
            priority: dice.one_in(5).then(|| dice.roll(3) as i32),
        },
        41 | 42 => Step::Cancel { tag: dice.pick(&TAGS) },
        43..=45 => Step::Ack { nth: dice.roll(3), multiple: dice.one_in(3) },
        46 | 47 => Step::Nack { nth: dice.roll(3), multiple: dice.one_in(3), requeue: !dice.one_in(3) },
        48 => Step::Reject { nth: dice.roll(3), requeue: dice.one_in(2) },
        49 => Step::Recover,
        50 | 51 => Step::Qos { count: dice.roll(3) as u16, global: dice.one_in(3) },
        52 => Step::Purge { queue: dice.pick(&QUEUES) },
        53 => Step::DeleteQueue { queue: dice.pick(&QUEUES), if_unused: dice.one_in(3), if_empty: dice.one_in(3) },
        54 => Step::DeleteExchange { exchange: dice.pick(&EXCHANGES), if_unused: dice.one_in(2) },
        55 => Step::ConfirmSelect,
        56 => match dice.roll(4) {
            0 => Step::TxRollback,
            1 => Step::TxCommit,
            _ => Step::TxSelect,
        },
        57 | 58 => Step::CloseChannel,
        _ => Step::CloseConnection,
    }
}

fn publish(dice: &mut Dice, body: u32) -> Step {
    let exchange = if dice.one_in(2) { "" } else { dice.pick(&SOURCES) };
    let priority = dice.one_in(3).then(|| dice.roll(5) as u8);
    Step::Publish { exchange, key: dice.pick(&KEYS[..4]), mandatory: dice.one_in(3), priority, body }
}
