//! A browser as far as the server can tell: requests, and the board as its events make it.

use serde_json::{Map, Value};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

const PATIENCE: Duration = Duration::from_secs(60);

/// An answer to a request.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }
}

fn address(url: &str) -> &str {
    url.strip_prefix("http://").unwrap()
}

/// Sends one request; `head` is what stands between the request line and the body's length, which it may tell itself.
pub(crate) async fn request(url: &str, line: &str, head: &str, body: &[u8]) -> Reply {
    let mut stream = TcpStream::connect(address(url)).await.unwrap();
    let length = match head.contains("Content-Length: ") {
        true => String::new(),
        false => format!("Content-Length: {}\r\n", body.len()),
    };
    let head = format!("{line} HTTP/1.1\r\n{head}{length}Connection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    let mut bytes = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.unwrap().unwrap();
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Reply { status, head, body: bytes[end + 4..].to_vec() }
}

/// Gets a file of the page.
pub(crate) async fn get(url: &str, path: &str) -> Reply {
    request(url, &format!("GET {path}"), &format!("Host: {}\r\n", address(url)), b"").await
}

/// Hands a letter in; `name` is percent-encoded.
pub(crate) async fn hand_in(url: &str, name: &str, letter: &[u8]) -> Reply {
    let head = format!("Host: {}\r\nOrigin: {url}\r\n", address(url));
    request(url, &format!("POST /letters/{name}"), &head, letter).await
}

/// A window that shows the page.
pub(crate) struct Browser {
    events: BufReader<TcpStream>,
    /// What the page shows: rows by their number, the rest as it came last.
    pub(crate) shown: Map<String, Value>,
    /// How many snapshots came.
    pub(crate) snapshots: u32,
}

impl Browser {
    pub(crate) async fn open(url: &str) -> Browser {
        let mut stream = TcpStream::connect(address(url)).await.unwrap();
        // Of HTTP 1.0, so that the events come without chunks around them.
        stream.write_all(b"GET /events HTTP/1.0\r\n\r\n").await.unwrap();
        let mut browser = Browser { events: BufReader::new(stream), shown: Map::new(), snapshots: 0 };
        browser.until("a snapshot", |browser| browser.snapshots == 1).await;
        browser
    }

    /// Follows the events until something shows.
    pub(crate) async fn until(&mut self, what: &str, shows: impl Fn(&Browser) -> bool) {
        let followed = tokio::time::timeout(PATIENCE, async {
            while !shows(self) {
                let mut line = String::new();
                assert!(self.events.read_line(&mut line).await.unwrap() > 0, "the events ended before: {what}");
                if let Some(data) = line.strip_prefix("data: ") {
                    self.apply(serde_json::from_str(data).unwrap());
                }
            }
        });
        assert!(followed.await.is_ok(), "never shown: {what}\n{}", Value::Object(self.shown.clone()));
    }

    fn apply(&mut self, change: Map<String, Value>) {
        if change.contains_key("fixed") {
            self.shown.clear();
            self.snapshots += 1;
        }
        for (key, value) in change {
            match value {
                Value::Array(rows) if key != "queues" => {
                    let all = self.shown.entry(key).or_insert_with(|| Value::Object(Map::new()));
                    for row in rows {
                        all.as_object_mut().unwrap().insert(row["row"].to_string(), row);
                    }
                }
                other => drop(self.shown.insert(key, other)),
            }
        }
    }

    pub(crate) fn total(&self) -> u64 {
        self.shown["totals"]["addresses"].as_u64().unwrap()
    }

    pub(crate) fn warned(&self) -> u64 {
        self.shown["totals"]["warned"].as_u64().unwrap()
    }

    pub(crate) fn broker(&self) -> &str {
        self.shown["broker"]["state"].as_str().unwrap()
    }

    /// The rows of a list in order.
    pub(crate) fn rows(&self, list: &str) -> Vec<Value> {
        let mut rows: Vec<_> = match self.shown.get(list) {
            Some(rows) => rows.as_object().unwrap().values().cloned().collect(),
            None => Vec::new(),
        };
        rows.sort_by_key(|row| row["row"].as_u64());
        rows
    }

    /// One field of each row of a list.
    pub(crate) fn each(&self, list: &str, field: &str) -> Vec<String> {
        self.rows(list).iter().map(|row| row[field].as_str().unwrap().to_owned()).collect()
    }

    /// Is every letter crunched by both?
    pub(crate) fn is_done(&self, letters: usize) -> bool {
        let rows = self.rows("letters");
        rows.len() == letters && rows.iter().all(|row| row["finds"].as_object().unwrap().len() == 2)
    }
}
