//! Messages out and in.

use leveret_spec::frame::{self, FrameKind};
use leveret_spec::method::MethodFrame;
use leveret_spec::{Properties, TableBuf, basic, confirm, content};

use super::Peer;
use crate::received::Content;
use crate::{default, octets, short};

impl Peer {
    /// Publishes a message without properties.
    pub fn publish(&mut self, channel: u16, exchange: &str, routing_key: &str, body: impl AsRef<[u8]>) {
        self.publish_as(channel, exchange, routing_key, &Properties::default(), body);
    }

    /// Publishes a message with properties.
    pub fn publish_as(
        &mut self,
        channel: u16,
        exchange: &str,
        routing_key: &str,
        properties: &Properties<'_>,
        body: impl AsRef<[u8]>,
    ) {
        let method = basic::Publish { exchange: octets(exchange), routing_key: octets(routing_key), ..default() };
        self.publish_method(channel, &method, properties, body.as_ref());
    }

    /// Publishes a message with headers.
    pub fn publish_headed(
        &mut self,
        channel: u16,
        exchange: &str,
        routing_key: &str,
        headers: &TableBuf,
        body: impl AsRef<[u8]>,
    ) {
        let properties = Properties { headers: Some(headers.as_table()), ..default() };
        self.publish_as(channel, exchange, routing_key, &properties, body);
    }

    /// Publishes a message that lives so many milliseconds.
    pub fn publish_expiring(&mut self, channel: u16, routing_key: &str, ttl_ms: &str, body: impl AsRef<[u8]>) {
        let properties = Properties { expiration: Some(octets(ttl_ms)), ..default() };
        self.publish_as(channel, "", routing_key, &properties, body);
    }

    /// Publishes a message that is returned if it reaches no queue.
    pub fn publish_mandatory(&mut self, channel: u16, exchange: &str, routing_key: &str, body: impl AsRef<[u8]>) {
        let (exchange, routing_key) = (octets(exchange), octets(routing_key));
        let method = basic::Publish { exchange, routing_key, mandatory: true, ..default() };
        self.publish_method(channel, &method, &Properties::default(), body.as_ref());
    }

    /// Sends a method with content in one write.
    pub fn publish_method(
        &mut self,
        channel: u16,
        method: &impl MethodFrame,
        properties: &Properties<'_>,
        body: &[u8],
    ) {
        let mut out = vec![];
        frame::put_method(&mut out, channel, method);
        let mut header = vec![];
        content::encode_header(&mut header, body.len() as u64, properties);
        Peer::put_frame(&mut out, FrameKind::Header as u8, channel, &header);
        frame::put_body(&mut out, channel, body, self.frame_max as usize);
        self.send_bytes(&out);
    }

    /// Appends any frame, known or not.
    pub fn put_frame(out: &mut Vec<u8>, kind: u8, channel: u16, payload: &[u8]) {
        out.push(kind);
        out.extend(channel.to_be_bytes());
        out.extend((payload.len() as u32).to_be_bytes());
        out.extend(payload);
        out.push(frame::FRAME_END);
    }

    /// Sends any frame, known or not.
    pub fn send_frame(&mut self, kind: u8, channel: u16, payload: &[u8]) {
        let mut out = vec![];
        Peer::put_frame(&mut out, kind, channel, payload);
        self.send_bytes(&out);
    }

    /// Puts a channel into confirm mode.
    #[track_caller]
    pub fn select_confirms(&mut self, channel: u16) {
        self.call::<confirm::SelectOk>(channel, &confirm::Select::default());
    }

    /// Takes a message off a queue, unsettled, if there is one.
    #[track_caller]
    pub fn get(&mut self, channel: u16, queue: &str) -> Option<(basic::GetOk<'static>, Content)> {
        self.get_as(channel, &basic::Get { queue: short(queue), ..default() })
    }

    /// Takes a message off a queue, if there is one, without having to settle it.
    #[track_caller]
    pub fn get_settled(&mut self, channel: u16, queue: &str) -> Option<(basic::GetOk<'static>, Content)> {
        self.get_as(channel, &basic::Get { queue: short(queue), no_ack: true, ..default() })
    }

    #[track_caller]
    fn get_as(&mut self, channel: u16, get: &basic::Get<'_>) -> Option<(basic::GetOk<'static>, Content)> {
        use crate::received::Answer;
        self.send(channel, get);
        let received = self.expect_any(channel, "basic.GetOk or basic.GetEmpty");
        if basic::GetEmpty::of(received.method).is_some() {
            return None;
        }
        match (basic::GetOk::of(received.method), received.content) {
            (Some(got), Some(content)) => Some((got, content)),
            _ => panic!("expected an answer to basic.get and got {:?}", received.method),
        }
    }

    /// The bodies of all that is ready in a queue, which is empty then.
    #[track_caller]
    pub fn drain(&mut self, channel: u16, queue: &str) -> Vec<String> {
        std::iter::from_fn(|| self.get_settled(channel, queue)).map(|(_, content)| content.text()).collect()
    }

    /// Settles one delivery.
    pub fn ack(&mut self, channel: u16, delivery_tag: u64) {
        self.send(channel, &basic::Ack { delivery_tag, multiple: false });
    }

    /// Settles every delivery up to this one.
    pub fn ack_up_to(&mut self, channel: u16, delivery_tag: u64) {
        self.send(channel, &basic::Ack { delivery_tag, multiple: true });
    }

    /// Refuses one delivery for good.
    pub fn reject(&mut self, channel: u16, delivery_tag: u64) {
        self.send(channel, &basic::Reject { delivery_tag, requeue: false });
    }

    /// Returns one delivery to its queue.
    pub fn requeue(&mut self, channel: u16, delivery_tag: u64) {
        self.send(channel, &basic::Nack { delivery_tag, multiple: false, requeue: true });
    }

    /// Returns every delivery up to this one to its queue.
    pub fn requeue_up_to(&mut self, channel: u16, delivery_tag: u64) {
        self.send(channel, &basic::Nack { delivery_tag, multiple: true, requeue: true });
    }
}
