//! The program on a disk that is full: README.md and DESIGN.md, section 5. The disk is a small one in memory, which is mounted
//! in a namespace of its own: the tests are run with `--ignored`, as `.ci/run` does.
#![expect(clippy::unwrap_used, clippy::panic, reason = "that is how a test fails")]

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use leveret_client::{Channel, Confirm, Connection, Consume, Outcome, Publish, QueueDeclare, Result};
use leveret_tests::{Program, program};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio::time::timeout;

const QUEUE: &str = "kept";
/// How long an answer may take. Only a broker that hangs meets it.
const PATIENCE: Duration = Duration::from_secs(60);
/// Publishes that are under way at a time.
const WINDOW: usize = 50;

/// A file system in memory. It is mounted where a process lives that does nothing else, and goes with it.
struct Disk {
    holder: Child,
    /// How others come to where it is mounted.
    entry: &'static [&'static str],
    folder: PathBuf,
}

impl Disk {
    /// One of so many MiB.
    #[track_caller]
    fn new(name: &str, size_mib: usize) -> Disk {
        let folder = std::env::temp_dir().join(format!("leveret-full-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("disk")).unwrap();
        // Not everybody may have a user namespace, and not everybody may mount without one.
        let ways: [(&str, &[&str]); 2] = [("-Urm", &["-U", "--preserve-credentials", "-m"]), ("-m", &["-m"])];
        for (share, entry) in ways {
            let script = format!("mount -t tmpfs -o size={size_mib}m tmpfs \"$0\" && echo mounted && exec cat");
            let mut command = Command::new("unshare");
            command.args([share, "sh", "-c", &script]).arg(folder.join("disk"));
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
            let mut holder = command.spawn().expect("unshare, which every Linux has");
            let mut said = String::new();
            BufReader::new(holder.stdout.take().unwrap()).read_line(&mut said).unwrap();
            if said == "mounted\n" {
                return Disk { holder, entry, folder };
            }
            holder.wait().unwrap();
        }
        panic!("a tmpfs cannot be mounted: neither in a user namespace nor without one");
    }

    /// The file system, as it is seen from outside.
    fn path(&self) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.holder.id()));
        root.join(self.folder.join("disk").strip_prefix("/").unwrap())
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// A broker on it, whose publishers wait while there are less than so many bytes.
    #[track_caller]
    fn start(&self, free_limit: &str) -> Program {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.holder.id().to_string()]).args(self.entry).arg("--").arg(program());
        command.args(["--log", "warning", "--set", &format!("disk_free_limit.absolute={free_limit}"), "--data-dir"]);
        command.arg(self.folder.join("disk/data"));
        let started = Program::start(&mut command, &self.folder.join("log"));
        started.unwrap_or_else(|error| panic!("{}\n{}", error.text, self.log()))
    }

    /// Takes what room there is, but for so many KiB.
    fn fill(&self, left_kib: usize) {
        let mut ballast = File::create(self.path().join("ballast")).unwrap();
        let mut bytes = 0;
        while ballast.write_all(&[7; 4096]).is_ok() {
            bytes += 4096;
        }
        ballast.set_len((bytes - (left_kib << 10)) as u64).unwrap();
    }

    fn empty(&self) {
        fs::remove_file(self.path().join("ballast")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn in_runtime<T>(work: impl Future<Output = T>) -> T {
    Runtime::new().unwrap().block_on(work)
}

async fn channel(broker: &Program) -> Result<Channel> {
    let channel =
        Connection::open_with(&broker.url(), |options| options.without_recovery()).await?.open_channel().await?;
    channel.queue_declare(QueueDeclare::new(QUEUE).durable()).await?;
    Ok(channel)
}

fn body(number: usize) -> Vec<u8> {
    let mut body = format!("{number} ").into_bytes();
    body.resize(20_000, b'.');
    body
}

fn number(body: &[u8]) -> usize {
    assert_eq!(body.len(), 20_000);
    String::from_utf8_lossy(body).split(' ').next().unwrap().parse().unwrap()
}

/// Publishes from a number on, until the connection ends or so many are confirmed.
struct Publisher {
    channel: Channel,
    confirmed: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Publisher {
    async fn start(broker: &Program, from: usize, count: usize) -> Result<Publisher> {
        let channel = channel(broker).await?;
        let confirmed = Arc::new(AtomicUsize::new(from));
        let task = tokio::spawn(publish(channel.clone(), confirmed.clone(), from..from.saturating_add(count)));
        Ok(Publisher { channel, confirmed, task })
    }

    /// Waits until the broker says that the disk is low.
    async fn blocked(&self) {
        let connection = self.channel.connection();
        wait_for("the publisher to be blocked", || connection.blocked().is_some()).await;
        assert_eq!(connection.blocked().as_deref(), Some("low on disk"));
    }

    async fn ended(&mut self) {
        (&mut self.task).await.unwrap();
    }

    /// The number of the first that is not known to be confirmed.
    fn confirmed(&self) -> usize {
        self.confirmed.load(Ordering::SeqCst)
    }
}

async fn publish(channel: Channel, confirmed: Arc<AtomicUsize>, numbers: std::ops::Range<usize>) {
    let mut waiting = std::collections::VecDeque::new();
    for number in numbers {
        let body = body(number);
        match channel.publish_watched(Publish::to_queue(QUEUE).persistent().body(&body)).await {
            Ok(confirm) => waiting.push_back(confirm),
            Err(_) => break,
        }
        if waiting.len() >= WINDOW && !settle(waiting.pop_front(), &confirmed).await {
            return;
        }
    }
    while let Some(confirm) = waiting.pop_front() {
        if !settle(Some(confirm), &confirmed).await {
            return;
        }
    }
}

async fn settle(confirm: Option<Confirm>, confirmed: &AtomicUsize) -> bool {
    let Some(confirm) = confirm else { return false };
    let acked = matches!(confirm.await, Ok(Outcome::Acked));
    confirmed.fetch_add(usize::from(acked), Ordering::SeqCst);
    acked
}

async fn wait_for(what: &str, mut come: impl FnMut() -> bool) {
    let waited = timeout(PATIENCE, async {
        while !come() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("{what}: waited in vain"));
}

/// Takes so many messages off the queue; their numbers.
async fn take(broker: &Program, count: usize) -> Result<Vec<usize>> {
    let channel = channel(broker).await?;
    let mut consumer = channel.consume(Consume::new(QUEUE)).await?;
    let mut numbers = vec![];
    while numbers.len() < count {
        let delivery = timeout(PATIENCE, consumer.next()).await.expect("another message").unwrap()?;
        delivery.ack().await?;
        numbers.push(number(delivery.body()));
    }
    channel.connection().close().await?;
    Ok(numbers)
}

async fn ready(broker: &Program) -> Result<usize> {
    let channel = channel(broker).await?;
    let ready = channel.queue_declare(QueueDeclare::new(QUEUE).passive()).await?.messages;
    channel.connection().close().await?;
    Ok(ready as usize)
}

/// Fills the disk with messages until publishers are blocked; takes a few; kills the broker; all that was confirmed is there
/// when it starts again; when that has been taken, a publisher that was blocked goes on by itself. Again and again.
fn filled_and_drained(disk: &Disk, free_limit: &str, rounds: usize) {
    for round in 0..rounds {
        let broker = disk.start(free_limit);
        let (taken, confirmed) = in_runtime(async {
            let mut publisher = Publisher::start(&broker, 0, usize::MAX).await.unwrap();
            publisher.blocked().await;
            let taken = take(&broker, 20).await.unwrap();
            assert_eq!(taken, (0..20).collect::<Vec<_>>(), "consumers go on");
            broker.kill().unwrap();
            publisher.ended().await;
            (taken.len(), publisher.confirmed())
        });
        assert!(confirmed > taken, "round {round}: {confirmed} were confirmed\n{}", disk.log());
        let broker = disk.start(free_limit);
        in_runtime(async {
            let found = ready(&broker).await.unwrap();
            let mut publisher = Publisher::start(&broker, 1_000_000, usize::MAX).await.unwrap();
            publisher.blocked().await;
            let numbers = take(&broker, found).await.unwrap();
            // An acknowledgement of the last moment may be lost, an unconfirmed message kept.
            let (begin, end) = (numbers[0], numbers[0] + found);
            assert_eq!(numbers, (begin..end).collect::<Vec<_>>());
            assert!(begin <= taken && end >= confirmed, "{begin}..{end} of {taken}..{confirmed} in round {round}");
            // What it had published before it was blocked goes too.
            let more = ready(&broker).await.unwrap();
            let blocked_at = publisher.confirmed();
            assert_eq!(take(&broker, more).await.unwrap(), (1_000_000..1_000_000 + more).collect::<Vec<_>>());
            wait_for("the publisher to go on", || publisher.confirmed() > blocked_at + WINDOW).await;
            publisher.channel.connection().close().await.unwrap();
            publisher.ended().await;
            let rest = ready(&broker).await.unwrap();
            take(&broker, rest).await.unwrap();
        });
        broker.terminate().unwrap();
    }
}

/// The limit is reached before the disk is full.
#[test]
#[ignore = "needs to mount a tmpfs"]
fn a_disk_below_its_limit_stops_publishers_and_loses_nothing() {
    filled_and_drained(&Disk::new("limit", 120), "50MB", 2);
}

/// Nothing stops publishers before there is no room for another segment.
#[test]
#[ignore = "needs to mount a tmpfs"]
fn a_full_disk_stops_publishers_and_loses_nothing() {
    filled_and_drained(&Disk::new("full", 120), "0", 2);
}

/// A disk that never has room for what a large one would set aside.
#[test]
#[ignore = "needs to mount a tmpfs"]
fn a_small_disk_holds_what_fits() {
    filled_and_drained(&Disk::new("small", 40), "0", 3);
}

/// A large message for which there is no room anywhere, and small ones behind it until publishers are blocked.
async fn publish_what_does_not_fit(broker: &Program, numbers: std::ops::RangeFrom<usize>) -> Result<Vec<Confirm>> {
    let large = vec![7; 16 << 20];
    let publishing = channel(broker).await?;
    let mut confirms = vec![publishing.publish_watched(Publish::to_queue("large").persistent().body(&large)).await?];
    let behind = channel(broker).await?;
    let mut numbers = numbers.map(body);
    let blocked = timeout(PATIENCE, async {
        while behind.connection().blocked().is_none() {
            let body = numbers.next().unwrap_or_default();
            confirms.push(behind.publish_watched(Publish::to_queue(QUEUE).persistent().body(&body)).await?);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok::<_, leveret_client::Error>(())
    });
    blocked.await.expect("publishers are blocked")?;
    // The channels are held by nobody else.
    tokio::spawn(async move { (publishing.connection().closed().await, behind.connection().closed().await) });
    Ok(confirms)
}

/// There is nothing for a broker to do but to wait for room: nobody hears yes, nothing that was confirmed is lost, and it goes
/// on by itself.
#[test]
#[ignore = "needs to mount a tmpfs"]
fn what_has_no_room_waits_for_some() {
    let disk = Disk::new("stuck", 60);
    let broker = disk.start("0");
    in_runtime(async {
        let mut publisher = Publisher::start(&broker, 0, 30).await.unwrap();
        publisher.ended().await;
        assert_eq!(publisher.confirmed(), 30);
        publisher.channel.queue_declare(QueueDeclare::new("large").durable()).await.unwrap();
        disk.fill(0);
        let confirms = publish_what_does_not_fit(&broker, 30..).await.unwrap();
        assert_eq!(take(&broker, 10).await.unwrap(), (0..10).collect::<Vec<_>>(), "consumers go on");
        broker.kill().unwrap();
        let large = confirms.into_iter().next().unwrap();
        assert!(!large.await.is_ok_and(|outcome| outcome.is_acked()), "there was no room for it");
    });
    let broker = disk.start("0");
    in_runtime(async {
        let found = ready(&broker).await.unwrap();
        assert!(found >= 20, "{found} messages");
        let confirms = publish_what_does_not_fit(&broker, 1_000_000..).await.unwrap();
        disk.empty();
        let behind = confirms.len() - 1;
        for confirm in confirms {
            assert!(timeout(PATIENCE, confirm).await.expect("a confirm").unwrap().is_acked());
        }
        let numbers = take(&broker, found + behind).await.unwrap();
        let (kept, new) = numbers.split_at(found);
        assert_eq!(kept, (kept[0]..kept[0] + found).collect::<Vec<_>>());
        assert!(kept[0] <= 10 && kept[0] + found >= 30, "{kept:?}");
        assert_eq!(new, (1_000_000..1_000_000 + behind).collect::<Vec<_>>());
    });
    broker.terminate().unwrap();
}
