//! The method table holds exactly the methods of AMQP 0-9-1 and RabbitMQ's extensions, by a list of its own.

use std::collections::BTreeSet;

use leveret_spec::method::Kind;
use leveret_spec::{Method, MethodError};

/// Classes and their methods' ids: the XML of the specification, then what RabbitMQ added.
const IDS: &[(u16, &[u16])] = &[
    (10, &[10, 11, 20, 21, 30, 31, 40, 41, 50, 51]),
    (20, &[10, 11, 20, 21, 40, 41]),
    (40, &[10, 11, 20, 21]),
    (50, &[10, 11, 20, 21, 30, 31, 40, 41, 50, 51]),
    (60, &[10, 11, 20, 21, 30, 31, 40, 50, 60, 70, 71, 72, 80, 90, 100, 110, 111]),
    (90, &[10, 11, 20, 21, 30, 31]),
    // blocked, unblocked, update-secret
    (10, &[60, 61, 70, 71]),
    // access.request, of AMQP 0-8 and 0-9
    (30, &[10, 11]),
    // bind and unbind between exchanges; 51 is no mistake
    (40, &[30, 31, 40, 51]),
    // nack
    (60, &[120]),
    // confirm.select
    (85, &[10, 11]),
];

/// The methods that carry content: publish, return, deliver, get-ok.
const WITH_CONTENT: [(u16, u16); 4] = [(60, 40), (60, 50), (60, 60), (60, 71)];

/// The bits of the methods that have more than one, in the order of the specification: nothing else tells them apart.
const BITS: &[(&str, &[&str])] = &[
    ("access.Request", &["exclusive", "passive", "active", "write", "read"]),
    ("exchange.Declare", &["passive", "durable", "auto_delete", "internal", "no_wait"]),
    ("exchange.Delete", &["if_unused", "no_wait"]),
    ("queue.Declare", &["passive", "durable", "exclusive", "auto_delete", "no_wait"]),
    ("queue.Delete", &["if_unused", "if_empty", "no_wait"]),
    ("basic.Consume", &["no_local", "no_ack", "exclusive", "no_wait"]),
    ("basic.Publish", &["mandatory", "immediate"]),
    ("basic.Nack", &["multiple", "requeue"]),
];

fn ids() -> BTreeSet<(u16, u16)> {
    IDS.iter().flat_map(|&(class, methods)| methods.iter().map(move |&method| (class, method))).collect()
}

#[test]
fn the_table_holds_every_method_of_the_protocol_once_and_no_other() {
    let rows: Vec<_> = Method::ROWS.iter().map(|row| (row.class, row.method)).collect();
    assert_eq!(rows.iter().copied().collect::<BTreeSet<_>>(), ids());
    assert_eq!(rows.len(), ids().len(), "a row is there twice");
    let names: BTreeSet<_> = Method::ROWS.iter().map(|row| row.name).collect();
    assert_eq!(names.len(), rows.len(), "a name is there twice");
}

#[test]
fn ids_that_no_method_has_are_unknown_and_named_in_the_error() {
    let known = ids();
    for class in 0..=255u16 {
        for method in 0..=255u16 {
            let payload = [class.to_be_bytes(), method.to_be_bytes()].concat();
            let unknown = Method::decode(&payload) == Err(MethodError::Unknown { class, method });
            assert_eq!(unknown, !known.contains(&(class, method)), "{class}.{method}");
        }
    }
}

#[test]
fn the_four_methods_that_carry_content_are_marked() {
    let marked = Method::ROWS.iter().filter(|row| row.content).map(|row| (row.class, row.method));
    assert_eq!(marked.collect::<Vec<_>>(), WITH_CONTENT);
}

#[test]
fn bits_that_share_an_octet_stand_in_the_order_of_the_specification() {
    let rows = Method::ROWS.iter().map(|row| {
        let bits = row.arguments.iter().filter(|(_, kind)| *kind == Kind::Bit);
        (row.name, bits.map(|&(name, _)| name).collect::<Vec<_>>())
    });
    let shared: Vec<_> = rows.filter(|(_, bits)| bits.len() > 1).collect();
    assert_eq!(shared, BITS.iter().map(|&(name, bits)| (name, bits.to_vec())).collect::<Vec<_>>());
}

#[test]
fn a_reply_is_a_method_of_the_same_class_that_the_other_peer_may_send() {
    for request in Method::ROWS {
        for &id in request.replies {
            let reply = Method::ROWS.iter().find(|row| (row.class, row.method) == (request.class, id));
            let reply = reply.unwrap_or_else(|| panic!("{} is answered by no method", request.name));
            assert!(!request.sender.is_client() || reply.sender.is_server(), "{} to a client", reply.name);
            assert!(!request.sender.is_server() || reply.sender.is_client(), "{} to a server", reply.name);
            assert!(reply.replies.is_empty(), "{} is itself answered", reply.name);
        }
    }
}
