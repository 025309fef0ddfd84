//! Many tasks on many threads use one connection while it breaks.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use leveret_client::{Channel, Connection, Consume, Consumer, Error, Event, Outcome, Publish, Qos, QueueDeclare};
use leveret_tests::unique;

use crate::setup::{delete, open_with, proxy, recovered, soon, unharmed};

const PUBLISHERS: usize = 3;
const NUMBERS: usize = 400;
const BREAKS: usize = 30;

/// Publishes its numbers, each until it is acknowledged.
async fn publisher(channel: Channel, queue: String, own: usize) {
    for number in 0..NUMBERS {
        let body = (own * NUMBERS + number).to_string();
        while channel.publish_confirmed(Publish::to_queue(&queue).body(&body)).await.unwrap() != Outcome::Acked {}
    }
}

/// Receives until every number has come, with now and then a delivery that is dropped, or an acknowledgement of several.
async fn receiver(mut consumer: Consumer, missing: Arc<Mutex<BTreeSet<usize>>>) {
    let (mut held, mut count) = (vec![], 0);
    while !missing.lock().unwrap().is_empty() {
        let next = tokio::time::timeout(std::time::Duration::from_millis(20), consumer.next()).await;
        let Ok(next) = next else { continue };
        let delivery = next.expect("the consumer goes on").unwrap();
        count += 1;
        if count % 11 == 0 {
            continue;
        }
        missing.lock().unwrap().remove(&std::str::from_utf8(delivery.body()).unwrap().parse().unwrap());
        if count % 3 == 0 {
            delivery.ack_multiple().await.unwrap();
            held.clear();
        } else {
            held.push(delivery);
        }
    }
}

/// Opens channels, declares, consumes, and drops everything where it stands.
async fn passer_by(connection: Connection, done: Arc<AtomicBool>) {
    while !done.load(Ordering::Relaxed) {
        let passed = async {
            let channel = connection.open_channel().await?;
            let queue = channel.queue_declare(QueueDeclare::new("").exclusive()).await?.name;
            let consumer = channel.consume(Consume::new(&queue)).await?;
            channel.publish(Publish::to_queue(&queue).body("x")).await?;
            drop(consumer);
            channel.close().await
        };
        if let Err(error) = passed.await {
            // What was under way when the connection broke, or the name of a queue that has another one since.
            assert!(error.is_retryable() || error.code() == Some(404), "{error}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_lost_or_left_waiting_however_many_use_the_connection() {
    let chaos = proxy(61);
    let connection = open_with(&chaos, |options| options).await;
    let queue = unique("crowd");
    soon(unharmed().await.queue_declare(QueueDeclare::new(&queue).durable())).await.unwrap();
    let missing = Arc::new(Mutex::new((0..PUBLISHERS * NUMBERS).collect::<BTreeSet<_>>()));
    let done = Arc::new(AtomicBool::new(false));
    let mut tasks = vec![];
    for own in 0..PUBLISHERS {
        let channel = soon(connection.open_channel()).await.unwrap();
        tasks.push(tokio::spawn(publisher(channel, queue.clone(), own)));
    }
    for _ in 0..2 {
        let channel = soon(connection.open_channel()).await.unwrap();
        soon(channel.qos(Qos::per_consumer(7))).await.unwrap();
        let consumer = soon(channel.consume(Consume::new(&queue))).await.unwrap();
        tasks.push(tokio::spawn(receiver(consumer, missing.clone())));
    }
    let passing = tokio::spawn(passer_by(connection.clone(), done.clone()));
    let mut all = connection.events();
    for _ in 0..BREAKS {
        let mut events = connection.events();
        chaos.cut();
        recovered(&mut events).await;
    }
    for task in tasks {
        soon(task).await.unwrap();
    }
    done.store(true, Ordering::Relaxed);
    soon(passing).await.unwrap();
    soon(connection.close()).await.unwrap();
    // A mistake of the client's would make the broker close the connection.
    while let Some(event) = soon(all.next()).await {
        if let Event::Lost(error) | Event::AttemptFailed { error, .. } = event {
            assert!(matches!(error, Error::Io(_)), "{error}");
        }
    }
    delete(&queue).await;
}
