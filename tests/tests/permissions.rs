//! RabbitMQ's permissions: configure, write and read, by patterns of names. These tests need the management API.

use leveret_spec::method::MethodFrame;
use leveret_spec::{basic, exchange, queue};
use leveret_tests::{Difference, Peer, User, default, octets, short, table, target, texts, unique};

fn refusal(user: &User, access: &str, place: &str) -> String {
    texts::no_access(access, place, &user.name)
}

/// Publishing to an exchange is refused.
#[track_caller]
fn publish_is_refused(peer: &mut Peer, name: &str, routing_key: &str, text: &str) {
    peer.publish(1, name, routing_key, "m");
    peer.expect_refusal(1, basic::Publish::ROW, 403, text);
}

/// Configuring is declaring and deleting, of queues and of exchanges, declared already or not.
#[test]
fn configuring_is_declaring_and_deleting() {
    let user = User::allowed("^mine-", ".*", ".*");
    let mut peer = user.with_channel();
    let mut admin = Peer::with_channel();
    let (theirs, fanout) = (admin.shared_queue(1), admin.exchange(1, "fanout"));
    let mine = format!("mine-{}", unique("q"));
    peer.declare(1, &queue::Declare { queue: short(&mine), exclusive: true, ..default() });
    peer.delete_queue(1, &mine);
    let text = refusal(&user, "configure", &texts::queue(&theirs));
    let queue = short(&theirs);
    peer.refused(1, &queue::Declare { queue, durable: true, ..default() }, 403, &text);
    peer.refused(1, &queue::Delete { queue, ..default() }, 403, &text);
    let missing = unique("new");
    let declare = queue::Declare { queue: short(&missing), ..default() };
    peer.refused(1, &declare, 403, &refusal(&user, "configure", &texts::queue(&missing)));
    let text = refusal(&user, "configure", &texts::exchange(&fanout));
    let (exchange, kind) = (short(&fanout), short("fanout"));
    peer.refused(1, &exchange::Declare { exchange, kind, ..default() }, 403, &text);
    peer.refused(1, &exchange::Delete { exchange, ..default() }, 403, &text);
}

/// Writing is publishing, and being bound.
#[test]
fn writing_is_publishing_and_being_bound() {
    let user = User::allowed(".*", "^mine-", ".*");
    let mut peer = user.with_channel();
    let mut admin = Peer::with_channel();
    let (fanout, source) = (admin.exchange(1, "fanout"), admin.exchange(1, "fanout"));
    let mine = format!("mine-{}", unique("fanout"));
    admin.declare_exchange(1, &exchange::Declare { exchange: short(&mine), kind: short("fanout"), ..default() });
    peer.publish(1, &mine, "", "m");
    peer.expect_nothing(1);
    publish_is_refused(&mut peer, &fanout, "", &refusal(&user, "write", &texts::exchange(&fanout)));
    publish_is_refused(&mut peer, "", "anywhere", &refusal(&user, "write", &texts::exchange("amq.default")));
    // A binding writes to its destination.
    let theirs = peer.queue(1);
    let (queue, exchange) = (short(&theirs), short(&source));
    let text = refusal(&user, "write", &texts::queue(&theirs));
    peer.refused(1, &queue::Bind { queue, exchange, ..default() }, 403, &text);
    peer.refused(1, &queue::Unbind { queue, exchange, ..default() }, 403, &text);
    let (destination, from) = (short(&fanout), short(&source));
    let text = refusal(&user, "write", &texts::exchange(&fanout));
    peer.refused(1, &exchange::Bind { destination, source: from, ..default() }, 403, &text);
    peer.refused(1, &exchange::Unbind { destination, source: from, ..default() }, 403, &text);
    peer.bind_exchange(1, &mine, &source, "");
}

/// Reading is consuming, getting, purging, and being bound from.
#[test]
fn reading_is_consuming_and_being_bound_from() {
    let user = User::allowed(".*", ".*", "^mine-");
    let mut peer = user.with_channel();
    let (theirs, mine) = (peer.queue(1), format!("mine-{}", unique("q")));
    let text = refusal(&user, "read", &texts::queue(&theirs));
    let queue = short(&theirs);
    peer.refused(1, &basic::Consume { queue, ..default() }, 403, &text);
    peer.refused(1, &basic::Get { queue, ..default() }, 403, &text);
    peer.refused(1, &queue::Purge { queue, ..default() }, 403, &text);
    peer.declare(1, &queue::Declare { queue: short(&mine), exclusive: true, ..default() });
    peer.publish(1, "", &mine, "m");
    assert_eq!(peer.drain(1, &mine), ["m"]);
    // A binding reads from its source.
    let mut admin = Peer::with_channel();
    let (source, destination) = (admin.exchange(1, "fanout"), admin.exchange(1, "fanout"));
    let exchange = short(&source);
    let text = refusal(&user, "read", &texts::exchange(&source));
    peer.refused(1, &queue::Bind { queue, exchange, ..default() }, 403, &text);
    peer.refused(1, &queue::Unbind { queue, exchange, ..default() }, 403, &text);
    let (destination, source) = (short(&destination), exchange);
    peer.refused(1, &exchange::Bind { destination, source, ..default() }, 403, &text);
    peer.refused(1, &exchange::Unbind { destination, source, ..default() }, 403, &text);
}

/// A queue with a dead-letter exchange reads from the queue and writes to the exchange.
#[test]
fn dead_lettering_is_reading_and_writing() {
    let user = User::allowed(".*", "^mine-", ".*");
    let mut peer = user.with_channel();
    let name = unique("q");
    let arguments = table([("x-dead-letter-exchange", "theirs".into())]);
    let arguments = arguments.as_table();
    let declare = queue::Declare { queue: short(&name), exclusive: true, arguments, ..default() };
    peer.refused(1, &declare, 403, &refusal(&user, "write", &texts::exchange("theirs")));
    let arguments = table([("x-dead-letter-exchange", "mine-dlx".into())]);
    peer.declare(1, &queue::Declare { arguments: arguments.as_table(), ..declare });
    let user = User::allowed(".*", ".*", "^mine-");
    let mut peer = user.with_channel();
    let name = unique("q");
    let declare = queue::Declare { queue: short(&name), exclusive: true, arguments: arguments.as_table(), ..default() };
    peer.refused(1, &declare, 403, &refusal(&user, "read", &texts::queue(&name)));
}

/// An exchange with an alternate exchange reads from itself and writes to the other.
#[test]
fn an_alternate_exchange_is_written_to() {
    let user = User::allowed(".*", "^mine-", ".*");
    let mut peer = user.with_channel();
    let name = unique("x");
    let arguments = table([("alternate-exchange", "theirs".into())]);
    let (exchange, kind) = (short(&name), short("fanout"));
    let declare = exchange::Declare { exchange, kind, arguments: arguments.as_table(), ..default() };
    peer.refused(1, &declare, 403, &refusal(&user, "write", &texts::exchange("theirs")));
    let user = User::allowed(".*", ".*", "^mine-");
    user.with_channel().refused(1, &declare, 403, &refusal(&user, "read", &texts::exchange(&name)));
}

/// Patterns match anywhere in a name, unless they say where; an empty one matches nothing.
#[test]
fn patterns_match_anywhere() {
    let user = User::allowed("blue|^green$", "", "");
    let mut peer = user.with_channel();
    for name in [unique("blue"), format!("blue-{}", unique("q"))] {
        peer.declare(1, &queue::Declare { queue: short(&name), exclusive: true, ..default() });
    }
    let name = unique("green");
    let declare = queue::Declare { queue: short(&name), exclusive: true, ..default() };
    peer.refused(1, &declare, 403, &refusal(&user, "configure", &texts::queue(&name)));
    publish_is_refused(&mut peer, "", "q", &refusal(&user, "write", &texts::exchange("amq.default")));
}

/// A server-named queue is subject to the patterns like any other.
#[test]
fn the_servers_names_are_names() {
    let user = User::allowed("^mine-", ".*", ".*");
    let mut peer = user.with_channel();
    peer.send(1, &queue::Declare { exclusive: true, ..default() });
    let close = peer.expect::<leveret_spec::channel::Close>(1);
    let text = &*close.reply_text;
    assert!(close.reply_code == 403 && text.contains("access to queue 'amq.gen-"), "{text}");
    peer.send(1, &leveret_spec::channel::CloseOk {});
    let user = User::allowed("^amq\\\\.gen.*", ".*", ".*");
    user.with_channel().declare(1, &queue::Declare { exclusive: true, ..default() });
}

/// A passive declaration is for whoever may do anything with the queue or exchange.
#[test]
fn a_passive_declaration_needs_something() {
    let mut admin = Peer::with_channel();
    let (name, fanout) = (admin.shared_queue(1), admin.exchange(1, "fanout"));
    for (configure, write, read) in [(".*", "", ""), ("", ".*", ""), ("", "", ".*")] {
        let user = User::allowed(configure, write, read);
        let mut peer = user.with_channel();
        peer.expect_counts(1, &name, 0, 0);
        peer.check_exchange(1, &fanout);
    }
    if Difference::PassiveNeedsPermission.holds() {
        let user = User::allowed("", "", "");
        let mut peer = user.with_channel();
        peer.send(1, &queue::Declare { queue: short(&name), passive: true, ..default() });
        let close = peer.expect::<leveret_spec::channel::Close>(1);
        assert_eq!(close.reply_code, 403);
    }
}

/// Without any permission there is no way into a virtual host.
#[test]
fn a_stranger_is_not_let_in() {
    let user = User::new();
    let mut peer = Peer::ask_to_visit(&user.visit());
    let text = format!("access to vhost '{}' refused for user '{}'", target().vhost(), user.name);
    let close = peer.expect_connection_close(530, &text);
    assert_eq!((close.class_id, close.method_id), (10, 40));
    peer.expect_eof();
    user.allow(target().vhost(), "", "", "");
    Peer::visit(&user.visit()).close();
    user.forbid(target().vhost());
    Peer::ask_to_visit(&user.visit()).expect_connection_close(530, &text);
}

/// A refusal costs the channel, and nothing else.
#[test]
fn a_refusal_costs_a_channel() {
    let user = User::allowed(".*", "", ".*");
    let mut peer = user.with_channel();
    peer.open_channel(2);
    let queue = peer.queue(2);
    publish_is_refused(&mut peer, "", &queue, &refusal(&user, "write", &texts::exchange("amq.default")));
    peer.expect_counts(2, &queue, 0, 0);
    // What follows the refused message is dropped, whatever it is.
    let publish = basic::Publish { exchange: octets("amq.direct"), ..default() };
    for _ in 0..3 {
        peer.publish_method(1, &publish, &default(), b"m");
    }
    peer.expect_refusal(1, basic::Publish::ROW, 403, &refusal(&user, "write", &texts::exchange("amq.direct")));
    peer.expect_nothing(1);
}

/// A permission that is needed is looked for before what is done with it: the missing and the forbidden look the same.
#[test]
fn permission_comes_before_existence() {
    let user = User::allowed("", "", "");
    let mut peer = user.with_channel();
    let missing = unique("missing");
    let text = refusal(&user, "read", &texts::queue(&missing));
    peer.refused(1, &basic::Get { queue: short(&missing), ..default() }, 403, &text);
    let text = refusal(&user, "write", &texts::exchange(&missing));
    publish_is_refused(&mut peer, &missing, "", &text);
    let text = refusal(&user, "configure", &texts::queue(&missing));
    peer.refused(1, &queue::Delete { queue: short(&missing), ..default() }, 403, &text);
}
