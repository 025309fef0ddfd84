//! Class exchange: declaring, deleting, and the misuse of both.

use leveret_spec::{exchange, queue};
use leveret_tests::{Difference, Peer, default, short, table, texts, unique};

/// Section 3.1.3: every virtual host begins with these, all of them durable.
#[test]
fn the_predeclared_exchanges_exist() {
    let mut peer = Peer::with_channel();
    let names = [
        ("amq.direct", "direct"),
        ("amq.fanout", "fanout"),
        ("amq.topic", "topic"),
        ("amq.headers", "headers"),
        ("amq.match", "headers"),
    ];
    for (name, kind) in names {
        let declare = exchange::Declare { exchange: short(name), kind: short(kind), durable: true, ..default() };
        peer.call::<exchange::DeclareOk>(1, &declare);
    }
    peer.check_exchange(1, "amq.rabbitmq.trace");
}

/// Section 1.6.2.1: a passive declaration of what does not exist is an error of the channel.
#[test]
fn a_missing_exchange_cannot_be_declared_passively() {
    let mut peer = Peer::with_channel();
    let name = unique("missing");
    let passive = exchange::Declare { exchange: short(&name), kind: short("direct"), passive: true, ..default() };
    peer.refused(1, &passive, 404, &texts::no_exchange(&name));
}

/// Section 1.6.2.1: a passive declaration asks for the name alone; type and flags may be anything.
#[test]
fn a_passive_declaration_compares_nothing() {
    let mut peer = Peer::with_channel();
    let name = peer.exchange(1, "topic");
    let arguments = table([("alternate-exchange", "x".into())]);
    let passive = exchange::Declare {
        exchange: short(&name),
        kind: short("no-such-type"),
        passive: true,
        durable: true,
        internal: true,
        arguments: arguments.as_table(),
        ..default()
    };
    peer.call::<exchange::DeclareOk>(1, &passive);
}

/// Section 1.6.2.1: declaring the same again is no error, whatever arguments nobody knows.
#[test]
fn an_exchange_can_be_declared_again() {
    let mut peer = Peer::with_channel();
    let name = peer.exchange(1, "direct");
    let arguments = table([("x-unknown", 1i32.into())]);
    let declare = exchange::Declare { exchange: short(&name), kind: short("direct"), ..default() };
    peer.call::<exchange::DeclareOk>(1, &declare);
    peer.call::<exchange::DeclareOk>(1, &exchange::Declare { arguments: arguments.as_table(), ..declare });
}

/// Section 1.6.2.1 with RabbitMQ's texts: an exchange keeps the type and flags that it was made with.
#[test]
fn a_different_redeclaration_is_refused() {
    let mut peer = Peer::with_channel();
    let name = peer.exchange(1, "direct");
    let same = exchange::Declare { exchange: short(&name), kind: short("direct"), ..default() };
    let of = texts::exchange(&name);
    let differs = |argument| texts::inequivalent(argument, &of, "'true'", "'false'");
    let kind = texts::inequivalent("type", &of, "'fanout'", "'direct'");
    peer.refused(1, &exchange::Declare { kind: short("fanout"), ..same }, 406, &kind);
    peer.refused(1, &exchange::Declare { durable: true, ..same }, 406, &differs("durable"));
    peer.refused(1, &exchange::Declare { auto_delete: true, ..same }, 406, &differs("auto_delete"));
    peer.refused(1, &exchange::Declare { internal: true, ..same }, 406, &differs("internal"));
}

/// RabbitMQ: the alternate exchange is part of what an exchange is.
#[test]
fn another_alternate_exchange_is_a_difference() {
    let mut peer = Peer::with_channel();
    let name = unique("ae");
    let (first, second) =
        (table([("alternate-exchange", "one".into())]), table([("alternate-exchange", "two".into())]));
    let (exchange, kind) = (short(&name), short("fanout"));
    let declare = exchange::Declare { exchange, kind, arguments: first.as_table(), ..default() };
    peer.declare_exchange(1, &declare);
    let of = texts::exchange(&name);
    let text = texts::inequivalent("alternate-exchange", &of, "'two'", "'one'");
    peer.refused(1, &exchange::Declare { arguments: second.as_table(), ..declare }, 406, &text);
    let text = texts::inequivalent("alternate-exchange", &of, "none", "the value 'one' of type 'longstr'");
    peer.refused(1, &exchange::Declare { arguments: default(), ..declare }, 406, &text);
}

/// RabbitMQ: an alternate exchange is named by a string.
#[test]
fn an_alternate_exchange_is_named_by_a_string() {
    let mut peer = Peer::with_channel();
    let name = unique("ae");
    let arguments = table([("alternate-exchange", 1i32.into())]);
    let (exchange, kind) = (short(&name), short("fanout"));
    let declare = exchange::Declare { exchange, kind, arguments: arguments.as_table(), ..default() };
    let text = format!("invalid type 'signedint' for arg 'alternate-exchange' in {}", texts::exchange(&name));
    peer.refused(1, &declare, 406, &text);
}

/// Section 1.6.2.1: names that begin with `amq.` are the server's.
#[test]
fn reserved_names_cannot_be_declared() {
    let mut peer = Peer::with_channel();
    let declare = exchange::Declare { exchange: short("amq.mine"), kind: short("direct"), ..default() };
    peer.refused(1, &declare, 403, "exchange name 'amq.mine' contains reserved prefix 'amq.*'");
}

/// RabbitMQ: the default exchange is not to be touched by name, not even passively.
#[test]
fn the_default_exchange_is_untouchable() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    let other = peer.exchange(1, "fanout");
    let text = "operation not permitted on the default exchange";
    peer.refused(1, &exchange::Declare { kind: short("direct"), durable: true, ..default() }, 403, text);
    peer.refused(1, &exchange::Declare { kind: short("direct"), passive: true, ..default() }, 403, text);
    peer.refused(1, &exchange::Delete::default(), 403, text);
    peer.refused(1, &queue::Bind { queue: short(&queue), routing_key: short("k"), ..default() }, 403, text);
    peer.refused(1, &queue::Unbind { queue: short(&queue), routing_key: short(&queue), ..default() }, 403, text);
    peer.refused(1, &exchange::Bind { destination: short(&other), ..default() }, 403, text);
    peer.refused(1, &exchange::Bind { source: short(&other), ..default() }, 403, text);
    peer.refused(1, &exchange::Unbind { destination: short(&other), ..default() }, 403, text);
}

/// RabbitMQ: the predeclared exchanges stay.
#[test]
fn predeclared_exchanges_cannot_be_deleted() {
    let mut peer = Peer::with_channel();
    for name in ["amq.direct", "amq.fanout", "amq.topic", "amq.headers", "amq.match", "amq.rabbitmq.trace"] {
        let text = format!("deletion of system {} not allowed", texts::exchange(name));
        peer.refused(1, &exchange::Delete { exchange: short(name), ..default() }, 403, &text);
    }
}

/// Section 1.6.2.1: a type that the server does not have.
#[test]
fn an_unknown_type_is_refused() {
    let mut peer = Peer::with_channel();
    let name = unique("odd");
    let declare = exchange::Declare { exchange: short(&name), kind: short("x-no-such-type"), ..default() };
    if Difference::UnknownTypeIsSoft.holds() {
        peer.refused(1, &declare, 406, "unknown exchange type 'x-no-such-type'");
    } else {
        peer.refused_hard(1, &declare, 503, "unknown exchange type 'x-no-such-type'");
    }
}

/// Section 1.6.2.3: if-unused looks at what is bound to the exchange, queues and exchanges alike.
#[test]
fn an_exchange_in_use_can_be_kept() {
    let mut peer = Peer::with_channel();
    let (name, other) = (peer.exchange(1, "fanout"), peer.exchange(1, "fanout"));
    let queue = peer.queue(1);
    let delete = exchange::Delete { exchange: short(&name), if_unused: true, ..default() };
    let text = format!("{} in use", texts::exchange(&name));
    peer.bind(1, &queue, &name, "");
    peer.refused(1, &delete, 406, &text);
    peer.unbind(1, &queue, &name, "");
    peer.bind_exchange(1, &other, &name, "");
    peer.refused(1, &delete, 406, &text);
    peer.unbind_exchange(1, &other, &name, "");
    // Being bound to another one does not count.
    peer.bind_exchange(1, &name, &other, "");
    peer.call::<exchange::DeleteOk>(1, &delete);
}

/// RabbitMQ: deleting what is not there succeeds.
#[test]
fn deleting_is_idempotent() {
    let mut peer = Peer::with_channel();
    let name = peer.exchange(1, "direct");
    for _ in 0..3 {
        peer.delete_exchange(1, &name);
    }
    let delete = exchange::Delete { exchange: short(&name), if_unused: true, ..default() };
    peer.call::<exchange::DeleteOk>(1, &delete);
}

/// Section 1.6.2.3: bindings go with their exchange; the queues stay, and a new exchange of the name starts empty.
#[test]
fn bindings_go_with_their_exchange() {
    let mut peer = Peer::with_channel();
    let name = peer.exchange(1, "fanout");
    let queue = peer.queue(1);
    peer.bind(1, &queue, &name, "");
    peer.delete_exchange(1, &name);
    peer.declare_exchange(1, &exchange::Declare { exchange: short(&name), kind: short("fanout"), ..default() });
    peer.publish(1, &name, "", "m");
    peer.expect_counts(1, &queue, 0, 0);
}

/// Section 1.6.2: with no-wait there is no answer, but an error still closes the channel.
#[test]
fn without_wait_only_errors_are_answered() {
    let mut peer = Peer::with_channel();
    let name = unique("quiet");
    let declare = exchange::Declare { exchange: short(&name), kind: short("direct"), no_wait: true, ..default() };
    peer.send(1, &declare);
    peer.expect_nothing(1);
    peer.check_exchange(1, &name);
    let text = texts::inequivalent("type", &texts::exchange(&name), "'fanout'", "'direct'");
    peer.refused(1, &exchange::Declare { kind: short("fanout"), ..declare }, 406, &text);
    let (both, no_wait) = (short(&name), true);
    peer.send(1, &exchange::Bind { destination: both, source: both, no_wait, ..default() });
    peer.send(1, &exchange::Unbind { destination: both, source: both, no_wait, ..default() });
    peer.send(1, &exchange::Delete { exchange: both, no_wait, ..default() });
    peer.expect_nothing(1);
    peer.expect_no_exchange(1, &name);
}

/// RabbitMQ takes line ends out of the names in declare and delete.
#[test]
fn line_ends_are_not_part_of_a_name() {
    let mut peer = Peer::with_channel();
    let name = unique("crlf");
    let broken = format!("{name}\r\n");
    let declare = exchange::Declare { exchange: short(&broken), kind: short("direct"), ..default() };
    peer.call::<exchange::DeclareOk>(1, &declare);
    peer.check_exchange(1, &name);
    peer.delete_exchange(1, &broken);
    peer.expect_no_exchange(1, &name);
}

/// RabbitMQ: an auto-delete exchange goes with the last binding from it, however that ends.
#[test]
fn an_auto_delete_exchange_goes_with_its_last_binding() {
    let mut peer = Peer::with_channel();
    let (one, two) = (peer.queue(1), peer.queue(1));
    let by_unbind = auto_delete(&mut peer);
    peer.bind(1, &one, &by_unbind, "");
    peer.bind(1, &two, &by_unbind, "");
    peer.unbind(1, &one, &by_unbind, "");
    peer.check_exchange(1, &by_unbind);
    peer.unbind(1, &two, &by_unbind, "");
    peer.expect_no_exchange(1, &by_unbind);

    let by_queue = auto_delete(&mut peer);
    peer.bind(1, &one, &by_queue, "");
    peer.delete_queue(1, &one);
    peer.expect_no_exchange(1, &by_queue);

    let (by_exchange, destination) = (auto_delete(&mut peer), peer.exchange(1, "fanout"));
    peer.bind_exchange(1, &destination, &by_exchange, "");
    peer.delete_exchange(1, &destination);
    peer.expect_no_exchange(1, &by_exchange);
}

/// RabbitMQ: an auto-delete exchange that never had a binding stays, and so does one that is only bound to others.
#[test]
fn an_auto_delete_exchange_waits_for_its_first_binding() {
    let mut peer = Peer::with_channel();
    let name = auto_delete(&mut peer);
    let source = peer.exchange(1, "fanout");
    peer.bind_exchange(1, &name, &source, "");
    peer.unbind_exchange(1, &name, &source, "");
    peer.check_exchange(1, &name);
}

/// RabbitMQ: an exclusive queue that ends with its connection takes auto-delete exchanges along.
#[test]
fn an_auto_delete_exchange_goes_with_a_connections_queues() {
    let mut peer = Peer::with_channel();
    let name = auto_delete(&mut peer);
    let mut other = Peer::with_channel();
    let queue = other.queue(1);
    other.bind(1, &queue, &name, "");
    other.close();
    peer.expect_no_exchange(1, &name);
}

fn auto_delete(peer: &mut Peer) -> String {
    let name = unique("auto-delete");
    let (exchange, kind) = (short(&name), short("fanout"));
    peer.declare_exchange(1, &exchange::Declare { exchange, kind, auto_delete: true, ..default() });
    name
}
