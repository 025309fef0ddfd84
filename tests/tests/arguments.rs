//! Arguments of queues and consumers that RabbitMQ knows, beyond times, limits and dead letters.

use leveret_spec::{Value, basic, exchange, queue};
use leveret_tests::{Difference, Peer, default, short, table, texts, unique};

/// What queue.declare answers to an argument, in words, or nothing if it takes it.
fn answer(peer: &mut Peer, argument: &str, value: Value<'_>) -> Option<String> {
    let name = unique("argument");
    let arguments = table([(argument, value)]);
    let arguments = arguments.as_table();
    peer.send(1, &queue::Declare { queue: short(&name), exclusive: true, arguments, ..default() });
    let received = peer.expect_any(1, "queue.DeclareOk or channel.Close");
    match received.method {
        leveret_spec::Method::Channel(leveret_spec::channel::Method::Close(close)) => {
            peer.send(1, &leveret_spec::channel::CloseOk {});
            peer.open_channel(1);
            Some(close.reply_text.replace(&texts::queue(&name), "QUEUE"))
        }
        _ => None,
    }
}

/// The modes of lazy queues have no meaning any more, but are known, and compared.
#[test]
fn queue_modes_are_known() {
    let mut peer = Peer::with_channel();
    for mode in ["default", "lazy"] {
        assert_eq!(answer(&mut peer, "x-queue-mode", mode.into()), None);
    }
    if Difference::QueueModesChecked.holds() {
        let text = "PRECONDITION_FAILED - invalid arg 'x-queue-mode' for QUEUE: ";
        let answered = answer(&mut peer, "x-queue-mode", "eager".into()).unwrap_or_default();
        assert!(answered.starts_with(text), "{answered}");
    }
    let name = peer.queue_with(1, &table([("x-queue-mode", "lazy".into())]));
    let other = table([("x-queue-mode", "default".into())]);
    let declare = queue::Declare { queue: short(&name), exclusive: true, arguments: other.as_table(), ..default() };
    if Difference::QueueModesChecked.holds() {
        let text = texts::inequivalent("x-queue-mode", &texts::queue(&name), "'default'", "'lazy'");
        peer.refused(1, &declare, 406, &text);
    }
}

/// A type of queues has to be known.
#[test]
fn queue_types_are_known() {
    let mut peer = Peer::with_channel();
    assert_eq!(answer(&mut peer, "x-queue-type", "classic".into()), None);
    for (value, why) in
        [("round".into(), "\"unsupported queue type 'round'\""), (Value::I32(1), "{unacceptable_type,signedint}")]
    {
        let text = format!("PRECONDITION_FAILED - invalid arg 'x-queue-type' for QUEUE: {why}");
        assert_eq!(answer(&mut peer, "x-queue-type", value), Some(text));
    }
}

/// Arguments for brokers of many machines are taken.
#[test]
fn hints_are_taken() {
    let mut peer = Peer::with_channel();
    assert_eq!(answer(&mut peer, "x-queue-version", Value::I32(2)), None);
    if Difference::HintsTaken.holds() {
        for argument in ["x-queue-master-locator", "x-queue-leader-locator"] {
            assert_eq!(answer(&mut peer, argument, "client-local".into()), None, "{argument}");
        }
    }
}

/// Arguments of consumers: what is not known is passed over.
#[test]
fn unknown_arguments_of_consumers_are_welcome() {
    let mut peer = Peer::with_channel();
    let name = peer.queue(1);
    let arguments = table([("x-unknown", "anything".into()), ("x-cancel-on-ha-failover", true.into())]);
    let arguments = arguments.as_table();
    peer.consume_as(1, &basic::Consume { queue: short(&name), arguments, ..default() });
    peer.publish(1, "", &name, "m");
    assert_eq!(peer.bodies(1, 1), ["m"]);
}

/// Arguments of exchanges: what is not known is passed over, and not compared.
#[test]
fn unknown_arguments_of_exchanges_are_welcome() {
    let mut peer = Peer::with_channel();
    let name = unique("x");
    let arguments = table([("x-unknown", "anything".into())]);
    let (exchange, kind) = (short(&name), short("direct"));
    let declare = exchange::Declare { exchange, kind, ..default() };
    peer.declare_exchange(1, &exchange::Declare { arguments: arguments.as_table(), ..declare });
    peer.call::<exchange::DeclareOk>(1, &declare);
}

/// A consumer whose priority is highest is served again as soon as it can take something.
#[test]
fn the_highest_priority_comes_back() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    for (channel, priority) in [(2, 0i32), (3, 5)] {
        peer.open_channel(channel);
        peer.prefetch(channel, 1);
        let arguments = table([("x-priority", priority.into())]);
        let arguments = arguments.as_table();
        peer.consume_as(channel, &basic::Consume { queue: short(&queue), arguments, ..default() });
    }
    for n in 0..4 {
        peer.publish(1, "", &queue, n.to_string());
    }
    assert_eq!(peer.bodies(3, 1), ["0"]);
    assert_eq!(peer.bodies(2, 1), ["1"]);
    peer.ack(3, 1);
    assert_eq!(peer.bodies(3, 1), ["2"]);
    peer.ack(2, 1);
    assert_eq!(peer.bodies(2, 1), ["3"]);
}

/// Of consumers of one priority each has its turn.
#[test]
fn equal_priorities_take_turns() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    for (channel, priority) in [(2, 5i32), (3, 5), (4, 1)] {
        peer.open_channel(channel);
        let arguments = table([("x-priority", priority.into())]);
        let arguments = arguments.as_table();
        peer.consume_as(channel, &basic::Consume { queue: short(&queue), arguments, ..default() });
    }
    for n in 0..6 {
        peer.publish(1, "", &queue, n.to_string());
        peer.expect_nothing(1);
        peer.expect_counts(1, &queue, 0, 3);
    }
    let (two, three) = (peer.bodies(2, 3), peer.bodies(3, 3));
    let (even, odd) = (["0", "2", "4"], ["1", "3", "5"]);
    assert!((two == even && three == odd) || (two == odd && three == even), "{two:?} {three:?}");
    peer.expect_no_delivery(4, &queue);
}
