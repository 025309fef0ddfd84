//! The broker that this program works with: a given one, or one inside it, on a real port, in memory.

use crate::error::Error;
use crate::screen::Screen;
use leveret::{Broker, Config};
use std::fmt::Display;
use std::net::SocketAddr;

/// A broker that lives as long as this program works, unless it is another one that is used.
pub(crate) struct Embedded {
    broker: Option<Broker>,
    url: String,
}

impl Embedded {
    /// Starts one that listens at `address`, where port 0 picks a free one, and says so in the name of `service`, unless
    /// another one is `given`.
    pub(crate) async fn unless(
        given: Option<&str>,
        address: SocketAddr,
        service: &str,
        screen: &Screen,
    ) -> Result<Embedded, Error> {
        if let Some(url) = given {
            return Ok(Embedded { broker: None, url: url.to_owned() });
        }
        let broker = Broker::start(Config::in_memory().listen(address)).await.map_err(failed)?;
        let url = broker.amqp_url().ok_or_else(|| failed("it does not listen"))?.to_owned();
        screen.note(&format!("{service}: broker at {url}"));
        Ok(Embedded { broker: Some(broker), url })
    }

    /// Where the broker is.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Is it this program's own?
    pub(crate) fn is_own(&self) -> bool {
        self.broker.is_some()
    }

    /// Ends it if it is.
    pub(crate) async fn shutdown(self) -> Result<(), Error> {
        match self.broker {
            Some(broker) => broker.shutdown().await.map_err(failed),
            None => Ok(()),
        }
    }
}

fn failed(why: impl Display) -> Error {
    Error::Embedded(why.to_string())
}
