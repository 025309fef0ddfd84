//! Frames, alone and in streams.

use leveret_spec::frame::{self, FRAME_OVERHEAD, Frame, FrameError, FrameKind};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestCaseError;

use crate::{Verdict, bytes, damage, damaged, encoded};

const KINDS: [FrameKind; 4] = [FrameKind::Method, FrameKind::Header, FrameKind::Body, FrameKind::Heartbeat];

/// Some frames' kinds, channels and payloads.
fn frames() -> impl Strategy<Value = Vec<(FrameKind, u16, Vec<u8>)>> {
    vec((select(&KINDS[..]), any::<u16>(), bytes(80)), 1..5)
}

fn stream_of(frames: &[(FrameKind, u16, Vec<u8>)]) -> Vec<u8> {
    encoded(|out| {
        for (kind, channel, payload) in frames {
            Frame { kind: *kind, channel: *channel, payload }.encode(out);
        }
    })
}

fn frame_error(error: FrameError) -> TestCaseError {
    TestCaseError::fail(format!("{error:?}"))
}

proptest! {
    #[test]
    fn a_stream_of_frames_comes_apart_where_it_was_put_together(frames in frames()) {
        let stream = stream_of(&frames);
        let mut rest = &stream[..];
        for (kind, channel, payload) in &frames {
            let whole = payload.len() + FRAME_OVERHEAD;
            for cut in 0..whole {
                prop_assert_eq!(frame::parse(&rest[..cut], payload.len()), Ok(None), "cut at {}", cut);
            }
            let expected = Frame { kind: *kind, channel: *channel, payload };
            prop_assert_eq!(frame::parse(rest, payload.len()), Ok(Some((expected, whole))));
            rest = &rest[whole..];
        }
        prop_assert!(rest.is_empty());
    }

    #[test]
    fn a_payload_above_the_limit_is_refused_by_the_frames_first_seven_bytes(payload in vec(any::<u8>(), 1..80)) {
        let stream = stream_of(&[(FrameKind::Body, 1, payload.clone())]);
        let refused = Err(FrameError::TooLarge { kind: FrameKind::Body as u8, size: payload.len() as u32 });
        for cut in frame::FRAME_HEADER..=stream.len() {
            prop_assert_eq!(frame::parse(&stream[..cut], payload.len() - 1), refused);
        }
    }

    #[test]
    fn more_bytes_never_change_the_verdict_on_a_damaged_frame(frames in frames(), damage in damage()) {
        verdict_stands(&damaged(stream_of(&frames), &damage))?;
    }

    #[test]
    fn more_bytes_never_change_the_verdict_on_any_bytes(bytes in bytes(60)) {
        verdict_stands(&bytes)?;
    }

    #[test]
    fn a_body_arrives_whole_in_frames_of_the_negotiated_size(body in bytes(600), frame_max in 9..700usize) {
        let stream = encoded(|out| frame::put_body(out, 3, &body, frame_max));
        let (mut rest, mut arrived) = (&stream[..], vec![]);
        while let Some((piece, length)) = frame::parse(rest, frame::payload_max(frame_max)).map_err(frame_error)? {
            prop_assert_eq!((piece.kind, piece.channel), (FrameKind::Body, 3));
            prop_assert!(length <= frame_max && !piece.payload.is_empty());
            arrived.extend_from_slice(piece.payload);
            rest = &rest[length..];
        }
        prop_assert!(rest.is_empty());
        prop_assert_eq!(arrived, body);
    }
}

fn verdict_stands(stream: &[u8]) -> Verdict {
    const PAYLOAD_MAX: usize = 100;
    let verdict = frame::parse(stream, PAYLOAD_MAX);
    for cut in 0..stream.len() {
        let early = frame::parse(&stream[..cut], PAYLOAD_MAX);
        prop_assert!(early == Ok(None) || early == verdict, "{:?} at {}, {:?} at the end", early, cut, verdict);
    }
    if let Ok(Some((found, length))) = verdict {
        prop_assert_eq!(encoded(|out| found.encode(out)), &stream[..length]);
    }
    Ok(())
}
