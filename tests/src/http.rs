//! The management API of the broker at hand: what AMQP has no methods for.
//!
//! An embedded Leveret has it on a free port. For a broker at AMQP_URL the variable HTTP_URL names it; without that, a test
//! that needs it fails and says so.

use std::env;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::target::{Url, target};

/// How long a request may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// An answer of the management API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Headers and body as they came.
    pub text: String,
}

/// Asks the management API; `path` begins behind `/api/`, and `body` is JSON or empty.
///
/// # Panics
/// If there is no answer.
#[track_caller]
pub fn request(method: &str, path: &str, body: &str) -> Response {
    let url = url();
    let login = BASE64_STANDARD.encode(format!("{}:{}", url.user, url.password));
    let request = format!(
        "{method} /api/{path} HTTP/1.1\r\nhost: {}\r\nauthorization: Basic {login}\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        url.address,
        body.len()
    );
    let text = match exchange(&url, &request) {
        Ok(text) => text,
        Err(error) => panic!("{method} /api/{path} gets no answer from {}: {error}", url.address),
    };
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
    match status {
        Some(status) => Response { status, text },
        None => panic!("{method} /api/{path} gets an answer that is not HTTP: {text}"),
    }
}

/// Asks the management API for something that has to be done.
///
/// # Panics
/// If it is not.
#[track_caller]
pub fn done(method: &str, path: &str, body: &str) {
    let response = request(method, path, body);
    assert!((200..300).contains(&response.status), "{method} /api/{path} with {body}: {}", response.text);
}

/// A name as a part of a path.
pub fn segment(name: &str) -> String {
    name.bytes().fold(String::new(), |mut out, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => out.push(byte.into()),
            _ => write!(out, "%{byte:02X}").expect("a string takes what is written"),
        }
        out
    })
}

#[track_caller]
fn url() -> Url {
    if let Some(address) = target().http_address() {
        let (user, password) = (target().user().to_owned(), target().password().to_owned());
        return Url { user, password, address, path: None };
    }
    match env::var("HTTP_URL") {
        Ok(url) => Url::parse("HTTP_URL", "http://", 15672, &url),
        Err(_) => panic!(
            "this test needs the management API of the broker at AMQP_URL: name it, as in \
             HTTP_URL=http://guest:guest@127.0.0.1:15672"
        ),
    }
}

fn exchange(url: &Url, request: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(url.address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = vec![];
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
