//! The broker that is measured: how to reach it, and what was made there and must go again.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use leveret_client::{Channel, Connection, Error, ExchangeDeclare, ExchangeDelete, QueueDeclare, QueueDelete};

use super::trouble::{Result, Trouble};

/// How long connecting and closing may take: a broker under load answers a close behind all that it was sent.
const PATIENCE: Duration = Duration::from_secs(30);

/// See the file's head.
pub(crate) struct Target {
    url: String,
    /// What the names of all queues and exchanges begin with.
    prefix: String,
    made: Mutex<Made>,
}

#[derive(Default)]
struct Made {
    queues: Vec<String>,
    exchanges: Vec<String>,
}

impl Target {
    pub(crate) fn new(url: &str) -> Self {
        let prefix = format!("leveret-bench.{}", std::process::id());
        Target { url: url.to_owned(), prefix, made: Mutex::default() }
    }

    /// A connection whose channels have at most `unconfirmed` publishes under way.
    pub(crate) async fn connect(&self, unconfirmed: usize) -> Result<Connection> {
        let opened = Connection::open_with(&self.url, |options| {
            options
                .timeout(PATIENCE)
                .unconfirmed_max(unconfirmed)
                .connection_name("leveret bench")
                .heartbeat_s(0)
                .without_recovery()
        });
        opened.await.map_err(|error| self.cannot_connect(&error))
    }

    /// A connection for a few calls, with a channel.
    pub(crate) async fn channel(&self) -> Result<Channel> {
        Ok(self.connect(1).await?.open_channel().await?)
    }

    fn cannot_connect(&self, error: &Error) -> Trouble {
        let why = match error {
            Error::Io(error) if error.raw_os_error().is_some() => error.kind().to_string(),
            Error::Io(error) => error.to_string(),
            other => other.to_string(),
        };
        Trouble::new(format!("cannot connect to {}: {why}", address(&self.url)))
    }

    /// A name of this run's own.
    pub(crate) fn name(&self, name: &str) -> String {
        format!("{}.{name}", self.prefix)
    }

    /// Declares a queue that `clean_up` deletes.
    pub(crate) async fn declare_queue(&self, channel: &Channel, queue: &str, durable: bool) -> Result<()> {
        self.made().queues.push(queue.to_owned());
        let declare = QueueDeclare::new(queue);
        channel.queue_declare(if durable { declare.durable() } else { declare }).await?;
        Ok(())
    }

    /// Declares an exchange that `clean_up` deletes.
    pub(crate) async fn declare_exchange(&self, channel: &Channel, exchange: &str, kind: &str) -> Result<()> {
        self.made().exchanges.push(exchange.to_owned());
        channel.exchange_declare(ExchangeDeclare::new(exchange, kind)).await?;
        Ok(())
    }

    /// Deletes what was declared. Returns how many queues that were.
    pub(crate) async fn clean_up(&self) -> Result<usize> {
        let Made { queues, exchanges } = std::mem::take(&mut *self.made());
        if queues.is_empty() && exchanges.is_empty() {
            return Ok(0);
        }
        let channel = self.channel().await?;
        for exchange in &exchanges {
            channel.exchange_delete(ExchangeDelete::new(exchange)).await?;
        }
        for queue in &queues {
            channel.queue_delete(QueueDelete::new(queue)).await?;
        }
        channel.connection().close().await?;
        Ok(queues.len())
    }

    fn made(&self) -> MutexGuard<'_, Made> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Host and port of a URL, without the password.
fn address(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?']).next().unwrap_or(rest);
    authority.rsplit_once('@').map_or(authority, |(_, address)| address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_the_password() {
        for url in ["amqp://u:secret@host:5672/%2F?heartbeat=1", "amqp://host:5672", "u:secret@host:5672/"] {
            assert_eq!(address(url), "host:5672");
        }
    }

    #[tokio::test]
    async fn nobody_at_the_address_is_one_sentence() {
        let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let trouble = Target::new(&format!("amqp://{unused}")).connect(1).await.unwrap_err();
        assert_eq!(trouble.to_string(), format!("cannot connect to {unused}: connection refused"));
    }
}
