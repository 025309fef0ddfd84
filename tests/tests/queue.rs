//! Class queue: declaring, binding, purging, deleting.

use leveret_spec::{Value, basic, queue};
use leveret_tests::{Difference, Peer, default, short, table, texts, unique};

/// Section 1.7.2.1: a passive declaration of what does not exist is an error of the channel.
#[test]
fn a_missing_queue_cannot_be_declared_passively() {
    let mut peer = Peer::with_channel();
    let name = unique("missing");
    let passive = queue::Declare { queue: short(&name), passive: true, ..default() };
    peer.refused(1, &passive, 404, &texts::no_queue(&name));
}

/// Section 1.7.2: nothing can be done with a queue that does not exist.
#[test]
fn a_missing_queue_cannot_be_used() {
    let mut peer = Peer::with_channel();
    let name = unique("missing");
    let (queue, text) = (short(&name), texts::no_queue(&name));
    peer.refused(1, &basic::Consume { queue, ..default() }, 404, &text);
    peer.refused(1, &basic::Get { queue, ..default() }, 404, &text);
    peer.refused(1, &queue::Purge { queue, ..default() }, 404, &text);
    peer.refused(1, &queue::Bind { queue, exchange: short("amq.direct"), ..default() }, 404, &text);
}

/// Section 1.7.2.3: a queue is bound to an exchange that exists.
#[test]
fn a_missing_exchange_cannot_be_bound_to() {
    let mut peer = Peer::with_channel();
    let (queue, name) = (peer.queue(1), unique("missing"));
    let bind = queue::Bind { queue: short(&queue), exchange: short(&name), ..default() };
    peer.refused(1, &bind, 404, &texts::no_exchange(&name));
}

/// Section 1.7.2: an empty name is the queue that the channel has declared last; without one it is an error.
#[test]
fn an_empty_name_needs_a_declaration_before() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    peer.open_channel(2);
    let text = "no previously declared queue";
    peer.refused(2, &basic::Consume::default(), 404, text);
    peer.refused(2, &basic::Get::default(), 404, text);
    peer.refused(2, &queue::Purge::default(), 404, text);
    peer.refused(2, &queue::Unbind { exchange: short("amq.direct"), routing_key: short("k"), ..default() }, 404, text);
    peer.refused(2, &queue::Delete::default(), 404, text);
    peer.refused(2, &queue::Bind { exchange: short("amq.direct"), routing_key: short("k"), ..default() }, 404, text);
    // A passive declaration counts, on its own channel.
    peer.counts(2, &queue);
    peer.publish(2, "", &queue, "m");
    assert_eq!(peer.get_settled(2, "").map(|(_, content)| content.text()), Some("m".into()));
    assert_eq!(peer.purge(2, ""), 0);
    assert_eq!(&*peer.consume(2, "", "c"), "c");
    assert_eq!(peer.delete_queue(2, ""), 0);
}

/// RabbitMQ: a passive declaration without a name asks for a queue without one, which there is not.
#[test]
fn an_empty_name_cannot_be_declared_passively() {
    let mut peer = Peer::with_channel();
    let passive = queue::Declare { passive: true, ..default() };
    peer.refused(1, &passive, 404, &texts::no_queue(""));
    peer.queue(1);
    peer.refused(1, &passive, 404, &texts::no_queue(""));
}

/// Section 1.7.2.3: with neither queue nor key the queue's name is the key.
#[test]
fn binding_the_last_queue_without_a_key_uses_its_name() {
    let mut peer = Peer::with_channel();
    let exchange = peer.exchange(1, "direct");
    let queue = peer.queue(1);
    peer.bind(1, "", &exchange, "");
    peer.publish(1, &exchange, &queue, "by name");
    peer.publish(1, &exchange, "", "by nothing");
    assert_eq!(peer.drain(1, &queue), ["by name"]);
    // A queue that is named has the key that is given, the empty one too.
    peer.bind(1, &queue, &exchange, "");
    peer.publish(1, &exchange, "", "by nothing");
    assert_eq!(peer.drain(1, &queue), ["by nothing"]);
}

/// Section 1.7.2.1: without a name the server makes one up, `amq.gen-` and something new each time.
#[test]
fn the_server_names_queues() {
    let mut peer = Peer::with_channel();
    let declare = queue::Declare { exclusive: true, ..default() };
    let (one, two) = (peer.declare(1, &declare).queue, peer.declare(1, &declare).queue);
    assert!(one != two && [one, two].iter().all(|name| name.starts_with("amq.gen-")), "{one} {two}");
    peer.publish(1, "", &one, "m");
    assert_eq!(peer.drain(1, &one), ["m"]);
}

/// Section 1.7.2.1: names that begin with `amq.` are the server's.
#[test]
fn reserved_names_cannot_be_declared() {
    let mut peer = Peer::with_channel();
    let declare = queue::Declare { queue: short("amq.mine"), exclusive: true, ..default() };
    peer.refused(1, &declare, 403, "queue name 'amq.mine' contains reserved prefix 'amq.*'");
    // Those that the server has given can be asked for, but not declared again.
    let given = peer.declare(1, &queue::Declare { exclusive: true, ..default() }).queue;
    peer.expect_counts(1, &given, 0, 0);
    let text = format!("queue name '{given}' contains reserved prefix 'amq.*'");
    peer.refused(1, &queue::Declare { queue: given, exclusive: true, ..default() }, 403, &text);
}

/// Section 1.7.2.1: an exclusive queue is its connection's alone, for every method.
#[test]
fn an_exclusive_queue_is_locked_for_others() {
    let mut owner = Peer::with_channel();
    let name = owner.queue(1);
    owner.bind(1, &name, "amq.direct", &name);
    let mut other = Peer::with_channel();
    let (queue, text) = (short(&name), texts::locked(&name));
    let exchange = short("amq.direct");
    other.refused(1, &queue::Declare { queue, ..default() }, 405, &text);
    other.refused(1, &queue::Declare { queue, exclusive: true, ..default() }, 405, &text);
    other.refused(1, &queue::Declare { queue, passive: true, ..default() }, 405, &text);
    other.refused(1, &queue::Bind { queue, exchange, ..default() }, 405, &text);
    other.refused(1, &queue::Unbind { queue, exchange, routing_key: queue, ..default() }, 405, &text);
    other.refused(1, &queue::Purge { queue, ..default() }, 405, &text);
    other.refused(1, &queue::Delete { queue, ..default() }, 405, &text);
    other.refused(1, &basic::Consume { queue, ..default() }, 405, &text);
    other.refused(1, &basic::Get { queue, ..default() }, 405, &text);
    // Publishing needs no right to the queue.
    other.publish(1, "", &name, "m");
    other.expect_nothing(1);
    owner.consume(1, &name, "c");
    assert_eq!(owner.bodies(1, 1), ["m"]);
}

/// Section 1.7.2.1: other channels of the owner may use it.
#[test]
fn an_exclusive_queue_belongs_to_the_whole_connection() {
    let mut peer = Peer::with_channel();
    let name = peer.queue(1);
    peer.open_channel(2);
    peer.consume(2, &name, "c");
    peer.publish(2, "", &name, "m");
    assert_eq!(peer.bodies(2, 1), ["m"]);
}

/// RabbitMQ: who owns a queue is compared before anything else.
#[test]
fn exclusive_and_not_are_different_queues() {
    let mut peer = Peer::with_channel();
    let name = peer.queue(1);
    let declare = queue::Declare { queue: short(&name), durable: true, auto_delete: true, ..default() };
    peer.refused(1, &declare, 405, &texts::locked(&name));
    let name = peer.shared_queue(1);
    let declare = queue::Declare { queue: short(&name), exclusive: true, auto_delete: true, ..default() };
    peer.refused(1, &declare, 405, &texts::locked(&name));
}

/// RabbitMQ: durable means nothing for an exclusive queue.
#[test]
fn an_exclusive_queue_may_be_declared_durable_or_not() {
    let mut peer = Peer::with_channel();
    let name = peer.queue(1);
    let declare = queue::Declare { queue: short(&name), exclusive: true, ..default() };
    peer.declare(1, &queue::Declare { durable: true, ..declare });
    peer.declare(1, &declare);
}

/// Section 1.7.2.1 with RabbitMQ's texts: a queue keeps the flags that it was made with.
#[test]
fn a_different_redeclaration_is_refused() {
    let mut peer = Peer::with_channel();
    let name = peer.shared_queue(1);
    let same = queue::Declare { queue: short(&name), durable: true, ..default() };
    let of = texts::queue(&name);
    let text = texts::inequivalent("auto_delete", &of, "'true'", "'false'");
    peer.refused(1, &queue::Declare { auto_delete: true, ..same }, 406, &text);
    let text = texts::inequivalent("durable", &of, "'false'", "'true'");
    peer.refused(1, &queue::Declare { durable: false, ..same }, 406, &text);
}

/// Section 1.7.2.1: the same declaration again tells what is in the queue now.
#[test]
fn a_queue_can_be_declared_again() {
    let mut peer = Peer::with_channel();
    let name = peer.shared_queue(1);
    let declare = queue::Declare { queue: short(&name), durable: true, ..default() };
    peer.publish(1, "", &name, "m");
    peer.expect_counts(1, &name, 1, 0);
    let answer = peer.declare(1, &declare);
    assert_eq!((answer.message_count, answer.consumer_count), (1, 0));
}

/// RabbitMQ compares the arguments it knows; what one side lacks it prints with its type.
#[test]
fn known_arguments_are_compared() {
    let mut peer = Peer::with_channel();
    let (ten, twenty) = (table([("x-max-priority", 10i32.into())]), table([("x-max-priority", 20i32.into())]));
    let name = peer.queue_with(1, &ten);
    let of = texts::queue(&name);
    let declare = queue::Declare { queue: short(&name), exclusive: true, ..default() };
    let text = texts::inequivalent("x-max-priority", &of, "'20'", "'10'");
    peer.refused(1, &queue::Declare { arguments: twenty.as_table(), ..declare }, 406, &text);
    let text = texts::inequivalent("x-max-priority", &of, "none", "the value '10' of type 'signedint'");
    peer.refused(1, &declare, 406, &text);
    let name = peer.queue(1);
    let declare = queue::Declare { queue: short(&name), exclusive: true, arguments: ten.as_table(), ..default() };
    let of = texts::queue(&name);
    let text = texts::inequivalent("x-max-priority", &of, "the value '10' of type 'signedint'", "none");
    peer.refused(1, &declare, 406, &text);
}

/// RabbitMQ: an integer is the same in any width.
#[test]
fn the_width_of_an_integer_makes_no_difference() {
    let mut peer = Peer::with_channel();
    let name = peer.queue_with(1, &table([("x-max-priority", 10i32.into())]));
    for value in [Value::I64(10), Value::I16(10), Value::I8(10), Value::U8(10), Value::U32(10)] {
        let arguments = table([("x-max-priority", value)]);
        let arguments = arguments.as_table();
        peer.declare(1, &queue::Declare { queue: short(&name), exclusive: true, arguments, ..default() });
    }
}

/// RabbitMQ: arguments that nobody knows are taken, and not compared.
#[test]
fn unknown_arguments_are_welcome() {
    let mut peer = Peer::with_channel();
    let name = peer.queue_with(1, &table([("x-unknown", "1".into()), ("x-other", Value::Void)]));
    let arguments = table([("x-unknown", 2i32.into())]);
    for arguments in [arguments.as_table(), default()] {
        peer.declare(1, &queue::Declare { queue: short(&name), exclusive: true, arguments, ..default() });
    }
}

/// RabbitMQ: classic is what a queue is without x-queue-type.
#[test]
fn classic_is_the_default_type() {
    let mut peer = Peer::with_channel();
    let name = peer.queue(1);
    let arguments = table([("x-queue-type", "classic".into())]);
    let arguments = arguments.as_table();
    peer.declare(1, &queue::Declare { queue: short(&name), exclusive: true, arguments, ..default() });
}

/// RabbitMQ: the highest x-max-priority is 255, and it is an integer.
#[test]
fn a_bad_argument_is_refused() {
    let mut peer = Peer::with_channel();
    let name = unique("bad");
    let cases = [
        (Value::from(256i32), "{max_value_exceeded,256}"),
        (Value::from(-1i32), "{value_negative,-1}"),
        ("ten".into(), "\"expected integer, got longstr\""),
    ];
    for (value, why) in cases {
        let arguments = table([("x-max-priority", value)]);
        let arguments = arguments.as_table();
        let declare = queue::Declare { queue: short(&name), exclusive: true, arguments, ..default() };
        let text = format!("invalid arg 'x-max-priority' for {}: {why}", texts::queue(&name));
        peer.refused(1, &declare, 406, &text);
    }
}

/// Section 1.7.2.1: a queue may be for all and for now.
#[test]
fn a_transient_queue_may_be_shared() {
    let mut peer = Peer::with_channel();
    let name = unique("transient");
    let declare = queue::Declare { queue: short(&name), ..default() };
    peer.declare(1, &declare);
    Peer::with_channel().expect_counts(1, &name, 0, 0);
    let text = texts::inequivalent("durable", &texts::queue(&name), "'true'", "'false'");
    peer.refused(1, &queue::Declare { durable: true, ..declare }, 406, &text);
}

/// Section 1.7.2.1: an auto-delete queue is gone when the last consumer's cancel is answered.
#[test]
fn an_auto_delete_queue_goes_with_its_last_consumer() {
    let mut peer = Peer::with_channel();
    let name = unique("auto-delete");
    let declare = queue::Declare { queue: short(&name), durable: true, auto_delete: true, ..default() };
    peer.declare(1, &declare);
    peer.consume(1, &name, "one");
    peer.consume(1, &name, "two");
    peer.cancel(1, "one");
    peer.expect_counts(1, &name, 0, 1);
    peer.cancel(1, "two");
    peer.expect_no_queue(1, &name);
    // The same when the consumer's channel or connection ends.
    peer.declare(1, &declare);
    peer.open_channel(2);
    peer.consume(2, &name, "c");
    peer.close_channel(2);
    peer.expect_no_queue(1, &name);
    peer.declare(1, &declare);
    let mut other = Peer::with_channel();
    other.consume(1, &name, "c");
    other.close();
    peer.expect_no_queue(1, &name);
}

/// Section 1.7.2.1: an auto-delete queue that never had a consumer stays; basic.get is none.
#[test]
fn an_auto_delete_queue_waits_for_its_first_consumer() {
    let mut peer = Peer::with_channel();
    let name = unique("auto-delete");
    peer.declare(1, &queue::Declare { queue: short(&name), durable: true, auto_delete: true, ..default() });
    peer.publish(1, "", &name, "m");
    assert_eq!(peer.drain(1, &name), ["m"]);
    peer.close_channel(1);
    peer.open_channel(1);
    peer.expect_counts(1, &name, 0, 0);
}

/// Section 1.7.2.9: if-unused keeps a queue that has consumers, if-empty one that has messages.
#[test]
fn a_queue_in_use_can_be_kept() {
    let mut peer = Peer::with_channel();
    let name = peer.queue(1);
    let queue = short(&name);
    peer.open_channel(2);
    peer.consume(2, &name, "c");
    let text = format!("{} in use", texts::queue(&name));
    peer.refused(1, &queue::Delete { queue, if_unused: true, ..default() }, 406, &text);
    peer.cancel(2, "c");
    peer.publish(1, "", &name, "m");
    let text = format!("{} not empty", texts::queue(&name));
    peer.refused(1, &queue::Delete { queue, if_empty: true, ..default() }, 406, &text);
    assert_eq!(peer.purge(1, &name), 1);
    peer.call::<queue::DeleteOk>(1, &queue::Delete { queue, if_unused: true, if_empty: true, ..default() });
}

/// RabbitMQ: deleting what is not there succeeds, with no message lost.
#[test]
fn deleting_is_idempotent() {
    let mut peer = Peer::with_channel();
    let name = peer.queue(1);
    peer.publish(1, "", &name, "m");
    assert_eq!(peer.delete_queue(1, &name), 1);
    assert_eq!(peer.delete_queue(1, &name), 0);
    assert_eq!(peer.delete_queue(1, &unique("never-there")), 0);
}

/// Section 1.7.2.7: only what is ready is purged, counted and deleted; what is unacknowledged is with its consumer.
#[test]
fn counts_are_of_what_is_ready() {
    let mut peer = Peer::with_channel();
    let name = peer.queue(1);
    for _ in 0..5 {
        peer.publish(1, "", &name, "m");
    }
    let (first, _) = peer.get(1, &name).unwrap();
    assert_eq!(first.message_count, 4);
    peer.expect_counts(1, &name, 4, 0);
    assert_eq!(peer.purge(1, &name), 4);
    peer.expect_counts(1, &name, 0, 0);
    peer.requeue(1, first.delivery_tag);
    peer.expect_counts(1, &name, 1, 0);
    peer.get(1, &name).unwrap();
    peer.publish(1, "", &name, "m");
    assert_eq!(peer.delete_queue(1, &name), 1);
}

/// RabbitMQ counts every consumer, those without credit too.
#[test]
fn consumers_without_credit_are_counted() {
    let mut peer = Peer::with_channel();
    let name = peer.queue(1);
    peer.prefetch(1, 1);
    peer.consume(1, &name, "a");
    peer.consume(1, &name, "b");
    peer.open_channel(2);
    for _ in 0..3 {
        peer.publish(2, "", &name, "m");
    }
    peer.bodies(1, 2);
    peer.expect_counts(2, &name, 1, 2);
}

/// RabbitMQ's queue.unbind: whatever is missing, in the end it is not bound.
#[test]
fn unbinding_is_idempotent() {
    let mut peer = Peer::with_channel();
    let (queue, missing) = (peer.queue(1), unique("missing"));
    peer.unbind(1, &queue, "amq.direct", "never bound");
    peer.unbind(1, &missing, "amq.direct", "k");
    peer.unbind(1, &queue, &missing, "k");
    // Who owns the queue matters only when there is something to unbind.
    let mut other = Peer::with_channel();
    other.unbind(1, &queue, "amq.direct", "never bound");
}

/// Section 1.7.2: with no-wait there is no answer, but an error still closes the channel.
#[test]
fn without_wait_only_errors_are_answered() {
    let mut peer = Peer::with_channel();
    let name = unique("quiet");
    let (queue, no_wait) = (short(&name), true);
    peer.send(1, &queue::Declare { queue, exclusive: true, no_wait, ..default() });
    peer.send(1, &queue::Bind { queue, exchange: short("amq.direct"), routing_key: queue, no_wait, ..default() });
    peer.publish(1, "amq.direct", &name, "m");
    peer.expect_nothing(1);
    peer.expect_counts(1, &name, 1, 0);
    peer.send(1, &queue::Purge { queue, no_wait, ..default() });
    peer.expect_nothing(1);
    peer.expect_counts(1, &name, 0, 0);
    peer.send(1, &queue::Delete { queue, no_wait, ..default() });
    peer.expect_nothing(1);
    peer.refused(1, &queue::Purge { queue, no_wait, ..default() }, 404, &texts::no_queue(&name));
    peer.refused(1, &queue::Declare { queue, passive: true, no_wait, ..default() }, 404, &texts::no_queue(&name));
}

/// RabbitMQ takes line ends out of the names in declare, bind and delete, and leaves them in others.
#[test]
fn line_ends_are_not_part_of_a_name() {
    let mut peer = Peer::with_channel();
    let name = unique("crlf");
    let broken = format!("{name}\r\n");
    let answer = peer.declare(1, &queue::Declare { queue: short(&broken), exclusive: true, ..default() });
    assert_eq!(&*answer.queue, name);
    peer.bind(1, &broken, "amq.direct", &name);
    peer.publish(1, "amq.direct", &name, "m");
    let (code, text) = (404, texts::no_queue(&broken));
    peer.refused(1, &basic::Get { queue: short(&broken), ..default() }, code, &text);
    peer.refused(1, &basic::Consume { queue: short(&broken), ..default() }, code, &text);
    assert_eq!(peer.delete_queue(1, &broken), 1);
}

/// Section 4.2.5.3: a name may be as long as a short string.
#[test]
fn the_longest_name_is_a_name() {
    let mut peer = Peer::with_channel();
    let name = format!("{}{}", unique("long"), "n".repeat(255));
    let name = &name[..255];
    let answer = peer.declare(1, &queue::Declare { queue: short(name), exclusive: true, ..default() });
    assert_eq!(&*answer.queue, name);
    peer.publish(1, "", name, "m");
    assert_eq!(peer.consume_settled(1, name, name), name);
    assert_eq!(*peer.delivery(1).0.consumer_tag, *name);
}

/// Section 3.1.4: a queue's bindings go with it.
#[test]
fn a_new_queue_of_the_name_starts_without_bindings() {
    let mut peer = Peer::with_channel();
    let exchange = peer.exchange(1, "fanout");
    let name = peer.queue(1);
    peer.bind(1, &name, &exchange, "");
    peer.delete_queue(1, &name);
    peer.declare(1, &queue::Declare { queue: short(&name), exclusive: true, ..default() });
    peer.publish(1, &exchange, "", "m");
    peer.expect_counts(1, &name, 0, 0);
}

/// Section 4.2.5.3 and RabbitMQ's reply texts: names of any length and script, cut between characters.
#[test]
fn an_explanation_is_cut_between_characters() {
    if !Difference::TextsCutBetweenCharacters.holds() {
        return;
    }
    let mut peer = Peer::with_channel();
    for name in ["é".repeat(127), format!("x{}", "é".repeat(127))] {
        peer.send(1, &queue::Declare { queue: short(&name), passive: true, ..default() });
        let close = peer.expect::<leveret_spec::channel::Close>(1);
        assert!(close.reply_text.starts_with("NOT_FOUND - no queue '"), "{close:?}");
        assert!(close.reply_text.len() <= 255, "{close:?}");
        peer.send(1, &leveret_spec::channel::CloseOk {});
        peer.open_channel(1);
    }
}
