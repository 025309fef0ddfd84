//! The page's server, with a browser's requests: what is handed in comes out on every page, whatever the broker does.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod browser;

use browser::{Browser, get, hand_in, request};
use cruncher_demo::crunch::{Cruncher, Kind};
use cruncher_demo::error::Error;
use cruncher_demo::screen::Screen;
use cruncher_demo::service::serve;
use cruncher_demo::status::{Alone, Status};
use cruncher_demo::stop::{Stop, Stopper};
use cruncher_demo::tally::Tally;
use cruncher_demo::topology::{self, STATUS};
use cruncher_demo::web::{Settings, Web};
use leveret::{Broker, Config};
use leveret_client::{Connection, Publish};
use serde_json::json;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use tokio::task::JoinHandle;

const LETTER: &[u8] = b"Dear Ann (ann@apple.com), Bob <bob@apple.com> and carl@orchard.org say hello.";

/// A page that is served.
struct Served {
    url: String,
    stopper: Stopper,
    ended: JoinHandle<Result<(), Error>>,
    out: TempDir,
}

fn any_port() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

fn settings(url: Option<String>, only_page: bool, out: PathBuf) -> Settings {
    let (listen, broker_listen, domain) = (any_port(), any_port(), "apple.com".into());
    Settings { listen, url, broker_listen, domain, out: Some(out), only_page }
}

impl Served {
    async fn start() -> Served {
        Served::over(None, false).await
    }

    async fn over(url: Option<String>, only_page: bool) -> Served {
        let out = tempfile::tempdir().unwrap();
        let web = Web::start(&settings(url, only_page, out.path().to_owned()), &Screen::silent()).await.unwrap();
        let (stopper, stop) = Stop::new();
        Served { url: web.url(), stopper, ended: tokio::spawn(web.serve(stop)), out }
    }

    async fn end(self) {
        self.stopper.stop();
        self.ended.await.unwrap().unwrap();
    }
}

fn mails(out: &Path) -> Vec<String> {
    let names = std::fs::read_dir(out).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_letter_that_is_handed_in_shows_on_every_page() {
    let served = Served::start().await;
    let (mut one, mut two) = (Browser::open(&served.url).await, Browser::open(&served.url).await);
    let reply = hand_in(&served.url, "a%20letter%2F%3Cscript%3E.txt", LETTER).await;
    assert_eq!((reply.status, reply.json()), (202, json!({"letter": 1})));
    for browser in [&mut one, &mut two] {
        browser.until("the letter", |page| page.is_done(1) && page.warned() == 2).await;
    }
    let late = Browser::open(&served.url).await;
    for browser in [&one, &two, &late] {
        let totals =
            json!({"addresses": 3, "in_domain": 2, "asked": 2, "warned": 2, "by_cruncher": {"fast": 3, "slow": 3}});
        assert_eq!(browser.shown["totals"], totals);
        assert_eq!(browser.each("letters", "name"), ["a letter/<script>.txt"]);
        assert_eq!(browser.each("addresses", "address"), ["ann@apple.com", "bob@apple.com", "carl@orchard.org"]);
        assert_eq!(browser.each("warnings", "address"), ["ann@apple.com", "bob@apple.com"]);
        assert_eq!(browser.each("warnings", "progress"), ["written", "written"]);
        assert_eq!((browser.broker(), browser.snapshots), ("connected", 1));
    }
    assert_eq!(mails(served.out.path()), ["ann@apple.com.eml", "bob@apple.com.eml"]);
    served.end().await;
}

#[tokio::test]
async fn a_letter_in_any_encoding_is_crunched() {
    let served = Served::start().await;
    let mut page = Browser::open(&served.url).await;
    let mail = b"From: J\xf6rg <joerg@apple.com>\r\nContent-Type: text/plain; charset=iso-8859-1\r\n\
        Content-Transfer-Encoding: quoted-printable\r\n\r\nGr\xfc\xdfe an fritz=40apple.com \xff\xfe\0\x01\r\n";
    let utf16: Vec<u8> =
        [0xfeff].into_iter().chain("uta@apple.com".encode_utf16()).flat_map(u16::to_le_bytes).collect();
    hand_in(&served.url, "old.eml", mail).await;
    hand_in(&served.url, "notes.txt", &utf16).await;
    page.until("both letters", |page| page.is_done(2) && page.warned() == 3).await;
    let mut found = page.each("addresses", "address");
    found.sort();
    assert_eq!(found, ["fritz@apple.com", "joerg@apple.com", "uta@apple.com"]);
    assert_eq!(page.rows("letters")[0]["finds"]["fast"]["count"], 1);
    assert_eq!(page.rows("letters")[0]["finds"]["slow"]["count"], 2);
    served.end().await;
}

#[tokio::test]
async fn what_cannot_be_taken_is_refused_with_a_sentence() {
    let served = Served::start().await;
    let large = vec![b'a'; (16 << 20) + 1];
    let url = &served.url;
    let host = "Host: localhost\r\n";
    let foreign = format!("{host}Origin: http://evil.example\r\n");
    let rebound = "Host: evil.example:8080\r\n";
    let broken = "Host: localhost\r\nTransfer-Encoding: nonsense\r\n";
    for (line, head, body, status, why) in [
        ("POST /letters/large.txt", host, &large[..], 413, "the letter is larger than 16 MiB"),
        ("POST /letters/empty.txt", host, b"", 400, "the letter is empty"),
        ("POST /letters/a.txt", &foreign, LETTER, 403, "this page is not for other sites"),
        ("GET /events", rebound, b"", 403, "this page is not for other sites"),
        ("POST /letters/a/b", host, LETTER, 404, "there is nothing here"),
        ("POST /letters/", host, LETTER, 404, "there is nothing here"),
        ("GET /letters/a.txt", host, b"", 405, "not with this method"),
    ] {
        let reply = request(url, line, head, body).await;
        assert_eq!((reply.status, reply.json()), (status, json!({ "error": why })), "{line}");
    }
    assert_eq!(request(url, "POST /letters/%FF", host, LETTER).await.status, 400);
    assert_eq!(request(url, "POST /letters/a.txt", broken, LETTER).await.status, 400);
    let announced = "Host: localhost\r\nContent-Length: 99999999999\r\n";
    let reply = request(url, "POST /letters/a.txt", announced, b"").await;
    assert_eq!((reply.status, reply.json()), (413, json!({ "error": "the letter is larger than 16 MiB" })));

    let page = Browser::open(url).await;
    assert!(page.rows("letters").is_empty());
    served.end().await;
}

#[tokio::test]
async fn every_answer_keeps_strangers_scripts_out() {
    let served = Served::start().await;
    for (path, kind) in [
        ("/", "text/html; charset=utf-8"),
        ("/page.css", "text/css; charset=utf-8"),
        ("/page.js", "text/javascript; charset=utf-8"),
        ("/flow.js", "text/javascript; charset=utf-8"),
        ("/icon.svg", "image/svg+xml"),
        ("/examples", "application/json"),
        ("/nothing", "application/json"),
    ] {
        let reply = get(&served.url, path).await;
        assert_eq!(reply.header("content-type"), Some(kind), "{path}");
        let policy = reply.header("content-security-policy").unwrap();
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(reply.header("access-control-allow-origin"), None);
    }
    let html = get(&served.url, "/").await.text();
    assert!(!html.contains("<script>") && !html.contains("style=") && !html.contains("onclick"), "{html}");
    assert!(!html.contains("://") || html.matches("://").count() == html.matches("http://ADDRESS").count(), "{html}");
    let examples = get(&served.url, "/examples").await.json();
    assert!(examples.as_array().unwrap().iter().any(|example| example["name"] == "plain.txt"));
    served.end().await;
}

#[tokio::test]
async fn a_broker_that_is_restarted_loses_nothing_and_nothing_counts_twice() {
    let folder = tempfile::tempdir().unwrap();
    let config = |address| Config::durable(folder.path().join("data")).listen(address);
    let broker = Broker::start(config(any_port())).await.unwrap();
    let url = broker.amqp_url().unwrap().to_owned();
    let address = broker.amqp_addresses()[0];
    let served = Served::over(Some(url), false).await;
    let mut page = Browser::open(&served.url).await;
    hand_in(&served.url, "one.txt", LETTER).await;
    page.until("the first letter", |page| page.is_done(1) && page.warned() == 2).await;

    broker.shutdown().await.unwrap();
    page.until("the loss", |page| page.broker() == "lost").await;
    let second = b"ann@apple.com, dora@apple.com, emil@pears.net";
    assert_eq!(hand_in(&served.url, "two.txt", second).await.status, 202);
    page.until("a letter that waits", |page| page.rows("letters").len() == 2).await;
    assert_eq!(page.rows("letters")[1]["sent"], false);

    let broker = Broker::start(config(address)).await.unwrap();
    page.until("the second letter", |page| page.broker() == "connected" && page.is_done(2) && page.warned() == 3).await;
    assert_eq!(page.shown["broker"]["healed"], 1);
    let totals =
        json!({"addresses": 5, "in_domain": 3, "asked": 3, "warned": 3, "by_cruncher": {"fast": 5, "slow": 5}});
    assert_eq!(page.shown["totals"], totals);
    assert_eq!(mails(served.out.path()), ["ann@apple.com.eml", "bob@apple.com.eml", "dora@apple.com.eml"]);
    served.end().await;
    broker.shutdown().await.unwrap();
}

async fn crunchers(connection: &Connection, stop: &Stop) {
    for kind in [Kind::Fast, Kind::Slow] {
        let cruncher = Cruncher::start(kind, connection.open_channel().await.unwrap(), Screen::silent());
        let (cruncher, consumer) = cruncher.await.unwrap();
        tokio::spawn(serve(cruncher, consumer, stop.clone(), None));
    }
}

#[tokio::test]
async fn letters_that_a_broker_forgot_go_out_again() {
    let broker = Broker::start(Config::in_memory().listen(any_port())).await.unwrap();
    let (url, address) = (broker.amqp_url().unwrap().to_owned(), broker.amqp_addresses()[0]);
    let served = Served::over(Some(url.clone()), true).await;
    let mut page = Browser::open(&served.url).await;
    hand_in(&served.url, "one.txt", LETTER).await;
    page.until("the letter in its queues", |page| page.rows("letters").iter().any(|letter| letter["sent"] == true))
        .await;

    broker.shutdown().await.unwrap();
    page.until("the loss", |page| page.broker() == "lost").await;
    // What it knows instead is what other services have declared before the page was back.
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let earlier = Broker::start(Config::durable(&data)).await.unwrap();
    let connection = Connection::over(earlier.connect(), Default::default()).await.unwrap();
    topology::declare(&connection.open_channel().await.unwrap()).await.unwrap();
    earlier.shutdown().await.unwrap();
    let broker = Broker::start(Config::durable(&data).listen(address)).await.unwrap();
    page.until("the broker's return", |page| page.broker() == "connected").await;
    let connection = Connection::open(&url).await.unwrap();
    let (_stopper, stop) = Stop::new();
    crunchers(&connection, &stop).await;
    page.until("the letter", |page| page.is_done(1) && page.total() == 3).await;
    page.until("warnings without spammers", |page| page.each("warnings", "progress") == ["unheard", "unheard"]).await;
    let marks = || broker.queues("/").iter().filter(|queue| queue.name().starts_with("page@")).count();
    assert_eq!(marks(), 1);
    served.end().await;
    assert_eq!(marks(), 0);
    broker.shutdown().await.unwrap();
}

#[tokio::test]
async fn the_page_gets_every_result_although_another_status_service_runs() {
    let broker = Broker::start(Config::in_memory().listen(any_port())).await.unwrap();
    let url = broker.amqp_url().unwrap().to_owned();
    let connection = Connection::open(&url).await.unwrap();
    let channel = connection.open_channel().await.unwrap();
    topology::declare(&channel).await.unwrap();
    let (_stopper, stop) = Stop::new();
    crunchers(&connection, &stop).await;
    let tally = Arc::new(Mutex::new(Tally::new("apple.com")));
    let other = Status::start(tally.clone(), connection.open_channel().await.unwrap(), Screen::silent(), Alone, false);
    let (other, consumer) = other.await.unwrap();
    tokio::spawn(serve(other, consumer, stop.clone(), None));

    let served = Served::over(Some(url), true).await;
    let mut page = Browser::open(&served.url).await;
    for number in 0..50 {
        let letter = format!("person{number}@orchard.org");
        assert_eq!(hand_in(&served.url, &format!("{number}.txt"), letter.as_bytes()).await.status, 202);
    }
    // What other services send is counted too, and what is no result disturbs nothing.
    channel.publish(Publish::to_queue(STATUS).body("nonsense")).await.unwrap();
    channel.publish(Publish::to_queue(STATUS).body(r#"["<script>alert(1)</script>@apple.com"]"#)).await.unwrap();
    page.until("all letters", |page| page.total() == 51 && page.rows("letters").len() == 51).await;
    page.until("both finds", |page| page.shown["totals"]["by_cruncher"]["slow"] == 50).await;
    assert_eq!(tally.lock().unwrap().addresses(), 0);
    assert!(page.each("addresses", "address").contains(&"<script>alert(1)</script>@apple.com".to_owned()));
    served.end().await;
    broker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_browser_that_does_not_read_holds_nobody_up() {
    let served = Served::start().await;
    let mut idle = Browser::open(&served.url).await;
    let mut page = Browser::open(&served.url).await;
    let letters = 150;
    for number in 0..letters {
        let letter: Vec<_> = (0..60).map(|other| format!("a-long-name-{number}.{other}@orchard.org")).collect();
        assert_eq!(hand_in(&served.url, &format!("{number}.txt"), letter.join(" ").as_bytes()).await.status, 202);
    }
    page.until("all letters", |page| page.is_done(letters)).await;
    assert_eq!(page.total(), 60 * letters as u64);
    idle.until("all letters", |page| page.is_done(letters)).await;
    assert_eq!(idle.shown["totals"], page.shown["totals"]);
    served.end().await;
}

#[tokio::test]
async fn a_broker_that_will_not_have_it_is_one_sentence() {
    let broker = Broker::start(Config::in_memory().listen(any_port())).await.unwrap();
    let address = broker.amqp_addresses()[0];
    let out = tempfile::tempdir().unwrap();
    for url in [format!("amqp://guest:wrong@{address}/"), "http://nonsense".to_owned()] {
        let started = Web::start(&settings(Some(url), false, out.path().to_owned()), &Screen::silent()).await;
        let why = started.err().unwrap().to_string();
        assert!(why.starts_with("no broker at ") && !why.contains("wrong"), "{why}");
    }
    let taken = Settings { listen: address, ..settings(None, false, out.path().to_owned()) };
    let why = Web::start(&taken, &Screen::silent()).await.err().unwrap().to_string();
    assert!(why.starts_with(&format!("cannot listen at {address}: ")), "{why}");
    broker.shutdown().await.unwrap();
}

#[cfg(unix)]
#[test]
fn the_program_says_where_the_page_is_and_ends_when_told() {
    use std::io::{BufRead, BufReader, Read};
    use std::process::{Command, Stdio};

    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_cruncher-demo"));
    command.env_remove("AMQP_URL").args(["web", "--listen", "127.0.0.1:0", "--out"]).arg(folder.path());
    command.stdin(Stdio::null());
    let mut program = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(program.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    let url = line.trim().strip_prefix("open ").unwrap_or_else(|| panic!("{line}"));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut page = Browser::open(url).await;
        hand_in(url, "a.txt", LETTER).await;
        page.until("the letter", |page| page.is_done(1) && page.warned() == 2).await;
    });
    let told = Command::new("kill").args(["-INT", &program.id().to_string()]).status().unwrap();
    assert!(told.success() && program.wait().unwrap().success());
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "", "more than the line");
}
