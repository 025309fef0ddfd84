//! What the catalog promises: what was handed in is there again, numbers are given once, and a failure is never hidden.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Wake, Waker};
use std::thread::Thread;

use leveret_spec::{TableBuf, Value};
use redb::backends::InMemoryBackend;
use redb::{BackendError, StorageBackend};

use super::*;

/// A directory that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("leveret-catalog-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Folder(path)
    }

    fn open(&self) -> (Catalog, Contents) {
        Catalog::open(&self.0).unwrap()
    }

    fn error(&self) -> String {
        Catalog::open(&self.0).map(drop).unwrap_err().to_string()
    }

    fn file(&self) -> PathBuf {
        self.0.join(FILE)
    }

    /// What is there when it is opened again, as text.
    fn contents(&self) -> Vec<String> {
        shown(&self.open().1)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn shown(contents: &Contents) -> Vec<String> {
    let number = |entry: &Entry| entry.value.as_table().lookup("n").and_then(Value::as_i64).unwrap_or_default();
    contents.entries.iter().map(|entry| format!("{:?} = {}", entry.key, number(entry))).collect()
}

fn queue(vhost: &str, name: &str) -> Key {
    Key::new(Kind::Queue, &[vhost.as_bytes(), name.as_bytes()])
}

fn put(key: Key, number: i64) -> Change {
    Change::Put(key, TableBuf::new().with("n", number).unwrap())
}

/// Wakes a thread that is parked.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits until a ticket stays; false if it never will.
fn wait(catalog: &Catalog, ticket: Ticket) -> bool {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    while catalog.durable() < ticket && catalog.failed().is_none() {
        catalog.wake_when_durable(ticket, &waker);
        std::thread::park();
    }
    catalog.durable() >= ticket
}

/// A disk in memory that counts syncs, can be made to hold one up, and can be made to fail.
#[derive(Clone, Debug)]
struct Disk {
    memory: Arc<InMemoryBackend>,
    syncs: Arc<AtomicUsize>,
    fails: Arc<AtomicBool>,
    gate: Arc<parking_lot::Mutex<()>>,
}

impl Disk {
    fn new() -> Self {
        let memory = Arc::new(InMemoryBackend::new());
        Disk { memory, syncs: Arc::default(), fails: Arc::default(), gate: Arc::default() }
    }

    fn open(&self) -> (Catalog, Contents) {
        Catalog::open_on(self.clone(), Path::new("disk")).unwrap()
    }

    fn contents(&self) -> Vec<String> {
        shown(&self.open().1)
    }

    fn check(&self) -> io::Result<()> {
        if self.fails.load(Ordering::SeqCst) { Err(io::Error::other("no more")) } else { Ok(()) }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.memory.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.memory.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check()?;
        self.memory.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        drop(self.gate.lock());
        self.syncs.fetch_add(1, Ordering::SeqCst);
        self.check()?;
        self.memory.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.check()?;
        self.memory.write(offset, data)
    }

    fn try_lock_range(&self, _: std::ops::Bound<u64>, _: std::ops::Bound<u64>) -> Result<bool, BackendError> {
        Ok(true)
    }
}

/// Whatever was handed in before the end is there at the next start, as it was, and nothing else.
#[test]
fn what_was_handed_in_is_there_again() {
    let folder = Folder::new("again");
    let (catalog, contents) = folder.open();
    assert!(contents.is_new && contents.entries.is_empty());
    let odd = TableBuf::new().with("x-odd", Value::Decimal { scale: 2, value: 7 }).unwrap();
    let binding = Key::new(Kind::Binding, &[b"/", b"x", b"q", b"name", b"\xff\0key", b""]);
    catalog.submit([put(queue("/", "a"), 1), put(queue("/", "b"), 2), Change::Put(binding.clone(), odd.clone())]);
    catalog.submit([Change::Remove(queue("/", "a")), Change::Begun]);
    drop(catalog);
    let (catalog, contents) = folder.open();
    assert!(!contents.is_new);
    assert_eq!(contents.of(Kind::Binding).collect::<Vec<_>>(), [&Entry { key: binding.clone(), value: odd }]);
    assert_eq!(contents.of(Kind::Queue).map(|entry| entry.key.text(1)).collect::<Vec<_>>(), ["b"]);
    catalog.submit([Change::Remove(binding)]);
    catalog.close();
    assert_eq!(folder.contents(), ["Queue '/' 'b' = 2"]);
}

/// Only its owner may look into the directory and the file: there are password hashes.
#[test]
fn nobody_else_may_look_into_it() {
    let folder = Folder::new("private");
    drop(folder.open());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&folder.0), mode(&folder.file())), (0o700, 0o600));
}

/// A virtual host goes with all that is in it, and what comes into a new one of that name stays.
#[test]
fn a_virtual_host_goes_with_what_is_in_it() {
    let vhost = |name: &str| Key::new(Kind::Vhost, &[name.as_bytes()]);
    let disk = Disk::new();
    let (catalog, _) = disk.open();
    let ticket = catalog.submit([put(vhost("a"), 1), put(queue("a", "old"), 1), put(queue("ab", "other"), 1)]);
    assert!(wait(&catalog, ticket));
    // In one group: what was handed in before the removal goes too.
    let held = disk.gate.lock();
    catalog.submit([put(queue("ab", "held"), 1)]);
    catalog.submit([put(queue("a", "older"), 1)]);
    catalog.submit([Change::RemoveVhost("a".into())]);
    catalog.submit([put(vhost("a"), 2), put(queue("a", "new"), 2)]);
    drop(held);
    catalog.close();
    assert_eq!(
        disk.contents(),
        ["Queue 'a' 'new' = 2", "Queue 'ab' 'held' = 1", "Queue 'ab' 'other' = 1", "Vhost 'a' = 2"]
    );
}

/// A number belongs to one queue, in this life of the broker and in all others: after an order end, after a crash, and after
/// the queue's deletion.
#[test]
fn a_queues_number_is_never_given_again() {
    let folder = Folder::new("ids");
    let mut last = 0;
    let mut next = |catalog: &Catalog| {
        let id = catalog.new_queue_id().unwrap().0;
        assert!(id > last, "{id} came after {last}");
        last = id;
    };
    for _ in 0..3 {
        let (catalog, _) = folder.open();
        next(&catalog);
        catalog.submit([put(queue("/", "q"), 1)]);
        catalog.submit([Change::Remove(queue("/", "q"))]);
        next(&catalog);
    }
    // A crash: a copy of the file from before its numbers were given out.
    let (catalog, _) = folder.open();
    let copy = Folder::new("ids-copy");
    fs::create_dir_all(&copy.0).unwrap();
    fs::copy(folder.file(), copy.file()).unwrap();
    (0..1000).for_each(|_| next(&catalog));
    next(&copy.open().0);
    assert!(last < 1000 + inbox::IDS_SET_ASIDE * 2);
}

/// Numbers go on behind a block that was set aside: the next one is, before the last is used up.
#[test]
fn numbers_do_not_run_out() {
    let disk = Disk::new();
    let (catalog, _) = disk.open();
    for _ in 0..3 {
        assert!((0..inbox::IDS_SET_ASIDE / 2 + 1).all(|_| catalog.new_queue_id().is_some()));
        assert!(wait(&catalog, catalog.submitted()));
    }
    disk.fails.store(true, Ordering::SeqCst);
    let given = (0..inbox::IDS_SET_ASIDE * 2).take_while(|_| catalog.new_queue_id().is_some()).count();
    assert!((given as u64) < inbox::IDS_SET_ASIDE * 2, "none is given out that is not set aside");
}

/// What comes while a group is synced is written together, and of each key only the last change: 10,000 declarations one by one
/// are a handful of syncs.
#[test]
fn what_comes_meanwhile_is_one_group() {
    let disk = Disk::new();
    let (catalog, _) = disk.open();
    let held = disk.gate.lock();
    let before = disk.syncs.load(Ordering::SeqCst);
    for n in 0..10_000 {
        catalog.submit([put(queue("/", &format!("q{n:05}")), n)]);
        catalog.submit([put(queue("/", "same"), n)]);
    }
    let ticket = catalog.submit([Change::Remove(queue("/", "q00007"))]);
    assert!(catalog.durable() < ticket);
    drop(held);
    assert!(wait(&catalog, ticket));
    let syncs = disk.syncs.load(Ordering::SeqCst) - before;
    assert!(syncs < 10, "{syncs} syncs");
    catalog.close();
    let contents = disk.contents();
    assert_eq!((contents.len(), contents[0].as_str()), (10_000, "Queue '/' 'same' = 9999"));
    assert!(!contents.contains(&"Queue '/' 'q00007' = 7".into()));
}

/// Tickets become durable in their order; who waits for one is woken when it is.
#[test]
fn whoever_waits_is_woken() {
    let folder = Folder::new("waits");
    let (catalog, _) = folder.open();
    assert_eq!(catalog.submitted(), Ticket::default());
    assert!(wait(&catalog, catalog.submit([])), "nothing is durable at once");
    for n in 0..20 {
        let ticket = catalog.submit([put(queue("/", "q"), n)]);
        assert_eq!(catalog.submitted(), ticket);
        assert!(wait(&catalog, ticket));
    }
    catalog.close();
    let late = catalog.submit([put(queue("/", "late"), 1)]);
    assert!(!wait(&catalog, late), "a closed catalog promises nothing");
    assert_eq!(folder.contents(), ["Queue '/' 'q' = 19"]);
}

/// A disk that fails once is not trusted any more: nothing becomes durable, and whoever waits hears of it.
#[test]
fn a_failure_poisons_it() {
    let disk = Disk::new();
    let (catalog, _) = disk.open();
    assert!(wait(&catalog, catalog.submit([put(queue("/", "kept"), 1)])));
    disk.fails.store(true, Ordering::SeqCst);
    let lost = catalog.submit([put(queue("/", "lost"), 1)]);
    assert!(!wait(&catalog, lost));
    assert_eq!(catalog.failed(), Some("the catalog cannot be written: no more"));
    disk.fails.store(false, Ordering::SeqCst);
    let later = catalog.submit([put(queue("/", "later"), 1)]);
    assert!(!wait(&catalog, later) && catalog.durable() < lost);
    catalog.close();
}

/// One broker has a directory.
#[test]
fn a_second_broker_is_refused() {
    let folder = Folder::new("second");
    let first = folder.open();
    assert_eq!(folder.error(), format!("another broker has {}", folder.0.display()));
    drop(first);
    folder.open();
}

/// What a newer broker has written is left alone.
#[test]
fn a_newer_file_is_refused() {
    let folder = Folder::new("newer");
    drop(folder.open());
    let database = redb::Database::open(folder.file()).unwrap();
    let writing = database.begin_write().unwrap();
    writing.open_table(redb::TableDefinition::<&str, u64>::new("about")).unwrap().insert("version", 2).unwrap();
    writing.commit().unwrap();
    drop(database);
    let text = format!("{} has version 2, which is newer than this broker's", folder.file().display());
    assert_eq!(folder.error(), text);
}

/// A file that is not what was written is refused in one line with its name, and never read as if it had less in it.
#[test]
fn a_corrupt_file_is_refused() {
    let folder = Folder::new("corrupt");
    let (catalog, _) = folder.open();
    catalog.submit((0..500).map(|n| put(queue("/", &format!("queue {n}")), n)));
    drop(catalog);
    let (whole, contents) = (fs::read(folder.file()).unwrap(), folder.contents());
    let opens = |bytes: &[u8]| {
        fs::write(folder.file(), bytes).unwrap();
        Catalog::open(&folder.0).map(|(_, contents)| shown(&contents)).map_err(|error| error.to_string())
    };
    let mut refused = 0;
    for at in (0..whole.len()).step_by(997) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x55;
        match opens(&bytes) {
            // The byte did not matter.
            Ok(found) => assert_eq!(found, contents, "byte {at}"),
            Err(text) => {
                refused += 1;
                assert!(text.starts_with(&format!("{}", folder.file().display())) && !text.contains('\n'), "{text}");
            }
        }
    }
    assert!(refused > 0);
    for bytes in [&b"not a database"[..], &whole[..whole.len() / 2]] {
        assert!(opens(bytes).is_err());
    }
}
