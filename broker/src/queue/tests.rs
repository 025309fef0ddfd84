//! What a queue promises: order, turns, credit, time, limits.

use std::time::Duration;

use leveret_spec::{Properties, ShortBytes, TableBuf, Value};

use super::*;

mod durable;

/// A queue with arguments, and consumers whose mailboxes are looked into.
struct Bench {
    queue: Arc<Queue>,
    turn: Turn,
}

impl Bench {
    fn new() -> Self {
        Bench::with(&[])
    }

    fn with(arguments: &[(&str, Value<'_>)]) -> Self {
        let mut table = TableBuf::new();
        for (name, value) in arguments {
            table.insert(name, *value).unwrap();
        }
        let settings = Settings::of(table.as_table(), &"").unwrap();
        let declaration = Declaration { arguments: table, ..Declaration::default() };
        let now = Moment::default();
        Bench {
            queue: Queue::new("q".into(), "/".into(), declaration, settings, Arc::default(), now, None),
            turn: Turn::at(now),
        }
    }

    fn advance(&mut self, ms: u64) {
        self.turn.now = self.turn.now + Duration::from_millis(ms);
    }

    fn publish(&mut self, bodies: &str) -> Accepted {
        self.publish_with(bodies, &Properties::default())
    }

    fn publish_with(&mut self, bodies: &str, properties: &Properties<'_>) -> Accepted {
        let mut batch = bodies.split(' ').map(|body| Message::compose("x", "q", properties, body.as_bytes())).collect();
        self.queue.publish(&mut batch, &Arc::default(), &mut self.turn)
    }

    fn consumer(&mut self, prefetch: u16) -> TestConsumer {
        self.consumer_with(prefetch, 0, &Arc::default())
    }

    fn consumer_with(&mut self, prefetch: u16, priority: i32, shared: &Arc<SharedLimit>) -> TestConsumer {
        let mailbox = Arc::new(Mailbox::default());
        let consumer = Consumer {
            channel: 1,
            source: 0,
            mailbox: mailbox.clone(),
            no_ack: false,
            prefetch,
            shared: shared.clone(),
            priority,
        };
        let key = self.queue.subscribe(consumer, false, &mut self.turn).unwrap();
        TestConsumer { mailbox, key, held: vec![] }
    }

    fn ack(&mut self, consumer: &mut TestConsumer) {
        let count = consumer.held.drain(..).count();
        self.queue.settle(Some(consumer.key), count, Default::default(), &mut self.turn);
    }

    fn requeue(&mut self, consumer: &mut TestConsumer) {
        let returning = Returning { delivered: consumer.held.drain(..).collect(), ..Returning::default() };
        self.queue.requeue(Some(consumer.key), returning, &mut self.turn);
    }

    /// What is ready, in the order in which it would be delivered.
    fn ready(&mut self) -> String {
        let mut entries = vec![];
        while let Some((entry, _)) = self.queue.get(true, &mut self.turn).unwrap() {
            entries.push(entry);
        }
        bodies(&entries)
    }

    fn dead(&mut self) -> Vec<(String, Death)> {
        self.turn.dead.drain(..).map(|d| (String::from_utf8_lossy(d.message.body()).into_owned(), d.death)).collect()
    }
}

struct TestConsumer {
    mailbox: Arc<Mailbox>,
    key: ConsumerKey,
    held: Vec<Entry>,
}

impl TestConsumer {
    /// What has come since the last look.
    fn received(&mut self) -> String {
        let mut inbox = Inbox::default();
        self.mailbox.collect(&mut inbox);
        let entries: Vec<_> = inbox.deliveries.into_iter().map(|d| d.entry).collect();
        let bodies = bodies(&entries);
        self.held.extend(entries);
        bodies
    }
}

fn bodies(entries: &[Entry]) -> String {
    let bodies: Vec<_> = entries.iter().map(|e| String::from_utf8_lossy(e.message.body())).collect();
    bodies.join(" ")
}

#[test]
fn two_idle_consumers_take_turns() {
    let mut bench = Bench::new();
    let (mut a, mut b) = (bench.consumer(0), bench.consumer(0));
    bench.publish("1 2 3 4 5");
    assert_eq!((a.received(), b.received()), ("1 3 5".into(), "2 4".into()));
    bench.publish("6 7");
    assert_eq!((a.received(), b.received()), ("7".into(), "6".into()));
}

#[test]
fn a_busy_worker_with_prefetch_1_gets_nothing_more() {
    let mut bench = Bench::new();
    let (mut busy, mut quick) = (bench.consumer(1), bench.consumer(1));
    bench.publish("1 2 3 4");
    assert_eq!((busy.received(), quick.received()), ("1".into(), "2".into()));
    bench.ack(&mut quick);
    assert_eq!(quick.received(), "3");
    bench.ack(&mut quick);
    assert_eq!((quick.received(), busy.received()), ("4".into(), String::new()));
}

#[test]
fn a_higher_priority_consumer_gets_everything_while_it_has_credit() {
    let mut bench = Bench::new();
    let mut low = bench.consumer_with(0, 0, &Arc::default());
    let mut high = bench.consumer_with(2, 5, &Arc::default());
    bench.publish("1 2 3 4");
    assert_eq!((high.received(), low.received()), ("1 2".into(), "3 4".into()));
    bench.ack(&mut high);
    bench.publish("5");
    assert_eq!(high.received(), "5");
}

#[test]
fn consumers_of_a_channel_share_its_limit() {
    let mut bench = Bench::new();
    let shared = Arc::new(SharedLimit::default());
    shared.set(3, 0);
    let mut a = bench.consumer_with(0, 0, &shared);
    let mut b = bench.consumer_with(0, 0, &shared);
    bench.publish("1 2 3 4 5");
    assert_eq!((a.received(), b.received()), ("1 3".into(), "2".into()));
    shared.release(2);
    // The channel lets all its consumers try again.
    bench.queue.resume(b.key, &mut bench.turn);
    bench.ack(&mut a);
    assert_eq!((a.received(), b.received()), (String::new(), "4 5".into()));
}

#[test]
fn a_nacked_message_returns_to_its_place_as_redelivered() {
    let mut bench = Bench::new();
    let mut consumer = bench.consumer(2);
    bench.publish("1 2 3 4");
    consumer.received();
    bench.requeue(&mut consumer);
    assert_eq!(consumer.received(), "1 2");
    assert!(consumer.held.iter().all(Entry::redelivered));
    assert_eq!(bench.ready(), "3 4");
}

#[test]
fn a_consumer_that_does_not_read_gets_a_window_and_no_more() {
    let mut bench = Bench::new();
    let (mut stuck, mut other) = (bench.consumer(0), bench.consumer(0));
    let body = "x".repeat(1000);
    for _ in 0..1000 {
        bench.publish(&body);
        other.received();
    }
    let got = stuck.received().split(' ').count();
    assert!((200..300).contains(&got), "{got}");
    assert_eq!(other.held.len() + got, 1000);
    // It has read now, and hears that there is room again.
    bench.queue.resume(stuck.key, &mut bench.turn);
    bench.publish(&body);
    bench.publish(&body);
    assert!(!stuck.received().is_empty());
}

#[test]
fn a_publisher_far_ahead_of_consumers_pauses_until_half_is_gone() {
    let mut bench = Bench::new();
    let publisher = Arc::new(Mailbox::default());
    let body = vec![b'x'; 1000];
    let batch = || vec![Message::compose("x", "q", &Properties::default(), &body); 700];
    assert_eq!(bench.queue.publish(&mut batch(), &publisher, &mut bench.turn), Accepted::Yes, "nobody consumes");
    let mut slow = bench.consumer(100);
    assert_eq!(bench.queue.publish(&mut batch(), &publisher, &mut bench.turn), Accepted::FarAhead(1));
    while bench.queue.counts().0 > 300 {
        assert!(!publisher.take_publisher_resumed());
        slow.received();
        bench.ack(&mut slow);
    }
    while bench.queue.counts().0 > 200 {
        slow.received();
        bench.ack(&mut slow);
    }
    assert!(publisher.take_publisher_resumed());
}

#[test]
fn consumers_whose_sockets_are_full_make_pauses_long_and_end_them() {
    let mut bench = Bench::new();
    let publisher = Arc::new(Mailbox::default());
    let body = vec![b'x'; 1000];
    let batch = |count| vec![Message::compose("x", "q", &Properties::default(), &body); count];
    let mut consumer = bench.consumer(0);
    let pauses = bench.queue.publish(&mut batch(2000), &publisher, &mut bench.turn);
    assert_eq!(pauses, Accepted::FarAhead(PAUSES_FOR_SOCKETS));
    while bench.queue.counts().0 > 200 {
        consumer.received();
        bench.queue.resume(consumer.key, &mut bench.turn);
    }
    assert!(publisher.take_publisher_resumed());
    // One without credit does not make them longer.
    consumer.received();
    bench.queue.unsubscribe(consumer.key, bench.turn.now);
    let _slow = bench.consumer(1);
    assert_eq!(bench.queue.publish(&mut batch(1000), &publisher, &mut bench.turn), Accepted::FarAhead(1));
}

#[test]
fn publishers_that_pause_go_on_one_by_one_and_are_forgotten_when_they_are_gone() {
    let mut bench = Bench::new();
    let body = vec![b'x'; 1000];
    let batch = || vec![Message::compose("x", "q", &Properties::default(), &body); 700];
    let mut slow = bench.consumer(100);
    for _ in 0..3 {
        let gone = Arc::new(Mailbox::default());
        assert_eq!(bench.queue.publish(&mut batch(), &gone, &mut bench.turn), Accepted::FarAhead(1));
    }
    let (first, second) = (Arc::new(Mailbox::default()), Arc::new(Mailbox::default()));
    assert_eq!(bench.queue.publish(&mut batch(), &first, &mut bench.turn), Accepted::FarAhead(1));
    assert_eq!(bench.queue.publish(&mut batch(), &second, &mut bench.turn), Accepted::FarAhead(2));
    while !first.take_publisher_resumed() {
        slow.received();
        bench.ack(&mut slow);
    }
    assert!(!second.take_publisher_resumed() && bench.queue.counts().0 > 0);
    slow.received();
    bench.ack(&mut slow);
    assert!(second.take_publisher_resumed());
}

#[test]
fn expired_messages_are_dropped_from_the_head_and_never_delivered() {
    let mut bench = Bench::with(&[("x-message-ttl", Value::I32(100)), ("x-dead-letter-exchange", "dlx".into())]);
    bench.publish("1 2");
    bench.advance(60);
    let expiration = ShortBytes::try_from("20").ok();
    bench.publish_with("3", &Properties { expiration, ..Properties::default() });
    bench.advance(50);
    bench.queue.handle_timeout(&mut bench.turn);
    assert_eq!(bench.dead(), ["1", "2", "3"].map(|m| (m.to_owned(), Death::Expired)));
    assert_eq!(bench.queue.counts().0, 0);
}

#[test]
fn with_a_time_to_live_of_0_only_a_waiting_consumer_gets_a_message() {
    let mut bench = Bench::with(&[("x-message-ttl", Value::I32(0))]);
    bench.publish("1");
    assert_eq!(bench.queue.counts().0, 0);
    let mut consumer = bench.consumer(1);
    bench.publish("2 3");
    assert_eq!((consumer.received(), bench.queue.counts().0), ("2".into(), 0));
}

#[test]
fn a_returned_message_keeps_its_expiry() {
    let mut bench = Bench::with(&[("x-message-ttl", Value::I32(100))]);
    let mut consumer = bench.consumer(1);
    bench.publish("1");
    consumer.received();
    bench.advance(150);
    bench.requeue(&mut consumer);
    assert_eq!((consumer.received(), bench.queue.counts().0), (String::new(), 0));
}

#[test]
fn a_full_queue_drops_its_oldest_messages() {
    let mut bench = Bench::with(&[("x-max-length", Value::I32(2)), ("x-dead-letter-exchange", "dlx".into())]);
    assert_eq!(bench.publish("1 2 3 4"), Accepted::Yes);
    assert_eq!(bench.dead(), ["1", "2"].map(|m| (m.to_owned(), Death::MaxLength)));
    assert_eq!(bench.ready(), "3 4");
}

#[test]
fn bytes_of_bodies_count_for_max_length_bytes() {
    let mut bench = Bench::with(&[("x-max-length-bytes", Value::I32(5))]);
    bench.publish("aa bb cc");
    assert_eq!(bench.ready(), "bb cc");
}

#[test]
fn a_full_queue_may_refuse_new_messages_instead() {
    let mut bench = Bench::with(&[("x-max-length", Value::I32(1)), ("x-overflow", "reject-publish".into())]);
    assert_eq!((bench.publish("1"), bench.publish("2")), (Accepted::Yes, Accepted::Refused));
    let mut consumer = bench.consumer(1);
    assert_eq!((bench.publish("3"), consumer.received()), (Accepted::Yes, "1".into()));
    assert_eq!(bench.ready(), "3");
}

#[test]
fn what_comes_back_to_a_full_queue_stays() {
    let mut bench = Bench::with(&[("x-max-length", Value::I32(1)), ("x-overflow", "reject-publish".into())]);
    bench.publish("1");
    let mut consumer = bench.consumer(1);
    consumer.received();
    bench.publish("2");
    bench.queue.unsubscribe(consumer.key, bench.turn.now);
    bench.requeue(&mut consumer);
    assert_eq!((bench.publish("3"), bench.ready()), (Accepted::Refused, "1 2".into()));
}

#[test]
fn only_the_active_consumer_is_served_and_the_oldest_follows() {
    let mut bench = Bench::with(&[("x-single-active-consumer", Value::Bool(true))]);
    let (mut first, mut second, mut third) = (bench.consumer(0), bench.consumer(0), bench.consumer(0));
    bench.publish("1 2");
    assert_eq!((first.received(), second.received()), ("1 2".into(), String::new()));
    bench.queue.unsubscribe(first.key, bench.turn.now);
    bench.requeue(&mut first);
    assert_eq!((second.received(), third.received()), ("1 2".into(), String::new()));
}

#[test]
fn a_message_that_fails_too_often_dies() {
    let mut bench = Bench::with(&[
        ("x-delivery-limit", Value::I32(1)),
        ("x-queue-type", "quorum".into()),
        ("x-dead-letter-exchange", "dlx".into()),
    ]);
    let mut consumer = bench.consumer(1);
    bench.publish("1");
    consumer.received();
    bench.requeue(&mut consumer);
    consumer.received();
    let headers = consumer.held[0].message.properties().headers().unwrap();
    assert_eq!(headers.lookup("x-delivery-count"), Some(Value::I64(1)));
    bench.requeue(&mut consumer);
    assert_eq!(bench.dead(), [("1".to_owned(), Death::DeliveryLimit)]);
    assert_eq!(consumer.received(), "");
}

#[test]
fn an_unused_queue_expires_and_a_consumer_keeps_it() {
    let mut bench = Bench::with(&[("x-expires", Value::I32(100))]);
    let consumer = bench.consumer(1);
    bench.advance(500);
    assert!(!bench.queue.handle_timeout(&mut bench.turn));
    bench.queue.unsubscribe(consumer.key, bench.turn.now);
    bench.advance(60);
    bench.queue.renew(bench.turn.now);
    bench.advance(60);
    assert!(!bench.queue.handle_timeout(&mut bench.turn));
    bench.advance(60);
    assert!(bench.queue.handle_timeout(&mut bench.turn));
}

#[test]
fn an_exclusive_consumer_is_alone() {
    let mut bench = Bench::new();
    let consumer = |mailbox: &Arc<Mailbox>| Consumer {
        channel: 1,
        source: 0,
        mailbox: mailbox.clone(),
        no_ack: true,
        prefetch: 0,
        shared: Arc::default(),
        priority: 0,
    };
    let mailbox = Arc::default();
    let key = bench.queue.subscribe(consumer(&mailbox), true, &mut bench.turn).unwrap();
    let refused = bench.queue.subscribe(consumer(&mailbox), false, &mut bench.turn).unwrap_err();
    assert_eq!(refused.to_string(), "ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive use");
    bench.queue.unsubscribe(key, bench.turn.now);
    let _shared = bench.queue.subscribe(consumer(&mailbox), false, &mut bench.turn).unwrap();
    assert!(bench.queue.subscribe(consumer(&mailbox), true, &mut bench.turn).is_err());
}

#[test]
fn a_deleted_queue_tells_its_consumers_and_takes_nothing_more() {
    let mut bench = Bench::new();
    let consumer = bench.consumer(1);
    bench.publish("1 2 3");
    assert_eq!(bench.queue.delete(|_, _| Ok(()), &mut bench.turn), Ok(Some(2)));
    let mut inbox = Inbox::default();
    consumer.mailbox.collect(&mut inbox);
    assert!(matches!(inbox.notices[..], [Notice::QueueDeleted { channel: 1, source: 0 }]));
    assert_eq!(bench.publish("4"), Accepted::Deleted);
    assert_eq!(bench.queue.delete(|_, _| Ok(()), &mut bench.turn), Ok(None));
}
