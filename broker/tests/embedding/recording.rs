//! What clients have published.

use leveret::Config;
use leveret::spec::{Properties, ShortBytes, TableBuf, tx};

use super::peer::Peer;
use super::{broker, end};

#[tokio::test]
async fn a_recording_has_what_was_published_since_it_began() {
    let broker = broker().await;
    let mut peer = Peer::of(&broker).await;
    peer.confirm().await;
    peer.declare("q", &TableBuf::new()).await;
    peer.publish_confirmed("q", &Properties::default(), "before").await;
    let (all, mut topic) = (broker.record(), broker.record_exchange("amq.topic"));
    let headers = TableBuf::new().with("tenant", 7).unwrap();
    let message_id = Some(ShortBytes::try_from("m-1").unwrap());
    let properties = Properties { message_id, headers: Some(headers.as_table()), ..Properties::default() };
    peer.publish_confirmed("q", &properties, "one").await;
    peer.publish("amq.topic", "a.b", &Properties::default(), "two").await;
    peer.expect("basic.Ack").await;

    let [one, two] = &all.all()[..] else { panic!("{:?}", all.all()) };
    assert_eq!((&*one.message.exchange(), &*one.message.routing_key(), &*one.message.text()), ("", "q", "one"));
    assert_eq!((&*one.vhost, &one.queues[..]), ("/", &["q".to_owned()][..]));
    assert_eq!(one.message.properties().message_id.unwrap().to_string(), "m-1");
    assert_eq!(one.message.header("tenant").and_then(|tenant| tenant.as_i64()), Some(7));
    assert_eq!((&*two.message.exchange(), &*two.message.routing_key(), two.queues.len()), ("amq.topic", "a.b", 0));
    assert_eq!((topic.len(), topic.next().await.unwrap().message.text().into_owned()), (1, "two".into()));
    assert!(topic.is_empty() && topic.try_next().is_none() && all.len() == 2);

    drop((all, topic));
    peer.publish_confirmed("q", &Properties::default(), "after").await;
    let again = broker.record();
    assert!(again.is_empty());
    end(broker).await;
}

#[tokio::test]
async fn who_waits_for_a_publish_gets_the_next_one() {
    let broker = broker().await;
    let mut published = broker.record();
    let mut peer = Peer::of(&broker).await;
    let plain = Properties::default();
    let ((), next) = tokio::join!(peer.publish("amq.fanout", "", &plain, "news"), published.next());
    assert_eq!(next.unwrap().message.body(), b"news");
    end(broker).await;
}

#[tokio::test]
async fn a_refused_publish_is_recorded_and_one_that_is_rolled_back_is_not() {
    let broker = broker().await;
    let mut published = broker.record();
    let (mut confirming, mut transactional) = (Peer::named(&broker, "1").await, Peer::named(&broker, "2").await);
    confirming.confirm().await;
    confirming.declare("q", &TableBuf::new()).await;
    broker.faults().refuse_next_publishes(1);
    confirming.publish("", "q", &Properties::default(), "refused").await;
    confirming.expect("basic.Nack").await;
    let refused = published.next().await.unwrap();
    assert_eq!((&*refused.message.text(), refused.queues.len()), ("refused", 0));

    transactional.send(1, &tx::Select {}).await;
    transactional.expect("tx.SelectOk").await;
    transactional.publish("", "q", &Properties::default(), "never").await;
    transactional.send(1, &tx::Rollback {}).await;
    transactional.expect("tx.RollbackOk").await;
    transactional.publish("", "q", &Properties::default(), "committed").await;
    assert!(published.is_empty());
    transactional.send(1, &tx::Commit {}).await;
    transactional.expect("tx.CommitOk").await;
    let texts: Vec<_> = published.all().iter().map(|publish| publish.message.text().into_owned()).collect();
    assert_eq!(texts, ["committed"]);
    end(broker).await;
}

#[tokio::test]
async fn a_recording_may_outlive_its_broker() {
    let broker = leveret::Broker::start(Config::in_memory()).await.unwrap();
    let mut published = broker.record();
    let mut peer = Peer::of(&broker).await;
    peer.publish("amq.fanout", "", &Properties::default(), "news").await;
    peer.declare("q", &TableBuf::new()).await;
    drop(peer);
    end(broker).await;
    assert_eq!(published.next().await.unwrap().message.text(), "news");
}
