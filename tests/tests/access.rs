//! Class access: obsolete, but old clients still ask for tickets.

use leveret_spec::{access, basic, exchange, queue};
use leveret_tests::{Peer, default, octets, short, unique};

/// AMQP 0-8's tickets: RabbitMQ still hands out number 1.
#[test]
fn a_ticket_is_granted_to_whoever_asks() {
    let mut peer = Peer::with_channel();
    let request = access::Request { realm: short("/data"), active: true, read: true, write: true, ..default() };
    assert_eq!(peer.call::<access::RequestOk>(1, &request).ticket, 1);
}

/// The ticket's place in later methods is reserved: any number may stand there.
#[test]
fn nobody_looks_at_tickets() {
    let mut peer = Peer::with_channel();
    let name = unique("ticket");
    let queue = short(&name);
    peer.declare(1, &queue::Declare { reserved: 4711, queue, exclusive: true, ..default() });
    let bind = queue::Bind { reserved: 101, queue, exchange: short("amq.direct"), routing_key: queue, ..default() };
    peer.call::<queue::BindOk>(1, &bind);
    let publish = basic::Publish {
        reserved: 65_535,
        exchange: octets("amq.direct"),
        routing_key: octets(name.as_str()),
        ..default()
    };
    peer.publish_method(1, &publish, &default(), b"m");
    let passive = exchange::Declare { reserved: 9, exchange: short("amq.direct"), passive: true, ..default() };
    peer.call::<exchange::DeclareOk>(1, &passive);
    assert_eq!(peer.drain(1, &name), ["m"]);
}
