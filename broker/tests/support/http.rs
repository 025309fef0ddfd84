//! A client of the HTTP API that asks one thing at a time.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// How long an answer may take before the test has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// An answer.
pub(crate) struct Reply {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    /// Null without a body.
    pub(crate) json: Value,
}

/// One request on a connection of its own; `credentials` are user, colon, password.
pub(crate) fn request(
    http: SocketAddr,
    method: &str,
    path: &str,
    credentials: Option<&str>,
    body: Option<&str>,
) -> Reply {
    let mut stream = TcpStream::connect(http).unwrap();
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
