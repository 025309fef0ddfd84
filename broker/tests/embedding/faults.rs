//! What may go wrong, on demand.

use std::time::{Duration, Instant};

use leveret::spec::{Method, Properties, TableBuf, basic, connection, queue, tx};
use leveret::{Broker, Config};
use tokio::net::TcpStream;

use super::peer::{Peer, is_refused, short};
use super::{broker, end};

fn plain() -> Properties<'static> {
    Properties::default()
}

#[tokio::test]
async fn dropped_connections_hear_nothing_and_what_they_held_goes_back() {
    let broker = broker().await;
    let (mut over_tcp, mut inside) = (Peer::over_tcp(&broker).await, Peer::named(&broker, "2").await);
    over_tcp.confirm().await;
    over_tcp.declare("q", &TableBuf::new()).await;
    over_tcp.publish_confirmed("q", &plain(), "job").await;
    over_tcp.consume("q").await;
    assert_eq!(over_tcp.delivery().await, "job");
    inside.send(1, &queue::Declare { queue: short("mine"), exclusive: true, ..queue::Declare::default() }).await;
    inside.expect("queue.DeclareOk").await;

    assert_eq!(broker.faults().drop_connections().await, 2);
    assert!(broker.connections().is_empty() && broker.queue("/", "mine").is_none());
    let [job] = &broker.queue("/", "q").unwrap().peek(2)[..] else { panic!("one job") };
    assert!(job.redelivered());
    over_tcp.hears_the_end().await;
    inside.hears_the_end().await;
    // They may come again.
    Peer::over_tcp(&broker).await;
    end(broker).await;
}

#[tokio::test]
async fn a_connection_is_dropped_by_the_name_that_it_has() {
    let broker = broker().await;
    let (mut one, mut two) = (Peer::named(&broker, "one").await, Peer::named(&broker, "two").await);
    assert_eq!(broker.faults().drop_connection("three").await, 0);
    assert_eq!(broker.faults().drop_connection("one").await, 1);
    one.hears_the_end().await;
    let [left] = &broker.connections()[..] else { panic!("one is left") };
    assert_eq!(left.client_name.as_deref(), Some("two"));
    assert_eq!(broker.faults().drop_connection(&left.name).await, 1);
    two.hears_the_end().await;
    end(broker).await;
}

/// Even one whose socket takes nothing any more, with a mailbox that nobody looks into.
#[tokio::test]
async fn a_connection_that_does_not_read_is_dropped_as_well() {
    let broker = broker().await;
    let (mut publisher, mut consumer) = (Peer::named(&broker, "1").await, Peer::named(&broker, "2").await);
    publisher.declare("q", &TableBuf::new()).await;
    consumer.consume("q").await;
    let body = "x".repeat(100_000);
    for _ in 0..64 {
        publisher.publish("", "q", &plain(), &body).await;
    }
    let queue = broker.queue("/", "q").unwrap();
    broker.wait_until(|_| queue.ready() > 0 && queue.ready() + queue.unacked() == 64).await.unwrap();
    assert_eq!(broker.faults().drop_connection("2").await, 1);
    assert_eq!((queue.ready(), queue.consumers()), (64, 0));
    end(broker).await;
}

#[tokio::test]
async fn an_operator_closes_connections_with_his_reason() {
    let broker = broker().await;
    let mut peer = Peer::of(&broker).await;
    broker.faults().close_connections("maintenance");
    let payload = peer.expect("connection.Close").await;
    let Ok(Method::Connection(connection::Method::Close(close))) = Method::decode(&payload) else { panic!("a close") };
    assert_eq!((close.reply_code, &*close.reply_text), (320, "CONNECTION_FORCED - maintenance"));
    peer.send(0, &connection::CloseOk {}).await;
    peer.hears_the_end().await;
    end(broker).await;
}

#[tokio::test]
async fn nobody_is_let_in_while_connections_are_refused() {
    let broker = broker().await;
    let mut before = Peer::of(&broker).await;
    broker.faults().refuse_connections(true);
    assert!(is_refused(broker.connect()).await);
    assert!(is_refused(TcpStream::connect(broker.amqp_addresses()[0]).await.unwrap()).await);
    before.declare("q", &TableBuf::new()).await;
    broker.faults().refuse_connections(false);
    Peer::over_tcp(&broker).await;
    end(broker).await;
}

#[tokio::test]
async fn refused_publishes_are_answered_with_nack_and_go_nowhere() {
    let broker = broker().await;
    let mut peer = Peer::of(&broker).await;
    peer.confirm().await;
    peer.declare("q", &TableBuf::new()).await;
    // The route is known by then.
    peer.publish_confirmed("q", &plain(), "before").await;
    broker.faults().refuse_publishes(true);
    for _ in 0..2 {
        peer.publish("", "q", &plain(), "refused").await;
        peer.expect("basic.Nack").await;
    }
    broker.faults().refuse_publishes(false);
    peer.publish_confirmed("q", &plain(), "after").await;
    broker.faults().refuse_next_publishes(1);
    peer.publish("", "q", &plain(), "refused").await;
    peer.expect("basic.Nack").await;
    peer.publish_confirmed("q", &plain(), "again").await;
    let bodies: Vec<_> = broker.queue("/", "q").unwrap().peek(9).iter().map(|m| m.text().into_owned()).collect();
    assert_eq!(bodies, ["before", "after", "again"]);
    end(broker).await;
}

#[tokio::test]
async fn a_transaction_with_a_refused_publish_fails() {
    let broker = broker().await;
    let mut peer = Peer::of(&broker).await;
    peer.declare("q", &TableBuf::new()).await;
    peer.send(1, &tx::Select {}).await;
    peer.expect("tx.SelectOk").await;
    broker.faults().refuse_publishes(true);
    peer.publish("", "q", &plain(), "refused").await;
    peer.send(1, &tx::Commit {}).await;
    peer.expect("channel.Close").await;
    assert!(broker.queue("/", "q").unwrap().is_empty());
    end(broker).await;
}

#[tokio::test]
async fn blocked_publishers_hear_of_it_and_go_on_afterwards() {
    let broker = broker().await;
    let (mut publisher, mut consumer) = (Peer::named(&broker, "1").await, Peer::named(&broker, "2").await);
    publisher.declare("q", &TableBuf::new()).await;
    for (full, reason) in [(false, "low on memory"), (true, "low on disk")] {
        match full {
            true => broker.faults().fill_disk(true),
            false => broker.faults().block_publishers(true),
        }
        publisher.publish("", "q", &plain(), reason).await;
        let payload = publisher.expect("connection.Blocked").await;
        let Ok(Method::Connection(connection::Method::Blocked(m))) = Method::decode(&payload) else {
            panic!("blocked")
        };
        assert_eq!(&*m.reason, reason);
        // It is not read while it is blocked; others are.
        publisher.publish("", "q", &plain(), "later").await;
        consumer.declare("q", &TableBuf::new()).await;
        broker.wait_until(|broker| broker.queue("/", "q").unwrap().ready() == 1).await.unwrap();
        broker.faults().clear();
        publisher.expect("connection.Unblocked").await;
        broker.wait_until(|broker| broker.queue("/", "q").unwrap().ready() == 2).await.unwrap();
        consumer.send(1, &queue::Purge { queue: short("q"), ..queue::Purge::default() }).await;
        consumer.expect("queue.PurgeOk").await;
    }
    end(broker).await;
}

#[tokio::test]
async fn a_disk_that_fails_refuses_what_it_has_not_kept_and_ends_the_broker() {
    let directory = std::env::temp_dir().join(format!("leveret-faults-{}", std::process::id()));
    let broker = Broker::start(Config::durable(&directory)).await.unwrap();
    let mut peer = Peer::of(&broker).await;
    peer.confirm().await;
    peer.send(1, &queue::Declare { queue: short("q"), durable: true, ..queue::Declare::default() }).await;
    peer.expect("queue.DeclareOk").await;
    let persistent = Properties { delivery_mode: Some(2), ..plain() };
    peer.publish_confirmed("q", &persistent, "kept").await;
    assert!(broker.faults().fail_disk("the disk is on fire"));
    assert_eq!(broker.failed().await.to_string(), "the disk is on fire");
    let payload = peer.expect("connection.Close").await;
    let Ok(Method::Connection(connection::Method::Close(close))) = Method::decode(&payload) else { panic!("a close") };
    assert_eq!(close.reply_code, 541);
    drop(peer);
    end(broker).await;

    let again = Broker::start(Config::durable(&directory)).await.unwrap();
    assert_eq!(again.queue("/", "q").unwrap().ready(), 1);
    again.shutdown().await.unwrap();
    std::fs::remove_dir_all(directory).unwrap();

    let in_memory = super::broker().await;
    assert!(!in_memory.faults().fail_disk("there is none"));
    in_memory.shutdown().await.unwrap();
}

/// Longer than asked for it may take on a slow machine, but not shorter.
#[tokio::test]
async fn clients_are_heard_as_late_as_somebody_wants() {
    let broker = broker().await;
    let mut peer = Peer::over_tcp(&broker).await;
    peer.confirm().await;
    peer.declare("q", &TableBuf::new()).await;
    let delay = Duration::from_millis(150);
    broker.faults().delay(delay);
    let start = Instant::now();
    for n in 0..3 {
        peer.publish("", "q", &plain(), &n.to_string()).await;
        peer.expect("basic.Ack").await;
    }
    assert!(start.elapsed() >= 3 * delay, "{:?}", start.elapsed());
    broker.faults().delay(Duration::ZERO);
    peer.send(1, &basic::Get { queue: short("q"), no_ack: true, ..basic::Get::default() }).await;
    peer.expect("basic.GetOk").await;
    assert_eq!(broker.queue("/", "q").unwrap().ready(), 2, "nothing is lost or doubled");
    end(broker).await;
}

#[tokio::test]
async fn what_waits_to_be_heard_is_heard_when_the_delay_is_over() {
    let broker = broker().await;
    let mut peer = Peer::of(&broker).await;
    broker.faults().delay(Duration::from_secs(3600));
    peer.send(1, &queue::Declare { queue: short("q"), ..queue::Declare::default() }).await;
    // In this process, with one thread, the broker has read it after a few turns. It does nothing about it.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(broker.queue("/", "q").is_none());
    broker.faults().clear();
    peer.expect("queue.DeclareOk").await;
    end(broker).await;
}
