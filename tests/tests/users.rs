//! RabbitMQ's users and virtual hosts: who gets in, as whom, and how often. These tests need the management API.

use leveret_spec::method::MethodFrame;
use leveret_spec::{Properties, basic, connection, exchange, queue};
use leveret_tests::{Peer, User, Vhost, default, http, octets, short, texts, unique};

/// A user who is made can log in; one who is gone cannot.
#[test]
fn a_user_gets_in() {
    let user = User::allowed(".*", ".*", ".*");
    let visit = user.visit();
    Peer::visit(&visit).close();
    drop(user);
    let mut peer = Peer::connect();
    peer.greet();
    peer.start_ok(&visit.properties, "PLAIN", &Peer::plain(&visit.user, &visit.password));
    let text = "Login was refused using authentication mechanism PLAIN. For details see the broker logfile.";
    let close = peer.expect_connection_close(403, text);
    assert_eq!((close.class_id, close.method_id), (0, 0));
    peer.expect_eof();
}

/// Whoever says in user-id that he is somebody else is refused, unless he is an impersonator.
#[test]
fn an_impersonator_may_be_anybody() {
    let plain = User::allowed(".*", ".*", ".*");
    let mut peer = plain.with_channel();
    let queue = peer.queue(1);
    let properties = Properties { user_id: Some(octets("somebody")), ..default() };
    peer.publish_as(1, "", &queue, &properties, "m");
    let text = format!("user_id property set to 'somebody' but authenticated user was '{}'", plain.name);
    peer.expect_refusal(1, basic::Publish::ROW, 406, &text);
    let impersonator = User::tagged("impersonator");
    impersonator.allow("/", ".*", ".*", ".*");
    let mut peer = impersonator.with_channel();
    let queue = peer.queue(1);
    peer.publish_as(1, "", &queue, &properties, "m");
    let (_, content) = peer.get_settled(1, &queue).unwrap();
    assert_eq!(content.properties().user_id, Some(octets("somebody")));
}

/// A user has so many connections, where there is such a limit.
#[test]
fn a_users_connections_are_limited() {
    let user = User::allowed(".*", ".*", ".*");
    user.limit("max-connections", 1);
    let first = Peer::visit(&user.visit());
    let mut second = Peer::ask_to_visit(&user.visit());
    let name = &user.name;
    let text = format!("connection refused for user '{name}': user connection limit (1) is reached");
    second.expect_connection_close(530, &text);
    second.expect_eof();
    first.close();
    user.limit("max-connections", 0);
    let text = format!("connection refused for user '{name}': user connection limit (0) is reached");
    Peer::ask_to_visit(&user.visit()).expect_connection_close(530, &text);
    user.limit("max-connections", -1);
    Peer::visit(&user.visit()).close();
}

/// A user has so many channels, where there is such a limit.
#[test]
fn a_users_channels_are_limited() {
    let user = User::allowed(".*", ".*", ".*");
    user.limit("max-channels", 2);
    // Over all of his connections.
    let _other = user.with_channel();
    let mut peer = user.with_channel();
    peer.send(2, &leveret_spec::channel::Open::default());
    let text =
        format!("number of channels opened for user '{}' has reached the maximum allowed user limit of 2", user.name);
    let close = peer.expect::<connection::Close>(0);
    // RabbitMQ 3 has the number in parentheses.
    let found = close.reply_text.replace(['(', ')'], "");
    assert_eq!((close.reply_code, found), (530, texts::reply(530, &text)));
    assert_eq!((close.class_id, close.method_id), (0, 0));
    peer.send(0, &connection::CloseOk {});
    peer.expect_eof();
}

/// A virtual host has its own queues and exchanges, the predeclared ones from the beginning.
#[test]
fn a_virtual_host_is_a_world_of_its_own() {
    let vhost = Vhost::new();
    let mut inside = vhost.with_channel();
    let mut outside = Peer::with_channel();
    let queue = outside.shared_queue(1);
    let passive = queue::Declare { queue: short(&queue), passive: true, ..default() };
    inside.refused(1, &passive, 404, &format!("no queue '{queue}' in vhost '{}'", vhost.name));
    inside.declare(1, &queue::Declare { queue: short(&queue), durable: true, ..default() });
    inside.publish(1, "", &queue, "inside");
    inside.expect_counts(1, &queue, 1, 0);
    outside.expect_counts(1, &queue, 0, 0);
    for name in ["amq.direct", "amq.fanout", "amq.topic", "amq.headers", "amq.match", "amq.rabbitmq.trace"] {
        inside.check_exchange(1, name);
    }
}

/// A virtual host has so many connections, where there is such a limit.
#[test]
fn a_virtual_hosts_connections_are_limited() {
    let vhost = Vhost::new();
    vhost.limit("max-connections", 1);
    let first = Peer::visit(&vhost.visit());
    let mut second = Peer::ask_to_visit(&vhost.visit());
    let (name, user) = (&vhost.name, vhost.visit().user);
    let text = format!("access to vhost '{name}' refused for user '{user}': connection limit (1) is reached");
    second.expect_connection_close(530, &text);
    second.expect_eof();
    first.close();
}

/// A virtual host has so many queues, where there is such a limit; those that are there can be declared again.
#[test]
fn a_virtual_hosts_queues_are_limited() {
    let vhost = Vhost::new();
    vhost.limit("max-queues", 1);
    let mut peer = vhost.with_channel();
    let (one, two) = (unique("one"), unique("two"));
    let declare = queue::Declare { queue: short(&one), durable: true, ..default() };
    peer.declare(1, &declare);
    peer.declare(1, &declare);
    let name = &vhost.name;
    let text = format!("cannot declare queue '{two}': queue limit in vhost '{name}' (1) is reached");
    peer.refused(1, &queue::Declare { queue: short(&two), ..declare }, 406, &text);
    peer.delete_queue(1, &one);
    peer.declare(1, &queue::Declare { queue: short(&two), ..declare });
}

/// A virtual host that is deleted takes its connections along.
#[test]
fn a_deleted_virtual_host_has_no_connections() {
    let vhost = Vhost::new();
    let mut peer = vhost.with_channel();
    vhost.delete();
    let name = &vhost.name;
    let close = peer.expect::<connection::Close>(0);
    // RabbitMQ notices in two ways, whichever is first.
    let found = close.reply_text.replace("is down", "is deleted");
    assert_eq!((close.reply_code, &*found), (320, &*texts::reply(320, &format!("vhost '{name}' is deleted"))));
    peer.send(0, &connection::CloseOk {});
    peer.expect_eof();
    let mut again = Peer::ask_to_visit(&vhost.visit());
    again.expect_connection_close(530, &format!("vhost {name} not found"));
}

/// RabbitMQ's management closes connections by name: 320, with its reason.
#[test]
fn an_operator_closes_a_connection() {
    let mut peer = Peer::handshake();
    let name = http::segment(&peer.connection_name());
    // RabbitMQ's statistics know a connection a moment after it was made.
    let mut tries = 0;
    while http::request("DELETE", &format!("connections/{name}"), "").status == 404 && tries < 20_000 {
        tries += 1;
    }
    let close = peer.expect_connection_close(320, "Closed via management plugin");
    assert_eq!((close.class_id, close.method_id), (0, 0));
    peer.expect_eof();
}

/// A connection that is closed by force takes its exclusive queues along.
#[test]
fn a_forced_close_is_a_close() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    let name = http::segment(&peer.connection_name());
    let mut tries = 0;
    while http::request("DELETE", &format!("connections/{name}"), "").status == 404 && tries < 20_000 {
        tries += 1;
    }
    peer.expect_connection_close(320, "Closed via management plugin");
    peer.expect_eof();
    Peer::with_channel().expect_no_queue(1, &queue);
}

/// RabbitMQ's connection.update-secret: for a user with a password there is nothing to do, and the answer is yes.
#[test]
fn a_new_secret_is_taken() {
    let user = User::allowed(".*", ".*", ".*");
    let mut peer = user.with_channel();
    let update = connection::UpdateSecret { new_secret: user.name.as_bytes(), reason: short("it was time") };
    peer.call::<connection::UpdateSecretOk>(0, &update);
    let queue = peer.queue(1);
    peer.publish(1, "", &queue, "m");
    assert_eq!(peer.drain(1, &queue), ["m"]);
}

/// Permissions that are changed hold for connections that come then.
#[test]
fn permissions_can_change() {
    let user = User::allowed(".*", ".*", ".*");
    user.with_channel().close();
    user.allow("/", "", "", "");
    let mut peer = user.with_channel();
    let exchange = exchange::Declare { exchange: short("x"), kind: short("fanout"), ..default() };
    peer.refused(1, &exchange, 403, &texts::no_access("configure", &texts::exchange("x"), &user.name));
    user.allow("/", ".*", ".*", ".*");
    let mut peer = user.with_channel();
    let name = peer.queue(1);
    peer.publish(1, "", &name, "m");
    assert_eq!(peer.drain(1, &name), ["m"]);
}
