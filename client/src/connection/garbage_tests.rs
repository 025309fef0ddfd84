//! A broker whose bytes are damaged: whatever comes, the connection ends with an error and nothing panics.

use std::io;

use leveret_spec::{ShortStr, basic, channel, connection, queue};

use crate::scripted::{Scripted, answered, channel_open};
use crate::{Consume, Error, Get, Options, Publish, QueueDeclare};

/// A small generator of numbers (Knuth's MMIX constants), so that a failing seed fails again.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

/// Something of everything that a broker says, as answers to the calls that `one_conversation` makes.
fn conversation(broker: &mut Scripted) {
    for tag in 1..=3 {
        broker.put_delivery(tag, b"a body");
    }
    broker.put(1, &queue::DeclareOk { queue: ShortStr::cut("q"), message_count: 1, consumer_count: 1 });
    broker.put(1, &basic::GetOk { delivery_tag: 4, message_count: 9, ..basic::GetOk::default() });
    broker.put_content(1, b"got");
    broker.put(1, &basic::Return { reply_code: 312, reply_text: ShortStr::cut("NO_ROUTE"), ..Default::default() });
    broker.put_content(1, b"back");
    broker.put(1, &basic::Ack { delivery_tag: 1, multiple: true });
    broker.put(0, &connection::Blocked { reason: ShortStr::cut("low on memory") });
    broker.put(0, &connection::Unblocked {});
    broker.put(1, &channel::Flow { active: true });
    broker.put(1, &basic::Cancel { consumer_tag: ShortStr::cut("t"), no_wait: true });
    broker.put(1, &channel::Close { reply_code: 404, reply_text: ShortStr::cut("NOT_FOUND"), ..Default::default() });
}

async fn one_conversation(seed: u64) -> Error {
    let (channel, mut broker) = channel_open(Options::default()).await;
    let consume = channel.consume(Consume::new("q").tag("t"));
    let mut consumer = answered(consume, &mut broker, ("basic.Consume", &basic::ConsumeOk::default())).await;
    let calls = async {
        let declare = channel.queue_declare(QueueDeclare::new("q"));
        let get = channel.get(Get::new("q"));
        let publish = channel.publish_confirmed(Publish::to_queue("q").mandatory().body("back"));
        let _ = tokio::join!(declare, get, publish);
        while let Some(Ok(_)) = consumer.next().await {}
    };
    let damage = async {
        conversation(&mut broker);
        let mut numbers = Numbers(seed);
        for _ in 0..=numbers.below(3) {
            let at = numbers.below(broker.unsent().len());
            match numbers.below(3) {
                0 => broker.unsent()[at] = numbers.below(256) as u8,
                1 => broker.unsent()[at] ^= 1 << numbers.below(8),
                _ => drop(broker.unsent().remove(at)),
            }
        }
        broker.flush().await;
        broker.hang_up();
    };
    tokio::join!(calls, damage);
    channel.connection().closed().await
}

#[tokio::test]
async fn damaged_bytes_end_the_connection_and_never_its_task() {
    for seed in 0..2000 {
        if let Error::Io(error) = one_conversation(seed).await {
            // What the task's end by a panic would look like.
            assert_ne!(error.kind(), io::ErrorKind::Interrupted, "seed {seed}");
        }
    }
}
