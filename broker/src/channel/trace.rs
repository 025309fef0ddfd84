//! The firehose: a copy of every message that is published or delivered goes to the exchange `amq.rabbitmq.trace`, while the
//! virtual host is traced. What the message was is in the headers, as RabbitMQ names them.

use leveret_spec::table::ArrayBuf;
use leveret_spec::{Properties, RawProperties, ShortBytes, Table, TableBuf, Value};

use super::{Channel, Link};
use crate::message::{self, Message};
use crate::queue::{Delivery, Entry, Queue};
use crate::vhost::TRACE_EXCHANGE;

fn key(name: &str) -> ShortBytes<'_> {
    ShortBytes::try_from(name).unwrap_or_default()
}

/// The properties as a table, under RabbitMQ's names.
fn table_of(raw: RawProperties<'_>) -> TableBuf {
    let p = raw.decode();
    let mut table = TableBuf::new();
    let texts = [
        ("content_type", p.content_type),
        ("content_encoding", p.content_encoding),
        ("correlation_id", p.correlation_id),
        ("reply_to", p.reply_to),
        ("expiration", p.expiration),
        ("message_id", p.message_id),
        ("type", p.message_type),
        ("user_id", p.user_id),
        ("app_id", p.app_id),
        ("cluster_id", p.cluster_id),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            table.push(key(name), Value::LongStr(text.as_bytes()));
        }
    }
    let numbers = [("delivery_mode", p.delivery_mode), ("priority", p.priority)];
    for (name, number) in numbers {
        if let Some(number) = number {
            table.push(key(name), Value::I32(number.into()));
        }
    }
    if let Some(headers) = p.headers {
        table.push(key("headers"), Value::Table(headers));
    }
    if let Some(seconds) = p.timestamp {
        table.push(key("timestamp"), Value::Timestamp(seconds));
    }
    table
}

impl Channel {
    /// A message was published; `routed` are the queues that it goes to.
    pub(super) fn trace_publish<'q>(
        &self,
        message: &Message,
        routed: impl Iterator<Item = &'q Queue>,
        link: &mut Link,
    ) {
        let (exchange, _) = message::split_address(message.address());
        if *exchange == *TRACE_EXCHANGE.as_bytes() {
            return;
        }
        let mut queues = ArrayBuf::new();
        for queue in routed {
            queues.push(Value::from(&*queue.name));
        }
        let mut headers = self.trace_headers(message, link);
        headers.push(key("routed_queues"), Value::Array(queues.as_array()));
        put(&format!("publish.{exchange}"), message, headers.as_table(), link);
    }

    #[cold]
    pub(super) fn trace_delivery(&mut self, delivery: &Delivery, link: &mut Link) {
        let queue = self.sources.of_mut(delivery.source).map(|source| source.queue.name.clone());
        if let Some(queue) = queue {
            self.trace_deliver(&delivery.entry, &queue, link);
        }
    }

    /// A message was given to a consumer of a queue.
    pub(super) fn trace_deliver(&self, entry: &Entry, queue: &str, link: &mut Link) {
        let (exchange, _) = message::split_address(entry.message.address());
        if *exchange == *TRACE_EXCHANGE.as_bytes() {
            return;
        }
        let mut headers = self.trace_headers(&entry.message, link);
        headers.push(key("redelivered"), Value::I32(entry.redelivered().into()));
        put(&format!("deliver.{queue}"), &entry.message, headers.as_table(), link);
    }

    fn trace_headers(&self, message: &Message, link: &Link) -> TableBuf {
        let (exchange, routing_key) = message::split_address(message.address());
        let mut keys = ArrayBuf::new();
        keys.push(Value::LongStr(routing_key.as_bytes()));
        if let Some(Value::Array(copies)) = message.properties().checked_headers().and_then(|h| h.lookup("CC")) {
            for copy in copies.iter() {
                keys.push(copy);
            }
        }
        let mut headers = TableBuf::new();
        headers.push(key("exchange_name"), Value::LongStr(exchange.as_bytes()));
        headers.push(key("routing_keys"), Value::Array(keys.as_array()));
        headers.push(key("properties"), Value::Table(table_of(message.properties()).as_table()));
        headers.push(key("node"), Value::from(crate::node::NAME));
        headers.push(key("vhost"), Value::from(&*link.vhost.name));
        headers.push(key("connection"), Value::from(&*link.client.peer));
        headers.push(key("channel"), Value::I32(self.number.into()));
        headers.push(key("user"), Value::from(&*link.client.user));
        headers
    }
}

/// Publishes a copy of the body to the trace exchange.
fn put(routing_key: &str, message: &Message, headers: Table<'_>, link: &mut Link) {
    let Ok(routing_key) = ShortBytes::try_from(routing_key) else { return };
    let properties = Properties { headers: Some(headers), ..Properties::default() };
    let copy = message.readdressed(key(TRACE_EXCHANGE), routing_key, &properties);
    let Ok(routed) = link.vhost.route_internally(TRACE_EXCHANGE.as_bytes(), &routing_key, &copy) else { return };
    for queue in routed.queues {
        queue.publish(&mut vec![copy.clone()], &link.mailbox, &mut link.turn);
    }
}
