//! Makes scripts: valid enough to get somewhere, wrong often enough to be told so.

use super::step::Argument::{Flag, Name, Number, Text};
use super::step::{Arguments, Message, Place, Step};
use super::wire::REPLIES;
use crate::dice::Dice;

const QUEUES: [&str; 3] = ["a", "b", "c"];
const EXCHANGES: [&str; 2] = ["x", "y"];
const SOURCES: [&str; 6] = ["x", "y", "direct", "topic", "fanout", "headers"];
const TAGS: [&str; 3] = ["t", "u", "v"];
/// The tag of whoever consumes direct replies, and of nobody else: RabbitMQ lets such a consumer and another have the same.
const REPLIES_TAG: &str = "r";
const KEYS: [&str; 6] = ["a", "b", "k", "k.l", "k.*", "#"];

/// What queues are declared with. Times are none or too long to matter.
const ARGUMENTS: &[Arguments] = &[
    &[("x-max-priority", Number(3))],
    &[("x-max-priority", Number(2)), ("x-max-length", Number(3))],
    &[("x-max-priority", Number(2)), ("x-max-length", Number(1)), ("x-dead-letter-exchange", Name("topic"))],
    &[("x-max-length", Number(2))],
    &[("x-max-length", Number(0)), ("x-dead-letter-exchange", Name("fanout"))],
    &[("x-max-length", Number(1)), ("x-overflow", Text("drop-head")), ("x-dead-letter-exchange", Name("fanout"))],
    &[("x-max-length", Number(1)), ("x-overflow", Text("reject-publish"))],
    &[("x-max-length", Number(1)), ("x-overflow", Text("reject-publish-dlx")), ("x-dead-letter-exchange", Name("x"))],
    &[("x-max-length", Number(0)), ("x-overflow", Text("reject-publish"))],
    &[("x-max-length-bytes", Number(3)), ("x-dead-letter-exchange", Name("direct"))],
    &[("x-max-length-bytes", Number(1)), ("x-overflow", Text("reject-publish"))],
    &[("x-dead-letter-exchange", Name("topic")), ("x-dead-letter-routing-key", Text("k.l"))],
    &[("x-dead-letter-exchange", Name("")), ("x-dead-letter-routing-key", Name("b"))],
    &[("x-dead-letter-exchange", Name("")), ("x-dead-letter-routing-key", Name("c")), ("x-max-length", Number(1))],
    &[("x-dead-letter-routing-key", Text("k"))],
    &[("x-single-active-consumer", Flag(true))],
    &[("x-single-active-consumer", Flag(true)), ("x-max-priority", Number(2))],
    &[("x-message-ttl", Number(0)), ("x-dead-letter-exchange", Name("fanout"))],
    &[("x-message-ttl", Number(0))],
    &[("x-message-ttl", Number(86_400_000)), ("x-expires", Number(86_400_000))],
    &[("x-message-ttl", Text("soon"))],
    &[("x-max-length", Number(-1))],
    &[("x-overflow", Text("none"))],
    &[("x-max-priority", Number(256))],
];

/// What bindings are made with: only headers exchanges read them.
const MATCHES: &[Arguments] = &[
    &[("x-match", Text("all")), ("one", Number(1)), ("two", Text("2"))],
    &[("x-match", Text("any")), ("one", Number(1)), ("two", Text("2"))],
    &[("one", Number(1))],
    &[("x-match", Text("some"))],
];

/// Headers that are published.
const HEADERS: &[Arguments] =
    &[&[("one", Number(1))], &[("two", Text("2"))], &[("one", Number(1)), ("two", Text("2"))], &[("one", Text("1"))]];

/// The script of a seed.
pub fn script(seed: u64) -> Vec<(Place, Step)> {
    let mut dice = Dice::new(seed);
    let length = 6 + dice.roll(30);
    let connections = 1 + dice.roll(3);
    let mut steps = vec![];
    for number in 0..length {
        let place = Place { connection: dice.roll(connections), channel: 1 + dice.roll(2) as u16 };
        // Without anything declared there is little to be done.
        let step = if number < 3 && !dice.one_in(4) { declare(&mut dice) } else { any(&mut dice, number as u32) };
        steps.push((place, step));
        if dice.one_in(3) {
            steps.extend(again(&mut dice, &steps));
        }
    }
    steps
}

/// Another message where the last one went: brokers remember routes.
fn again(dice: &mut Dice, steps: &[(Place, Step)]) -> Option<(Place, Step)> {
    let (place, Step::Publish { exchange, key, .. }) = steps.last()? else { return None };
    let Step::Publish { message, .. } = publish(dice, steps.len() as u32 + 100) else { return None };
    Some((*place, Step::Publish { exchange, key, message }))
}

fn declare(dice: &mut Dice) -> Step {
    // A name made by the broker has to go with its connection.
    let queue = if dice.one_in(16) { "" } else { dice.pick(&QUEUES) };
    Step::DeclareQueue {
        queue,
        passive: dice.one_in(8),
        durable: dice.one_in(6),
        exclusive: queue.is_empty() || dice.one_in(6),
        auto_delete: dice.one_in(5),
        arguments: if dice.one_in(2) { dice.pick(ARGUMENTS) } else { &[] },
    }
}

fn queue(dice: &mut Dice) -> &'static str {
    if dice.one_in(16) { "" } else { dice.pick(&QUEUES) }
}

fn any(dice: &mut Dice, body: u32) -> Step {
    match dice.roll(66) {
        0..=7 => declare(dice),
        8..=10 => Step::DeclareExchange {
            exchange: dice.pick(&EXCHANGES),
            kind: dice.pick(&["direct", "fanout", "topic", "headers"]),
            passive: dice.one_in(6),
            durable: dice.one_in(8),
            auto_delete: dice.one_in(4),
            internal: dice.one_in(8),
            alternate: dice.one_in(3).then(|| dice.pick(&SOURCES)),
        },
        11..=19 => binding(dice),
        20..=34 => publish(dice, body),
        35 => Step::Answer { body },
        36..=39 => Step::Get { queue: queue(dice), no_ack: dice.one_in(3) },
        40..=44 => consume(dice),
        45 | 46 => Step::Cancel { tag: if dice.one_in(8) { REPLIES_TAG } else { dice.pick(&TAGS) } },
        47..=53 => settle(dice),
        54 | 55 => Step::Qos { count: dice.roll(3) as u16, global: dice.one_in(3) },
        56 => Step::Purge { queue: queue(dice) },
        57 => Step::DeleteQueue { queue: queue(dice), if_unused: dice.one_in(3), if_empty: dice.one_in(3) },
        58 => Step::DeleteExchange { exchange: dice.pick(&EXCHANGES), if_unused: dice.one_in(2) },
        59 => Step::ConfirmSelect,
        60..=62 => dice.pick(&[Step::TxRollback, Step::TxCommit, Step::TxCommit, Step::TxSelect]),
        63 | 64 => Step::CloseChannel,
        _ => Step::CloseConnection,
    }
}

fn binding(dice: &mut Dice) -> Step {
    let (destination, source, key) = (dice.pick(&EXCHANGES), dice.pick(&SOURCES), dice.pick(&KEYS));
    let (queue, exchange) = (queue(dice), source);
    let matches = source == "headers" || dice.one_in(8);
    let arguments = if matches { dice.pick(MATCHES) } else { &[] };
    match dice.roll(9) {
        0..=4 => Step::Bind { queue, exchange, key, arguments },
        5 => Step::Unbind { queue, exchange, key, arguments },
        6 | 7 => Step::BindExchange { destination, source, key },
        _ => Step::UnbindExchange { destination, source, key },
    }
}

fn consume(dice: &mut Dice) -> Step {
    let replies = dice.one_in(12);
    Step::Consume {
        queue: if replies { REPLIES } else { queue(dice) },
        tag: if replies { REPLIES_TAG } else { dice.pick(&TAGS) },
        no_ack: if replies { !dice.one_in(8) } else { dice.one_in(3) },
        exclusive: dice.one_in(8),
        priority: dice.one_in(5).then(|| dice.roll(3) as i32),
    }
}

fn settle(dice: &mut Dice) -> Step {
    match dice.roll(7) {
        0..=2 => Step::Ack { nth: dice.roll(3), multiple: dice.one_in(3) },
        3 | 4 => Step::Nack { nth: dice.roll(3), multiple: dice.one_in(3), requeue: !dice.one_in(3) },
        5 => Step::Reject { nth: dice.roll(3), requeue: dice.one_in(2) },
        _ => Step::Recover { requeue: !dice.one_in(4) },
    }
}

fn publish(dice: &mut Dice, body: u32) -> Step {
    let exchange = if dice.one_in(2) { "" } else { dice.pick(&SOURCES) };
    let copies: &[&[&str]] = &[&["a"], &["b", "k"], &["c", "c"]];
    let stranger = dice.one_in(36);
    let mut message = Message {
        mandatory: dice.one_in(3),
        priority: dice.one_in(3).then(|| dice.roll(5) as u8),
        expiration: dice.one_in(8).then(|| dice.pick(&["0", "0", "86400000", "never"])),
        user_id: dice.one_in(12).then_some("guest"),
        direct_reply: dice.one_in(8),
        cc: if dice.one_in(8) { dice.pick(copies) } else { &[] },
        bcc: if dice.one_in(8) { dice.pick(copies) } else { &[] },
        headers: if exchange == "headers" || dice.one_in(8) { dice.pick(HEADERS) } else { &[] },
        body,
    };
    // Which of two mistakes a version speaks of first does not matter.
    if stranger {
        message = Message { user_id: Some("other"), expiration: None, ..message };
    }
    // `ExpiredIsNotGivenOut` of the table of differences.
    if message.expiration == Some("0") {
        message.priority = None;
    }
    Step::Publish { exchange, key: dice.pick(&KEYS[..4]), message }
}
