//! RabbitMQ's dead letters: what they tell of their deaths, in the headers x-death, x-first-death-* and x-last-death-*.

use leveret_spec::{Properties, TableBuf, Value, queue};
use leveret_tests::{Content, Death, Difference, Peer, default, octets, short, table, unique};

/// Takes a queue's first message and rejects it.
#[track_caller]
fn reject_one(peer: &mut Peer, queue: &str) {
    peer.consume(1, queue, "rejecting");
    let (deliver, _) = peer.delivery(1);
    peer.reject(1, deliver.delivery_tag);
    peer.cancel(1, "rejecting");
}

/// Waits for a queue's next message.
#[track_caller]
fn take(peer: &mut Peer, queue: &str) -> Content {
    peer.consume(1, queue, "taking");
    let (deliver, content) = peer.delivery(1);
    peer.ack(1, deliver.delivery_tag);
    peer.cancel(1, "taking");
    content
}

/// An entry has the reason, the queue, how often, when, and how the message had been published.
#[test]
fn a_death_is_told_completely() {
    let mut peer = Peer::with_channel();
    let (queue, dead) = peer.queue_with_dead_letters(1, default());
    let (exchange, key) = (peer.exchange(1, "direct"), unique("key"));
    peer.bind(1, &queue, &exchange, &key);
    peer.publish(1, &exchange, &key, "m");
    reject_one(&mut peer, &queue);
    let content = take(&mut peer, &dead);
    let death = Death {
        reason: "rejected".into(),
        queue: queue.clone(),
        count: 1,
        exchange: exchange.clone(),
        routing_keys: vec![key],
        original_expiration: None,
    };
    assert_eq!(content.deaths(), [death]);
    let Some(Value::Array(deaths)) = content.headers().lookup("x-death") else { panic!("{:?}", content.headers()) };
    let Some(Value::Table(entry)) = deaths.iter().next() else { panic!("{deaths:?}") };
    assert_eq!(entry.lookup("count"), Some(Value::I64(1)), "a count is a long integer");
    for (header, value) in
        [("x-first-death-reason", "rejected"), ("x-first-death-queue", &queue), ("x-first-death-exchange", &exchange)]
    {
        assert_eq!(content.header(header), Some(value));
    }
}

/// The expiration goes, so that the message does not expire again, and is told.
#[test]
fn an_expiration_is_taken_and_told() {
    let mut peer = Peer::with_channel();
    let (queue, dead) = peer.queue_with_dead_letters(1, default());
    peer.publish_expiring(1, &queue, "5", "expired");
    let content = take(&mut peer, &dead);
    assert_eq!(content.properties().expiration, None);
    assert_eq!(content.deaths()[0].original_expiration.as_deref(), Some("5"));
    assert_eq!(content.deaths()[0].told(), ("expired", queue.as_str(), 1));
    // Whatever the reason was.
    peer.publish_expiring(1, &queue, "3600000", "rejected");
    reject_one(&mut peer, &queue);
    let content = take(&mut peer, &dead);
    assert_eq!(content.properties().expiration, None);
    assert_eq!(content.deaths()[0].original_expiration.as_deref(), Some("3600000"));
}

/// A full queue is a reason of its own.
#[test]
fn a_full_queue_is_a_reason() {
    let mut peer = Peer::with_channel();
    for arguments in [table([("x-max-length", 1i32.into())]), table([("x-max-length-bytes", 3i32.into())])] {
        let (queue, dead) = peer.queue_with_dead_letters(1, arguments);
        for body in ["old", "new"] {
            peer.publish(1, "", &queue, body);
        }
        let content = take(&mut peer, &dead);
        assert_eq!(content.text(), "old");
        assert_eq!(content.deaths()[0].told(), ("maxlen", queue.as_str(), 1));
        assert_eq!(content.header("x-first-death-reason"), Some("maxlen"));
    }
}

/// The latest death is told first, the first of all is kept in headers of its own.
#[test]
fn deaths_pile_up() {
    let mut peer = Peer::with_channel();
    let (second, dead) = peer.queue_with_dead_letters(1, default());
    let arguments = table([
        ("x-message-ttl", 1i32.into()),
        ("x-dead-letter-exchange", "".into()),
        ("x-dead-letter-routing-key", second.as_str().into()),
    ]);
    let first = peer.queue_with(1, &arguments);
    peer.publish(1, "", &first, "m");
    reject_one(&mut peer, &second);
    let content = take(&mut peer, &dead);
    let deaths = content.deaths();
    assert_eq!(deaths[0].told(), ("rejected", second.as_str(), 1));
    assert_eq!(deaths[1].told(), ("expired", first.as_str(), 1));
    assert_eq!((deaths[0].routing_keys.as_slice(), deaths.len()), (&[second.clone()][..], 2));
    for (header, value) in
        [("x-first-death-reason", "expired"), ("x-first-death-queue", &first), ("x-first-death-exchange", "")]
    {
        assert_eq!(content.header(header), Some(value));
    }
    if Difference::LastDeathTold.holds() {
        for (header, value) in
            [("x-last-death-reason", "rejected"), ("x-last-death-queue", &second), ("x-last-death-exchange", "")]
        {
            assert_eq!(content.header(header), Some(value));
        }
    }
}

/// One queue and one reason have one entry, which counts and moves to the front.
#[test]
fn the_same_death_is_counted() {
    let mut peer = Peer::with_channel();
    let name = unique("loop");
    let arguments = table([("x-dead-letter-exchange", "".into()), ("x-dead-letter-routing-key", name.as_str().into())]);
    let (queue, arguments) = (short(&name), arguments.as_table());
    peer.declare(1, &queue::Declare { queue, exclusive: true, arguments, ..default() });
    peer.publish(1, "", &name, "m");
    peer.consume(1, &name, "rejecting");
    let (deliver, _) = peer.delivery(1);
    peer.reject(1, deliver.delivery_tag);
    for count in 1..=3 {
        let (deliver, content) = peer.delivery(1);
        let deaths = content.deaths();
        assert_eq!(deaths.iter().map(Death::told).collect::<Vec<_>>(), [("rejected", name.as_str(), count)]);
        peer.reject(1, deliver.delivery_tag);
    }
}

/// One queue and two reasons have two entries.
#[test]
fn every_reason_has_its_own_entry() {
    let mut peer = Peer::with_channel();
    let (work, wait) = (unique("work"), unique("wait"));
    let to = |other: &str| table([("x-dead-letter-exchange", "".into()), ("x-dead-letter-routing-key", other.into())]);
    for (name, arguments) in [(&work, to(&wait)), (&wait, to(&work))] {
        let (queue, arguments) = (short(name), arguments.as_table());
        peer.declare(1, &queue::Declare { queue, exclusive: true, arguments, ..default() });
    }
    peer.publish(1, "", &work, "m");
    reject_one(&mut peer, &work);
    reject_one(&mut peer, &wait);
    reject_one(&mut peer, &work);
    let content = take(&mut peer, &wait);
    let deaths = content.deaths();
    let told: Vec<_> = deaths.iter().map(Death::told).collect();
    assert_eq!(told, [("rejected", work.as_str(), 2), ("rejected", wait.as_str(), 1)]);
}

/// Publishes what an earlier death has left in the headers, as a client does that retries by publishing again.
fn publish_again(peer: &mut Peer, queue: &str, content: &Content) {
    let headers = content.headers();
    peer.publish_as(1, "", queue, &Properties { headers: Some(headers), ..default() }, &content.body);
}

/// Where a client publishes a dead letter again with its headers, its deaths go on being counted.
#[test]
fn a_client_may_bring_deaths_along() {
    let mut peer = Peer::with_channel();
    let (queue, dead) = peer.queue_with_dead_letters(1, default());
    peer.publish(1, "", &queue, "m");
    for count in 1..=3 {
        reject_one(&mut peer, &queue);
        let content = take(&mut peer, &dead);
        let deaths = content.deaths();
        if Difference::ClientsDeathsMerged.holds() {
            assert_eq!(deaths.iter().map(Death::told).collect::<Vec<_>>(), [("rejected", queue.as_str(), count)]);
        } else {
            assert_eq!(deaths[0].told(), ("rejected", queue.as_str(), 1));
        }
        publish_again(&mut peer, &queue, &content);
    }
}

/// What a client claims of deaths does not keep its message from any queue.
#[test]
fn claimed_deaths_end_no_circle() {
    let mut peer = Peer::with_channel();
    let (queue, dead) = peer.queue_with_dead_letters(1, table([("x-message-ttl", 1i32.into())]));
    peer.publish(1, "", &queue, "m");
    let content = take(&mut peer, &dead);
    assert_eq!(content.deaths()[0].told(), ("expired", queue.as_str(), 1));
    publish_again(&mut peer, &queue, &content);
    let content = take(&mut peer, &dead);
    assert_eq!(content.deaths()[0].queue, queue);
}

/// An x-death that is no list of tables does not matter to anybody.
#[test]
fn nonsense_in_the_header_does_no_harm() {
    let mut peer = Peer::with_channel();
    let (queue, dead) = peer.queue_with_dead_letters(1, default());
    let nonsense: [TableBuf; 2] = [table([("x-death", "nonsense".into())]), table([("x-death", Value::I32(7))])];
    for headers in nonsense {
        peer.publish_headed(1, "", &queue, &headers, "m");
        reject_one(&mut peer, &queue);
        let content = take(&mut peer, &dead);
        assert_eq!(content.text(), "m");
    }
    peer.publish(1, "", &queue, "still works");
    reject_one(&mut peer, &queue);
    assert_eq!(take(&mut peer, &dead).deaths()[0].count, 1);
}

/// An old message's expiration that is told once is told in that entry only.
#[test]
fn a_second_death_has_no_expiration_to_tell() {
    let mut peer = Peer::with_channel();
    let (second, dead) = peer.queue_with_dead_letters(1, default());
    let arguments =
        table([("x-dead-letter-exchange", "".into()), ("x-dead-letter-routing-key", second.as_str().into())]);
    let first = peer.queue_with(1, &arguments);
    let properties = Properties { expiration: Some(octets("2")), ..default() };
    peer.publish_as(1, "", &first, &properties, "m");
    reject_one(&mut peer, &second);
    let deaths = take(&mut peer, &dead).deaths();
    assert_eq!(deaths.iter().map(|d| d.original_expiration.as_deref()).collect::<Vec<_>>(), [None, Some("2")]);
}

/// A dead letter that its first queue had delivered is new where it goes.
#[test]
fn a_dead_letter_is_delivered_for_the_first_time() {
    let mut peer = Peer::with_channel();
    let (queue, dead) = peer.queue_with_dead_letters(1, default());
    peer.publish(1, "", &queue, "m");
    peer.consume(1, &queue, "c");
    let (deliver, _) = peer.delivery(1);
    peer.requeue(1, deliver.delivery_tag);
    let (deliver, _) = peer.delivery(1);
    assert!(deliver.redelivered);
    peer.reject(1, deliver.delivery_tag);
    peer.publish(1, "", &queue, "m");
    let (deliver, _) = peer.delivery(1);
    peer.reject(1, deliver.delivery_tag);
    peer.consume_settled(1, &dead, "dead");
    for _ in 0..2 {
        let (deliver, _) = peer.delivery(1);
        assert!(!deliver.redelivered || !Difference::DeadLettersAreNew.holds());
    }
}
