//! RabbitMQ's firehose: copies of what is published and delivered in a virtual host. These tests need the management API.

use leveret_spec::{Properties, Value};
use leveret_tests::{Content, Peer, Vhost, default, octets, table, texts_of};

/// A virtual host that is traced, somebody who works in it, and the queue where the copies go.
fn traced(key: &str) -> (Vhost, Peer, String) {
    let vhost = Vhost::new();
    let mut peer = vhost.with_channel();
    let copies = peer.queue(1);
    peer.bind(1, &copies, "amq.rabbitmq.trace", key);
    vhost.trace(true);
    (vhost, peer, copies)
}

fn text<'c>(content: &'c Content, header: &str) -> &'c str {
    content.header(header).unwrap_or_default()
}

/// What is published is copied to amq.rabbitmq.trace, with what it was in the headers.
#[test]
fn what_is_published_is_copied() {
    let (vhost, mut peer, copies) = traced("publish.#");
    let queue = peer.queue(1);
    let headers = table([("mine", "kept".into())]);
    let properties = Properties {
        headers: Some(headers.as_table()),
        content_type: Some(octets("text/plain")),
        priority: Some(4),
        delivery_mode: Some(2),
        ..default()
    };
    peer.bind(1, &queue, "amq.direct", "key");
    peer.publish_as(1, "amq.direct", "key", &properties, "m");
    peer.consume_settled(1, &copies, "copies");
    let (deliver, content) = peer.delivery(1);
    assert_eq!(deliver.exchange.as_bytes(), b"amq.rabbitmq.trace");
    assert_eq!(deliver.routing_key.as_bytes(), b"publish.amq.direct");
    assert_eq!(content.text(), "m");
    assert_eq!(text(&content, "exchange_name"), "amq.direct");
    assert_eq!(text(&content, "vhost"), vhost.name);
    assert_eq!(text(&content, "user"), vhost.visit().user);
    assert!(!text(&content, "node").is_empty() && !text(&content, "connection").is_empty());
    assert_eq!(content.headers().lookup("channel").and_then(Value::as_i64), Some(1));
    assert_eq!(content.headers().lookup("routing_keys"), Some(Value::Array(texts_of(["key"]).as_array())));
    let routed = texts_of([queue.as_str()]);
    assert_eq!(content.headers().lookup("routed_queues"), Some(Value::Array(routed.as_array())));
    let Some(Value::Table(told)) = content.headers().lookup("properties") else { panic!("{:?}", content.headers()) };
    assert_eq!(told.lookup("content_type"), Some("text/plain".into()));
    for (name, number) in [("priority", 4), ("delivery_mode", 2)] {
        assert_eq!(told.lookup(name).and_then(Value::as_i64), Some(number), "{name}");
    }
    let Some(Value::Table(own)) = told.lookup("headers") else { panic!("{told:?}") };
    assert_eq!(own.lookup("mine"), Some("kept".into()));
}

/// What is delivered is copied, for every delivery, with the queue's name in the key.
#[test]
fn what_is_delivered_is_copied() {
    let (_vhost, mut peer, copies) = traced("deliver.#");
    let queue = peer.queue(1);
    peer.publish(1, "", &queue, "m");
    let (got, _) = peer.get(1, &queue).unwrap();
    peer.requeue(1, got.delivery_tag);
    peer.open_channel(2);
    peer.consume_settled(2, &queue, "c");
    peer.delivery(2);
    peer.open_channel(3);
    peer.consume_settled(3, &copies, "copies");
    for redelivered in [0, 1] {
        let (deliver, content) = peer.delivery(3);
        assert_eq!(deliver.routing_key.as_bytes(), format!("deliver.{queue}").as_bytes());
        assert_eq!(content.text(), "m");
        assert_eq!(content.headers().lookup("redelivered").and_then(Value::as_i64), Some(redelivered));
        assert_eq!(text(&content, "exchange_name"), "");
        let keys = texts_of([queue.as_str()]);
        assert_eq!(content.headers().lookup("routing_keys"), Some(Value::Array(keys.as_array())));
    }
}

/// What nobody gets was published all the same.
#[test]
fn the_unroutable_is_copied_too() {
    let (_vhost, mut peer, copies) = traced("publish.#");
    peer.publish(1, "amq.fanout", "nowhere", "m");
    peer.consume_settled(1, &copies, "copies");
    let (deliver, content) = peer.delivery(1);
    assert_eq!((deliver.routing_key.as_bytes(), content.text().as_str()), (&b"publish.amq.fanout"[..], "m"));
    let nowhere: [&str; 0] = [];
    assert_eq!(content.headers().lookup("routed_queues"), Some(Value::Array(texts_of(nowhere).as_array())));
}

/// The copies are not copied themselves, or the firehose would never end.
#[test]
fn copies_are_not_copied() {
    let (_vhost, mut peer, copies) = traced("#");
    let queue = peer.queue(1);
    peer.publish(1, "", &queue, "one");
    peer.publish(1, "", &queue, "two");
    peer.consume_settled(1, &copies, "copies");
    for body in ["one", "two"] {
        let (deliver, content) = peer.delivery(1);
        assert_eq!((deliver.routing_key.as_bytes(), content.text().as_str()), (&b"publish."[..], body));
    }
    peer.expect_no_delivery(1, &copies);
}

/// Copies of messages with more keys tell them all.
#[test]
fn copies_tell_all_keys() {
    let (_vhost, mut peer, copies) = traced("publish.#");
    let list = texts_of(["second"]);
    let headers = table([("CC", Value::Array(list.as_array()))]);
    peer.publish_headed(1, "amq.direct", "first", &headers, "m");
    peer.consume_settled(1, &copies, "copies");
    let (_, content) = peer.delivery(1);
    let keys = texts_of(["first", "second"]);
    assert_eq!(content.headers().lookup("routing_keys"), Some(Value::Array(keys.as_array())));
}

/// It can be switched off again, and costs nobody anything in other virtual hosts.
#[test]
fn it_can_be_switched_off() {
    let (vhost, mut peer, copies) = traced("publish.#");
    let mut other = Peer::with_channel();
    let elsewhere = other.queue(1);
    other.bind(1, &elsewhere, "amq.rabbitmq.trace", "publish.#");
    peer.publish(1, "amq.fanout", "", "traced");
    peer.consume_settled(1, &copies, "copies");
    assert_eq!(peer.bodies(1, 1), ["traced"]);
    vhost.trace(false);
    // Channels that are open may learn it a moment later.
    let mut later = vhost.with_channel();
    later.publish(1, "amq.fanout", "", "not traced");
    later.expect_nothing(1);
    later.close();
    peer.expect_no_delivery(1, &copies);
    other.expect_counts(1, &elsewhere, 0, 0);
}
