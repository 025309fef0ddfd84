//! Single services against an embedded broker, with messages as other programs may send them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use cruncher_demo::crunch::{Cruncher, Kind};
use cruncher_demo::error::Error;
use cruncher_demo::mail::{Post, SENDER};
use cruncher_demo::messages::{ATTEMPTS_HEADER, FILE_HEADER};
use cruncher_demo::screen::Screen;
use cruncher_demo::service::serve;
use cruncher_demo::spam::{Ended, Spammer, Warnings};
use cruncher_demo::status::{Alone, Status, Surroundings};
use cruncher_demo::stop::Stop;
use cruncher_demo::tally::{News, Tally};
use cruncher_demo::topology::{self, EMAILS, SPAMMER, STATUS};
use leveret::{Broker, Config};
use leveret_client::spec::TableBuf;
use leveret_client::{Channel, Connection, Delivery, Get, Publish};
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc;

async fn start() -> (Broker, Channel) {
    let broker = Broker::start(Config::in_memory()).await.unwrap();
    let connection = Connection::over(broker.connect(), Default::default()).await.unwrap();
    let channel = connection.open_channel().await.unwrap();
    topology::declare(&channel).await.unwrap();
    (broker, channel)
}

async fn another(channel: &Channel) -> Channel {
    channel.connection().open_channel().await.unwrap()
}

async fn get(channel: &Channel, queue: &str) -> Option<Delivery> {
    channel.get(Get::new(queue).no_ack()).await.unwrap()
}

async fn run_status(channel: &Channel, results: u64) -> String {
    let tally = Arc::new(Mutex::new(Tally::new("apple.com")));
    let status = Status::start(tally.clone(), another(channel).await, Screen::silent(), Alone, false);
    let (status, consumer) = status.await.unwrap();
    let (_stopper, stop) = Stop::new();
    serve(status, consumer, stop, Some(results)).await.unwrap();
    tally.lock().unwrap().to_string()
}

#[tokio::test]
async fn a_bare_list_from_elsewhere_is_a_result() {
    let (broker, channel) = start().await;
    topology::declare_spam_queue(&channel, "ann").await.unwrap();
    for body in [r#"["ann@apple.com", "bob@apple.com"]"#, "no list", "{}", r#"["ANN@apple.com"]"#] {
        channel.publish(Publish::to_queue(STATUS).body(body)).await.unwrap();
    }
    assert_eq!(run_status(&channel, 4).await, "2 results, 2 addresses (unknown 2), 2 in apple.com");

    let warning = get(&channel, "ann").await.unwrap();
    assert_eq!((warning.body(), &*warning.exchange(), &*warning.routing_key()), (&b"spam me!"[..], SPAMMER, "ann"));
    assert!(get(&channel, "ann").await.is_none());
    assert!(get(&channel, STATUS).await.is_none());
    broker.shutdown().await.unwrap();
}

/// Surroundings that lose the connection before the second warning, the first time.
struct Unlucky {
    asked: u32,
}

impl Surroundings for Unlucky {
    async fn expect(&mut self, _: &News, _: Option<&str>) -> Result<bool, Error> {
        self.asked += 1;
        if self.asked == 2 { Err(Error::Unfinished("the connection is lost".into())) } else { Ok(true) }
    }
}

#[tokio::test]
async fn a_result_that_comes_again_brings_the_warnings_that_nobody_was_asked_for() {
    let (broker, channel) = start().await;
    for local_part in ["ann", "bob"] {
        topology::declare_spam_queue(&channel, local_part).await.unwrap();
    }
    channel.publish(Publish::to_queue(STATUS).body(r#"["ann@apple.com", "bob@apple.com"]"#)).await.unwrap();
    let tally = Arc::new(Mutex::new(Tally::new("apple.com")));
    let (_stopper, stop) = Stop::new();

    let own = another(&channel).await;
    let status = Status::start(tally.clone(), own.clone(), Screen::silent(), Unlucky { asked: 0 }, false);
    let (status, consumer) = status.await.unwrap();
    assert!(serve(status, consumer, stop.clone(), Some(1)).await.is_err());
    own.close().await.unwrap();

    let status = Status::start(tally.clone(), another(&channel).await, Screen::silent(), Alone, false);
    let (status, consumer) = status.await.unwrap();
    serve(status, consumer, stop, Some(1)).await.unwrap();
    for local_part in ["ann", "bob"] {
        assert!(get(&channel, local_part).await.is_some());
        assert!(get(&channel, local_part).await.is_none(), "{local_part} is warned twice");
    }
    assert_eq!(tally.lock().unwrap().addresses(), 2);
    broker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_cruncher_answers_every_message_and_passes_its_label_on() {
    let (broker, channel) = start().await;
    let folder = tempfile::tempdir().unwrap();
    let letter = folder.path().join("letter").display().to_string();
    std::fs::write(&letter, "ann@apple.com").unwrap();
    let named = Publish::to_exchange(EMAILS, "").correlation_id("label").body(&letter);
    for message in [named, named.body(b"\xff"), named.body("no such file"), named.body("")] {
        channel.publish(message).await.unwrap();
    }
    let cruncher = Cruncher::start(Kind::Slow, another(&channel).await, Screen::silent());
    let (cruncher, consumer) = cruncher.await.unwrap();
    let (_stopper, stop) = Stop::new();
    serve(cruncher, consumer, stop, Some(4)).await.unwrap();

    let first = get(&channel, STATUS).await.unwrap();
    let properties = first.properties();
    assert_eq!(first.body(), br#"["ann@apple.com"]"#);
    assert_eq!(properties.app_id().as_deref(), Some(&b"slow"[..]));
    assert_eq!(properties.correlation_id().as_deref(), Some(&b"label"[..]));
    assert_eq!(properties.content_type().as_deref(), Some(&b"application/json"[..]));
    assert_eq!(properties.headers().unwrap().lookup(FILE_HEADER).unwrap().as_str(), Some(letter.as_str()));
    for _ in 0..3 {
        assert_eq!(get(&channel, STATUS).await.unwrap().body(), b"[]");
    }
    broker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_mail_server_that_is_away_is_tried_a_few_times() {
    let (broker, channel) = start().await;
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let post = Post::smtp(&format!("smtp://{nobody}")).unwrap();
    let warnings = Warnings { domain: "apple.com".into(), sender: SENDER.parse().unwrap(), post, attempts: 3 };
    let spammer = Spammer::start("ann", warnings, another(&channel).await, Screen::silent());
    let (mut spammer, consumer) = spammer.await.unwrap();
    let (sender, mut ended) = mpsc::channel(8);
    spammer.tell(sender);

    // Two failures are behind the second message already, so that only the first one goes round once more.
    let failures = |failures: u32| TableBuf::new().with(ATTEMPTS_HEADER, failures).unwrap();
    let (one, two) = (failures(1), failures(2));
    let warning = Publish::to_exchange(SPAMMER, "ann").body("spam me!");
    channel.publish(warning.headers(&one).correlation_id("a")).await.unwrap();
    channel.publish(warning.headers(&two).correlation_id("b")).await.unwrap();
    let (_stopper, stop) = Stop::new();
    serve(spammer, consumer, stop, Some(3)).await.unwrap();

    for label in ["b", "a"] {
        let expected = Ended { local_part: "ann".into(), label: Some(label.into()), written: false };
        assert_eq!(ended.recv().await, Some(expected));
    }
    assert!(get(&channel, "ann").await.is_none());
    broker.shutdown().await.unwrap();
}
