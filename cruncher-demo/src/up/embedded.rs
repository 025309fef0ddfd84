//! The broker inside this program: a real one, on a real port, in memory.

use crate::error::Error;
use leveret::{Broker, Config};
use std::fmt::Display;
use std::net::SocketAddr;

/// A broker that lives as long as this program works.
pub(crate) struct Embedded {
    broker: Broker,
    url: String,
}

impl Embedded {
    /// Starts one that listens at `address`; port 0 picks a free one.
    pub(crate) async fn start(address: SocketAddr) -> Result<Embedded, Error> {
        let broker = Broker::start(Config::in_memory().listen(address)).await.map_err(failed)?;
        let url = broker.amqp_url().ok_or_else(|| failed("it does not listen"))?.to_owned();
        Ok(Embedded { broker, url })
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Ends it.
    pub(crate) async fn shutdown(self) -> Result<(), Error> {
        self.broker.shutdown().await.map_err(failed)
    }
}

fn failed(why: impl Display) -> Error {
    Error::Embedded(why.to_string())
}
