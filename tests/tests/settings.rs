//! What a broker can be told, on a Leveret of each test's own: RabbitMQ does the same with the same settings, but the brokers
//! at AMQP_URL are not set up so, and these tests look at them in nothing.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use leveret::Config;
use leveret_spec::{basic, channel, exchange, queue, tx};
use leveret_tests::{Own, Peer, Visit, default, short, table, unique};

/// This machine's address on its network. Nothing is sent to find it.
fn address_of_this_machine() -> IpAddr {
    let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
    socket.connect("192.0.2.1:9").expect("this test needs a network besides the loopback");
    socket.local_addr().expect("a bound socket has an address").ip()
}

/// A connection from elsewhere than the loopback, as far as the answer to its login.
fn log_in_from_outside(config: Config, visit: &Visit) -> (Own, Peer) {
    let broker = Own::start(config.listen(SocketAddr::from(([0, 0, 0, 0], 0))));
    let mut peer = Peer::connect_to(SocketAddr::new(address_of_this_machine(), broker.address().port()));
    peer.greet();
    peer.start_ok(&visit.properties, "PLAIN", &Peer::plain("guest", "guest"));
    (broker, peer)
}

/// RabbitMQ's loopback_users: guest is let in from this machine only; from elsewhere his password is as good as a wrong one.
#[test]
fn guest_is_for_this_machine_only() {
    let (_broker, mut peer) = log_in_from_outside(Config::in_memory(), &default());
    let text = "Login was refused using authentication mechanism PLAIN. For details see the broker logfile.";
    let close = peer.expect_connection_close(403, text);
    assert_eq!((close.class_id, close.method_id), (0, 0));
    peer.expect_eof();
    let visit = Visit { properties: Visit::able(&[]), ..default() };
    let (_broker, mut peer) = log_in_from_outside(Config::in_memory(), &visit);
    peer.expect_eof();
}

/// RabbitMQ's loopback_users: without anybody in the list everybody is let in from everywhere.
#[test]
fn guest_may_be_for_all_machines() {
    let mut config = Config::in_memory();
    config.loopback_users.clear();
    let (_broker, mut peer) = log_in_from_outside(config, &default());
    peer.expect::<leveret_spec::connection::Tune>(0);
}

/// RabbitMQ's consumer_max_per_channel.
#[test]
fn consumers_of_a_channel_are_limited() {
    let mut config = Config::in_memory();
    config.limits.consumers_per_channel_max = Some(2);
    let broker = Own::start(config);
    let mut peer = broker.with_channel();
    let name = peer.queue(1);
    peer.open_channel(2);
    for channel in [1, 1, 2, 2] {
        peer.consume(channel, &name, "");
    }
    let text = "reached maximum (2) of consumers per channel";
    peer.refused_hard(1, &basic::Consume { queue: short(&name), ..default() }, 530, text);
}

/// RabbitMQ's channel_tx_message_max: what is refused is refused before anything else of it is looked at, and the channel's
/// end rolls back.
#[test]
fn publishes_of_a_transaction_are_limited() {
    let mut config = Config::in_memory();
    config.limits.transaction_publishes_max = Some(2);
    config.limits.message_bytes_max = 10;
    let broker = Own::start(config);
    let mut peer = broker.with_channel();
    let name = peer.queue(1);
    let missing = unique("missing");
    for (exchange, body) in [("", "m"), (&*missing, "m"), ("", "more than ten")] {
        peer.call::<tx::SelectOk>(1, &tx::Select {});
        for _ in 0..2 {
            peer.publish(1, "", &name, "m");
            peer.publish(1, "", &name, "m");
            peer.call::<tx::RollbackOk>(1, &tx::Rollback {});
        }
        // What has nowhere to go counts like any other.
        peer.publish(1, "", "nowhere", "m");
        peer.publish(1, "", &name, "m");
        peer.publish(1, exchange, &name, body);
        let text = "transaction has reached the maximum of 2 uncommitted publishes";
        let close = peer.expect_channel_close(1, 406, text);
        assert_eq!((close.class_id, close.method_id), (60, 40));
        peer.open_channel(1);
        peer.expect_counts(1, &name, 0, 0);
    }
}

/// RabbitMQ's channel_tx_message_max: acknowledgements have no part in it, and other channels have their own.
#[test]
fn acknowledgements_do_not_fill_a_transaction() {
    let mut config = Config::in_memory();
    config.limits.transaction_publishes_max = Some(1);
    let broker = Own::start(config);
    let mut peer = broker.with_channel();
    let name = peer.queue(1);
    for _ in 0..3 {
        peer.publish(1, "", &name, "m");
    }
    for channel in [2, 3] {
        peer.open_channel(channel);
        peer.call::<tx::SelectOk>(channel, &tx::Select {});
        peer.publish(channel, "", &name, "m");
    }
    for tag in 1..=3 {
        peer.get(2, &name).unwrap();
        peer.ack(2, tag);
    }
    peer.call::<tx::CommitOk>(2, &tx::Commit {});
    peer.call::<tx::CommitOk>(3, &tx::Commit {});
    peer.expect_counts(1, &name, 2, 0);
}

/// RabbitMQ's connection_max.
#[test]
fn connections_are_limited() {
    let mut config = Config::in_memory();
    config.limits.connection_max = Some(1);
    let broker = Own::start(config);
    let first = Peer::visit(&broker.visit());
    let mut second = Peer::ask_to_visit(&broker.visit());
    second.expect_connection_close(530, "connection refused: node connection limit (1) is reached");
    second.expect_eof();
    first.close();
    Peer::visit(&broker.visit()).close();
}

/// RabbitMQ's channel_max_per_node: over all connections; what is closed makes room, alone or with its connection.
#[test]
fn channels_of_the_whole_broker_are_limited() {
    let mut config = Config::in_memory();
    config.limits.channels_max = Some(3);
    let broker = Own::start(config);
    let (mut first, mut second) = (broker.with_channel(), broker.with_channel());
    first.open_channel(2);
    second.send(2, &channel::Open::default());
    let text = "number of channels opened on node 'leveret@localhost' has reached the maximum allowed limit of 3";
    let close = second.expect_connection_close(530, text);
    assert_eq!((close.class_id, close.method_id), (0, 0));
    second.expect_eof();
    first.open_channel(3);
    first.close_channel(2);
    first.open_channel(4);
    first.close();
    let mut third = broker.with_channel();
    third.open_channel(2);
    third.open_channel(3);
}

/// RabbitMQ's cluster_queue_limit: for all virtual hosts; what is deleted makes room, by whatever way, and what is there can
/// be declared again.
#[test]
fn queues_of_the_whole_broker_are_limited() {
    let mut config = Config::in_memory();
    config.limits.queues_max = Some(2);
    let broker = Own::start(config);
    let mut peer = broker.with_channel();
    let queue = peer.queue(1);
    let mut other = broker.with_channel();
    other.queue(1);
    let name = unique("q");
    let declare = queue::Declare { queue: short(&name), auto_delete: true, ..default() };
    let full = |name: &str| format!("cannot declare queue '{name}': queue limit in cluster (2) is reached");
    peer.refused(1, &declare, 406, &full(&name));
    peer.send(1, &queue::Declare::default());
    let close = peer.expect::<channel::Close>(1);
    assert!(close.reply_text.starts_with("PRECONDITION_FAILED - cannot declare queue 'amq.gen-"), "{close:?}");
    peer.send(1, &channel::CloseOk {});
    peer.open_channel(1);
    // An argument that cannot be is noticed before, a property that cannot be behind.
    let bad = table([("x-expires", 0i32.into())]);
    let text = format!("invalid arg 'x-expires' for queue '{name}' in vhost '/': {{value_zero,0}}");
    peer.refused(1, &queue::Declare { arguments: bad.as_table(), ..declare }, 406, &text);
    let quorum = table([("x-queue-type", "quorum".into())]);
    peer.refused(1, &queue::Declare { arguments: quorum.as_table(), ..declare }, 406, &full(&name));
    peer.declare(1, &queue::Declare { queue: short(&queue), exclusive: true, ..default() });
    peer.consume_settled(1, "amq.rabbitmq.reply-to", "answers");
    other.close();
    peer.declare(1, &declare);
    peer.consume(1, &name, "c");
    peer.cancel(1, "c");
    peer.declare(1, &declare);
    peer.refused(1, &queue::Declare { queue: short("third"), ..default() }, 406, &full("third"));
}

/// RabbitMQ's cluster_exchange_limit: the seven that are there from the start count too; what goes makes room.
#[test]
fn exchanges_of_the_whole_broker_are_limited() {
    let mut config = Config::in_memory();
    config.limits.exchanges_max = Some(8);
    let broker = Own::start(config);
    let mut peer = broker.with_channel();
    let declare = exchange::Declare { exchange: short("one"), kind: short("fanout"), auto_delete: true, ..default() };
    peer.call::<exchange::DeclareOk>(1, &declare);
    peer.call::<exchange::DeclareOk>(1, &declare);
    let other = exchange::Declare { exchange: short("two"), ..declare };
    let full = "cannot declare exchange 'two' in vhost '/': exchange limit of 8 is reached";
    peer.refused(1, &other, 406, full);
    let reserved = exchange::Declare { exchange: short("amq.two"), ..declare };
    peer.refused(1, &reserved, 403, "exchange name 'amq.two' contains reserved prefix 'amq.*'");
    // An exchange that ends with its last binding makes room too.
    let queue = peer.queue(1);
    peer.bind(1, &queue, "one", "");
    peer.delete_queue(1, &queue);
    peer.call::<exchange::DeclareOk>(1, &other);
    peer.call::<exchange::DeleteOk>(1, &exchange::Delete { exchange: short("two"), ..default() });
    peer.call::<exchange::DeclareOk>(1, &declare);
}

/// RabbitMQ's channel_max 0 and frame_max 0 are no limits, and clients may have some.
#[test]
fn no_limit_is_a_limit_that_clients_choose() {
    let mut config = Config::in_memory();
    (config.limits.channel_max, config.limits.frame_max) = (0, 0);
    let broker = Own::start(config);
    let mut peer = Peer::connect_to(broker.address());
    peer.greet();
    let visit = broker.visit();
    peer.start_ok(&visit.properties, "PLAIN", &Peer::plain(&visit.user, &visit.password));
    let tune = peer.expect::<leveret_spec::connection::Tune>(0);
    assert_eq!((tune.channel_max, tune.frame_max), (0, 0));
    for (channel_max, frame_max) in [(0, 0), (10, 4096), (u16::MAX, 1 << 20)] {
        let mut peer = Peer::visit(&Visit { channel_max, frame_max, ..broker.visit() });
        peer.open_channel(1);
        let name = peer.queue(1);
        let body = vec![b'x'; 300_000];
        peer.publish(1, "", &name, &body);
        let (_, content) = peer.get_settled(1, &name).unwrap();
        assert!(content.body == body);
        assert_eq!(content.frames.len(), if frame_max == 4096 { 300_000usize.div_ceil(4096 - 8) } else { 1 });
    }
}

/// RabbitMQ's max_message_size.
#[test]
fn messages_are_limited() {
    let mut config = Config::in_memory();
    config.limits.message_bytes_max = 10;
    let broker = Own::start(config);
    let mut peer = broker.with_channel();
    let name = peer.queue(1);
    peer.publish(1, "", &name, "ten bytes!");
    peer.publish(1, "", &name, "more than ten");
    peer.expect_channel_close(1, 406, "message size 13 is larger than configured max size 10");
    peer.open_channel(1);
    peer.expect_counts(1, &name, 1, 0);
}

/// RabbitMQ: a server that ends says so to everybody: 320.
#[test]
fn the_end_is_announced() {
    let mut broker = Own::start(Config::in_memory());
    let mut peers = [broker.with_channel(), broker.with_channel()];
    broker.shut_down();
    for peer in &mut peers {
        let text = "broker forced connection closure with reason 'shutdown'";
        let close = peer.expect_connection_close(320, text);
        assert_eq!((close.class_id, close.method_id), (0, 0));
        peer.expect_eof();
    }
}
