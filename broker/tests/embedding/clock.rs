//! Time that is made to pass.

use std::time::Duration;

use leveret::spec::{Properties, ShortBytes, TableBuf, Value, basic};
use leveret::{Broker, Config};

use super::peer::Peer;
use super::{broker, end};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

fn expiring(ms: &str) -> Properties<'_> {
    Properties { expiration: Some(ShortBytes::try_from(ms).unwrap()), ..Properties::default() }
}

/// Arguments of a queue whose messages die after so many milliseconds and go to another queue.
fn dying_into(queue: &str, ttl_ms: i64) -> TableBuf {
    let arguments = TableBuf::new().with("x-message-ttl", ttl_ms).unwrap();
    arguments.with("x-dead-letter-exchange", "").unwrap().with("x-dead-letter-routing-key", queue).unwrap()
}

#[tokio::test]
async fn a_message_expires_when_its_time_has_passed_and_not_before() {
    let broker = broker().await;
    let mut peer = Peer::of(&broker).await;
    peer.confirm().await;
    peer.declare("q", &TableBuf::new()).await;
    peer.publish_confirmed("q", &expiring("3600000"), "an hour").await;
    peer.publish_confirmed("q", &Properties::default(), "for ever").await;
    let queue = broker.queue("/", "q").unwrap();
    broker.advance(HOUR - Duration::from_millis(1)).await;
    assert_eq!(queue.ready(), 2);
    broker.advance(Duration::from_millis(1)).await;
    assert_eq!(queue.peek(9).iter().map(|message| message.text().into_owned()).collect::<Vec<_>>(), ["for ever"]);
    end(broker).await;
}

#[tokio::test]
async fn what_dies_on_the_way_dies_at_its_own_time() {
    let broker = broker().await;
    let mut peer = Peer::of(&broker).await;
    peer.confirm().await;
    for (queue, next, minutes) in [("first", "second", 1), ("second", "third", 2), ("third", "last", 3)] {
        peer.declare(queue, &dying_into(next, minutes * 60_000)).await;
    }
    peer.declare("last", &TableBuf::new()).await;
    peer.publish_confirmed("first", &Properties::default(), "job").await;
    let start = broker.time();
    broker.advance(6 * MINUTE - SECOND).await;
    assert_eq!(broker.queue("/", "third").unwrap().ready(), 1);
    broker.advance(SECOND).await;
    let [job] = &broker.queue("/", "last").unwrap().peek(2)[..] else { panic!("one job") };
    assert_eq!(broker.time().duration_since(start).unwrap(), 6 * MINUTE);
    let Some(Value::Array(deaths)) = job.header("x-death") else { panic!("it died") };
    let times = deaths.iter().filter_map(|death| match death {
        Value::Table(death) => death.lookup("time"),
        _ => None,
    });
    let seconds: Vec<u64> =
        times.filter_map(|time| if let Value::Timestamp(s) = time { Some(s) } else { None }).collect();
    let [third, second, first] = seconds[..] else { panic!("three deaths: {seconds:?}") };
    assert_eq!((second - first, third - second), (120, 180));
    end(broker).await;
}

#[tokio::test]
async fn a_queue_that_nobody_uses_is_deleted_in_time() {
    let broker = broker().await;
    let mut peer = Peer::of(&broker).await;
    peer.declare("idle", &TableBuf::new().with("x-expires", 60_000).unwrap()).await;
    peer.declare("used", &TableBuf::new().with("x-expires", 60_000).unwrap()).await;
    peer.consume("used").await;
    let idle = broker.queue("/", "idle").unwrap();
    broker.advance(MINUTE - SECOND).await;
    assert!(!idle.is_deleted());
    broker.advance(HOUR).await;
    assert!(idle.is_deleted() && broker.queue("/", "idle").is_none());
    assert_eq!(broker.queue("/", "used").unwrap().consumers(), 1);
    end(broker).await;
}

/// The first holds what it got too long, then the second does: each has its own half hour.
#[tokio::test]
async fn a_consumer_that_keeps_a_delivery_too_long_is_cancelled_by_then() {
    let broker = broker().await;
    let (mut first, mut second) = (Peer::named(&broker, "1").await, Peer::named(&broker, "2").await);
    first.confirm().await;
    first.declare("q", &TableBuf::new().with("x-consumer-timeout", 1_800_000).unwrap()).await;
    first.publish_confirmed("q", &Properties::default(), "job").await;
    first.consume("q").await;
    assert_eq!(first.delivery().await, "job");
    second.consume("q").await;
    let queue = broker.queue("/", "q").unwrap();

    broker.advance(HOUR / 2 - SECOND).await;
    assert_eq!((queue.consumers(), queue.unacked()), (2, 1));
    // The time is looked at eight times within the time allowed.
    broker.advance(SECOND + HOUR / 16).await;
    first.expect("basic.Cancel").await;
    assert_eq!((queue.consumers(), queue.unacked()), (1, 1));
    assert_eq!(second.delivery().await, "job");
    broker.advance(HOUR).await;
    second.expect("basic.Cancel").await;
    assert_eq!((queue.consumers(), queue.ready()), (0, 1));
    end(broker).await;
}

#[tokio::test]
async fn time_that_is_not_paused_is_advanced_too() {
    let broker = Broker::start(Config::in_memory()).await.unwrap();
    let mut peer = Peer::of(&broker).await;
    peer.confirm().await;
    peer.declare("q", &TableBuf::new().with("x-consumer-timeout", 3_600_000).unwrap()).await;
    peer.publish_confirmed("q", &expiring("86400000"), "a day").await;
    peer.publish_confirmed("q", &Properties::default(), "for ever").await;
    peer.consume("q").await;
    assert_eq!((peer.delivery().await, peer.delivery().await), ("a day".into(), "for ever".into()));
    let before = broker.time();
    broker.advance(3 * HOUR).await;
    assert!(broker.time() >= before + 3 * HOUR);
    let queue = broker.queue("/", "q").unwrap();
    assert_eq!((queue.consumers(), queue.ready(), queue.unacked()), (0, 2, 0));
    broker.advance(24 * HOUR).await;
    assert_eq!(queue.ready(), 1);
    end(broker).await;
}

/// Who sleeps until the first timer has to hear that it is much nearer.
#[tokio::test]
async fn what_is_left_after_an_advance_goes_by_itself() {
    let broker = Broker::start(Config::in_memory()).await.unwrap();
    let mut peer = Peer::of(&broker).await;
    peer.confirm().await;
    peer.declare("q", &TableBuf::new()).await;
    peer.publish_confirmed("q", &expiring("3600000"), "an hour").await;
    broker.advance(HOUR - Duration::from_millis(200)).await;
    let queue = broker.queue("/", "q").unwrap();
    broker.wait_until(|_| queue.is_empty()).await.unwrap();
    end(broker).await;
}

/// More than the ten thousand times that are told apart.
#[tokio::test]
async fn a_year_with_a_consumer_that_is_looked_at_all_the_time_passes() {
    let broker = broker().await;
    let mut peer = Peer::of(&broker).await;
    peer.confirm().await;
    peer.declare("q", &TableBuf::new().with("x-consumer-timeout", 60_000).unwrap()).await;
    peer.declare("dead", &TableBuf::new()).await;
    peer.declare("old", &dying_into("dead", 300 * 86_400_000)).await;
    peer.publish_confirmed("old", &Properties::default(), "letter").await;
    peer.consume("q").await;
    broker.advance(365 * 24 * HOUR).await;
    assert_eq!(broker.queue("/", "dead").unwrap().ready(), 1);
    assert_eq!(broker.queue("/", "q").unwrap().consumers(), 1);
    peer.publish("", "q", &Properties::default(), "job").await;
    peer.expect("basic.Ack").await;
    assert_eq!(peer.delivery().await, "job");
    peer.send(1, &basic::Ack { delivery_tag: 1, multiple: false }).await;
    broker.wait_until(|broker| broker.queue("/", "q").unwrap().is_empty()).await.unwrap();
    end(broker).await;
}

#[tokio::test]
async fn time_without_end_may_be_asked_for() {
    let broker = broker().await;
    let mut peer = Peer::of(&broker).await;
    peer.declare("q", &TableBuf::new()).await;
    peer.confirm().await;
    peer.publish_confirmed("q", &expiring("1000"), "soon gone").await;
    broker.advance(Duration::MAX).await;
    broker.advance(Duration::MAX).await;
    assert_eq!(broker.queue("/", "q").unwrap().ready(), 0);
    end(broker).await;
}
