//! Frames in: what has come on each channel, put together to methods with their content.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read};

use leveret_spec::frame::{self, FrameKind};
use leveret_spec::{ContentHeader, Method};

use super::{PATIENCE, Peer};
use crate::received::{Content, Received};

/// What has come on one channel.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    whole: VecDeque<Received>,
    partial: Option<Partial>,
}

/// A method whose content has not come yet, or not all of it.
#[derive(Debug)]
struct Partial {
    method: Method<'static>,
    content: Content,
    /// From the content header, once that is there.
    body_size: Option<u64>,
}

/// Why nothing more can be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Silence {
    /// The broker has closed the socket.
    Closed,
    /// The broker sends nothing, and has not closed the socket either.
    TooLong,
}

impl std::fmt::Display for Silence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Silence::Closed => f.write_str("the broker closed the socket"),
            Silence::TooLong => write!(f, "nothing came for {PATIENCE:?}"),
        }
    }
}

impl Peer {
    /// The next method on a channel; what comes on others is kept.
    #[track_caller]
    pub(super) fn next(&mut self, channel: u16) -> Result<Received, Silence> {
        loop {
            if let Some(received) = self.taken(channel) {
                return Ok(received);
            }
            // A connection that is closed says nothing more on its channels.
            if channel != 0
                && let Some(last) = self.taken(0)
            {
                panic!("on the way to the next method on channel {channel} came {:?}", last.method);
            }
            self.receive()?;
        }
    }

    /// What has come on a channel already.
    pub(super) fn taken(&mut self, channel: u16) -> Option<Received> {
        self.inboxes.get_mut(&channel)?.whole.pop_front()
    }

    /// Takes one frame in.
    #[track_caller]
    pub(super) fn receive(&mut self) -> Result<(), Silence> {
        let (kind, channel, payload) = self.next_frame()?;
        if kind == FrameKind::Heartbeat {
            assert_eq!((channel, payload.len()), (0, 0), "a heartbeat is empty and on channel 0");
            return Ok(());
        }
        let inbox = self.inboxes.entry(channel).or_default();
        inbox.put(kind, payload, channel);
        Ok(())
    }

    /// The next frame, whatever it is.
    #[track_caller]
    pub(super) fn next_frame(&mut self) -> Result<(FrameKind, u16, Vec<u8>), Silence> {
        loop {
            match frame::parse(&self.input, frame::payload_max(self.frame_max as usize)) {
                Ok(Some((found, length))) => {
                    let owned = (found.kind, found.channel, found.payload.to_vec());
                    self.input.drain(..length);
                    return Ok(owned);
                }
                Ok(None) => self.read_more()?,
                Err(error) => panic!("the broker sent what is no frame: {error:?}"),
            }
        }
    }

    /// Reads what the socket has, and waits until it has something.
    pub(super) fn read_more(&mut self) -> Result<(), Silence> {
        let mut buffer = [0; 64 << 10];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(Silence::Closed),
                Ok(length) => {
                    self.input.extend_from_slice(&buffer[..length]);
                    return Ok(());
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return Err(Silence::TooLong);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err(Silence::Closed),
            }
        }
    }
}

impl Inbox {
    #[track_caller]
    fn put(&mut self, kind: FrameKind, payload: Vec<u8>, channel: u16) {
        match (kind, self.partial.take()) {
            (FrameKind::Method, None) => self.put_method(payload, channel),
            (FrameKind::Header, Some(Partial { method, mut content, body_size: None })) => {
                let header = ContentHeader::decode(&payload).expect("a content header that can be decoded");
                assert_eq!(header.class, method.row().class, "a content header is of its method's class");
                header.properties.validate().expect("properties that can be decoded");
                content.raw = header.properties.as_bytes().to_vec();
                self.go_on(Partial { method, content, body_size: Some(header.body_size) });
            }
            (FrameKind::Body, Some(Partial { method, mut content, body_size: Some(size) })) => {
                content.frames.push(payload.len());
                content.body.extend(payload);
                assert!(content.body.len() as u64 <= size, "a body is no longer than announced");
                self.go_on(Partial { method, content, body_size: Some(size) });
            }
            (kind, partial) => panic!("a {kind:?} frame out of turn on channel {channel}, with {partial:?} under way"),
        }
    }

    #[track_caller]
    fn put_method(&mut self, payload: Vec<u8>, channel: u16) {
        // What a test receives is little, and borrowing it for ever makes tests short.
        let payload: &'static [u8] = payload.leak();
        let method = match Method::decode(payload) {
            Ok(method) => method,
            Err(error) => panic!("a method on channel {channel} that cannot be decoded: {error:?}"),
        };
        assert!(method.row().sender.is_server(), "a server does not send {method:?}");
        match method.row().content {
            true => self.partial = Some(Partial { method, content: Content::default(), body_size: None }),
            false => self.whole.push_back(Received { method, content: None }),
        }
    }

    fn go_on(&mut self, partial: Partial) {
        match partial.body_size {
            Some(size) if size == partial.content.body.len() as u64 => {
                self.whole.push_back(Received { method: partial.method, content: Some(partial.content) });
            }
            _ => self.partial = Some(partial),
        }
    }
}
