//! What can be seen of a broker, without changing anything.

use leveret::DestinationKind;
use leveret::spec::{Properties, TableBuf, basic, exchange, queue};

use super::peer::{Peer, short};
use super::{broker, end};

#[tokio::test]
async fn a_queue_shows_what_waits_what_is_held_and_who_consumes() {
    let broker = broker().await;
    let mut peer = Peer::of(&broker).await;
    peer.confirm().await;
    let arguments = TableBuf::new().with("x-max-length", 100).unwrap();
    peer.declare("q", &arguments).await;
    for body in ["one", "two", "three"] {
        peer.publish_confirmed("q", &Properties::default(), body).await;
    }
    let queue = broker.queue("/", "q").unwrap();
    assert_eq!(queue.arguments().lookup("x-max-length").and_then(|n| n.as_i64()), Some(100));
    let bodies = |most| queue.peek(most).iter().map(|message| message.text().into_owned()).collect::<Vec<_>>();
    assert_eq!((bodies(2), bodies(9).len(), queue.figures().ready_bytes), (vec!["one".into(), "two".into()], 3, 11));
    assert!(!queue.peek(1)[0].redelivered());

    peer.send(1, &basic::Qos { prefetch_count: 1, ..basic::Qos::default() }).await;
    peer.expect("basic.QosOk").await;
    peer.consume("q").await;
    assert_eq!(peer.delivery().await, "one");
    assert_eq!((queue.ready(), queue.unacked(), queue.consumers()), (2, 1, 1));
    peer.send(1, &basic::Ack { delivery_tag: 0, multiple: true }).await;
    assert_eq!(peer.delivery().await, "two");
    broker.wait_until(|_| queue.ready() == 1).await.unwrap();
    peer.send(1, &queue::Delete { queue: short("q"), ..queue::Delete::default() }).await;
    peer.expect("queue.DeleteOk").await;
    assert!(queue.is_deleted() && broker.queue("/", "q").is_none());
    end(broker).await;
}

#[tokio::test]
async fn a_long_backlog_can_be_looked_at_and_is_delivered_afterwards() {
    let broker = broker().await;
    let mut peer = Peer::of(&broker).await;
    peer.confirm().await;
    peer.declare("q", &TableBuf::new()).await;
    // More than stays unpacked.
    let body = |n: usize| format!("{n:0>10000}");
    for n in 0..1200 {
        peer.publish_confirmed("q", &Properties::default(), &body(n)).await;
    }
    let queue = broker.queue("/", "q").unwrap();
    let seen = queue.peek(usize::MAX);
    assert!(seen.iter().enumerate().all(|(n, message)| message.text() == body(n)) && seen.len() == 1200);
    peer.consume("q").await;
    for n in 0..1200 {
        assert_eq!(peer.delivery().await, body(n));
    }
    end(broker).await;
}

#[tokio::test]
async fn exchanges_bindings_and_connections_are_listed() {
    let broker = broker().await;
    let mut peer = Peer::named(&broker, "worker 1").await;
    peer.declare("q", &TableBuf::new()).await;
    let declare = exchange::Declare { exchange: short("logs"), kind: short("topic"), ..exchange::Declare::default() };
    peer.send(1, &declare).await;
    peer.expect("exchange.DeclareOk").await;
    let (queue, exchange, routing_key) = (short("q"), short("logs"), short("a.*"));
    peer.send(1, &queue::Bind { queue, exchange, routing_key, ..queue::Bind::default() }).await;
    peer.expect("queue.BindOk").await;

    assert_eq!(broker.queues("/").iter().map(leveret::QueueView::name).collect::<Vec<_>>(), ["q"]);
    let exchanges = broker.exchanges("/");
    let logs = exchanges.iter().find(|exchange| exchange.name == "logs").unwrap();
    assert_eq!((logs.kind, logs.durable, logs.internal), ("topic", false, false));
    assert!(exchanges.iter().any(|exchange| exchange.name == "amq.direct"));
    let [binding] = &broker.bindings("/")[..] else { panic!("one binding") };
    assert_eq!((&*binding.source, &*binding.destination, &*binding.routing_key), ("logs", "q", "a.*"));
    assert_eq!(binding.destination_kind, DestinationKind::Queue);
    let [connection] = &broker.connections()[..] else { panic!("one connection") };
    assert_eq!(
        (connection.client_name.as_deref(), &*connection.user, connection.channels),
        (Some("worker 1"), "guest", 1)
    );
    assert!(broker.queues("nowhere").is_empty() && broker.queue("nowhere", "q").is_none());
    end(broker).await;
}
