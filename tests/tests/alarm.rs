//! RabbitMQ's memory alarm: who publishes is stopped and told; all others go on. On a Leveret of each test's own, since no
//! method of AMQP raises an alarm.

use std::ops::ControlFlow;

use leveret::{Config, DiskFreeLimit, MemoryLimit};
use leveret_spec::{Method, Properties, basic, connection, queue};
use leveret_tests::{Own, Peer, Visit, default, short, texts, unique};

const HEARTBEAT: &[u8] = b"\x08\x00\x00\x00\x00\x00\x00\xce";

fn broker() -> Own {
    Own::start(Config::in_memory())
}

/// Declares a queue that anybody may use.
fn shared_queue(peer: &mut Peer) -> String {
    let name = unique("q");
    peer.declare(1, &queue::Declare { queue: short(&name), durable: true, ..default() });
    name
}

/// Publishes, and hears that it is blocked.
fn publish_and_be_blocked(peer: &mut Peer, queue: &str) {
    peer.publish(1, "", queue, "m");
    assert_eq!(&*peer.expect::<connection::Blocked>(0).reason, "low on memory");
}

/// Asks until a queue has so many messages.
fn wait_for_ready(peer: &mut Peer, queue: &str, count: u32) {
    wait_for(peer, queue, |ready| ready == count);
}

/// Asks until the number of messages in a queue is what it should be.
fn wait_for(peer: &mut Peer, queue: &str, is_right: impl Fn(u32) -> bool) {
    let asked = (0..100_000).try_for_each(|_| match peer.counts(1, queue).0 {
        ready if is_right(ready) => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    assert!(asked.is_break(), "{queue} never has as many messages as it should");
}

/// Whoever publishes during the alarm is told once, however much follows, and told the end once; what it has published
/// meanwhile is taken then. The broker sends no channel.flow.
#[test]
fn who_publishes_is_told_once() {
    let broker = broker();
    let mut peer = broker.with_channel();
    let queue = shared_queue(&mut peer);
    for _ in 0..3 {
        broker.alarm(true);
        publish_and_be_blocked(&mut peer, &queue);
        for _ in 0..100 {
            peer.publish(1, "", &queue, "m");
        }
        // It is not read any more: the channel's answer comes behind the alarm's end.
        peer.send(1, &queue::Purge { queue: short(&queue), ..default() });
        broker.alarm(false);
        peer.expect::<connection::Unblocked>(0);
        assert_eq!(peer.expect::<queue::PurgeOk>(1).message_count, 101);
        peer.expect_nothing(1);
    }
    peer.close();
}

/// Who does not publish is neither stopped nor told, nor is who has published before the alarm only.
#[test]
fn who_does_not_publish_is_told_nothing() {
    let broker = broker();
    let mut peer = broker.with_channel();
    let queue = shared_queue(&mut peer);
    peer.publish(1, "", &queue, "before");
    peer.expect_counts(1, &queue, 1, 0);
    broker.alarm(true);
    peer.expect_counts(1, &queue, 1, 0);
    peer.expect_nothing(1);
    broker.alarm(false);
    peer.expect_nothing(1);
    // Close-ok is the first on channel 0.
    peer.close();
}

/// Who has published in one alarm is not stopped by the next one until he publishes again.
#[test]
fn each_alarm_begins_anew() {
    let broker = broker();
    let mut peer = broker.with_channel();
    let queue = shared_queue(&mut peer);
    broker.alarm(true);
    publish_and_be_blocked(&mut peer, &queue);
    broker.alarm(false);
    peer.expect::<connection::Unblocked>(0);
    broker.alarm(true);
    peer.expect_counts(1, &queue, 1, 0);
    publish_and_be_blocked(&mut peer, &queue);
}

/// Without the capability connection.blocked nobody is told, neither the begin nor the end; he is stopped all the same.
#[test]
fn who_cannot_hear_it_is_stopped_in_silence() {
    let broker = broker();
    let mut other = broker.with_channel();
    let queue = shared_queue(&mut other);
    let mut peer = Peer::visit(&Visit { properties: Visit::able(&["basic.nack"]), ..broker.visit() });
    peer.open_channel(1);
    broker.alarm(true);
    peer.publish(1, "", &queue, "1");
    wait_for_ready(&mut other, &queue, 1);
    peer.publish(1, "", &queue, "2");
    peer.send(1, &queue::Purge { queue: short(&queue), ..default() });
    for _ in 0..100 {
        other.expect_counts(1, &queue, 1, 0);
    }
    broker.alarm(false);
    assert_eq!(peer.expect::<queue::PurgeOk>(1).message_count, 2);
    peer.close();
}

/// Consumers are what helps: they get their messages and settle them, and whoever comes in during the alarm may consume.
#[test]
fn consumers_go_on() {
    let broker = broker();
    let mut publisher = broker.with_channel();
    let queue = shared_queue(&mut publisher);
    for _ in 0..10 {
        publisher.publish(1, "", &queue, "m");
    }
    publisher.expect_counts(1, &queue, 10, 0);
    broker.alarm(true);
    publish_and_be_blocked(&mut publisher, &queue);
    let mut consumer = broker.with_channel();
    consumer.prefetch(1, 1);
    consumer.consume(1, &queue, "c");
    for tag in 1..=11 {
        assert_eq!(consumer.delivery(1).0.delivery_tag, tag);
        consumer.ack(1, tag);
    }
    consumer.expect_counts(1, &queue, 0, 1);
}

/// A connection that is opened during the alarm is told when it publishes, in confirm mode behind what is confirmed.
#[test]
fn who_comes_during_the_alarm_is_told_too() {
    let broker = broker();
    broker.alarm(true);
    let mut peer = broker.with_channel();
    peer.select_confirms(1);
    let queue = peer.queue(1);
    publish_and_be_blocked(&mut peer, &queue);
    peer.expect_confirms(1, 1);
    broker.alarm(false);
    peer.expect::<connection::Unblocked>(0);
    peer.expect_nothing(1);
}

/// Section 4.2.7: a peer that is not read from cannot be silent: it is not dropped, and goes on getting heartbeats; others
/// that say nothing are dropped.
#[test]
fn a_blocked_peer_is_not_taken_for_dead() {
    let broker = broker();
    let visit = Visit { heartbeat_s: 1, ..broker.visit() };
    let mut blocked = Peer::visit(&visit);
    blocked.open_channel(1);
    let queue = blocked.queue(1);
    broker.alarm(true);
    publish_and_be_blocked(&mut blocked, &queue);
    // This one is silent from later on, and dropped for it.
    Peer::visit(&visit).expect_eof();
    for _ in 0..3 {
        blocked.expect_bytes(HEARTBEAT);
    }
    broker.alarm(false);
    blocked.expect::<connection::Unblocked>(0);
    blocked.expect_counts(1, &queue, 1, 0);
    // From now on it has to say something again.
    blocked.expect_eof();
}

/// The end of a socket is the end of its connection, though nobody reads from it: what it held exclusively is gone. What it had
/// sent before is taken; it could have been read before the alarm as well.
#[test]
fn a_blocked_peer_may_hang_up() {
    let broker = broker();
    let mut other = broker.with_channel();
    let queue = shared_queue(&mut other);
    let mut peer = broker.with_channel();
    let exclusive = unique("q");
    peer.declare(1, &queue::Declare { queue: short(&exclusive), exclusive: true, ..default() });
    broker.alarm(true);
    publish_and_be_blocked(&mut peer, &queue);
    for _ in 0..100 {
        peer.publish(1, "", &queue, "m");
    }
    peer.finish_sending();
    peer.expect_eof();
    wait_for_ready(&mut other, &queue, 101);
    let declare = queue::Declare { queue: short(&exclusive), passive: true, ..default() };
    other.refused(1, &declare, 404, &texts::no_queue(&exclusive));
}

/// However much a blocked peer has sent, its end is noticed, by the next heartbeat if what it has sent hides it; and the broker
/// reads no more of it than of any other.
#[test]
fn a_blocked_peer_may_hang_up_with_much_unread() {
    let broker = broker();
    let mut other = broker.with_channel();
    let queue = shared_queue(&mut other);
    other.publish(1, "", &queue, "m");
    let mut peer = Peer::visit(&Visit { heartbeat_s: 1, ..broker.visit() });
    peer.open_channel(1);
    peer.consume(1, &queue, "c");
    peer.delivery(1);
    peer.cancel(1, "c");
    broker.alarm(true);
    publish_and_be_blocked(&mut peer, "nowhere");
    let body = [b'm'; 10_000];
    for _ in 0..100 {
        peer.publish(1, "", &queue, body);
    }
    drop(peer);
    wait_for(&mut other, &queue, |ready| ready > 0);
    let (ready, _) = other.counts(1, &queue);
    assert!(ready as usize <= 1 + (256 << 10) / body.len(), "{ready} messages are more than one read");
}

/// A socket that breaks off is noticed as well: what its consumer holds goes back.
#[test]
fn a_blocked_peer_may_vanish() {
    let broker = broker();
    let mut other = broker.with_channel();
    let queue = shared_queue(&mut other);
    let mut peer = broker.with_channel();
    peer.consume(1, &queue, "c");
    broker.alarm(true);
    publish_and_be_blocked(&mut peer, "nowhere");
    let mut third = broker.with_channel();
    third.publish(1, "", &queue, "m");
    other.expect_counts(1, &queue, 0, 1);
    // With the delivery unread this is no orderly end.
    drop(peer);
    wait_for_ready(&mut other, &queue, 1);
}

/// RabbitMQ's vm_memory_high_watermark.absolute: a limit that is exceeded from the start.
#[test]
fn a_broker_may_begin_with_the_alarm() {
    let mut config = Config::in_memory();
    // Any process has more than this.
    config.memory_limit = MemoryLimit::Bytes(1);
    let broker = Own::start(config);
    let mut peer = broker.with_channel();
    let queue = peer.queue(1);
    publish_and_be_blocked(&mut peer, &queue);
}

/// RabbitMQ's vm_memory_high_watermark: what is published raises the alarm, though the broker was far from it.
#[test]
fn the_memory_in_use_raises_the_alarm() {
    let broker = broker();
    let mut peer = broker.with_channel();
    peer.select_confirms(1);
    let queue = peer.queue(1);
    broker.limit_memory(MemoryLimit::Bytes(memory_in_use() + (32 << 20)));
    let body = vec![b'x'; 1 << 20];
    let told = (0..400).any(|_| {
        peer.publish(1, "", &queue, &body);
        match peer.first_of([0, 1]).method {
            Method::Connection(connection::Method::Blocked(_)) => true,
            Method::Basic(basic::Method::Ack(_)) => false,
            other => panic!("neither connection.blocked nor a confirm: {other:?}"),
        }
    });
    assert!(told);
}

/// RabbitMQ's disk_free_limit: with less room on the disk, who publishes is stopped and told why, and consumers go on.
#[test]
fn a_disk_with_little_room_raises_an_alarm() {
    let directory = std::env::temp_dir().join(format!("leveret-alarm-{}", std::process::id()));
    let mut config = Config::durable(&directory);
    let broker = Own::start(config.clone());
    let mut peer = broker.with_channel();
    peer.select_confirms(1);
    let queue = shared_queue(&mut peer);
    peer.publish_as(1, "", &queue, &Properties { delivery_mode: Some(2), ..Properties::default() }, b"kept");
    peer.expect::<basic::Ack>(1);
    peer.close();
    broker.end();
    // No disk has so much.
    config.disk_free_limit = DiskFreeLimit::Bytes(u64::MAX);
    let broker = Own::start(config);
    let mut peer = broker.with_channel();
    let (_, content) = peer.get_settled(1, &queue).expect("what was confirmed is there");
    assert_eq!(content.body, b"kept");
    peer.publish(1, "", &queue, "m");
    assert_eq!(&*peer.expect::<connection::Blocked>(0).reason, "low on disk");
    drop(broker);
    let _ = std::fs::remove_dir_all(directory);
}

/// Bytes of this process, in which the broker is.
fn memory_in_use() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").expect("the memory of a process on Linux");
    let resident = pages.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    resident.expect("a number of pages") * 4096
}
