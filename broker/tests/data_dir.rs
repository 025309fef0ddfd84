//! Commands for a data directory, as an operator gives them: to a copy of a broker that runs, to one that nobody has open, and
//! to one that is damaged.
#![expect(clippy::unwrap_used, reason = "that is how a test fails")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use leveret::{Broker, Config};
use leveret_client::{Channel, Connection, Get, Publish, QueueDeclare};

/// A directory that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("leveret-data-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

async fn channel(broker: &Broker) -> Channel {
    Connection::over(broker.connect(), Default::default()).await.unwrap().open_channel().await.unwrap()
}

async fn fill(broker: &Broker, bodies: &[&str]) {
    let channel = channel(broker).await;
    channel.queue_declare(QueueDeclare::new("q").durable()).await.unwrap();
    for body in bodies {
        let publish = Publish::to_queue("q").persistent().body(*body);
        assert!(channel.publish_confirmed(publish).await.unwrap().is_acked());
    }
}

async fn drain(directory: &Path) -> Vec<String> {
    let broker = Broker::start(Config::durable(directory)).await.unwrap();
    let channel = channel(&broker).await;
    let mut bodies = vec![];
    while let Some(delivery) = channel.get(Get::new("q").keep_dropped()).await.unwrap() {
        bodies.push(String::from_utf8_lossy(delivery.body()).into_owned());
    }
    drop(channel);
    broker.shutdown().await.unwrap();
    bodies
}

fn leveret(words: &[&str], paths: &[&Path]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_leveret")).args(words).args(paths).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_of_a_running_broker_is_a_broker() {
    let (live, copy) = (Folder::new("live"), Folder::new("copy"));
    let broker = Broker::start(Config::durable(&live.0)).await.unwrap();
    fill(&broker, &["a", "b", "c"]).await;
    let copied = leveret(&["backup"], &[&live.0, &copy.0]);
    assert_eq!((copied.status.code(), text(&copied.stderr)), (Some(0), ""));
    assert_eq!(text(&copied.stdout), format!("copied to {}\n", copy.0.display()));
    // The broker goes on, and the copy stays what it was.
    fill(&broker, &["d"]).await;
    let again = leveret(&["backup"], &[&live.0, &copy.0]);
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again.stderr).starts_with("leveret: ") && text(&again.stderr).lines().count() == 1);
    broker.shutdown().await.unwrap();
    assert_eq!(drain(&copy.0).await, ["a", "b", "c"]);
    assert_eq!(drain(&live.0).await, ["a", "b", "c", "d"]);
    let gone = leveret(&["backup"], &[&live.0, &copy.0]);
    let why = format!(
        "leveret: no broker runs on {}; a directory that nobody has open is copied as it is\n",
        live.0.display()
    );
    assert_eq!((gone.status.code(), text(&gone.stderr)), (Some(1), &*why));
}

#[tokio::test]
async fn a_directory_tells_what_is_in_it_and_what_is_wrong_with_it() {
    let folder = Folder::new("look");
    let absent = leveret(&["store", "info"], &[&folder.0]);
    assert_eq!(absent.status.code(), Some(1));
    assert!(text(&absent.stderr).contains("is no data directory"), "{}", text(&absent.stderr));
    let broker = Broker::start(Config::durable(&folder.0)).await.unwrap();
    fill(&broker, &["one message", "another message"]).await;
    let open = leveret(&["store", "verify"], &[&folder.0]);
    assert_eq!(text(&open.stderr), format!("leveret: another broker has {}\n", folder.0.display()));
    broker.shutdown().await.unwrap();
    let info = leveret(&["store", "info"], &[&folder.0]);
    let shown = text(&info.stdout);
    assert!(shown.contains("\nqueues         1\nmessages       2\n"), "{shown}");
    assert!(shown.ends_with("messages  queue\n       2  q in /\n"), "{shown}");
    let verified = leveret(&["store", "verify"], &[&folder.0]);
    let all_well = format!("{}: all is as it was written: 2 messages in 1 queues\n", folder.0.display());
    assert_eq!((verified.status.code(), text(&verified.stdout)), (Some(0), &*all_well));

    let segment = folder.0.join("log/00000001.seg");
    let mut bytes = fs::read(&segment).unwrap();
    let at = bytes.windows(11).position(|window| window == b"one message").unwrap();
    bytes[at] ^= 1;
    fs::write(&segment, bytes).unwrap();
    let verified = leveret(&["store", "verify"], &[&folder.0]);
    assert_eq!(verified.status.code(), Some(1));
    assert!(text(&verified.stdout).starts_with("00000001.seg, offset "), "{}", text(&verified.stdout));
    let refused = Broker::start(Config::durable(&folder.0)).await.unwrap_err().to_string();
    assert!(refused.contains("00000001.seg, offset "), "{refused}");
    // Half of it is better than nothing, if somebody says so.
    let mut config = Config::durable(&folder.0);
    config.accept_data_loss = true;
    let broker = Broker::start(config).await.unwrap();
    let channel = channel(&broker).await;
    let left = channel.get(Get::new("q")).await.unwrap().unwrap();
    assert_eq!(left.body(), b"another message");
    drop((left, channel));
    broker.shutdown().await.unwrap();
}
