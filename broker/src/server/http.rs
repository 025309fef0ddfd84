//! The HTTP management API's place in the server, and definitions, which speak its language.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::watch;

use super::listener::Listening;
use super::{Broker, Shared, StartError, listener, reachable};
use crate::config::Config;
use crate::connection;
use crate::management::{self, Api, Listener};

/// What is wrong with definitions, in one sentence.
#[derive(Debug)]
pub struct DefinitionsError(String);

impl fmt::Display for DefinitionsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for DefinitionsError {}

impl Broker {
    /// Where the HTTP management API listens, with the real port; none if it does not.
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http
    }

    /// The URL in front of the HTTP management API's paths, such as `http://127.0.0.1:15672`; none if it does not listen.
    pub fn http_url(&self) -> Option<String> {
        self.http.map(|address| format!("http://{}", reachable(address)))
    }

    /// Takes in definitions: users, virtual hosts, permissions, policies, limits, exchanges, queues and bindings as one JSON
    /// object, in the format of RabbitMQ's exports (`GET /api/definitions`). What is there already stays.
    ///
    /// ```
    /// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let broker = leveret::Broker::start(leveret::Config::in_memory()).await?;
    /// broker.import_definitions(
    ///     r#"{"policies": [{"vhost": "/", "name": "short", "pattern": "^tmp", "definition": {"expires": 60000}}]}"#,
    /// )?;
    /// # broker.shutdown().await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// What is wrong with them. What stands before the mistake has been taken in.
    pub fn import_definitions(&self, json: &str) -> Result<(), DefinitionsError> {
        management::import(self.shared.api(vec![]), json).map_err(DefinitionsError)
    }
}

impl Shared {
    /// Takes in the definitions that the broker is started with.
    pub(super) fn load_definitions(&self, config: &Config) -> Result<(), StartError> {
        match &config.definitions {
            Some(path) => management::load(self.api(vec![]), path).map_err(StartError),
            None => Ok(()),
        }
    }

    fn api(&self, listeners: Vec<Listener>) -> Arc<Api> {
        let (node, clock) = (self.node.clone(), self.clock);
        Arc::new(Api { node: node.clone(), clock: Box::new(move || node.timeline.at(clock.now())), listeners })
    }

    /// Serves the HTTP management API; where, with the real port.
    pub(super) async fn serve_http(
        &self,
        address: SocketAddr,
        listening: &Listening,
        stopped: watch::Receiver<bool>,
    ) -> Result<SocketAddr, StartError> {
        let listener = listener::bind(address, "http").await?;
        let address = listener.local_addr().map_err(|e| StartError(e.to_string()))?;
        let amqp = listening.amqp.iter().map(|&address| Listener { protocol: "amqp", address });
        let amqps = listening.amqps.iter().map(|&address| Listener { protocol: "amqp/ssl", address });
        let mut listeners: Vec<_> = amqp.chain(amqps).collect();
        listeners.push(Listener { protocol: "http", address });
        if !connection::is_loopback(address.ip()) {
            tracing::warn!(%address, "the HTTP API has no TLS: passwords can be read on the way to it");
        }
        let api = self.api(listeners);
        if let Some(alive) = self.alive.lock().clone() {
            tokio::spawn(management::run(listener, api, stopped, alive));
        }
        Ok(address)
    }
}
