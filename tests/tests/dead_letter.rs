//! RabbitMQ's dead letters: which messages go where, and which do not. What they tell is in death.rs.

use leveret_spec::table::ArrayBuf;
use leveret_spec::{Properties, Value, basic, queue};
use leveret_tests::{Difference, Peer, default, octets, short, table, texts, texts_of, unique};

/// What is refused for good goes to the dead-letter exchange, by reject and by nack, one or many, in the queue's order.
#[test]
fn the_rejected_are_dead_letters() {
    let mut peer = Peer::with_channel();
    let (queue, dead) = peer.queue_with_dead_letters(1, default());
    for n in 0..6 {
        peer.publish(1, "", &queue, n.to_string());
    }
    peer.open_channel(2);
    peer.consume(2, &queue, "c");
    peer.bodies(2, 6);
    peer.consume_settled(1, &dead, "dead");
    peer.reject(2, 1);
    assert_eq!(peer.bodies(1, 1), ["0"]);
    peer.send(2, &basic::Nack { delivery_tag: 2, multiple: false, requeue: false });
    assert_eq!(peer.bodies(1, 1), ["1"]);
    peer.send(2, &basic::Nack { delivery_tag: 4, multiple: true, requeue: false });
    assert_eq!(peer.bodies(1, 2), ["2", "3"]);
    peer.send(2, &basic::Nack { delivery_tag: 0, multiple: true, requeue: false });
    assert_eq!(peer.bodies(1, 2), ["4", "5"]);
}

/// What is given back, acknowledged, purged or deleted with its queue is no dead letter.
#[test]
fn nothing_else_is_a_dead_letter() {
    let mut peer = Peer::with_channel();
    let (queue, dead) = peer.queue_with_dead_letters(1, default());
    for body in ["acked", "requeued", "in the queue"] {
        peer.publish(1, "", &queue, body);
    }
    let (got, _) = peer.get(1, &queue).unwrap();
    peer.ack(1, got.delivery_tag);
    let (got, _) = peer.get(1, &queue).unwrap();
    peer.requeue(1, got.delivery_tag);
    peer.expect_counts(1, &queue, 2, 0);
    assert_eq!(peer.purge(1, &queue), 2);
    peer.publish(1, "", &queue, "in the queue");
    peer.expect_counts(1, &queue, 1, 0);
    assert_eq!(peer.delete_queue(1, &queue), 1);
    peer.expect_counts(1, &dead, 0, 0);
}

/// An exclusive queue that ends with its connection leaves no dead letters.
#[test]
fn the_end_of_a_connection_kills_no_messages() {
    let mut peer = Peer::with_channel();
    let dead = peer.shared_queue(1);
    let mut other = Peer::with_channel();
    let arguments = table([("x-dead-letter-exchange", "".into()), ("x-dead-letter-routing-key", dead.as_str().into())]);
    let queue = other.queue_with(1, &arguments);
    other.publish(1, "", &queue, "m");
    other.publish(1, "", &queue, "m");
    other.get(1, &queue).unwrap();
    other.close();
    peer.expect_no_queue(1, &queue);
    peer.expect_counts(1, &dead, 0, 0);
}

/// Without a routing key for dead letters they keep their own.
#[test]
fn a_dead_letter_keeps_its_routing_key() {
    let mut peer = Peer::with_channel();
    let (exchange, dead) = (peer.exchange(1, "topic"), peer.queue(1));
    peer.bind(1, &dead, &exchange, "#");
    let queue = peer.queue_with(1, &table([("x-dead-letter-exchange", exchange.as_str().into())]));
    peer.bind(1, &queue, "amq.direct", &unique("key"));
    let key = unique("key");
    peer.bind(1, &queue, "amq.direct", &key);
    peer.publish(1, "amq.direct", &key, "m");
    let (got, _) = peer.get(1, &queue).unwrap();
    peer.reject(1, got.delivery_tag);
    peer.consume_settled(1, &dead, "dead");
    let (deliver, content) = peer.delivery(1);
    assert_eq!((deliver.exchange.as_bytes(), deliver.routing_key.as_bytes()), (exchange.as_bytes(), key.as_bytes()));
    assert_eq!(content.text(), "m");
}

/// A routing key for dead letters takes the place of their own.
#[test]
fn a_dead_letter_may_get_another_routing_key() {
    let mut peer = Peer::with_channel();
    let (exchange, dead) = (peer.exchange(1, "direct"), peer.queue(1));
    peer.bind(1, &dead, &exchange, "dead");
    let arguments = table([
        ("x-dead-letter-exchange", exchange.as_str().into()),
        ("x-dead-letter-routing-key", "dead".into()),
        ("x-message-ttl", 1i32.into()),
    ]);
    let queue = peer.queue_with(1, &arguments);
    peer.publish(1, "", &queue, "m");
    peer.consume_settled(1, &dead, "dead");
    let (deliver, content) = peer.delivery(1);
    assert_eq!((deliver.routing_key.as_bytes(), content.text().as_str()), (&b"dead"[..], "m"));
    assert_eq!(content.deaths()[0].routing_keys, [queue]);
}

/// A dead-letter exchange need not be there, neither when the queue is declared nor when messages die.
#[test]
fn a_missing_dead_letter_exchange_swallows() {
    let mut peer = Peer::with_channel();
    let missing = unique("missing");
    let queue = peer.queue_with(1, &table([("x-dead-letter-exchange", missing.as_str().into())]));
    peer.publish(1, "", &queue, "lost");
    let (got, _) = peer.get(1, &queue).unwrap();
    peer.reject(1, got.delivery_tag);
    peer.expect_counts(1, &queue, 0, 0);
    // Once it is there, it is used.
    let kind = short("fanout");
    peer.declare_exchange(1, &leveret_spec::exchange::Declare { exchange: short(&missing), kind, ..default() });
    let dead = peer.queue(1);
    peer.bind(1, &dead, &missing, "");
    peer.publish(1, "", &queue, "found");
    let (got, _) = peer.get(1, &queue).unwrap();
    peer.reject(1, got.delivery_tag);
    peer.consume_settled(1, &dead, "dead");
    assert_eq!(peer.bodies(1, 1), ["found"]);
}

/// What the dead-letter exchange routes nowhere goes to its alternate exchange, as any message.
#[test]
fn dead_letters_take_the_alternate_exchange() {
    let mut peer = Peer::with_channel();
    let (last, dead) = (peer.exchange(1, "fanout"), peer.queue(1));
    peer.bind(1, &dead, &last, "");
    let alternate = peer.fanout_with(1, &table([("alternate-exchange", last.as_str().into())]));
    let queue = peer.queue_with(1, &table([("x-dead-letter-exchange", alternate.as_str().into())]));
    peer.publish(1, "", &queue, "m");
    let (got, _) = peer.get(1, &queue).unwrap();
    peer.reject(1, got.delivery_tag);
    peer.consume_settled(1, &dead, "dead");
    assert_eq!(peer.bodies(1, 1), ["m"]);
}

/// A dead-letter exchange may be internal.
#[test]
fn an_internal_exchange_takes_dead_letters() {
    let mut peer = Peer::with_channel();
    let (internal, dead) = (unique("internal"), peer.queue(1));
    let (exchange, kind) = (short(&internal), short("fanout"));
    let declare = leveret_spec::exchange::Declare { exchange, kind, internal: true, ..default() };
    peer.declare_exchange(1, &declare);
    peer.bind(1, &dead, &internal, "");
    let queue = peer.queue_with(1, &table([("x-dead-letter-exchange", internal.as_str().into())]));
    peer.publish(1, "", &queue, "m");
    let (got, _) = peer.get(1, &queue).unwrap();
    peer.reject(1, got.delivery_tag);
    peer.consume_settled(1, &dead, "dead");
    assert_eq!(peer.bodies(1, 1), ["m"]);
}

/// Messages that went round without anybody rejecting them are dropped when they come to a queue again.
#[test]
fn an_automatic_circle_ends() {
    let mut peer = Peer::with_channel();
    let name = unique("circle");
    let arguments = table([
        ("x-message-ttl", 1i32.into()),
        ("x-dead-letter-exchange", "".into()),
        ("x-dead-letter-routing-key", name.as_str().into()),
    ]);
    let (queue, arguments) = (short(&name), arguments.as_table());
    peer.declare(1, &queue::Declare { queue, exclusive: true, arguments, ..default() });
    peer.publish(1, "", &name, "m");
    // Of two queues in a circle, the first gets it once.
    let (there, back) = (unique("there"), unique("back"));
    for (name, other, ttl) in [(&there, &back, 1i32), (&back, &there, 50)] {
        let arguments = table([
            ("x-message-ttl", ttl.into()),
            ("x-dead-letter-exchange", "".into()),
            ("x-dead-letter-routing-key", other.as_str().into()),
        ]);
        let (queue, arguments) = (short(name), arguments.as_table());
        peer.declare(1, &queue::Declare { queue, exclusive: true, arguments, ..default() });
    }
    peer.publish(1, "", &there, "m");
    let (clock, rung) = peer.queue_with_dead_letters(1, default());
    peer.consume_settled(1, &rung, "clock");
    peer.publish_expiring(1, &clock, "300", "ding");
    assert_eq!(peer.bodies(1, 1), ["ding"]);
    peer.expect_counts(1, &name, 0, 0);
    peer.expect_counts(1, &there, 0, 0);
    peer.expect_counts(1, &back, 0, 0);
}

/// A circle in which somebody rejects goes on as long as he does: that is how retrying with a delay is built.
#[test]
fn a_circle_with_a_rejection_goes_on() {
    let mut peer = Peer::with_channel();
    let (work, wait) = (unique("work"), unique("wait"));
    let to = |other: &str| table([("x-dead-letter-exchange", "".into()), ("x-dead-letter-routing-key", other.into())]);
    let arguments = to(&wait);
    let (queue, exclusive) = (short(&work), true);
    peer.declare(1, &queue::Declare { queue, exclusive, arguments: arguments.as_table(), ..default() });
    let arguments = to(&work).with("x-message-ttl", 1i32).unwrap();
    let queue = short(&wait);
    peer.declare(1, &queue::Declare { queue, exclusive, arguments: arguments.as_table(), ..default() });
    peer.consume(1, &work, "worker");
    peer.publish(1, "", &work, "m");
    for round in 1..=4 {
        let (deliver, content) = peer.delivery(1);
        let deaths = content.deaths();
        let told: Vec<_> = deaths.iter().map(|death| death.told()).collect();
        let expected = [("expired", wait.as_str(), round - 1), ("rejected", work.as_str(), round - 1)];
        assert_eq!(told, if round == 1 { &[][..] } else { &expected[..] });
        if round < 4 {
            peer.reject(1, deliver.delivery_tag);
        } else {
            peer.ack(1, deliver.delivery_tag);
        }
    }
    peer.expect_nothing(1);
}

/// A dead letter goes to every key of CC too, unless the queue has a key for it.
#[test]
fn dead_letters_follow_their_copies() {
    let mut peer = Peer::with_channel();
    let (exchange, one, two) = (peer.exchange(1, "direct"), peer.queue(1), peer.queue(1));
    peer.bind(1, &two, &exchange, "two");
    let queue = peer.queue_with(1, &table([("x-dead-letter-exchange", exchange.as_str().into())]));
    peer.bind(1, &one, &exchange, &queue);
    let copies = texts_of(["two"]);
    peer.publish_headed(1, "", &queue, &table([("CC", Value::Array(copies.as_array()))]), "m");
    let (got, _) = peer.get(1, &queue).unwrap();
    peer.reject(1, got.delivery_tag);
    for dead in [&one, &two] {
        peer.consume_settled(1, dead, dead);
        let (_, content) = peer.delivery(1);
        assert_eq!(content.deaths()[0].routing_keys, [queue.as_str(), "two"]);
    }
}

/// A queue's own key for dead letters is the only one: the copies end there. (What then becomes of the header CC differs.)
#[test]
fn a_key_for_dead_letters_ends_the_copies() {
    let mut peer = Peer::with_channel();
    let (exchange, one, two) = (peer.exchange(1, "direct"), peer.queue(1), peer.queue(1));
    peer.bind(1, &one, &exchange, "one");
    peer.bind(1, &two, &exchange, "two");
    let arguments =
        table([("x-dead-letter-exchange", exchange.as_str().into()), ("x-dead-letter-routing-key", "one".into())]);
    let queue = peer.queue_with(1, &arguments);
    let copies = texts_of(["two"]);
    peer.publish_headed(1, "", &queue, &table([("CC", Value::Array(copies.as_array()))]), "m");
    let (got, _) = peer.get(1, &queue).unwrap();
    peer.reject(1, got.delivery_tag);
    peer.consume_settled(1, &one, "one");
    let (_, content) = peer.delivery(1);
    assert_eq!(content.deaths()[0].routing_keys, [queue.as_str(), "two"]);
    if Difference::DeadLettersLoseCopies.holds() {
        assert_eq!(content.headers().lookup("CC"), None);
    }
    peer.expect_counts(1, &two, 0, 0);
}

/// Blind copies are nowhere to be seen after death either.
#[test]
fn dead_letters_tell_nothing_of_blind_copies() {
    let mut peer = Peer::with_channel();
    let (queue, dead) = peer.queue_with_dead_letters(1, default());
    let other = peer.queue(1);
    let copies = texts_of([other.as_str()]);
    peer.publish_headed(1, "", &queue, &table([("BCC", Value::Array(copies.as_array()))]), "m");
    assert_eq!(peer.drain(1, &other), ["m"]);
    let (got, content) = peer.get(1, &queue).unwrap();
    assert_eq!(content.headers().lookup("BCC"), None);
    peer.reject(1, got.delivery_tag);
    peer.consume_settled(1, &dead, "dead");
    let (_, content) = peer.delivery(1);
    assert_eq!(content.headers().lookup("BCC"), None);
    assert!(!format!("{:?}", content.headers()).contains(&other), "{:?}", content.headers());
}

/// A key for dead letters needs an exchange for them; both are texts.
#[test]
fn dead_letter_arguments_are_checked() {
    let mut peer = Peer::with_channel();
    let name = unique("dead-letters");
    let place = texts::queue(&name);
    let list = ArrayBuf::new();
    let cases: [(&str, Value<'_>, String); 4] = [
        (
            "x-dead-letter-routing-key",
            "k".into(),
            format!("invalid arg 'x-dead-letter-routing-key' for {place}: routing_key_but_no_dlx_defined"),
        ),
        (
            "x-dead-letter-exchange",
            Value::I32(1),
            format!("invalid type 'signedint' for arg 'x-dead-letter-exchange' in {place}"),
        ),
        (
            "x-dead-letter-exchange",
            Value::Array(list.as_array()),
            format!("invalid type 'array' for arg 'x-dead-letter-exchange' in {place}"),
        ),
        (
            "x-dead-letter-exchange",
            Value::Bool(true),
            format!("invalid type 'bool' for arg 'x-dead-letter-exchange' in {place}"),
        ),
    ];
    for (argument, value, text) in cases {
        let arguments = table([(argument, value)]);
        let arguments = arguments.as_table();
        peer.refused(1, &queue::Declare { queue: short(&name), exclusive: true, arguments, ..default() }, 406, &text);
    }
}

/// Many dead letters at once keep their order.
#[test]
fn dead_letters_keep_their_order() {
    let mut peer = Peer::with_channel();
    let (queue, dead) = peer.queue_with_dead_letters(1, table([("x-max-length", 10i32.into())]));
    peer.consume_settled(1, &dead, "dead");
    for n in 0..200 {
        peer.publish(1, "", &queue, n.to_string());
    }
    assert_eq!(peer.bodies(1, 190), (0..190).map(|n| n.to_string()).collect::<Vec<_>>());
    assert_eq!(peer.drain(1, &queue), (190..200).map(|n| n.to_string()).collect::<Vec<_>>());
}

/// A dead letter of a persistent message is persistent; whatever else it was, it is still.
#[test]
fn a_dead_letter_keeps_its_properties() {
    let mut peer = Peer::with_channel();
    let (queue, dead) = peer.queue_with_dead_letters(1, default());
    let headers = table([("mine", "kept".into())]);
    let properties = Properties {
        headers: Some(headers.as_table()),
        delivery_mode: Some(2),
        priority: Some(3),
        content_type: Some(octets("text/plain")),
        correlation_id: Some(octets("c")),
        reply_to: Some(octets("r")),
        message_id: Some(octets("m")),
        timestamp: Some(1_700_000_000),
        ..default()
    };
    peer.publish_as(1, "", &queue, &properties, "m");
    let (got, _) = peer.get(1, &queue).unwrap();
    peer.reject(1, got.delivery_tag);
    peer.consume_settled(1, &dead, "dead");
    let (_, content) = peer.delivery(1);
    let kept = content.properties();
    assert_eq!(kept.headers.and_then(|h| h.lookup("mine")), Some("kept".into()));
    assert_eq!(Properties { headers: None, ..kept }, Properties { headers: None, ..properties });
}
