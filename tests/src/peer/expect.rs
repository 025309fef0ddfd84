//! What has to come next.

use std::collections::BTreeSet;

use leveret_spec::method::MethodFrame;
use leveret_spec::{basic, channel, connection};

use super::Peer;
use super::inbox::Silence;
use crate::received::{Answer, Content, Received};
use crate::texts;

impl Peer {
    /// The next method on a channel has to be this one, without content.
    ///
    /// # Panics
    /// If it is another one, or none comes.
    #[track_caller]
    pub fn expect<A: Answer>(&mut self, channel: u16) -> A {
        let received = self.expect_any(channel, A::ROW.name);
        match A::of(received.method) {
            Some(answer) => answer,
            None => panic!("expected {} on channel {channel} and got {:?}", A::ROW.name, received.method),
        }
    }

    /// The next method on a channel has to be this one, with content.
    ///
    /// # Panics
    /// If it is another one, or none comes.
    #[track_caller]
    pub fn expect_content<A: Answer>(&mut self, channel: u16) -> (A, Content) {
        let received = self.expect_any(channel, A::ROW.name);
        match (A::of(received.method), received.content) {
            (Some(answer), Some(content)) => (answer, content),
            _ => panic!("expected {} on channel {channel} and got {:?}", A::ROW.name, received.method),
        }
    }

    /// The next method on a channel, whatever it is.
    ///
    /// # Panics
    /// If none comes.
    #[track_caller]
    pub fn expect_any(&mut self, channel: u16, wanted: &str) -> Received {
        match self.next(channel) {
            Ok(received) => received,
            Err(silence) => panic!("expected {wanted} on channel {channel}, but {silence}"),
        }
    }

    /// The next method on any of some channels, for what comes on one or another.
    ///
    /// # Panics
    /// If none comes.
    #[track_caller]
    pub fn first_of<const N: usize>(&mut self, channels: [u16; N]) -> Received {
        loop {
            if let Some(received) = channels.into_iter().find_map(|channel| self.taken(channel)) {
                return received;
            }
            if let Err(silence) = self.receive() {
                panic!("expected something on one of the channels {channels:?}, but {silence}");
            }
        }
    }

    /// Sends a method and takes its answer.
    ///
    /// # Panics
    /// If the answer is another one.
    #[track_caller]
    pub fn call<A: Answer>(&mut self, channel: u16, method: &impl MethodFrame) -> A {
        self.send(channel, method);
        self.expect::<A>(channel)
    }

    /// The next delivery on a channel.
    #[track_caller]
    pub fn delivery(&mut self, channel: u16) -> (basic::Deliver<'static>, Content) {
        self.expect_content::<basic::Deliver>(channel)
    }

    /// The bodies of the next `count` deliveries on a channel.
    #[track_caller]
    pub fn bodies(&mut self, channel: u16, count: usize) -> Vec<String> {
        (0..count).map(|_| self.delivery(channel).1.text()).collect()
    }

    /// Every publish up to this number is confirmed, each once, in one answer or in many.
    ///
    /// # Panics
    /// If something else comes.
    #[track_caller]
    pub fn expect_confirms(&mut self, channel: u16, up_to: u64) {
        let mut open: BTreeSet<u64> = (1..=up_to).collect();
        while !open.is_empty() {
            let ack = self.expect::<basic::Ack>(channel);
            assert!(open.remove(&ack.delivery_tag), "{ack:?} is not among {open:?}");
            if ack.multiple {
                open = open.split_off(&ack.delivery_tag);
            }
        }
    }

    /// A question with one answer and no effect, on a channel: what the broker had to say on it before has come by then.
    #[track_caller]
    pub fn expect_nothing(&mut self, channel: u16) {
        let answer = self.call::<channel::FlowOk>(channel, &channel::Flow { active: true });
        assert!(answer.active);
    }

    /// The queue has nothing for the consumers on a channel: its own answer comes, and no delivery before or behind it.
    #[track_caller]
    pub fn expect_no_delivery(&mut self, channel: u16, queue: &str) {
        self.counts(channel, queue);
        self.expect_nothing(channel);
    }

    /// The broker closes the channel; this peer agrees.
    ///
    /// # Panics
    /// If something else comes, or another code or explanation.
    #[track_caller]
    pub fn expect_channel_close(&mut self, channel: u16, code: u16, explanation: &str) -> channel::Close<'static> {
        let close = self.expect::<channel::Close>(channel);
        assert_eq!((close.reply_code, &*close.reply_text), (code, &*texts::reply(code, explanation)));
        self.send(channel, &channel::CloseOk {});
        close
    }

    /// The broker closes the connection; this peer agrees.
    ///
    /// # Panics
    /// If something else comes, or another code or explanation.
    #[track_caller]
    pub fn expect_connection_close(&mut self, code: u16, explanation: &str) -> connection::Close<'static> {
        let close = self.expect::<connection::Close>(0);
        assert_eq!((close.reply_code, &*close.reply_text), (code, &*texts::reply(code, explanation)));
        self.send(0, &connection::CloseOk {});
        close
    }

    /// The broker closes the socket and has nothing more to say before.
    ///
    /// # Panics
    /// If something comes, or the socket stays open.
    #[track_caller]
    pub fn expect_eof(&mut self) {
        loop {
            match self.receive() {
                Ok(()) => {}
                Err(Silence::Closed) => break,
                Err(Silence::TooLong) => panic!("the socket stays open"),
            }
        }
        let left: Vec<_> = self.inboxes.keys().copied().collect();
        for channel in left {
            if let Some(received) = self.taken(channel) {
                panic!("expected the end and got {:?} on channel {channel}", received.method);
            }
        }
    }

    /// The broker closes the socket, whatever it says before.
    ///
    /// # Panics
    /// If the socket stays open.
    #[track_caller]
    pub fn expect_end(&mut self) {
        loop {
            self.input.clear();
            match self.read_more() {
                Ok(()) => {}
                Err(Silence::Closed) => return,
                Err(Silence::TooLong) => panic!("the socket stays open"),
            }
        }
    }

    /// The next bytes on the wire are these, whatever they mean.
    ///
    /// # Panics
    /// If others come, or too few.
    #[track_caller]
    pub fn expect_bytes(&mut self, bytes: &[u8]) {
        while self.input.len() < bytes.len() {
            if let Err(silence) = self.read_more() {
                panic!("expected {bytes:?} and got {:?}, then {silence}", self.input);
            }
        }
        let rest = self.input.split_off(bytes.len());
        assert_eq!(self.input, bytes);
        self.input = rest;
    }
}
