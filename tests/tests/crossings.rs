//! Where two of RabbitMQ's extensions meet: dead letters with limits and users, answers with returns, and the like.

use leveret_spec::{Properties, TableBuf, Value, basic, queue, tx};
use leveret_tests::{Peer, default, octets, short, table, target, unique};

/// Declares an exclusive queue whose dead letters come back to it.
fn own_dead_letters(peer: &mut Peer, arguments: TableBuf) -> String {
    let name = unique("own-dead-letters");
    let arguments = arguments.with("x-dead-letter-exchange", "").expect("a short key");
    let arguments = arguments.with("x-dead-letter-routing-key", name.as_str()).expect("a short key");
    let (queue, arguments) = (short(&name), arguments.as_table());
    peer.declare(1, &queue::Declare { queue, exclusive: true, arguments, ..default() });
    name
}

/// A full queue whose dead letters come back to it does not go round for ever.
#[test]
fn a_full_queue_does_not_feed_itself() {
    let mut peer = Peer::with_channel();
    let name = own_dead_letters(&mut peer, table([("x-max-length", 1i32.into())]));
    for body in ["first", "second", "third"] {
        peer.publish(1, "", &name, body);
    }
    peer.expect_counts(1, &name, 1, 0);
    assert_eq!(peer.drain(1, &name), ["third"]);
    let refusing = table([("x-max-length", 1i32.into()), ("x-overflow", "reject-publish-dlx".into())]);
    let name = own_dead_letters(&mut peer, refusing);
    for body in ["first", "second", "third"] {
        peer.publish(1, "", &name, body);
    }
    peer.expect_counts(1, &name, 1, 0);
    assert_eq!(peer.drain(1, &name), ["first"]);
}

/// A dead letter may carry its publisher's name: nobody compares it again.
#[test]
fn a_dead_letter_keeps_its_user() {
    let mut peer = Peer::with_channel();
    let (name, dead) = peer.queue_with_dead_letters(1, default());
    let properties = Properties { user_id: Some(octets(target().user())), ..default() };
    peer.publish_as(1, "", &name, &properties, "m");
    let (got, _) = peer.get(1, &name).unwrap();
    peer.reject(1, got.delivery_tag);
    peer.consume_settled(1, &dead, "dead");
    let (_, content) = peer.delivery(1);
    assert_eq!(content.properties().user_id, Some(octets(target().user())));
}

/// Dead letters can be sorted by why and where they died first.
#[test]
fn dead_letters_can_be_sorted_by_their_headers() {
    let mut peer = Peer::with_channel();
    let (exchange, rejected, expired) = (peer.exchange(1, "headers"), peer.queue(1), peer.queue(1));
    for (queue, reason) in [(&rejected, "rejected"), (&expired, "expired")] {
        let arguments = table([("x-match", "all-with-x".into()), ("x-first-death-reason", reason.into())]);
        peer.bind_with(1, queue, &exchange, "", &arguments);
    }
    let name = peer.queue_with(1, &table([("x-dead-letter-exchange", exchange.as_str().into())]));
    peer.publish_expiring(1, &name, "0", "expired");
    peer.consume_settled(1, &expired, "expired");
    assert_eq!(peer.bodies(1, 1), ["expired"]);
    peer.publish(1, "", &name, "rejected");
    let (got, _) = peer.get(1, &name).unwrap();
    peer.reject(1, got.delivery_tag);
    peer.consume_settled(1, &rejected, "rejected");
    assert_eq!(peer.bodies(1, 1), ["rejected"]);
}

/// A mandatory message that expires at once was routed: it does not come back.
#[test]
fn what_expires_at_once_is_not_returned() {
    let mut peer = Peer::with_channel();
    let name = peer.queue_with(1, &table([("x-message-ttl", 0i32.into())]));
    peer.publish_mandatory(1, "", &name, "m");
    peer.expect_nothing(1);
}

/// A mandatory message that dies later does not come back either, though its dead letter leads nowhere.
#[test]
fn a_dead_letter_is_not_returned() {
    let mut peer = Peer::with_channel();
    let arguments = table([("x-dead-letter-exchange", "".into()), ("x-dead-letter-routing-key", "nowhere".into())]);
    let name = peer.queue_with(1, &arguments);
    peer.publish_mandatory(1, "", &name, "m");
    let (got, _) = peer.get(1, &name).unwrap();
    peer.reject(1, got.delivery_tag);
    peer.expect_counts(1, &name, 0, 0);
    peer.expect_nothing(1);
}

/// A request that comes back has the name for its answer that it left with.
#[test]
fn a_returned_request_has_its_name() {
    let mut peer = Peer::with_channel();
    peer.consume_settled(1, "amq.rabbitmq.reply-to", "answers");
    let nowhere = unique("nowhere");
    let publish = basic::Publish { routing_key: octets(nowhere.as_str()), mandatory: true, ..default() };
    let properties = Properties { reply_to: Some(octets("amq.rabbitmq.reply-to")), ..default() };
    peer.publish_method(1, &publish, &properties, b"request");
    let (_, content) = peer.expect_content::<basic::Return>(1);
    let reply_to = content.properties().reply_to.unwrap();
    assert!(reply_to.as_bytes().starts_with(b"amq.rabbitmq.reply-to."), "{reply_to:?}");
}

/// A transaction's rejections become dead letters in the order of the queue.
#[test]
fn a_transactions_dead_letters_keep_their_order() {
    let mut peer = Peer::with_channel();
    let (name, dead) = peer.queue_with_dead_letters(1, default());
    for n in 0..4 {
        peer.publish(1, "", &name, n.to_string());
    }
    peer.call::<tx::SelectOk>(1, &tx::Select {});
    for _ in 0..4 {
        peer.get(1, &name).unwrap();
    }
    peer.send(1, &basic::Nack { delivery_tag: 0, multiple: true, requeue: false });
    peer.call::<tx::CommitOk>(1, &tx::Commit {});
    peer.consume_settled(1, &dead, "dead");
    assert_eq!(peer.bodies(1, 4), ["0", "1", "2", "3"]);
}

/// Priorities hold for dead letters as for other messages.
#[test]
fn dead_letters_have_their_priority() {
    let mut peer = Peer::with_channel();
    let dead = peer.queue_with(1, &table([("x-max-priority", 5i32.into())]));
    let arguments = table([("x-dead-letter-exchange", "".into()), ("x-dead-letter-routing-key", dead.as_str().into())]);
    let name = peer.queue_with(1, &arguments);
    for priority in [1, 5, 3] {
        let properties = Properties { priority: Some(priority), ..default() };
        peer.publish_as(1, "", &name, &properties, priority.to_string());
        let (got, _) = peer.get(1, &name).unwrap();
        peer.reject(1, got.delivery_tag);
    }
    // Each may be on its way still.
    assert!((0..10_000).any(|_| peer.counts(1, &dead).0 == 3));
    assert_eq!(peer.drain(1, &dead), ["5", "3", "1"]);
}

/// A chain of queues that only wait: each message comes out at the end, once, with all its deaths.
#[test]
fn delays_can_be_chained() {
    let mut peer = Peer::with_channel();
    let mut next = peer.queue(1);
    peer.consume_settled(1, &next, "end");
    let mut names = vec![];
    for _ in 0..12 {
        let arguments = table([
            ("x-message-ttl", 1i32.into()),
            ("x-dead-letter-exchange", "".into()),
            ("x-dead-letter-routing-key", next.as_str().into()),
        ]);
        next = peer.queue_with(1, &arguments);
        names.push(next.clone());
    }
    peer.publish(1, "", &next, "m");
    let (_, content) = peer.delivery(1);
    // RabbitMQ 3 tells the latest first and mixes up the others.
    let mut queues: Vec<_> = content.deaths().into_iter().map(|death| death.queue).collect();
    assert_eq!(queues[0], names[0]);
    for list in [&mut queues, &mut names] {
        list.sort();
    }
    assert_eq!(queues, names);
}

/// A single active consumer in a queue with priorities gets them in their order.
#[test]
fn an_active_consumer_gets_priorities() {
    let mut peer = Peer::with_channel();
    let arguments = table([("x-single-active-consumer", true.into()), ("x-max-priority", 5i32.into())]);
    let name = peer.queue_with(1, &arguments);
    for priority in [1, 5, 3] {
        peer.publish_as(1, "", &name, &Properties { priority: Some(priority), ..default() }, priority.to_string());
    }
    peer.consume_settled(1, &name, "c");
    assert_eq!(peer.bodies(1, 3), ["5", "3", "1"]);
}

/// A message that is requeued into a full queue that refuses is no publish: it stays.
#[test]
fn a_full_queue_takes_back() {
    let mut peer = Peer::with_channel();
    let arguments = table([("x-max-length", 1i32.into()), ("x-overflow", "reject-publish".into())]);
    let name = peer.queue_with(1, &arguments);
    peer.publish(1, "", &name, "first");
    let (got, _) = peer.get(1, &name).unwrap();
    peer.publish(1, "", &name, "second");
    peer.expect_counts(1, &name, 1, 0);
    peer.requeue(1, got.delivery_tag);
    peer.expect_counts(1, &name, 2, 0);
    assert_eq!(peer.drain(1, &name), ["first", "second"]);
}

/// Deaths of a message that goes to two queues are each queue's own.
#[test]
fn every_copy_dies_its_own_death() {
    let mut peer = Peer::with_channel();
    let exchange = peer.exchange(1, "fanout");
    let (one, dead_of_one) = peer.queue_with_dead_letters(1, default());
    let (two, dead_of_two) = peer.queue_with_dead_letters(1, default());
    for name in [&one, &two] {
        peer.bind(1, name, &exchange, "");
    }
    peer.publish_headed(1, &exchange, "", &table([("mine", Value::I32(1))]), "m");
    for (name, dead) in [(&one, &dead_of_one), (&two, &dead_of_two)] {
        peer.expect_counts(1, name, 1, 0);
        let (got, _) = peer.get(1, name).unwrap();
        peer.reject(1, got.delivery_tag);
        peer.consume_settled(1, dead, dead);
        let (_, content) = peer.delivery(1);
        let deaths = content.deaths();
        assert_eq!((deaths.len(), deaths[0].told()), (1, ("rejected", name.as_str(), 1)));
    }
}
