//! A broker with an HTTP API, and a client that asks it one thing at a time.

#![expect(clippy::unwrap_used, clippy::panic, reason = "that is how a test fails")]

pub(crate) mod client;
pub(crate) mod http;

use std::net::SocketAddr;
use std::path::PathBuf;

use leveret::{Broker, Config};
use serde_json::Value;
use tokio::runtime::Runtime;

pub(crate) use http::{PATIENCE, Reply};

/// A broker of its own, with everything in memory.
pub(crate) struct Server {
    runtime: Runtime,
    broker: Broker,
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
        http::request(self.http(), method, path, credentials, body)
    }
}

/// Percent-encodes a name for a path.
pub(crate) fn quote(name: &str) -> String {
    name.bytes()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}
