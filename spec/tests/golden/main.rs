//! Conversations between pika and RabbitMQ 3.10.8, recorded by `record.py`: every frame comes apart, and its
//! parts go together again, to the bytes that those two wrote.

mod values;

use std::collections::{BTreeMap, BTreeSet};

use leveret_spec::content::encode_header;
use leveret_spec::frame::{self, Frame, FrameKind};
use leveret_spec::{ContentHeader, Method, PROTOCOL_HEADER, Properties, basic, connection};

/// What pika announces in tune-ok, in bytes.
const FRAME_MAX: usize = 4096;

const TOPOLOGY: &str = include_str!("topology.hex");
const MESSAGES: &str = include_str!("messages.hex");
const SOFT_ERROR: &str = include_str!("soft_error.hex");
const HARD_ERROR: &str = include_str!("hard_error.hex");
const HEARTBEAT: &str = include_str!("heartbeat.hex");
const REFUSED_LOGIN: &str = include_str!("refused_login.hex");
const CONVERSATIONS: [&str; 6] = [TOPOLOGY, MESSAGES, SOFT_ERROR, HARD_ERROR, HEARTBEAT, REFUSED_LOGIN];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Peer {
    Client,
    Server,
}

/// The pieces of a conversation, in their order.
struct Recording(Vec<(Peer, Vec<u8>)>);

impl Recording {
    fn of(text: &str) -> Self {
        let mut pieces: Vec<(Peer, Vec<u8>)> = vec![];
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (mark, digits) = line.split_at(2);
            match mark {
                "> " => pieces.push((Peer::Client, vec![])),
                "< " => pieces.push((Peer::Server, vec![])),
                _ => assert_eq!(mark, "  ", "{line}"),
            }
            let (_, piece) = pieces.last_mut().expect("a line that goes on with nothing");
            piece.extend(
                (0..digits.len())
                    .step_by(2)
                    .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal digits")),
            );
        }
        let (peer, header) = pieces.remove(0);
        assert_eq!((peer, &header[..]), (Peer::Client, &PROTOCOL_HEADER[..]));
        Recording(pieces)
    }

    /// Every frame with its sender.
    fn frames(&self) -> impl Iterator<Item = (Peer, Frame<'_>)> {
        self.0.iter().map(|(peer, bytes)| {
            let (frame, length) =
                frame::parse(bytes, frame::payload_max(FRAME_MAX)).expect("a frame").expect("all of it");
            assert_eq!(length, bytes.len());
            (*peer, frame)
        })
    }

    /// The methods of one peer.
    fn methods(&self, of: Peer) -> impl Iterator<Item = Method<'_>> {
        let sent = self.frames().filter(move |(peer, frame)| (*peer, frame.kind) == (of, FrameKind::Method));
        sent.map(|(_, frame)| Method::decode(frame.payload).expect("a method"))
    }

    /// The properties and body sizes of one peer's messages.
    fn headers(&self, of: Peer) -> impl Iterator<Item = (u64, Properties<'_>)> {
        let sent = self.frames().filter(move |(peer, frame)| (*peer, frame.kind) == (of, FrameKind::Header));
        sent.map(|(_, frame)| ContentHeader::decode(frame.payload).expect("a content header"))
            .map(|header| (header.body_size, header.properties.decode()))
    }
}

fn encoded(encode: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = vec![];
    encode(&mut out);
    out
}

#[test]
fn each_direction_is_a_stream_of_frames_and_nothing_else() {
    for recording in CONVERSATIONS.map(Recording::of) {
        for of in [Peer::Client, Peer::Server] {
            let mut expected = recording.frames().filter(|(peer, _)| *peer == of).map(|(_, frame)| frame);
            let sent = recording.0.iter().filter(|(peer, _)| *peer == of);
            let stream: Vec<u8> = sent.flat_map(|(_, bytes)| bytes).copied().collect();
            let mut rest = &stream[..];
            while let Some((found, length)) = frame::parse(rest, frame::payload_max(FRAME_MAX)).unwrap() {
                assert_eq!(Some(found), expected.next());
                rest = &rest[length..];
            }
            assert_eq!((rest.len(), expected.next()), (0, None));
        }
    }
}

#[test]
fn every_frame_is_encoded_again_to_the_same_bytes() {
    for recording in CONVERSATIONS.map(Recording::of) {
        for ((peer, bytes), (_, frame)) in recording.0.iter().zip(recording.frames()) {
            assert_eq!(encoded(|out| frame.encode(out)), *bytes);
            match frame.kind {
                FrameKind::Method => {
                    let method = Method::decode(frame.payload).unwrap();
                    assert_eq!(encoded(|out| method.encode(out)), frame.payload, "{method:?}");
                    let (row, of_client) = (method.row(), *peer == Peer::Client);
                    assert!(if of_client { row.sender.is_client() } else { row.sender.is_server() }, "{method:?}");
                    assert_eq!(frame.channel == 0, row.class == connection::CLASS, "{method:?}");
                }
                FrameKind::Header => {
                    let header = ContentHeader::decode(frame.payload).unwrap();
                    header.properties.validate().unwrap();
                    assert_eq!(header.class, basic::CLASS);
                    let properties = header.properties.decode();
                    let again = encoded(|out| encode_header(out, header.body_size, &properties));
                    assert_eq!(again, frame.payload, "{properties:?}");
                    assert_eq!(encoded(|out| frame::put_header(out, frame.channel, &header)), *bytes);
                }
                FrameKind::Body => {
                    assert_eq!(encoded(|out| frame::put_body(out, frame.channel, frame.payload, FRAME_MAX)), *bytes);
                }
                FrameKind::Heartbeat => assert_eq!(encoded(frame::put_heartbeat), *bytes),
            }
        }
    }
}

#[test]
fn a_header_and_its_body_follow_each_method_that_carries_content() {
    for recording in CONVERSATIONS.map(Recording::of) {
        // What is still to come, by sender and channel: a header, or so many bytes of a body.
        let mut awaited: BTreeMap<(Peer, u16), Option<u64>> = BTreeMap::new();
        for (peer, frame) in recording.frames() {
            let stream = (peer, frame.channel);
            let still = match frame.kind {
                FrameKind::Method => {
                    assert_eq!(awaited.remove(&stream), None);
                    Method::decode(frame.payload).unwrap().row().content.then_some(None)
                }
                FrameKind::Header => {
                    assert_eq!(awaited.remove(&stream), Some(None));
                    leveret_spec::content::body_size(frame.payload).filter(|&size| size > 0).map(Some)
                }
                FrameKind::Body => {
                    let left = awaited.remove(&stream).flatten().expect("a body without a header");
                    Some(left - frame.payload.len() as u64).filter(|&left| left > 0).map(Some)
                }
                FrameKind::Heartbeat => None,
            };
            awaited.extend(still.map(|still| (stream, still)));
        }
        assert!(awaited.is_empty());
    }
}

#[test]
fn all_methods_are_recorded_but_those_of_alarms_and_sasl_challenges() {
    let recordings = CONVERSATIONS.map(Recording::of);
    let methods = recordings.iter().flat_map(|of| of.methods(Peer::Client).chain(of.methods(Peer::Server)));
    let recorded: BTreeSet<_> = methods.map(|method| method.row().name).collect();
    let missing: Vec<_> = Method::ROWS.iter().map(|row| row.name).filter(|name| !recorded.contains(name)).collect();
    assert_eq!(missing, ["connection.Secure", "connection.SecureOk", "connection.Blocked", "connection.Unblocked"],);
}
