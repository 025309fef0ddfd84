//! Dead letters: why a message left a queue without being consumed, and what it becomes: the same message under another
//! address, with its deaths in the header `x-death`, newest first, one entry for each queue and reason.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use leveret_spec::table::ArrayBuf;
use leveret_spec::{Array, Properties, ShortBytes, Table, TableBuf, Value};

use super::settings::DeadLetterTo;
use crate::message::{Message, split_address};

/// The field of an entry of x-death that says how often it happened.
const COUNT: &str = "count";

/// Why a message died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Death {
    /// A consumer refused it.
    Rejected,
    /// Its time to live was over.
    Expired,
    /// The queue was full.
    MaxLength,
    /// It was delivered in vain too often.
    DeliveryLimit,
}

/// A message on its way from a queue to that queue's dead-letter exchange.
pub(crate) struct DeadLetter {
    pub(crate) message: Message,
    pub(crate) death: Death,
    pub(crate) queue: Arc<str>,
    pub(crate) to: Arc<DeadLetterTo>,
}

/// A dead letter ready to be routed.
pub(crate) struct Reborn {
    pub(crate) message: Message,
    /// The queues that it died in since a client published it, without anybody having rejected it. It may not come into
    /// one of these again, or it would go round for ever.
    pub(crate) forbidden: Vec<Box<[u8]>>,
}

impl Death {
    fn name(self) -> &'static str {
        match self {
            Death::Rejected => "rejected",
            Death::Expired => "expired",
            Death::MaxLength => "maxlen",
            Death::DeliveryLimit => "delivery_limit",
        }
    }
}

fn key(name: &str) -> ShortBytes<'_> {
    ShortBytes::try_from(name).unwrap_or_default()
}

/// The entries of x-death.
fn deaths(headers: Table<'_>) -> impl Iterator<Item = Table<'_>> {
    let array = match headers.lookup("x-death") {
        Some(Value::Array(array)) => array,
        _ => Array::default(),
    };
    array.iter().filter_map(|value| if let Value::Table(table) = value { Some(table) } else { None })
}

fn is_of(entry: Table<'_>, queue: &[u8], reason: &str) -> bool {
    entry.lookup("queue") == Some(Value::LongStr(queue)) && entry.lookup("reason") == Some(reason.into())
}

/// The entries of x-death with their counts, each queue and reason once, where it stands first. An entry without a count
/// stands for as many deaths as there are entries of its kind, as before RabbitMQ counted.
fn grouped(headers: Table<'_>) -> Vec<(Table<'_>, i64)> {
    let mut places = HashMap::<_, usize>::new();
    let mut groups: Vec<(Table<'_>, i64)> = vec![];
    for death in deaths(headers) {
        let text = |name| if let Some(Value::LongStr(text)) = death.lookup(name) { Some(text) } else { None };
        match places.entry((text("queue"), text("reason"))) {
            Entry::Occupied(place) => groups[*place.get()].1 += 1,
            Entry::Vacant(place) => {
                place.insert(groups.len());
                groups.push((death, 1));
            }
        }
    }
    for (death, count) in &mut groups {
        *count = death.lookup(COUNT).and_then(Value::as_i64).unwrap_or(*count);
    }
    groups
}

/// An entry of x-death with another count.
fn counted(death: Table<'_>, count: i64) -> TableBuf {
    let mut entry = TableBuf::new();
    entry.push(key(COUNT), Value::I64(count));
    for (name, value) in death.iter().filter(|(name, _)| *name != key(COUNT)) {
        entry.push(name, value);
    }
    entry
}

impl DeadLetter {
    /// What is published to the dead-letter exchange; `time_s` is now, in seconds since 1970.
    pub(crate) fn reborn(&self, time_s: u64) -> Reborn {
        let properties = self.message.properties().decode();
        let headers = properties.headers.unwrap_or_default();
        let (exchange, own_key) = split_address(self.message.address());
        let since_publish = self.deaths_since_publish(headers);
        let new_headers = self.headers(headers, &properties, time_s);
        let new_key = self.to.routing_key.as_deref().and_then(|k| ShortBytes::new(k).ok()).unwrap_or(own_key);
        let to = ShortBytes::new(&self.to.exchange).unwrap_or(exchange);
        let properties = Properties { headers: Some(new_headers.as_table()), expiration: None, ..properties };
        let mut message = self.message.readdressed(to, new_key, &properties);
        message.set_deaths(since_publish);
        let forbidden = self.forbidden(new_headers.as_table(), since_publish);
        Reborn { message, forbidden }
    }

    /// How many entries of x-death, from the front, are of deaths since a client published the message.
    fn deaths_since_publish(&self, headers: Table<'_>) -> usize {
        let before = self.message.deaths();
        let again = deaths(headers).take(before).any(|d| is_of(d, self.queue.as_bytes(), self.death.name()));
        if again { before } else { before + 1 }
    }

    fn headers(&self, old: Table<'_>, properties: &Properties<'_>, time_s: u64) -> TableBuf {
        let mut headers = TableBuf::new();
        let mut first_death = false;
        let replaced = |name: &[u8]| {
            name == b"x-death" || name.starts_with(b"x-last-death-") || (name == b"CC" && self.to.routing_key.is_some())
        };
        for (name, value) in old.iter() {
            first_death |= name.starts_with(b"x-first-death-");
            if !replaced(&name) {
                headers.push(name, value);
            }
        }
        headers.push(key("x-death"), self.x_death(old, properties, time_s).as_array().into());
        let (exchange, _) = split_address(self.message.address());
        let facts = [
            ("reason", Value::from(self.death.name())),
            ("queue", Value::from(&*self.queue)),
            ("exchange", Value::LongStr(exchange.as_bytes())),
        ];
        for (fact, value) in facts {
            if !first_death {
                headers.push(key(&format!("x-first-death-{fact}")), value);
            }
            headers.push(key(&format!("x-last-death-{fact}")), value);
        }
        headers
    }

    /// The deaths with this one in front. One that has happened before is only counted: what is known of it is of the first
    /// time. A client may have brought entries: those of one queue and reason become one.
    fn x_death(&self, old: Table<'_>, properties: &Properties<'_>, time_s: u64) -> ArrayBuf {
        let mut before = grouped(old);
        let same = before.iter().position(|(death, _)| is_of(*death, self.queue.as_bytes(), self.death.name()));
        let mut array = ArrayBuf::new();
        match same.map(|at| before.remove(at)) {
            Some((death, count)) => {
                array.push(counted(death, count.saturating_add(1)).as_table());
            }
            None => {
                array.push(self.first_of_its_kind(old, properties, time_s).as_table());
            }
        }
        for (death, count) in before {
            array.push(counted(death, count).as_table());
        }
        array
    }

    fn first_of_its_kind(&self, old: Table<'_>, properties: &Properties<'_>, time_s: u64) -> TableBuf {
        let (exchange, own_key) = split_address(self.message.address());
        let mut keys = ArrayBuf::new();
        keys.push(Value::LongStr(own_key.as_bytes()));
        if let Some(Value::Array(copies)) = old.lookup("CC") {
            for copy in copies.iter() {
                keys.push(copy);
            }
        }
        let mut entry = TableBuf::new();
        entry.push(key(COUNT), Value::I64(1));
        entry.push(key("reason"), self.death.name().into());
        entry.push(key("queue"), Value::from(&*self.queue));
        entry.push(key("time"), Value::Timestamp(time_s));
        entry.push(key("exchange"), Value::LongStr(exchange.as_bytes()));
        entry.push(key("routing-keys"), keys.as_array().into());
        if let Some(expiration) = properties.expiration {
            entry.push(key("original-expiration"), Value::LongStr(expiration.as_bytes()));
        }
        entry
    }

    /// A cycle without a rejection would never end: its queues are closed to the message.
    fn forbidden(&self, headers: Table<'_>, since_publish: usize) -> Vec<Box<[u8]>> {
        let mut queues = vec![];
        for death in deaths(headers).take(since_publish) {
            if death.lookup("reason") == Some("rejected".into()) {
                break;
            }
            if let Some(Value::LongStr(queue)) = death.lookup("queue") {
                queues.push(queue.into());
            }
        }
        queues
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dead(message: Message, death: Death, queue: &str) -> DeadLetter {
        let to = Arc::new(DeadLetterTo { exchange: b"dlx"[..].into(), routing_key: None });
        DeadLetter { message, death, queue: queue.into(), to }
    }

    fn death_list(message: &Message) -> Vec<(i64, String, String)> {
        let properties = message.properties().decode();
        deaths(properties.headers.unwrap())
            .map(|d| {
                let text = |name| d.lookup(name).and_then(Value::as_str).unwrap().to_owned();
                (d.lookup("count").and_then(Value::as_i64).unwrap(), text("queue"), text("reason"))
            })
            .collect()
    }

    #[test]
    fn deaths_of_one_kind_are_counted_and_the_newest_comes_first() {
        let mut message = Message::compose("x", "k", &Properties::default(), b"body");
        for (death, queue) in [(Death::Rejected, "a"), (Death::Expired, "b"), (Death::Rejected, "a")] {
            message = dead(message, death, queue).reborn(7).message;
        }
        assert_eq!(death_list(&message), [(2, "a".into(), "rejected".into()), (1, "b".into(), "expired".into())]);
        assert_eq!(message.body(), b"body");
        let headers = message.properties().headers().unwrap();
        assert_eq!(headers.lookup("x-first-death-exchange"), Some("x".into()));
        assert_eq!(headers.lookup("x-last-death-exchange"), Some("dlx".into()));
    }

    #[test]
    fn deaths_that_a_client_brings_are_merged_and_go_on_counting() {
        let mut array = ArrayBuf::new();
        for (queue, count) in [("b", None), ("a", Some(9)), ("b", None), ("a", None), ("c", None)] {
            let mut death = TableBuf::new();
            death.push(key("queue"), queue.into());
            death.push(key("reason"), "expired".into());
            death.push(key("time"), Value::Timestamp(1));
            if let Some(count) = count {
                death.push(key(COUNT), Value::I64(count));
            }
            array.push(death.as_table());
        }
        let mut headers = TableBuf::new();
        headers.push(key("x-death"), array.as_array().into());
        let properties = Properties { headers: Some(headers.as_table()), ..Properties::default() };
        let reborn = dead(Message::compose("x", "k", &properties, b""), Death::Expired, "a").reborn(7).message;
        let list = [(10, "a"), (2, "b"), (1, "c")].map(|(n, queue)| (n, queue.to_owned(), "expired".to_owned()));
        assert_eq!(death_list(&reborn), list);
        let first = deaths(reborn.properties().headers().unwrap()).next().unwrap();
        assert_eq!(first.lookup("time"), Some(Value::Timestamp(1)));
    }

    #[test]
    fn expiration_moves_into_the_first_death() {
        let expiration = ShortBytes::try_from("50").ok();
        let message = Message::compose("x", "k", &Properties { expiration, ..Properties::default() }, b"");
        let reborn = dead(message, Death::Expired, "a").reborn(7).message;
        assert_eq!(reborn.properties().expiration(), None);
        let properties = reborn.properties().decode();
        let first = deaths(properties.headers.unwrap()).next().unwrap();
        assert_eq!(first.lookup("original-expiration"), Some("50".into()));
    }

    #[test]
    fn only_deaths_since_the_last_publish_and_rejection_forbid_a_queue() {
        let first = dead(Message::compose("x", "k", &Properties::default(), b""), Death::Expired, "a").reborn(7);
        assert_eq!(first.forbidden, [b"a"[..].into()]);
        let second = dead(first.message.clone(), Death::MaxLength, "b").reborn(7);
        assert_eq!(second.forbidden, [b"b"[..].into(), b"a"[..].into()]);
        let rejected = dead(second.message, Death::Rejected, "c").reborn(7);
        assert!(rejected.forbidden.is_empty());
        // A client that publishes it again carries the header on, but not the history.
        let headers = first.message.properties().decode();
        let again = Message::compose("x", "k", &headers, b"");
        assert_eq!(dead(again, Death::Expired, "d").reborn(7).forbidden, [b"d"[..].into()]);
    }
}
