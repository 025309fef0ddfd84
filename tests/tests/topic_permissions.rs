//! RabbitMQ's topic permissions: which routing keys a user may use at a topic exchange. They need the management API.

use leveret_spec::basic;
use leveret_spec::method::MethodFrame;
use leveret_spec::queue;
use leveret_tests::{Difference, Peer, User, default, short, texts};

fn refusal(user: &User, access: &str, topic: &str, exchange: &str) -> String {
    texts::no_access(access, &format!("topic '{topic}' in {}", texts::exchange(exchange)), &user.name)
}

#[track_caller]
fn publish_is_refused(peer: &mut Peer, exchange: &str, topic: &str, text: &str) {
    peer.publish(1, exchange, topic, "m");
    peer.expect_refusal(1, basic::Publish::ROW, 403, text);
}

/// Publishing is writing to the routing key.
#[test]
fn a_topic_is_written_to() {
    let mut admin = Peer::with_channel();
    let topic = admin.exchange(1, "topic");
    let user = User::allowed(".*", ".*", ".*");
    user.allow_topics(&topic, "^mine\\\\.", "^");
    let mut peer = user.with_channel();
    let queue = peer.queue(1);
    peer.bind(1, &queue, &topic, "#");
    peer.publish(1, &topic, "mine.too", "m");
    assert_eq!(peer.drain(1, &queue), ["m"]);
    publish_is_refused(&mut peer, &topic, "theirs", &refusal(&user, "write", "theirs", &topic));
    // A refusal that was heard once is heard again.
    publish_is_refused(&mut peer, &topic, "theirs", &refusal(&user, "write", "theirs", &topic));
    assert_eq!(peer.drain(1, &queue), [""; 0]);
}

/// Binding is reading from the binding's key.
#[test]
fn a_topic_is_read_from() {
    let mut admin = Peer::with_channel();
    let topic = admin.exchange(1, "topic");
    let user = User::allowed(".*", ".*", ".*");
    user.allow_topics(&topic, "^", "^mine\\\\.");
    let mut peer = user.with_channel();
    let queue = peer.queue(1);
    peer.bind(1, &queue, &topic, "mine.*");
    for key in ["#", "theirs.*"] {
        let bind = queue::Bind { queue: short(&queue), exchange: short(&topic), routing_key: short(key), ..default() };
        peer.refused(1, &bind, 403, &refusal(&user, "read", key, &topic));
    }
}

/// They are for the exchanges that they name; others, and exchanges of other types, know nothing of topics.
#[test]
fn other_exchanges_know_nothing_of_it() {
    let mut admin = Peer::with_channel();
    let (topic, direct) = (admin.exchange(1, "topic"), admin.exchange(1, "direct"));
    let user = User::allowed(".*", ".*", ".*");
    user.allow_topics(&direct, "^mine", "^mine");
    let mut peer = user.with_channel();
    let queue = peer.queue(1);
    for exchange in [&topic, &direct] {
        peer.bind(1, &queue, exchange, "theirs");
        peer.publish(1, exchange, "theirs", "m");
        assert_eq!(peer.drain(1, &queue), ["m"]);
    }
}

/// The ordinary permissions are looked at first.
#[test]
fn permissions_come_first() {
    let mut admin = Peer::with_channel();
    let topic = admin.exchange(1, "topic");
    let user = User::allowed(".*", "", ".*");
    user.allow_topics(&topic, ".*", ".*");
    let mut peer = user.with_channel();
    let text = texts::no_access("write", &texts::exchange(&topic), &user.name);
    publish_is_refused(&mut peer, &topic, "any", &text);
}

/// A pattern may have the user's name in it.
#[test]
fn a_pattern_may_name_the_user() {
    let mut admin = Peer::with_channel();
    let topic = admin.exchange(1, "topic");
    let user = User::allowed(".*", ".*", ".*");
    user.allow_topics(&topic, "^{username}\\\\.", "^");
    let mut peer = user.with_channel();
    let queue = peer.queue(1);
    peer.bind(1, &queue, &topic, "#");
    peer.publish(1, &topic, &format!("{}.mine", user.name), "m");
    assert_eq!(peer.drain(1, &queue), ["m"]);
    publish_is_refused(&mut peer, &topic, "other.mine", &refusal(&user, "write", "other.mine", &topic));
}

/// The keys of CC are looked at as well as the routing key. (RabbitMQ 3 looks at the routing key only.)
#[test]
fn copies_are_looked_at_too() {
    let mut admin = Peer::with_channel();
    let topic = admin.exchange(1, "topic");
    let user = User::allowed(".*", ".*", ".*");
    user.allow_topics(&topic, "^mine$", "^");
    let mut peer = user.with_channel();
    let copies = leveret_tests::texts_of(["theirs"]);
    let headers = leveret_tests::table([("CC", leveret_spec::Value::Array(copies.as_array()))]);
    peer.publish_headed(1, &topic, "mine", &headers, "m");
    if Difference::CopiesNeedPermission.holds() {
        peer.expect_refusal(1, basic::Publish::ROW, 403, &refusal(&user, "write", "theirs", &topic));
    }
    peer.expect_nothing(1);
}
