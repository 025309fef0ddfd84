//! Frames from the broker, each to where it belongs.

use std::sync::Arc;

use leveret_spec::frame::{self, Frame, FrameKind};
use leveret_spec::{Method, channel, connection};

use super::content::{Incoming, LastConsumer, Run};
use super::handshake::refusal;
use super::shared::Shared;
use crate::channel::{After, ChannelCore};
use crate::error::{Error, Result, Scope};
use crate::events::Event;

/// A channel as the I/O task sees it.
struct Lane {
    core: Arc<ChannelCore>,
    /// What is added to the numbers of its deliveries.
    tag_base: u64,
    incoming: Option<Incoming>,
    last: LastConsumer,
}

/// Where frames go.
pub(super) struct Dispatch {
    shared: Arc<Shared>,
    /// By channel number; numbers are given out from the lowest, so there are few holes.
    lanes: Vec<Option<Lane>>,
    run: Run,
}

impl Dispatch {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Dispatch { shared, lanes: Vec::new(), run: Run::default() }
    }

    /// The read buffer is used up: nothing may wait here for more.
    pub(super) fn finish_burst(&mut self) -> Result<()> {
        self.run.hand_over(&self.shared)
    }

    /// Takes one frame; `rest` is what has arrived behind it.
    ///
    /// # Errors
    /// What ends the connection.
    pub(super) fn handle(&mut self, frame: Frame<'_>, rest: &[u8]) -> Result<()> {
        if frame.channel == 0 {
            return match frame.kind {
                FrameKind::Heartbeat => Ok(()),
                FrameKind::Method => self.handle_connection(&Method::decode(frame.payload)?),
                _ => Err(Error::Protocol(String::from("content on channel 0"))),
            };
        }
        let lane = lane_of(&mut self.lanes, &self.shared, frame.channel)?;
        let complete = match frame.kind {
            FrameKind::Method => return self.handle_method(frame, rest),
            FrameKind::Heartbeat => return Err(Error::Protocol(String::from("a heartbeat on a channel"))),
            FrameKind::Header => match &mut lane.incoming {
                Some(incoming) => incoming.header(frame.payload, self.shared.limits.message_bytes_max)?,
                None => return Err(Error::Protocol(String::from("a content header without its method"))),
            },
            FrameKind::Body => match &mut lane.incoming {
                Some(incoming) => incoming.body(frame.payload)?,
                None => return Err(Error::Protocol(String::from("a content body without its method"))),
            },
        };
        if complete && let Some(incoming) = lane.incoming.take() {
            self.run.push(&self.shared, &lane.core, incoming.complete())?;
        }
        Ok(())
    }

    fn handle_method(&mut self, frame: Frame<'_>, rest: &[u8]) -> Result<()> {
        let method = Method::decode(frame.payload)?;
        let lane = lane_of(&mut self.lanes, &self.shared, frame.channel)?;
        let closes = matches!(method, Method::Channel(channel::Method::Close(_)));
        // Nothing more of a message comes on a channel that is closed.
        if lane.incoming.take().is_some() && !closes {
            return Err(Error::Protocol(format!("{} in the middle of a message", method.row().name)));
        }
        if let Method::Basic(basic) = &method {
            lane.incoming = Incoming::begin((&lane.core, lane.tag_base), basic, rest, &mut lane.last)?;
            if lane.incoming.is_some() {
                return Ok(());
            }
        }
        // What follows may end a consumer, so the deliveries before it must have gone over.
        self.run.hand_over(&self.shared)?;
        lane.last = None;
        let after = lane.core.handle_method(&self.shared, &method)?;
        if after == After::Open {
            return Ok(());
        }
        if let Some(lane) = self.lanes.get_mut(usize::from(frame.channel)).and_then(Option::take)
            && after == After::Closed
        {
            self.shared.remove_channel(&lane.core);
        }
        Ok(())
    }

    fn handle_connection(&mut self, method: &Method<'_>) -> Result<()> {
        match method {
            Method::Connection(connection::Method::Close(close)) => {
                // Also if this side was closing, so without asking whether the outbox is.
                frame::put_method(&mut self.shared.outbox().bytes, 0, &connection::CloseOk {});
                Err(refusal(close))
            }
            Method::Connection(connection::Method::CloseOk(_)) => Err(Error::closed_here(Scope::Connection)),
            Method::Connection(connection::Method::Blocked(blocked)) => {
                let reason = blocked.reason.as_str().to_owned();
                self.shared.outbox().blocked = Some(reason.clone());
                self.shared.events.tell(&Event::Blocked(reason));
                Ok(())
            }
            Method::Connection(connection::Method::Unblocked(_)) => {
                self.shared.outbox().blocked = None;
                self.shared.events.tell(&Event::Unblocked);
                self.shared.room.notify_waiters();
                Ok(())
            }
            other => Err(Error::Protocol(format!("{} on an open connection", other.row().name))),
        }
    }
}

fn lane_of<'l>(lanes: &'l mut Vec<Option<Lane>>, shared: &Shared, id: u16) -> Result<&'l mut Lane> {
    let index = usize::from(id);
    if lanes.len() <= index {
        // A number that was never given out must not make the table grow.
        if shared.channel(id).is_none() {
            return Err(unknown_channel(id));
        }
        lanes.resize_with(index + 1, || None);
    }
    let slot = lanes.get_mut(index).ok_or_else(|| unknown_channel(id))?;
    if slot.is_none() {
        let lane = |core: Arc<ChannelCore>| Lane { tag_base: core.tag_base(), core, incoming: None, last: None };
        *slot = shared.channel(id).map(lane);
    }
    slot.as_mut().ok_or_else(|| unknown_channel(id))
}

fn unknown_channel(id: u16) -> Error {
    Error::Protocol(format!("a frame on channel {id}, which is not open"))
}
