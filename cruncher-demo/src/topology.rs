//! The exchanges and queues of the email cruncher, and their declarations. Services of any make that use these names
//! and settings work together; all of it is durable.
//!
//! ```text
//! prompt -> (emails, fanout) -> [regex-cruncher] -> crunch --fast -+
//!                            -> [slow-cruncher]  -> crunch --slow -+-> [status] -> status
//!        status -> (spammer, direct, key = local part) -> [local part] -> spam --name local part
//! ```

use crate::error::Error;
use leveret_client::{Channel, Connection, ExchangeDeclare, QueueBind, QueueDeclare};

/// The fanout exchange that takes file names.
pub const EMAILS: &str = "emails";
/// The direct exchange that takes warnings; the routing key is a local part.
pub const SPAMMER: &str = "spammer";
/// The queue of the fast crunchers.
pub const REGEX_CRUNCHER: &str = "regex-cruncher";
/// The queue of the slow crunchers.
pub const SLOW_CRUNCHER: &str = "slow-cruncher";
/// The queue of the status service.
pub const STATUS: &str = "status";

/// The domain that is watched unless another is named.
pub const DOMAIN: &str = "apple.com";

/// Longest name of a queue and longest routing key (AMQP short strings).
pub const NAME_BYTES_MAX: usize = 255;

/// What goes before the name of a queue whose local part names one of our own queues or one that AMQP reserves.
const SET_APART: &str = "spammer@";

/// Connects as `service`, which the broker shows in its list of connections.
///
/// # Errors
/// `Connect` when nobody answers or the login fails.
pub async fn connect(url: &str, service: &str) -> Result<Connection, Error> {
    let named = match url.contains('?') {
        true if url.contains("name=") => url.to_owned(),
        true => format!("{url}&name=cruncher-demo%20{service}"),
        false => format!("{url}?name=cruncher-demo%20{service}"),
    };
    // Each service begins anew when its connection breaks: what it has in hand depends on it.
    let opened = Connection::open_with(&named, |options| options.without_recovery()).await;
    opened.map_err(|source| Error::Connect { address: without_login(url), source })
}

/// Declares everything that every service needs, so that they may start in any order and nothing is lost.
///
/// # Errors
/// When the broker refuses, for example because a queue of that name has other settings.
pub async fn declare(channel: &Channel) -> Result<(), Error> {
    channel.exchange_declare(ExchangeDeclare::new(EMAILS, "fanout").durable()).await?;
    channel.exchange_declare(ExchangeDeclare::new(SPAMMER, "direct").durable()).await?;
    for queue in [REGEX_CRUNCHER, SLOW_CRUNCHER] {
        channel.queue_declare(QueueDeclare::new(queue).durable()).await?;
        channel.queue_bind(QueueBind::new(queue, EMAILS)).await?;
    }
    channel.queue_declare(QueueDeclare::new(STATUS).durable()).await?;
    Ok(())
}

/// Declares the queue for warnings to `local_part` and lets the exchange fill it.
///
/// # Errors
/// When the broker refuses.
pub async fn declare_spam_queue(channel: &Channel, local_part: &str) -> Result<(), Error> {
    let queue = spam_queue(local_part);
    channel.queue_declare(QueueDeclare::new(&queue).durable()).await?;
    channel.queue_bind(QueueBind::new(&queue, SPAMMER).routing_key(local_part)).await?;
    Ok(())
}

/// The queue for warnings to `local_part`: of the same name, except where that name is taken. An `@` cannot stand in
/// an ordinary local part, so no two share a queue.
pub fn spam_queue(local_part: &str) -> String {
    let taken = [REGEX_CRUNCHER, SLOW_CRUNCHER, STATUS].contains(&local_part) || local_part.starts_with("amq.");
    if taken { format!("{SET_APART}{local_part}") } else { local_part.to_owned() }
}

/// `url` as it may be shown.
pub(crate) fn without_login(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("amqp", url));
    let authority_end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(authority_end).unwrap_or((rest, ""));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let path = path.split('?').next().unwrap_or_default();
    format!("{scheme}://{host}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spam_queue_is_called_like_the_local_part() {
        assert_eq!(spam_queue("ann"), "ann");
        assert_eq!(spam_queue("../a/b"), "../a/b");
    }

    #[test]
    fn no_local_part_reaches_a_queue_of_ours() {
        assert_eq!(spam_queue("status"), "spammer@status");
        assert_eq!(spam_queue("amq.direct"), "spammer@amq.direct");
    }

    #[test]
    fn an_address_is_shown_without_its_password() {
        assert_eq!(without_login("amqp://ann:secret@host:5672/vh?heartbeat=3"), "amqp://host:5672/vh");
        assert_eq!(without_login("amqp://host"), "amqp://host");
        assert_eq!(without_login("nonsense"), "amqp://nonsense");
    }
}
