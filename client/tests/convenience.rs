//! What the client adds to the protocol, against an embedded broker: confirmed publishes, handlers, calls, JSON.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use leveret::{Broker, Config};
use leveret_client::{
    Channel, Connection, Consume, Delivery, Error, Get, Options, Outcome, Publish, Qos, QueueDeclare, Rpc,
};
use tokio::sync::{Barrier, Notify};

type Anything<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// What no test waits for in vain unless something is wrong.
const PATIENCE: Duration = Duration::from_secs(60);

struct Site {
    broker: Broker,
    connection: Connection,
    channel: Channel,
}

async fn site() -> Anything<Site> {
    let broker = Broker::start(Config::in_memory()).await?;
    let connection = Connection::over(broker.connect(), Options::default()).await?;
    let channel = connection.open_channel().await?;
    channel.queue_declare(QueueDeclare::new("jobs")).await?;
    Ok(Site { broker, connection, channel })
}

impl Site {
    async fn publish(&self, bodies: &[&str]) -> Anything {
        for body in bodies {
            self.channel.publish_to_queue("jobs").body(*body).await?;
        }
        Ok(())
    }

    /// Another channel's view, so that a closed one does not matter.
    async fn ready(&self) -> Anything<u32> {
        let channel = self.connection.open_channel().await?;
        Ok(channel.queue_declare(QueueDeclare::new("jobs").passive()).await?.messages)
    }

    async fn until_ready(&self, messages: u32) -> Anything {
        let ready = |broker: &Broker| broker.queue("/", "jobs").map(|jobs| jobs.ready());
        Ok(self.broker.wait_until(|broker| ready(broker) == Some(messages as usize)).await?)
    }
}

#[tokio::test]
async fn one_await_publishes_and_tells_refused_from_returned() -> Anything {
    let site = site().await?;
    let publishing = site.channel.publish_to_queue("jobs").persistent().header("attempt", 2).header("who", "me");
    publishing.content_type("text/plain").message_id("7").body("hello").await?;
    let got = site.channel.get(Get::new("jobs")).await?.ok_or("nothing")?;
    got.ack().await?;
    let properties = got.properties().decode();
    assert_eq!((got.body(), properties.delivery_mode), (&b"hello"[..], Some(2)));
    let headers = properties.headers.ok_or("no headers")?;
    assert_eq!(headers.lookup("attempt").and_then(|value| value.as_i64()), Some(2));
    assert_eq!(headers.lookup("who").and_then(|value| value.as_str()), Some("me"));

    let Err(Error::Returned(returned)) = site.channel.publish_to_queue("nowhere").mandatory().body("x").await else {
        panic!("it was not returned");
    };
    assert_eq!((returned.code, returned.message.body()), (312, &b"x"[..]));
    let full = QueueDeclare::new("full").argument("x-max-length", 0).argument("x-overflow", "reject-publish");
    site.channel.queue_declare(full).await?;
    let refused = site.channel.publish_to_queue("full").body("x").await;
    assert!(matches!(&refused, Err(error @ Error::Nacked) if error.is_retryable()), "{refused:?}");
    let key = "k".repeat(256);
    let long = site.channel.publish_to_queue("jobs").header(&key, 1).await;
    assert!(matches!(long, Err(Error::TooLong("a header's key"))));
    Ok(())
}

#[tokio::test]
async fn headers_replace_those_of_their_key_before_and_after_all_properties() -> Anything {
    let site = site().await?;
    let first = site.channel.publish_to_queue("jobs").header("attempt", 0).header("attempt", 1).header("who", "me");
    first.body("job").await?;
    let got = site.channel.get(Get::new("jobs").no_ack()).await?.ok_or("nothing")?;
    let passed_on = || site.channel.publish_to_queue("jobs").body(got.body());
    passed_on().properties(got.properties().decode()).header("attempt", 2).await?;
    passed_on().header("attempt", 2).properties(got.properties().decode()).await?;
    passed_on().properties(got.properties().decode()).await?;
    for attempt in [2, 2, 1] {
        let got = site.channel.get(Get::new("jobs").no_ack()).await?.ok_or("nothing")?;
        let headers = got.properties().decode().headers.ok_or("no headers")?;
        assert_eq!(headers.iter().count(), 2, "{headers:?}");
        assert_eq!(headers.lookup("attempt").and_then(|value| value.as_i64()), Some(attempt));
        assert_eq!(headers.lookup("who").and_then(|value| value.as_str()), Some("me"));
    }
    Ok(())
}

#[tokio::test]
async fn a_batch_has_one_outcome_for_each_even_beyond_what_may_be_unconfirmed() -> Anything {
    let broker = Broker::start(Config::in_memory()).await?;
    let connection = Connection::over(broker.connect(), Options::default().unconfirmed_max(8)).await?;
    let channel = connection.open_channel().await?;
    channel.queue_declare(QueueDeclare::new("jobs")).await?;
    let publishes = (0..100).map(|n| match n {
        50 => Publish::to_queue("nowhere").mandatory(),
        _ => Publish::to_queue("jobs").body("job"),
    });
    let outcomes = channel.publish_batch(publishes).await?;
    assert_eq!((outcomes.len(), outcomes.iter().filter(|outcome| outcome.is_acked()).count()), (100, 99));
    assert!(matches!(outcomes[50], Outcome::Returned(_)));
    Ok(())
}

#[tokio::test]
async fn handlers_run_side_by_side_and_their_results_settle() -> Anything {
    let site = site().await?;
    site.publish(&["a", "b", "c", "bad"]).await?;
    site.channel.qos(Qos::per_consumer(4)).await?;
    let mut consumer = site.channel.consume(Consume::new("jobs")).await?;
    let together = Barrier::new(4);
    let stop = Notify::new();
    let failures = AtomicUsize::new(0);
    let handle = async |delivery: Arc<Delivery>| {
        if delivery.redelivered() {
            stop.notify_one();
            return Ok(());
        }
        together.wait().await;
        if delivery.body() == b"bad" {
            failures.fetch_add(1, Ordering::Relaxed);
            return Err("cannot");
        }
        Ok(())
    };
    // The failed one comes again, which shows that it was given back.
    tokio::select! {
        ended = consumer.for_each_concurrent(4, handle) => panic!("{ended:?}"),
        () = stop.notified() => {}
        () = tokio::time::sleep(PATIENCE) => panic!("they did not run together"),
    }
    assert_eq!(failures.into_inner(), 1);
    Ok(())
}

#[tokio::test]
async fn no_more_handlers_run_than_were_asked_for_and_the_end_waits_for_them() -> Anything {
    let site = site().await?;
    site.publish(&["job"; 20]).await?;
    let mut consumer = site.channel.consume(Consume::new("jobs").discard_failed()).await?;
    consumer.cancel().await?;
    let (running, most, done) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    consumer
        .for_each_concurrent(3, async |_| {
            most.fetch_max(running.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            running.fetch_sub(1, Ordering::Relaxed);
            if done.fetch_add(1, Ordering::Relaxed) == 7 { Err("cannot") } else { Ok(()) }
        })
        .await?;
    let handled = done.into_inner();
    assert_eq!((most.into_inner(), running.into_inner(), handled), (3, 0, 20));
    // The channel would give back what is not settled. What a handler failed with is discarded, not given back.
    site.channel.close().await?;
    assert_eq!(site.ready().await?, 0);
    Ok(())
}

#[tokio::test]
async fn handlers_that_outlive_their_channel_are_no_error() -> Anything {
    let site = site().await?;
    for serves in [false, true] {
        site.publish(&["job"]).await?;
        let channel = site.connection.open_channel().await?;
        let (started, go_on) = (Notify::new(), Notify::new());
        let handle = async |_: Arc<Delivery>| {
            started.notify_one();
            go_on.notified().await;
            Ok::<_, String>("done")
        };
        let run = async {
            if serves {
                return channel.serve("jobs", &handle).await;
            }
            let mut consumer = channel.consume(Consume::new("jobs")).await?;
            consumer.for_each_concurrent(2, async |delivery| handle(delivery).await.map(drop)).await
        };
        let close = async {
            started.notified().await;
            channel.close().await?;
            go_on.notify_one();
            Ok(())
        };
        tokio::time::timeout(PATIENCE, async { tokio::try_join!(run, close) }).await??;
        // It was not acknowledged.
        site.until_ready(1).await?;
        site.channel.queue_purge("jobs").await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_is_stopped_gives_its_delivery_back() -> Anything {
    let site = site().await?;
    site.publish(&["job"]).await?;
    let consumer_channel = site.connection.open_channel().await?;
    let mut consumer = consumer_channel.consume(Consume::new("jobs")).await?;
    let started = Arc::new(Notify::new());
    let notify = started.clone();
    // It also shows that the future can be spawned.
    let task = tokio::spawn(async move {
        let handle = |_| {
            notify.notify_one();
            std::future::pending::<Result<(), String>>()
        };
        consumer.for_each_concurrent(1, handle).await
    });
    tokio::time::timeout(PATIENCE, started.notified()).await?;
    task.abort();
    site.until_ready(1).await?;
    assert!(consumer_channel.is_open());
    Ok(())
}

#[tokio::test]
async fn a_delivery_that_is_dropped_goes_back_unless_it_was_settled_or_kept() -> Anything {
    let site = site().await?;
    site.publish(&["a", "b", "c"]).await?;
    let get = || async { site.channel.get(Get::new("jobs")).await?.ok_or(Error::Usage("nothing is ready")) };
    drop(get().await?);
    let again = get().await?;
    assert_eq!((again.body(), again.redelivered()), (&b"a"[..], true));
    again.ack().await?;
    drop(again);
    drop(get().await?.into_message());
    drop(site.channel.get(Get::new("jobs").keep_dropped()).await?);
    assert!(get().await.is_err(), "what was kept came back");
    site.channel.recover(true).await?;
    site.until_ready(2).await?;
    drop(site.channel.get(Get::new("jobs").no_ack()).await?);
    // A settlement that was sent for it would have closed the channel by the next answer.
    site.channel.qos(Qos::per_consumer(1)).await?;
    assert_eq!(site.ready().await?, 1);
    Ok(())
}

#[tokio::test]
async fn deliveries_that_were_settled_together_may_be_dropped() -> Anything {
    let site = site().await?;
    for case in ["delivery", "number", "everything", "nack"] {
        site.publish(&["a", "b", "c"]).await?;
        let mut consumer = site.channel.consume(Consume::new("jobs")).await?;
        let mut held = Vec::new();
        while held.len() < 3 {
            held.push(consumer.next().await.ok_or("the end")??);
        }
        let last = held.last().ok_or("nothing")?;
        match case {
            "delivery" => last.ack_multiple().await?,
            "number" => site.channel.ack(last.delivery_tag(), true).await?,
            "everything" => site.channel.ack(0, true).await?,
            _ => last.nack_multiple(false).await?,
        }
        drop(held);
        consumer.cancel().await?;
        assert!(site.channel.is_open(), "{case}");
        assert_eq!(site.broker.queue("/", "jobs").map(|jobs| jobs.is_empty()), Some(true), "{case}");
    }
    site.publish(&["later"]).await?;
    drop(site.channel.get(Get::new("jobs")).await?);
    site.until_ready(1).await
}

async fn echo(site: &Site) -> Anything {
    let channel = site.connection.open_channel().await?;
    tokio::spawn(async move {
        let reverse = |request: Arc<Delivery>| async move {
            let mut body = request.body().to_vec();
            body.reverse();
            match &body[..] {
                b"" => Err("there is nothing to say"),
                _ => Ok(body),
            }
        };
        channel.serve("jobs", reverse).await
    });
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_under_way_at_the_same_time_get_their_own_answers() -> Anything {
    let site = site().await?;
    echo(&site).await?;
    let rpc = site.connection.rpc().await?.timeout(PATIENCE);
    let call = |rpc: Rpc, n: u32| async move { rpc.call(Publish::to_queue("jobs").body(&format!("{n}x"))).await };
    let calls: Vec<_> = (0..200).map(|n| tokio::spawn(call(rpc.clone(), n))).collect();
    for (n, answer) in calls.into_iter().enumerate() {
        let expected: String = format!("{n}x").chars().rev().collect();
        assert_eq!(answer.await??.body(), expected.as_bytes());
    }
    Ok(())
}

#[tokio::test]
async fn a_call_that_cannot_be_answered_ends_with_the_reason() -> Anything {
    let site = site().await?;
    echo(&site).await?;
    let rpc = site.connection.rpc().await?;
    let unrouted = rpc.call(Publish::to_queue("nowhere")).await;
    assert!(matches!(unrouted, Err(Error::Returned(_))), "{unrouted:?}");
    let failing = rpc.clone().timeout(Duration::from_millis(50)).call(Publish::to_queue("jobs")).await;
    assert!(matches!(&failing, Err(error @ Error::Timeout(_)) if error.is_retryable()), "{failing:?}");
    assert_eq!(rpc.call(Publish::to_queue("jobs").body("ab")).await?.body(), b"ba");
    let pending = rpc.call(Publish::to_queue("silent"));
    site.channel.queue_declare(QueueDeclare::new("silent")).await?;
    let (pending, closed) = tokio::join!(pending, site.connection.close());
    closed?;
    assert!(matches!(pending, Err(Error::Closed { .. })), "{pending:?}");
    assert!(matches!(rpc.call(Publish::to_queue("jobs")).await, Err(Error::Closed { .. })));
    Ok(())
}

#[tokio::test]
async fn a_channel_makes_calls_again_when_it_made_them_before() -> Anything {
    let site = site().await?;
    echo(&site).await?;
    for body in ["ab", "cd"] {
        let rpc = site.channel.rpc().await?.timeout(PATIENCE);
        let answer = rpc.call(Publish::to_queue("jobs").body(body)).await?;
        assert!(answer.body().iter().rev().eq(body.as_bytes()));
    }
    Ok(())
}

#[cfg(feature = "serde")]
#[tokio::test]
async fn json_says_what_it_is_and_what_is_wrong_with_it() -> Anything {
    use std::collections::BTreeMap;

    let site = site().await?;
    let value = BTreeMap::from([("one", 1), ("two", 2)]);
    site.channel.publish_to_queue("jobs").json(&value).await?;
    let got = site.channel.get(Get::new("jobs")).await?.ok_or("nothing")?;
    got.ack().await?;
    assert_eq!(got.properties().content_type().as_deref(), Some(&b"application/json"[..]));
    assert_eq!(got.json::<BTreeMap<String, u8>>()?.len(), 2);
    assert!(matches!(got.json::<Vec<u8>>(), Err(Error::Json(_))));
    let unspeakable = BTreeMap::from([((1, 2), 3)]);
    assert!(matches!(site.channel.publish_to_queue("jobs").json(&unspeakable).await, Err(Error::Json(_))));
    assert_eq!(site.ready().await?, 0);
    Ok(())
}
