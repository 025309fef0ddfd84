//! Exchanges, queues and bindings: there again if they should be, and only then.

use leveret_client::{
    Channel, Consume, Error, Event, ExchangeBind, ExchangeDeclare, Get, Publish, QueueBind, QueueDeclare, QueueDelete,
};
use leveret_tests::{Harm, unique};

use crate::setup::{
    break_once, break_while, channel, delete, delivery, proxy, publish, ready, recovered, soon, unharmed, until,
};

/// Publishes to an exchange, over a connection that nothing breaks.
async fn publish_to(channel: &Channel, exchange: &str, key: &str) {
    let outcome = soon(channel.publish_confirmed(Publish::to_exchange(exchange, key).body("x"))).await.unwrap();
    assert!(outcome.is_acked(), "{outcome:?}");
}

/// True if there is such an exchange.
async fn is_exchange(name: &str) -> bool {
    soon(unharmed().await.exchange_declare(ExchangeDeclare::new(name, "fanout").passive())).await.is_ok()
}

#[tokio::test]
async fn what_went_with_the_connection_is_there_again_with_its_bindings() {
    let chaos = proxy(21);
    let channel = channel(&chaos).await;
    let (first, second) = (unique("first"), unique("second"));
    let (own, passing) = (unique("own"), unique("passing"));
    for exchange in [&first, &second] {
        soon(channel.exchange_declare(ExchangeDeclare::new(exchange, "topic").auto_delete())).await.unwrap();
    }
    soon(channel.exchange_bind(ExchangeBind::new(&second, &first).routing_key("a.#"))).await.unwrap();
    soon(channel.queue_declare(QueueDeclare::new(&own).exclusive())).await.unwrap();
    soon(channel.queue_declare(QueueDeclare::new(&passing).auto_delete().argument("x-max-length", 5))).await.unwrap();
    for queue in [&own, &passing] {
        soon(channel.queue_bind(QueueBind::new(queue, &second).routing_key("#.b"))).await.unwrap();
    }
    let mut of_own = soon(channel.consume(Consume::new(&own))).await.unwrap();
    let mut of_passing = soon(channel.consume(Consume::new(&passing))).await.unwrap();
    break_while(&chaos, channel.connection(), async {
        // The broker has noticed that the connection is over, and let go of what was the connection's.
        soon(async { while ready(&passing).await.is_some() || is_exchange(&first).await {} }).await;
    })
    .await;
    publish_to(&channel, &first, "a.b").await;
    for consumer in [&mut of_own, &mut of_passing] {
        let got = delivery(consumer).await;
        assert_eq!(got.routing_key(), "a.b");
        soon(got.ack()).await.unwrap();
    }
    // The same declaration is taken: its arguments were restored too.
    let declared = QueueDeclare::new(&passing).auto_delete().argument("x-max-length", 5);
    soon(channel.queue_declare(declared)).await.unwrap();
}

#[tokio::test]
async fn a_queue_that_the_broker_names_has_a_new_name_and_everything_follows() {
    let chaos = proxy(22);
    let channel = channel(&chaos).await;
    let mut events = channel.connection().events();
    let first = soon(channel.queue_declare(QueueDeclare::new("").exclusive())).await.unwrap().name;
    soon(channel.queue_bind(QueueBind::new(&first, "amq.topic").routing_key(&first))).await.unwrap();
    let mut consumer = soon(channel.consume(Consume::new(&first))).await.unwrap();
    let mut names = vec![first.clone()];
    for _ in 0..3 {
        chaos.cut();
        let renamed = until(&mut events, |event| matches!(event, Event::QueueRenamed { .. })).await;
        let Event::QueueRenamed { old, new } = renamed else { unreachable!("it was looked for") };
        assert_eq!(names.last(), Some(&old));
        assert!(!names.contains(&new), "{new} is not new");
        names.push(new);
        recovered(&mut events).await;
        publish_to(&channel, "amq.topic", &first).await;
        soon(delivery(&mut consumer).await.ack()).await.unwrap();
    }
    soon(consumer.cancel()).await.unwrap();
    for name in &names {
        soon(channel.queue_bind(QueueBind::new(name, "amq.topic").routing_key("more"))).await.unwrap();
        publish(&channel, names.last().unwrap(), "got").await;
        let got = soon(channel.get(Get::new(name).no_ack())).await.unwrap().expect("the old name leads to the queue");
        assert_eq!(got.body(), b"got");
        soon(channel.queue_unbind(QueueBind::new(name, "amq.topic").routing_key("more"))).await.unwrap();
        soon(channel.queue_purge(name)).await.unwrap();
    }
    let again = soon(channel.consume(Consume::new(&names[1]))).await.unwrap();
    drop(again);
    soon(channel.queue_delete(QueueDelete::new(&names[0]))).await.unwrap();
    assert_eq!(ready(names.last().unwrap()).await, None);
}

#[tokio::test]
async fn a_queue_that_the_broker_named_and_still_has_is_kept_with_its_messages() {
    let chaos = proxy(23);
    let channel = channel(&chaos).await;
    let name = soon(channel.queue_declare(QueueDeclare::new("").durable())).await.unwrap().name;
    publish(&channel, &name, "kept").await;
    break_once(&chaos, channel.connection()).await;
    let got = soon(channel.get(Get::new(&name).no_ack())).await.unwrap().expect("it is the same queue");
    assert_eq!(got.body(), b"kept");
    delete(&name).await;
}

#[tokio::test]
async fn what_is_gone_for_good_does_not_come_back() {
    let chaos = proxy(24);
    let channel = channel(&chaos).await;
    let names = ["deleted", "without-consumers", "without-channel", "cancelled"].map(unique);
    let [deleted, without_consumers, without_channel, cancelled] = &names;
    let (without_bindings, deleted_exchange) = (unique("without-bindings"), unique("deleted"));
    soon(channel.queue_declare(QueueDeclare::new(deleted))).await.unwrap();
    soon(channel.queue_declare(QueueDeclare::new(cancelled))).await.unwrap();
    for queue in [without_consumers, without_channel] {
        soon(channel.queue_declare(QueueDeclare::new(queue).auto_delete())).await.unwrap();
    }
    soon(channel.exchange_declare(ExchangeDeclare::new(&without_bindings, "fanout").auto_delete())).await.unwrap();
    soon(channel.exchange_declare(ExchangeDeclare::new(&deleted_exchange, "fanout"))).await.unwrap();
    soon(channel.queue_bind(QueueBind::new(deleted, &without_bindings))).await.unwrap();

    soon(channel.consume(Consume::new(without_consumers))).await.unwrap().cancel().await.unwrap();
    let other = soon(channel.connection().open_channel()).await.unwrap();
    let consumer = soon(other.consume(Consume::new(without_channel))).await.unwrap();
    soon(other.close()).await.unwrap();
    drop(consumer);
    let mut consumer = soon(channel.consume(Consume::new(cancelled))).await.unwrap();
    delete(cancelled).await;
    assert!(matches!(soon(consumer.next()).await, Some(Err(Error::Cancelled { .. }))));
    soon(channel.queue_delete(QueueDelete::new(deleted))).await.unwrap();
    soon(channel.exchange_delete(leveret_client::ExchangeDelete::new(&deleted_exchange))).await.unwrap();

    break_once(&chaos, channel.connection()).await;
    for queue in &names {
        assert_eq!(ready(queue).await, None, "{queue}");
    }
    assert!(!is_exchange(&without_bindings).await && !is_exchange(&deleted_exchange).await);
}

#[tokio::test]
async fn a_binding_that_was_removed_does_not_come_back() {
    let chaos = proxy(25);
    let channel = channel(&chaos).await;
    let (queue, exchange) = (unique("queue"), unique("exchange"));
    soon(channel.queue_declare(QueueDeclare::new(&queue).exclusive())).await.unwrap();
    soon(channel.exchange_declare(ExchangeDeclare::new(&exchange, "direct").auto_delete())).await.unwrap();
    for key in ["kept", "removed"] {
        soon(channel.queue_bind(QueueBind::new(&queue, &exchange).routing_key(key))).await.unwrap();
    }
    soon(channel.queue_unbind(QueueBind::new(&queue, &exchange).routing_key("removed"))).await.unwrap();
    break_once(&chaos, channel.connection()).await;
    for key in ["removed", "kept"] {
        publish_to(&channel, &exchange, key).await;
    }
    let got = soon(channel.get(Get::new(&queue).no_ack())).await.unwrap().expect("one of them is there");
    assert_eq!((got.routing_key().as_ref(), got.messages_left()), ("kept", Some(0)));
}

#[tokio::test]
async fn what_the_broker_refuses_is_named_and_the_rest_is_restored() {
    let chaos = proxy(26);
    let channel = channel(&chaos).await;
    let mut events = channel.connection().events();
    let names = ["a-changed", "b-kept", "c-changed", "d-kept"].map(unique);
    for queue in &names {
        soon(channel.queue_declare(QueueDeclare::new(queue))).await.unwrap();
        soon(channel.queue_bind(QueueBind::new(queue, "amq.topic").routing_key(queue))).await.unwrap();
    }
    let mut consumer = soon(channel.consume(Consume::new(&names[3]))).await.unwrap();
    break_while(&chaos, channel.connection(), async {
        for queue in &names {
            delete(queue).await;
        }
        let other = unharmed().await;
        for changed in [&names[0], &names[2]] {
            soon(other.queue_declare(QueueDeclare::new(changed).durable())).await.unwrap();
        }
    })
    .await;
    let mut refused = vec![];
    while refused.len() < 2 {
        let event = until(&mut events, |event| matches!(event, Event::NotRestored { .. })).await;
        let Event::NotRestored { what, error } = event else { unreachable!("it was looked for") };
        refused.push((what, error.code()));
    }
    assert_eq!(refused, [0, 2].map(|index: usize| (format!("queue '{}'", names[index]), Some(406))));
    publish_to(&channel, "amq.topic", &names[3]).await;
    assert_eq!(delivery(&mut consumer).await.routing_key(), names[3].as_str());
    assert!(soon(channel.get(Get::new(&names[1]))).await.unwrap().is_none(), "the other one is there");
    for queue in &names {
        delete(queue).await;
    }
}

#[tokio::test]
async fn an_empty_name_means_the_last_queue_after_recovery_as_before() {
    let chaos = proxy(27);
    let channel = channel(&chaos).await;
    soon(channel.queue_declare(QueueDeclare::new("").exclusive())).await.unwrap();
    soon(channel.queue_bind(QueueBind::new("", "amq.fanout"))).await.unwrap();
    let mut consumer = soon(channel.consume(Consume::new(""))).await.unwrap();
    for _ in 0..2 {
        break_once(&chaos, channel.connection()).await;
        let key = unique("fanout");
        publish_to(&channel, "amq.fanout", &key).await;
        soon(async { while delivery(&mut consumer).await.routing_key() != key {} }).await;
    }
    drop(consumer);
    soon(channel.queue_purge("")).await.unwrap();
}

/// The broker may not have noticed that a connection is over, so that the queue is locked by it for a while.
#[tokio::test]
async fn an_exclusive_queue_is_waited_for_until_the_broker_has_let_go_of_it() {
    let chaos = proxy(28);
    let channel = channel(&chaos).await;
    let mut events = channel.connection().events();
    let queue = unique("locked");
    soon(channel.queue_declare(QueueDeclare::new(&queue).exclusive())).await.unwrap();
    chaos.harm(Harm { refuse: true, ..Harm::default() });
    chaos.cut();
    let holder = unharmed().await.connection().clone();
    soon(async {
        loop {
            let channel = holder.open_channel().await.unwrap();
            if channel.queue_declare(QueueDeclare::new(&queue).exclusive()).await.is_ok() {
                break;
            }
        }
    })
    .await;
    let before = chaos.accepted();
    chaos.harm(Harm::default());
    soon(async {
        while chaos.accepted() == before {
            tokio::task::yield_now().await;
        }
        // By then the new connection has mostly met the lock; that it comes later is as well.
        for _ in 0..30 {
            holder.open_channel().await.unwrap().close().await.unwrap();
        }
        holder.close().await.unwrap();
    })
    .await;
    let end = until(&mut events, |event| matches!(event, Event::Recovered | Event::NotRestored { .. })).await;
    assert!(matches!(end, Event::Recovered), "{end:?}");
    soon(channel.queue_declare(QueueDeclare::new(&queue).exclusive())).await.unwrap();
}
