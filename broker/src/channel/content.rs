//! Content frames: what follows basic.publish, whole in the read buffer or piece by piece.

use leveret_spec::frame::{self, FrameKind};
use leveret_spec::{ContentHeader, basic};

use super::{Channel, Link};
use crate::failure::{Failure, Hard, Soft};
use crate::message::Message;

/// No peer may announce more, in bytes (RabbitMQ's ceiling).
const ANNOUNCED_BYTES_MAX: u64 = 512 << 20;
/// What a connection's unfinished messages may take together, if that is more than twice the largest message, in bytes.
const ASSEMBLING_BYTES_MIN: usize = 64 << 20;

/// A content frame's payload.
#[derive(Clone, Copy)]
pub(crate) enum Content<'a> {
    Header(&'a [u8]),
    Body(&'a [u8]),
}

/// A publish whose content is arriving.
pub(super) struct Assembly {
    /// Exchange and routing key as on the wire.
    address: Box<[u8]>,
    mandatory: bool,
    /// The header frame's payload, once it is there.
    header: Option<Box<[u8]>>,
    body: Vec<u8>,
    size: u64,
    missing: u64,
}

/// The content right behind a publish, if it is there to the end.
pub(super) struct Whole<'a> {
    pub(super) header: &'a [u8],
    pub(super) body_size: u64,
    /// Of its frames, in bytes.
    pub(super) length: usize,
}

/// Looks at the frames behind a publish. Whatever is not plainly a whole message is left to be taken frame by frame.
#[inline]
pub(super) fn whole(input: &[u8], channel: u16, payload_max: usize) -> Option<Whole<'_>> {
    let (head, head_length) = frame::parse(input, payload_max).ok()??;
    if head.kind != FrameKind::Header || head.channel != channel {
        return None;
    }
    let header = head.payload;
    if header.len() < ContentHeader::FIXED + 2 || header[..2] != basic::CLASS.to_be_bytes() {
        return None;
    }
    let body_size = leveret_spec::content::body_size(header)?;
    if body_size == 0 {
        return Some(Whole { header, body_size, length: head_length });
    }
    let (body, body_length) = frame::parse(&input[head_length..], payload_max).ok()??;
    let fits = body.kind == FrameKind::Body && body.channel == channel && body.payload.len() as u64 == body_size;
    fits.then_some(Whole { header, body_size, length: head_length + body_length })
}

impl Assembly {
    pub(super) fn of(address: &[u8], mandatory: bool) -> Self {
        Assembly { address: address.into(), mandatory, header: None, body: vec![], size: 0, missing: 0 }
    }

    /// The words for a frame that is not what has to come next.
    fn unexpected(&self, got: Option<u16>) -> Hard {
        Hard::unexpected_frame(match (&self.header, got) {
            (None, Some(class)) => format!("expected content header for class 60, got one for class {class} instead"),
            (None, None) => "expected content header for class 60, got non content header frame instead".into(),
            (Some(_), _) => "expected content body, got non content body frame instead".into(),
        })
    }
}

impl Channel {
    /// True if no publish waits for its content.
    pub(crate) fn is_between_messages(&self) -> bool {
        self.assembly.is_none()
    }

    /// A method may only come between messages.
    pub(crate) fn check_between_messages(&self) -> Result<(), Hard> {
        self.assembly.as_ref().map_or(Ok(()), |assembly| Err(assembly.unexpected(None)))
    }

    /// A content frame that was not taken with its publish.
    pub(crate) fn content(&mut self, content: Content<'_>, link: &mut Link) -> Result<(), Failure> {
        let Some(assembly) = &mut self.assembly else {
            return Err(Hard::unexpected_frame("expected method frame, got non method frame instead").into());
        };
        match (content, &assembly.header) {
            (Content::Header(payload), None) => begin(assembly, payload)?,
            (Content::Body(piece), Some(_)) => append(assembly, piece, link)?,
            (Content::Header(payload), Some(_)) => {
                let class = ContentHeader::decode(payload).ok().map(|h| h.class);
                return Err(assembly.unexpected(class).into());
            }
            (Content::Body(_), None) => return Err(assembly.unexpected(None).into()),
        }
        if assembly.header.is_some() && assembly.missing == 0 { self.finish(link) } else { Ok(()) }
    }

    /// The content has arrived whole.
    fn finish(&mut self, link: &mut Link) -> Result<(), Failure> {
        let Some(assembly) = self.assembly_ends(link) else { return Ok(()) };
        self.check_room(assembly.size, link)?;
        let header = assembly.header.unwrap_or_default();
        let message = Message::from_parts(&assembly.address, &header, &assembly.body);
        self.accept(message, assembly.mandatory, link)
    }

    /// Refuses a message for which there is no room, once it has been read to its end: in its transaction, or anywhere.
    pub(super) fn check_room(&self, size: u64, link: &Link) -> Result<(), Soft> {
        let limits = &link.node.limits;
        if let Some(transaction) = &self.transaction {
            transaction.check_room(limits.transaction_publishes_max, size)?;
        }
        let max = limits.message_bytes_max;
        if size > max {
            return Err(Soft::precondition_failed(format!(
                "message size {size} is larger than configured max size {max}"
            )));
        }
        Ok(())
    }

    /// Forgets the message that is arriving.
    pub(super) fn assembly_ends(&mut self, link: &mut Link) -> Option<Assembly> {
        let assembly = self.assembly.take()?;
        link.assembling = link.assembling.saturating_sub(assembly.body.len());
        Some(assembly)
    }
}

fn begin(assembly: &mut Assembly, payload: &[u8]) -> Result<(), Hard> {
    let header = ContentHeader::decode(payload).map_err(|why| Hard::frame_error(why.0))?;
    if header.class != basic::CLASS {
        return Err(assembly.unexpected(Some(header.class)));
    }
    if header.body_size > ANNOUNCED_BYTES_MAX {
        let size = header.body_size;
        return Err(Hard::frame_error(format!(
            "content body size {size} exceeds maximum allowed size {ANNOUNCED_BYTES_MAX}"
        )));
    }
    assembly.header = Some(payload.into());
    assembly.size = header.body_size;
    assembly.missing = header.body_size;
    Ok(())
}

fn append(assembly: &mut Assembly, piece: &[u8], link: &mut Link) -> Result<(), Hard> {
    let length = piece.len() as u64;
    if length > assembly.missing {
        return Err(Hard::frame_error("content body frame exceeds remaining content size"));
    }
    assembly.missing -= length;
    let max = link.node.limits.message_bytes_max;
    if assembly.size > max {
        // It will be refused; until then it is read and dropped.
        return Ok(());
    }
    link.assembling += piece.len();
    let most = usize::try_from(max).unwrap_or(usize::MAX).saturating_mul(2).max(ASSEMBLING_BYTES_MIN);
    if link.assembling > most {
        return Err(Hard::resource_error(format!("more than {most} bytes of unfinished messages on one connection")));
    }
    assembly.body.extend_from_slice(piece);
    Ok(())
}
