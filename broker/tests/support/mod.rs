//! A broker with an HTTP API, and a client that asks it one thing at a time.

#![expect(clippy::unwrap_used, clippy::panic, reason = "that is how a test fails")]

pub(crate) mod client;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use leveret::{Broker, Config};
use serde_json::Value;
use tokio::runtime::Runtime;

/// How long an answer may take before the test has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A broker of its own, with everything in memory.
pub(crate) struct Server {
    runtime: Runtime,
    broker: Broker,
}

/// An answer.
pub(crate) struct Reply {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    /// Null without a body.
    pub(crate) json: Value,
}

fn free() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

impl Server {
    pub(crate) fn start() -> Self {
        Server::start_with(None).unwrap()
    }

    /// A broker with the definitions of that file.
    pub(crate) fn start_with(definitions: Option<PathBuf>) -> Result<Self, String> {
        Server::configured(|config| config.definitions = definitions)
    }

    /// A broker that is told something.
    pub(crate) fn configured(change: impl FnOnce(&mut Config)) -> Result<Self, String> {
        let runtime = Runtime::new().unwrap();
        let mut config = Config::in_memory().listen(free()).http(free());
        change(&mut config);
        let broker = runtime.block_on(Broker::start(config)).map_err(|error| error.to_string())?;
        Ok(Server { runtime, broker })
    }

    /// Why another broker does not start there.
    pub(crate) fn start_another(&self, http: SocketAddr) -> Result<(), String> {
        let started = self.runtime.block_on(Broker::start(Config::in_memory().http(http)));
        started.map(drop).map_err(|error| error.to_string())
    }

    pub(crate) fn amqp(&self) -> SocketAddr {
        self.broker.amqp_addresses()[0]
    }

    pub(crate) fn http(&self) -> SocketAddr {
        self.broker.http_address().unwrap()
    }

    pub(crate) fn get(&self, path: &str) -> Reply {
        self.request("GET", path, Some("guest:guest"), None)
    }

    pub(crate) fn delete(&self, path: &str) -> Reply {
        self.request("DELETE", path, Some("guest:guest"), None)
    }

    pub(crate) fn put(&self, path: &str, body: Value) -> Reply {
        self.request("PUT", path, Some("guest:guest"), Some(&body.to_string()))
    }

    pub(crate) fn post(&self, path: &str, body: Value) -> Reply {
        self.request("POST", path, Some("guest:guest"), Some(&body.to_string()))
    }

    /// One request on a connection of its own; `credentials` are user, colon, password.
    pub(crate) fn request(&self, method: &str, path: &str, credentials: Option<&str>, body: Option<&str>) -> Reply {
        let mut stream = TcpStream::connect(self.http()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut request = format!("{method} {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n");
        if let Some(credentials) = credentials {
            request += &format!("authorization: Basic {}\r\n", base64(credentials.as_bytes()));
        }
        if let Some(body) = body {
            request += &format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len());
        }
        request += "\r\n";
        request += body.unwrap_or_default();
        // A request that is too large may be answered before it has been read.
        let _ = stream.write_all(request.as_bytes());
        let mut answer = vec![];
        let mut piece = [0; 4096];
        while let Ok(length @ 1..) = stream.read(&mut piece) {
            answer.extend_from_slice(&piece[..length]);
        }
        Reply::read(&String::from_utf8(answer).unwrap())
    }
}

impl Reply {
    fn read(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).unwrap();
        let headers =
            lines.filter_map(|line| line.split_once(": ")).map(|(k, v)| (k.to_lowercase(), v.into())).collect();
        let json = if body.is_empty() { Value::Null } else { serde_json::from_str(body).unwrap() };
        Reply { status, headers, json }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Percent-encodes a name for a path.
pub(crate) fn quote(name: &str) -> String {
    name.bytes()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0u32, |bits, &b| bits << 8 | u32::from(b)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * place) & 63) as usize];
            text.push(if place > chunk.len() { '=' } else { char::from(digit) });
        }
    }
    text
}
