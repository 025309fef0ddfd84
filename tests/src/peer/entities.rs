//! Channels, queues, exchanges, bindings and consumers, made in one line each.

use leveret_spec::method::MethodFrame;
use leveret_spec::{TableBuf, basic, channel, exchange, queue};

use super::Peer;
use crate::received::Answer;
use crate::target::{Product, target};
use crate::{default, short, texts, unique};

/// How often a question is asked until its answer is the one that has to come in the end.
///
/// RabbitMQ's processes tell each other what has happened in their own time, so that an answer may be of the moment before;
/// Leveret's answer is about all that came before the question.
fn tries() -> usize {
    if target().product() == Product::Leveret { 1 } else { 2000 }
}

impl Peer {
    /// Opens a channel.
    #[track_caller]
    pub fn open_channel(&mut self, channel: u16) {
        let answer = self.call::<channel::OpenOk>(channel, &channel::Open::default());
        assert!(answer.reserved.is_empty());
    }

    /// Closes a channel.
    #[track_caller]
    pub fn close_channel(&mut self, channel: u16) {
        self.call::<channel::CloseOk>(channel, &channel::Close { reply_code: 200, ..default() });
    }

    /// A new queue that ends with this connection.
    #[track_caller]
    pub fn queue(&mut self, channel: u16) -> String {
        let name = unique("q");
        self.declare(channel, &queue::Declare { queue: short(&name), exclusive: true, ..default() });
        name
    }

    /// A new queue that ends with this connection, with arguments.
    #[track_caller]
    pub fn queue_with(&mut self, channel: u16, arguments: &TableBuf) -> String {
        let name = unique("q");
        let arguments = arguments.as_table();
        self.declare(channel, &queue::Declare { queue: short(&name), exclusive: true, arguments, ..default() });
        name
    }

    /// A new queue with arguments, and the queue that its dead letters go to.
    #[track_caller]
    pub fn queue_with_dead_letters(&mut self, channel: u16, arguments: TableBuf) -> (String, String) {
        let dead = self.queue(channel);
        let arguments = arguments.with("x-dead-letter-exchange", "").expect("a short key");
        let arguments = arguments.with("x-dead-letter-routing-key", dead.as_str()).expect("a short key");
        (self.queue_with(channel, &arguments), dead)
    }

    /// A new quorum queue with more arguments.
    #[track_caller]
    pub fn quorum_queue(&mut self, channel: u16, arguments: TableBuf) -> String {
        let name = unique("quorum");
        let arguments = arguments.with("x-queue-type", "quorum").expect("a short key");
        let arguments = arguments.as_table();
        self.declare(channel, &queue::Declare { queue: short(&name), durable: true, arguments, ..default() });
        name
    }

    /// A new queue for other connections too.
    #[track_caller]
    pub fn shared_queue(&mut self, channel: u16) -> String {
        let name = unique("shared");
        self.declare(channel, &queue::Declare { queue: short(&name), durable: true, ..default() });
        name
    }

    /// Declares a queue, and remembers to delete it if it outlives its connection.
    #[track_caller]
    pub fn declare(&mut self, channel: u16, declare: &queue::Declare<'_>) -> queue::DeclareOk<'static> {
        let answer = self.call::<queue::DeclareOk>(channel, declare);
        if !declare.exclusive && !declare.passive {
            self.queues.push(answer.queue.to_string());
        }
        answer
    }

    /// Ready messages and consumers of a queue.
    #[track_caller]
    pub fn counts(&mut self, channel: u16, queue: &str) -> (u32, u32) {
        let passive = queue::Declare { queue: short(queue), passive: true, ..default() };
        let answer = self.call::<queue::DeclareOk>(channel, &passive);
        assert_eq!(&*answer.queue, queue);
        (answer.message_count, answer.consumer_count)
    }

    /// The queue has so many ready messages and consumers.
    #[track_caller]
    pub fn expect_counts(&mut self, channel: u16, queue: &str, messages: u32, consumers: u32) {
        let mut counted = (0, 0);
        for _ in 0..tries() {
            counted = self.counts(channel, queue);
            if counted == (messages, consumers) {
                return;
            }
        }
        panic!("{queue} has {counted:?} messages and consumers, not {:?}", (messages, consumers));
    }

    /// The queue exists no more.
    #[track_caller]
    pub fn expect_no_queue(&mut self, channel: u16, queue: &str) {
        let passive = queue::Declare { queue: short(queue), passive: true, ..default() };
        self.expect_gone::<queue::DeclareOk>(channel, &passive, &texts::no_queue(queue));
    }

    /// The exchange exists no more.
    #[track_caller]
    pub fn expect_no_exchange(&mut self, channel: u16, exchange: &str) {
        let passive = exchange::Declare { exchange: short(exchange), passive: true, ..default() };
        self.expect_gone::<exchange::DeclareOk>(channel, &passive, &texts::no_exchange(exchange));
    }

    #[track_caller]
    fn expect_gone<There: Answer>(&mut self, channel: u16, passive: &impl MethodFrame, explanation: &str) {
        for _ in 0..tries() {
            self.send(channel, passive);
            let received = self.expect_any(channel, "channel.Close");
            if There::of(received.method).is_none() {
                assert!(format!("{:?}", received.method).contains(&texts::reply(404, explanation)), "{received:?}");
                self.send(channel, &channel::CloseOk {});
                return self.open_channel(channel);
            }
        }
        panic!("it still exists: {explanation}");
    }

    /// Deletes a queue; how many messages went with it.
    #[track_caller]
    pub fn delete_queue(&mut self, channel: u16, queue: &str) -> u32 {
        let delete = queue::Delete { queue: short(queue), ..default() };
        self.call::<queue::DeleteOk>(channel, &delete).message_count
    }

    /// Removes what is ready; how many messages that was.
    #[track_caller]
    pub fn purge(&mut self, channel: u16, queue: &str) -> u32 {
        self.call::<queue::PurgeOk>(channel, &queue::Purge { queue: short(queue), ..default() }).message_count
    }

    /// A new exchange.
    #[track_caller]
    pub fn exchange(&mut self, channel: u16, kind: &str) -> String {
        let name = unique(kind);
        self.declare_exchange(channel, &exchange::Declare { exchange: short(&name), kind: short(kind), ..default() });
        name
    }

    /// A new exchange of type fanout, with arguments.
    #[track_caller]
    pub fn fanout_with(&mut self, channel: u16, arguments: &TableBuf) -> String {
        let name = unique("fanout");
        let (exchange, kind, arguments) = (short(&name), short("fanout"), arguments.as_table());
        self.declare_exchange(channel, &exchange::Declare { exchange, kind, arguments, ..default() });
        name
    }

    /// Declares an exchange, and remembers to delete it.
    #[track_caller]
    pub fn declare_exchange(&mut self, channel: u16, declare: &exchange::Declare<'_>) {
        self.call::<exchange::DeclareOk>(channel, declare);
        if !declare.passive {
            self.exchanges.push(declare.exchange.to_string());
        }
    }

    /// Deletes an exchange.
    #[track_caller]
    pub fn delete_exchange(&mut self, channel: u16, exchange: &str) {
        self.call::<exchange::DeleteOk>(channel, &exchange::Delete { exchange: short(exchange), ..default() });
    }

    /// Checks that an exchange exists.
    #[track_caller]
    pub fn check_exchange(&mut self, channel: u16, exchange: &str) {
        let passive = exchange::Declare { exchange: short(exchange), passive: true, ..default() };
        self.call::<exchange::DeclareOk>(channel, &passive);
    }

    /// Binds a queue.
    #[track_caller]
    pub fn bind(&mut self, channel: u16, queue: &str, exchange: &str, routing_key: &str) {
        self.bind_with(channel, queue, exchange, routing_key, &TableBuf::new());
    }

    /// Binds a queue with arguments.
    #[track_caller]
    pub fn bind_with(&mut self, channel: u16, queue: &str, exchange: &str, routing_key: &str, arguments: &TableBuf) {
        let (queue, exchange, routing_key) = (short(queue), short(exchange), short(routing_key));
        let arguments = arguments.as_table();
        self.call::<queue::BindOk>(channel, &queue::Bind { queue, exchange, routing_key, arguments, ..default() });
    }

    /// Removes a queue's binding.
    #[track_caller]
    pub fn unbind(&mut self, channel: u16, queue: &str, exchange: &str, routing_key: &str) {
        let (queue, exchange, routing_key) = (short(queue), short(exchange), short(routing_key));
        self.call::<queue::UnbindOk>(channel, &queue::Unbind { queue, exchange, routing_key, ..default() });
    }

    /// Binds an exchange to an exchange.
    #[track_caller]
    pub fn bind_exchange(&mut self, channel: u16, destination: &str, source: &str, routing_key: &str) {
        let (destination, source, routing_key) = (short(destination), short(source), short(routing_key));
        self.call::<exchange::BindOk>(channel, &exchange::Bind { destination, source, routing_key, ..default() });
    }

    /// Removes a binding between exchanges.
    #[track_caller]
    pub fn unbind_exchange(&mut self, channel: u16, destination: &str, source: &str, routing_key: &str) {
        let (destination, source, routing_key) = (short(destination), short(source), short(routing_key));
        self.call::<exchange::UnbindOk>(channel, &exchange::Unbind { destination, source, routing_key, ..default() });
    }

    /// Starts a consumer that settles its deliveries.
    #[track_caller]
    pub fn consume(&mut self, channel: u16, queue: &str, consumer_tag: &str) -> String {
        let (queue, consumer_tag) = (short(queue), short(consumer_tag));
        self.consume_as(channel, &basic::Consume { queue, consumer_tag, ..default() })
    }

    /// Starts a consumer that has nothing to settle.
    #[track_caller]
    pub fn consume_settled(&mut self, channel: u16, queue: &str, consumer_tag: &str) -> String {
        let (queue, consumer_tag) = (short(queue), short(consumer_tag));
        self.consume_as(channel, &basic::Consume { queue, consumer_tag, no_ack: true, ..default() })
    }

    /// Starts a consumer; its tag.
    #[track_caller]
    pub fn consume_as(&mut self, channel: u16, consume: &basic::Consume<'_>) -> String {
        self.call::<basic::ConsumeOk>(channel, consume).consumer_tag.to_string()
    }

    /// Ends a consumer.
    #[track_caller]
    pub fn cancel(&mut self, channel: u16, consumer_tag: &str) {
        let cancel = basic::Cancel { consumer_tag: short(consumer_tag), no_wait: false };
        let answer = self.call::<basic::CancelOk>(channel, &cancel);
        assert_eq!(&*answer.consumer_tag, consumer_tag);
    }

    /// Sets the prefetch of later consumers.
    #[track_caller]
    pub fn prefetch(&mut self, channel: u16, prefetch_count: u16) {
        self.call::<basic::QosOk>(channel, &basic::Qos { prefetch_count, ..default() });
    }

    /// Sets the prefetch of the channel as a whole.
    #[track_caller]
    pub fn prefetch_of_channel(&mut self, channel: u16, prefetch_count: u16) {
        self.call::<basic::QosOk>(channel, &basic::Qos { prefetch_count, global: true, ..default() });
    }
}
