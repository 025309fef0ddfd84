//! The program on a disk that fails or has changed: DESIGN.md, section 5. System calls are watched, and made to fail, by
//! strace: the tests that need it are run with `--ignored`, as `.ci/run` does.
#![expect(clippy::unwrap_used, clippy::panic, reason = "that is how a test fails")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use leveret_client::{Channel, Connection, Consume, Outcome, Publish, QueueDeclare, Result};
use leveret_tests::{NotStarted, Program, program};
use tokio::runtime::Runtime;
use tokio::time::timeout;

const QUEUE: &str = "kept";
/// How long an answer may take. Only a broker that hangs meets it.
const PATIENCE: Duration = Duration::from_secs(30);

/// A broker's directory and log, which go with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("leveret-disk-{name}-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn data(&self) -> PathBuf {
        self.0.join("data")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.0.join("log")).unwrap_or_default()
    }

    fn try_start(&self) -> Result<Program, NotStarted> {
        let mut command = Command::new(program());
        command.args(["--log", "error", "--data-dir"]).arg(self.data());
        Program::start(&mut command, &self.0.join("log"))
    }

    #[track_caller]
    fn start(&self) -> Program {
        self.try_start().unwrap_or_else(|error| panic!("{}\n{}", error.text, self.log()))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// strace on all threads of a broker.
struct Strace(Child);

impl Strace {
    #[track_caller]
    fn attach(broker: &Program, arguments: &[&str]) -> Strace {
        let mut command = Command::new("strace");
        command.args(["-f", "-p", &broker.pid().to_string()]).args(arguments);
        let mut child = command.stderr(Stdio::piped()).spawn().expect("strace, which Debian has a package of");
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        // One line for each thread, or one for all.
        said.read_line(&mut line).unwrap();
        assert!(line.contains("attached"), "{line}");
        std::thread::spawn(move || said.lines().count());
        Strace(child)
    }

    /// Lets the broker go on alone.
    fn detach(mut self) {
        let asked = Command::new("kill").args(["-INT", &self.0.id().to_string()]).status();
        assert!(asked.unwrap().success());
        self.0.wait().unwrap();
    }
}

fn in_runtime<T>(work: impl Future<Output = T>) -> T {
    Runtime::new().unwrap().block_on(work)
}

async fn channel(broker: &Program) -> Result<Channel> {
    Connection::open_with(&broker.url(), |options| options.without_recovery()).await?.open_channel().await
}

fn text(number: usize) -> String {
    format!("message {number} {}", "x".repeat(number % 3000))
}

async fn publish(channel: &Channel, number: usize) -> Result<Outcome> {
    let body = text(number);
    timeout(PATIENCE, channel.publish_confirmed(Publish::to_queue(QUEUE).persistent().body(&body))).await.unwrap()
}

/// Messages from `first` on, all confirmed.
async fn publish_all(broker: &Program, first: usize, count: usize) -> Result<()> {
    let channel = channel(broker).await?;
    channel.queue_declare(QueueDeclare::new(QUEUE).durable()).await?;
    for number in first..first + count {
        assert!(publish(&channel, number).await?.is_acked());
    }
    channel.connection().close().await
}

/// The bodies in the queue, in order.
async fn contents(broker: &Program) -> Result<Vec<String>> {
    let channel = channel(broker).await?;
    let count = channel.queue_declare(QueueDeclare::new(QUEUE).passive()).await?.messages;
    let mut consumer = channel.consume(Consume::new(QUEUE).keep_dropped()).await?;
    let mut bodies = vec![];
    while bodies.len() < count as usize {
        let delivery = timeout(PATIENCE, consumer.next()).await.unwrap().unwrap()?;
        bodies.push(String::from_utf8_lossy(delivery.body()).into_owned());
    }
    Ok(bodies)
}

fn texts(count: usize) -> Vec<String> {
    (0..count).map(text).collect()
}

/// The confirm leaves when the message is on the disk, and not before.
#[test]
#[ignore = "needs strace"]
fn a_confirm_is_sent_after_the_sync() {
    let folder = Folder::new("order");
    let broker = folder.start();
    let trace = folder.0.join("trace");
    in_runtime(async {
        let channel = channel(&broker).await.unwrap();
        channel.queue_declare(QueueDeclare::new(QUEUE).durable()).await.unwrap();
        // The declaration's disk work is done, and confirms are on.
        assert!(publish(&channel, 0).await.unwrap().is_acked());
        let calls = "trace=fdatasync,fsync,pwrite64,pwritev,pwritev2,sendto,sendmsg,write,writev";
        let strace = Strace::attach(&broker, &["-s", "4096", "-xx", "-e", calls, "-o", trace.to_str().unwrap()]);
        assert!(publish(&channel, 1000).await.unwrap().is_acked());
        strace.detach();
    });
    let trace = fs::read_to_string(trace).unwrap();
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect::<String>();
    let at = |what: &str, found: &dyn Fn(&str) -> bool| {
        trace.lines().position(found).unwrap_or_else(|| panic!("no {what} in\n{trace}"))
    };
    let body = hex(b"message 1000 ");
    let written = at("write of the message", &|line| line.contains("pwrite") && line.contains(&body));
    let is_synced = |line: &str| line.contains("sync") && line.trim_end().ends_with("= 0");
    let synced = at("sync", &is_synced);
    // basic.ack on channel 1: class 60, method 80.
    let ack = hex(&[1, 0, 1, 0, 0, 0, 13, 0, 60, 0, 80]);
    let confirmed = at("confirm", &|line| line.contains(&ack) && !line.contains("pwrite"));
    assert!(written < synced && synced < confirmed, "{written}, {synced}, {confirmed} in\n{trace}");
}

/// Has calls on these files fail as strace's `inject` says.
#[track_caller]
fn inject(broker: &Program, fault: &str, files: &[PathBuf]) -> Strace {
    let (call, _) = fault.split_once(':').unwrap();
    let (calls, inject) = (format!("trace={call}"), format!("inject={fault}"));
    let mut arguments = vec!["-e", &calls, "-e", &inject, "-o", "/dev/null"];
    files.iter().for_each(|file| arguments.extend(["-P", file.to_str().unwrap()]));
    Strace::attach(broker, &arguments)
}

/// The program ends by itself, with a failure that its error lines name, and nothing else in them.
#[track_caller]
fn assert_ended(broker: &mut Program, folder: &Folder, why: &str) {
    let status = broker.wait().unwrap_or_else(|| panic!("the program goes on\n{}", folder.log()));
    let log = folder.log();
    assert_eq!(status.code(), Some(1), "{log}");
    let mut errors = log.lines().filter(|line| line.contains("ERROR") || line.starts_with("leveret: ")).peekable();
    assert!(errors.peek().is_some() && errors.all(|line| line.contains(why)) && !log.contains("panicked"), "{log}");
}

/// When the disk fails, nobody hears yes any more, the program ends and says why, and what was confirmed is there later.
#[track_caller]
fn log_fails(name: &str, fault: &str) {
    let folder = Folder::new(name);
    let mut broker = folder.start();
    let (confirmed, strace) = in_runtime(async {
        publish_all(&broker, 0, 20).await.unwrap();
        let channel = channel(&broker).await.unwrap();
        assert!(publish(&channel, 20).await.unwrap().is_acked());
        let strace = inject(&broker, fault, &files(&folder.data().join("log")));
        let mut confirmed = 21;
        while let Ok(Outcome::Acked) = publish(&channel, confirmed).await {
            confirmed += 1;
            assert!(confirmed < 1000, "the disk has failed, and everything is confirmed");
        }
        // Nobody is told anything else from then on.
        assert!(!matches!(publish(&channel, 5000).await, Ok(Outcome::Acked)));
        (confirmed, strace)
    });
    assert_ended(&mut broker, &folder, "message store cannot be written: Input/output error");
    drop(strace);
    let mut found = in_runtime(contents(&folder.start())).unwrap();
    // The message that failed may have come to the disk nevertheless.
    found.truncate(confirmed);
    assert_eq!(found, texts(confirmed));
}

/// A sync that fails is never repeated: nobody knows what the disk has.
#[test]
#[ignore = "needs strace"]
fn a_failed_sync_confirms_nothing() {
    log_fails("sync", "fdatasync:error=EIO:when=1");
    log_fails("later-sync", "fdatasync:error=EIO:when=4");
}

/// A write that fails is a failure of the disk.
#[test]
#[ignore = "needs strace"]
fn a_failed_write_confirms_nothing() {
    log_fails("write", "pwrite64:error=EIO:when=1");
    log_fails("later-write", "pwrite64:error=EIO:when=6");
}

/// What the catalog could not keep is not answered.
#[test]
#[ignore = "needs strace"]
fn a_failed_catalog_answers_no_declaration() {
    for fault in ["fdatasync:error=EIO:when=1", "pwrite64:error=EIO:when=1"] {
        let folder = Folder::new("declaration");
        let mut broker = folder.start();
        let strace = in_runtime(async {
            publish_all(&broker, 0, 20).await.unwrap();
            let channel = channel(&broker).await.unwrap();
            let strace = inject(&broker, fault, &[folder.data().join("meta.redb")]);
            let declared = timeout(PATIENCE, channel.queue_declare(QueueDeclare::new("another").durable())).await;
            assert!(declared.unwrap().is_err(), "{fault}");
            strace
        });
        assert_ended(&mut broker, &folder, "catalog cannot be written");
        drop(strace);
        assert_eq!(in_runtime(contents(&folder.start())).unwrap(), texts(20));
    }
}

/// Fills a directory with messages in two segments, by brokers that were killed; how many messages they are.
fn killed(folder: &Folder) -> usize {
    let mut count = 0;
    for _ in 0..2 {
        let broker = folder.start();
        in_runtime(publish_all(&broker, count, 60)).unwrap();
        count += 60;
        broker.kill().unwrap();
    }
    count
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![];
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// The segments with blocks in them, the newest last.
fn segments(folder: &Path) -> Vec<PathBuf> {
    files(folder)
        .into_iter()
        .filter(|path| path.extension().is_some_and(|k| k == "seg") && !blocks(path).is_empty())
        .collect()
}

/// How the program takes a directory in which one file has changed.
#[derive(Debug, PartialEq)]
enum Taken {
    Refused(String),
    /// It starts, and has so many of the messages: from the first on, without a gap.
    Started(usize),
}

#[track_caller]
fn take(folder: &Folder, count: usize) -> Taken {
    let before = folder.log().len();
    match folder.try_start() {
        Ok(broker) => {
            let found = in_runtime(contents(&broker)).unwrap();
            assert!(found.len() <= count && found == texts(found.len()), "{} of {count} messages", found.len());
            Taken::Started(found.len())
        }
        Err(refused) => {
            let log = folder.log()[before..].to_owned();
            assert_eq!(refused.status.and_then(|status| status.code()), Some(1), "{}\n{log}", refused.text);
            assert_eq!(log.lines().count(), 1, "one sentence, not\n{log}");
            Taken::Refused(log)
        }
    }
}

/// Changes a file of a copy of the directory, and looks how the program takes it.
#[track_caller]
fn change(original: &Folder, count: usize, file: &Path, change: impl FnOnce(&mut Vec<u8>)) -> Taken {
    let copy = Folder::new("changed");
    let copied = Command::new("cp").args(["-r", "--sparse=always"]).args([original.data(), copy.data()]).status();
    assert!(copied.unwrap().success());
    let changed = copy.data().join(file.strip_prefix(original.data()).unwrap());
    let mut bytes = fs::read(&changed).unwrap();
    change(&mut bytes);
    fs::write(changed, bytes).unwrap();
    take(&copy, count)
}

/// The refusal names the file.
#[track_caller]
fn assert_refused(taken: &Taken, file: &str) {
    let Taken::Refused(log) = taken else { panic!("{file} has changed, and the program has {taken:?}") };
    assert!(log.contains(file), "{log}");
}

/// The offsets of a segment's blocks, by their magic.
fn blocks(segment: &Path) -> Vec<usize> {
    let bytes = fs::read(segment).unwrap();
    (0..bytes.len()).step_by(4096).filter(|at| bytes[*at..].starts_with(b"LVRTBLK1")).collect()
}

/// A block that is not what was written, with later ones behind it that show that it stayed: the start is refused, with the
/// file and the offset.
#[test]
fn a_changed_block_is_refused() {
    let folder = Folder::new("blocks");
    let count = killed(&folder);
    for segment in segments(&folder.data()) {
        let name = segment.file_name().unwrap().to_string_lossy().into_owned();
        let blocks = blocks(&segment);
        assert!(blocks.len() > 5, "{name} has {} blocks", blocks.len());
        let middle = blocks[blocks.len() / 2];
        // In the magic, the length, the lsn, a checksum, a record.
        for (at, bit) in [(0, 1), (9, 0x80), (24, 1), (57, 4), (70, 0x10)] {
            let taken = change(&folder, count, &segment, |bytes| bytes[middle + at] ^= bit);
            assert_refused(&taken, &name);
            assert_refused(&taken, &format!("offset {middle}"));
        }
        // All of it is gone.
        let taken = change(&folder, count, &segment, |bytes| bytes[middle..middle + 4096].fill(0));
        assert_refused(&taken, &name);
    }
}

/// What is cut off a segment is missed.
#[test]
fn a_segment_that_was_cut_is_refused() {
    let folder = Folder::new("cuts");
    let count = killed(&folder);
    for segment in segments(&folder.data()) {
        let name = segment.file_name().unwrap().to_string_lossy().into_owned();
        let middle = blocks(&segment)[3];
        for length in [0, 10, middle, middle + 100] {
            assert_refused(&change(&folder, count, &segment, |bytes| bytes.truncate(length)), &name);
        }
    }
}

/// The last block of a broker that was killed may be one that it did not finish: that is no damage. Only what is in it is
/// not there.
#[test]
fn a_torn_end_is_no_damage() {
    let folder = Folder::new("torn");
    let count = killed(&folder);
    let segment = segments(&folder.data()).pop().unwrap();
    let last = *blocks(&segment).last().unwrap();
    for at in [0, 30, 100] {
        let taken = change(&folder, count, &segment, |bytes| bytes[last + at] ^= 1);
        assert_eq!(taken, Taken::Started(count - 1));
    }
    let untouched = change(&folder, count, &segment, |_| {});
    assert_eq!(untouched, Taken::Started(count));
}

/// The file that says what the log is.
#[test]
fn a_changed_format_is_refused() {
    let folder = Folder::new("format");
    let count = killed(&folder);
    let format = folder.data().join("log/FORMAT");
    let length = fs::read(&format).unwrap().len();
    for at in (0..length).step_by(7) {
        let taken = change(&folder, count, &format, |bytes| bytes[at] ^= 4);
        let is_version = at == b"leveret store ".len();
        assert_refused(&taken, if is_version { "the message store has version" } else { "FORMAT" });
    }
    assert_refused(&change(&folder, count, &format, |bytes| bytes.truncate(20)), "FORMAT");
    assert_refused(&change(&folder, count, &format, Vec::clear), "FORMAT");
}

/// The catalog checks its pages. A bit in one that is not in use changes nothing; any other is noticed.
#[test]
fn a_changed_catalog_is_refused_or_as_it_was() {
    let folder = Folder::new("catalog");
    let count = killed(&folder);
    let catalog = folder.data().join("meta.redb");
    let bytes = fs::read(&catalog).unwrap();
    let used: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
    let mut refused = 0;
    for n in 0..40 {
        let at = used[n * used.len() / 40];
        match change(&folder, count, &catalog, |bytes| bytes[at] ^= 0x10) {
            Taken::Refused(log) => {
                assert!(log.contains("meta.redb"), "{log}");
                refused += 1;
            }
            Taken::Started(found) => assert_eq!(found, count, "a bit at {at} has changed"),
        }
    }
    assert!(refused > 0, "no bit of {} matters", used.len());
    for length in [0, 100, 5000, bytes.len() / 2] {
        assert_refused(&change(&folder, count, &catalog, |bytes| bytes.truncate(length)), "meta.redb");
    }
}
