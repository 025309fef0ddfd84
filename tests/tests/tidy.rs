//! The repository's own rules: which room may use which, what only the shell may touch, how long a file may be.
//!
//! It reads the sources as text: `use` and other paths that begin with `crate::`, and the names of crates. Comments do not
//! count.
#![expect(clippy::unwrap_used, reason = "a check that fails panics")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A file that is longer is two that have not been told apart yet.
const LINES_MAX: usize = 600;

/// A room of the broker: a folder or a file of `broker/src`.
struct Room {
    name: &'static str,
    /// The rooms it may use; it may use what those may use as well.
    uses: &'static [&'static str],
    /// True for the shell, which alone knows sockets, tasks, files and the clock.
    shell: bool,
}

const fn pure(name: &'static str, uses: &'static [&'static str]) -> Room {
    Room { name, uses, shell: false }
}

const fn shell(name: &'static str, uses: &'static [&'static str]) -> Room {
    Room { name, uses, shell: true }
}

/// The broker's rooms from the bottom to the top: `server, management -> connection -> channel -> vhost -> {exchange,
/// queue, auth, store} -> message`, and the rooms that several of them share.
const ROOMS: &[Room] = &[
    pure("failure", &[]),
    pure("time", &[]),
    pure("entropy", &[]),
    pure("message", &[]),
    pure("store", &["message", "failure", "time"]),
    // A queue has the same number in both.
    pure("catalog", &["store"]),
    pure("storage", &["catalog", "queue"]),
    pure("auth", &["failure"]),
    pure("config", &["auth"]),
    // What a policy may say is checked with the patterns that permissions have.
    pure("policy", &["auth", "failure"]),
    pure("queue", &["message", "store", "policy", "time"]),
    // A binding leads to a queue.
    pure("exchange", &["queue", "policy"]),
    pure("vhost", &["exchange", "queue", "auth", "storage"]),
    // What the whole broker has: its vhosts and users, who is connected, whether memory is short.
    pure("roster", &["queue"]),
    pure("alarms", &["queue"]),
    pure("recording", &["message"]),
    pure("node", &["vhost", "config", "entropy", "roster", "alarms", "recording"]),
    pure("channel", &["node"]),
    pure("connection", &["channel"]),
    shell("management", &["connection"]),
    // The server starts what listens, the HTTP API too.
    shell("server", &["connection", "management"]),
    pure("inspection", &["storage"]),
    shell("lib", &["server", "management", "inspection"]),
    // The program's own commands.
    shell("bench", &[]),
    shell("commands", &["main"]),
    shell("main", &["lib", "bench"]),
];

/// What only the shell may know.
const SHELL_ONLY: &[&str] = &["tokio", "std::net", "std::fs", "std::thread", "std::process", "Instant", "SystemTime"];

/// Names of `std::net` that are no sockets.
const ADDRESSES: &[&str] = &["IpAddr", "Ipv4Addr", "Ipv6Addr", "SocketAddr", "SocketAddrV4", "SocketAddrV6"];

/// Files of pure rooms with a part of the shell in them: reading the configuration file, the disk, the threads that write.
const EXCEPTIONS: &[(&str, &[&str])] = &[
    ("catalog/file.rs", &["std::fs"]),
    ("catalog/thread.rs", &["std::thread"]),
    ("catalog/tests.rs", &["std::fs", "std::thread", "std::process"]),
    ("node/tests.rs", &["std::fs", "std::process"]),
    ("config/program.rs", &["std::fs", "std::process"]),
    ("store/disk/real.rs", &["std::fs"]),
    ("store/thread.rs", &["std::thread", "Instant"]),
    ("store/tests.rs", &["std::fs", "std::thread", "SystemTime", "std::process"]),
];

/// Who may name which of our crates in its sources.
const CRATES: &[(&str, &[&str])] = &[
    ("spec", &[]),
    ("broker", &["leveret_spec"]),
    ("client", &["leveret_spec"]),
    ("cruncher-demo", &["leveret", "leveret_client", "leveret_spec", "cruncher_demo"]),
];

/// Rooms of `broker/src` that belong to the program and not to the library: they may use both, and the client.
const PROGRAM: &[&str] = &["main", "bench", "commands"];

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// Every Rust file below a folder, and its name from there on.
fn sources(folder: &Path) -> Vec<(String, String)> {
    let mut found = vec![];
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                folders.push(path);
            } else if name.ends_with(".rs") {
                let from_there = path.strip_prefix(folder).unwrap().to_string_lossy().into_owned();
                found.push((from_there, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "no sources in {}", folder.display());
    found
}

/// The text without comments.
fn code(text: &str) -> String {
    let without = |line: &str| line.split("//").next().unwrap_or_default().to_owned();
    text.lines().map(without).collect::<Vec<_>>().join("\n")
}

/// The name that a text begins with.
fn name_at(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    &text[..end]
}

/// The names that follow a path's beginning: `crate::a::b` has `a`, `crate::{a::b, c}` has `a` and `c`.
fn names_behind<'t>(code: &'t str, beginning: &str) -> Vec<&'t str> {
    let mut found = vec![];
    for (at, _) in code.match_indices(beginning) {
        let rest = &code[at + beginning.len()..];
        match rest.strip_prefix('{') {
            Some(group) => found.extend(names_of_group(group)),
            None => found.push(name_at(rest)),
        }
    }
    found
}

/// The first name of each path in a group, from behind its brace.
fn names_of_group(group: &str) -> Vec<&str> {
    let (mut depth, mut start, mut found) = (0, 0, vec![]);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                found.push(name_at(group[start..at].trim_start()));
                start = at + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    found.retain(|name| !name.is_empty());
    found
}

/// Where a word ends each time it occurs, not as a part of another.
fn word_ends(code: &str, word: &str) -> Vec<usize> {
    let part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let ends = code.match_indices(word).map(|(at, _)| (at, at + word.len()));
    ends.filter(|&(at, end)| !part(code[..at].chars().next_back()) && !part(code[end..].chars().next()))
        .map(|(_, end)| end)
        .collect()
}

fn has_word(code: &str, word: &str) -> bool {
    !word_ends(code, word).is_empty()
}

/// True if a path begins with this name.
fn has_path(code: &str, name: &str) -> bool {
    word_ends(code, name).into_iter().any(|end| code[end..].starts_with("::"))
}

fn room_of(file: &str) -> &str {
    file.split('/').next().unwrap_or(file).trim_end_matches(".rs")
}

fn room(name: &str) -> Option<&'static Room> {
    ROOMS.iter().find(|room| room.name == name)
}

/// The rooms that a room may use, directly or because another may.
fn usable(name: &str) -> BTreeSet<&'static str> {
    let mut all = BTreeSet::new();
    let mut next: Vec<&str> = room(name).map(|room| room.uses.to_vec()).unwrap_or_default();
    while let Some(used) = next.pop() {
        let used = room(used).expect("a room that is used has its row");
        if all.insert(used.name) {
            next.extend(used.uses);
        }
    }
    all
}

#[track_caller]
fn assert_none(violations: Vec<String>) {
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}

/// A room that has been added says where it stands.
#[test]
fn every_room_of_the_broker_has_its_row() {
    let rooms: BTreeSet<String> =
        sources(&workspace().join("broker/src")).iter().map(|(file, _)| room_of(file).to_owned()).collect();
    assert_none(rooms.iter().filter(|name| room(name).is_none()).map(|name| format!("no row for {name}")).collect());
}

/// Arrows point one way.
#[test]
fn no_arrow_leads_back() {
    for room in ROOMS {
        assert!(!usable(room.name).contains(room.name), "{} uses itself in the end", room.name);
    }
}

/// A room uses the rooms below it.
#[test]
fn rooms_use_only_what_is_below_them() {
    let mut violations = vec![];
    for (file, text) in sources(&workspace().join("broker/src")) {
        let (here, code) = (room_of(&file), code(&text));
        let allowed = usable(here);
        let roots = [names_behind(&code, "crate::"), names_behind(&code, "super::super::")].concat();
        let used: BTreeSet<&str> = roots.into_iter().filter(|name| room(name).is_some()).collect();
        let wrong = used.into_iter().filter(|name| *name != here && !allowed.contains(name));
        violations.extend(wrong.map(|name| format!("{file}: {here} may not use {name}")));
    }
    assert_none(violations);
}

/// The core takes bytes and time as arguments: sockets, tasks, files and clocks are the shell's.
#[test]
fn the_core_is_pure() {
    let mut violations = vec![];
    for (file, text) in sources(&workspace().join("broker/src")) {
        if room(room_of(&file)).is_some_and(|room| room.shell) {
            continue;
        }
        let code = code(&text);
        let excepted = EXCEPTIONS.iter().find(|(name, _)| *name == file).map_or(&[][..], |(_, words)| words);
        for word in SHELL_ONLY.iter().filter(|word| !excepted.contains(word)) {
            let harmless =
                *word == "std::net" && names_behind(&code, "std::net::").iter().all(|n| ADDRESSES.contains(n));
            if has_word(&code, word) && !harmless {
                violations.push(format!("{file}: {word} is for the shell"));
            }
        }
    }
    assert_none(violations);
}

/// The wire protocol knows no broker, the broker no client, and nobody but the tests the tests.
#[test]
fn crates_use_only_what_is_below_them() {
    const OURS: &[&str] = &["leveret", "leveret_client", "leveret_spec", "leveret_tests", "cruncher_demo"];
    let mut violations = vec![];
    for (folder, allowed) in CRATES {
        for (file, text) in sources(&workspace().join(folder).join("src")) {
            if *folder == "broker" && PROGRAM.contains(&room_of(&file)) {
                continue;
            }
            let code = code(&text);
            let named = OURS.iter().filter(|name| has_path(&code, name));
            let wrong = named.filter(|name| !allowed.contains(name));
            violations.extend(wrong.map(|name| format!("{folder}/src/{file} may not use {name}")));
        }
    }
    assert_none(violations);
}

/// A file is a room that one can see at a glance.
#[test]
fn no_file_is_too_long() {
    let lengths = sources(&workspace()).into_iter().map(|(file, text)| (file, text.lines().count()));
    let too_long = lengths.filter(|(_, lines)| *lines > LINES_MAX);
    assert_none(too_long.map(|(file, lines)| format!("{file} has {lines} lines")).collect());
}

/// A file begins by saying what it is for.
#[test]
fn every_file_opens_with_a_sentence() {
    let without = sources(&workspace()).into_iter().filter(|(_, text)| !text.starts_with("//! "));
    assert_none(without.map(|(file, _)| format!("{file} does not open with a sentence")).collect());
}

/// The reading of paths, which the rules stand on.
#[test]
fn paths_are_read_as_they_are_written() {
    let text = "use crate::a::B;\nuse crate::{c::{D, E}, f};\nlet x = crate::g(); // crate::comment\n";
    assert_eq!(names_behind(&code(text), "crate::"), ["a", "c", "f", "g"]);
    assert!(has_word("use std::fs;", "std::fs") && !has_word("use std::fstab;", "std::fs"));
    assert!(has_path("use leveret::Broker;", "leveret") && !has_path("leveret_spec::Frame", "leveret"));
    assert!(!has_word("struct InstantNoodles;", "Instant") && has_word("now: Instant,", "Instant"));
}
