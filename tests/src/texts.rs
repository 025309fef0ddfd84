//! RabbitMQ's explanations without the reply code's name in front. Clients parse them.

use leveret_spec::ReplyCode;

use crate::differences::Difference;
use crate::target::{Product, target};

/// The whole reply text: `NOT_FOUND - no queue 'q' in vhost '/'`.
///
/// # Panics
/// For a code that AMQP does not have.
pub fn reply(code: u16, explanation: &str) -> String {
    let name = ReplyCode::of(code).expect("a reply code").name();
    format!("{name} - {explanation}")
}

/// How a queue is named in explanations.
pub fn queue(name: &str) -> String {
    format!("queue '{name}' in vhost '{}'", target().vhost())
}

/// How an exchange is named in explanations.
pub fn exchange(name: &str) -> String {
    format!("exchange '{name}' in vhost '{}'", target().vhost())
}

/// A queue that does not exist.
pub fn no_queue(name: &str) -> String {
    format!("no {}", queue(name))
}

/// An exchange that does not exist.
pub fn no_exchange(name: &str) -> String {
    format!("no {}", exchange(name))
}

/// A queue that another connection has for itself, cut to what a reply text holds.
pub fn locked(name: &str) -> String {
    let text = format!(
        "cannot obtain exclusive access to locked {}. It could be originally declared on another connection or the \
         exclusive property value does not match that of the original declaration.",
        queue(name)
    );
    cut(405, text)
}

/// What a user may not do: `configure`, `write` or `read` access, to a queue or an exchange or a topic.
pub fn no_access(access: &str, place: &str, user: &str) -> String {
    let access = if Difference::AccessNamed.holds() { format!("{access} ") } else { String::new() };
    cut(403, format!("{access}access to {place} refused for user '{user}'"))
}

/// A quorum queue that is for its active consumer.
pub fn active_consumer(name: &str) -> String {
    let kind = match target().product() {
        Product::RabbitMq { major: 4.., .. } => "<<\"quorum\">>",
        _ => "quorum",
    };
    let place = queue(name);
    cut(
        405,
        format!(
            "cannot obtain access to locked {place}. basic.get operations are not supported by {kind} queues with single \
             active consumer"
        ),
    )
}

/// What is left of an explanation when name and explanation have 255 bytes at most.
fn cut(code: u16, text: String) -> String {
    let prefix = reply(code, "").len();
    text.chars()
        .scan(prefix, |bytes, c| {
            *bytes += c.len_utf8();
            (*bytes <= 255).then_some(c)
        })
        .collect()
}

/// A redeclaration that differs.
pub fn inequivalent(argument: &str, of: &str, received: &str, current: &str) -> String {
    format!("inequivalent arg '{argument}' for {of}: received {received} but current is {current}")
}

/// A delivery tag that is not outstanding.
pub fn unknown_tag(tag: u64) -> String {
    format!("unknown delivery tag {tag}")
}
