//! The channels of a connection by their numbers. A connection that is lost keeps them for the next one.

use std::sync::Arc;

use crate::channel::ChannelCore;
use crate::error::{Error, Result};

/// See the file's head.
pub(crate) struct Channels {
    /// By number, from 1.
    slots: Vec<Option<Arc<ChannelCore>>>,
    /// The channel over which exchanges, queues and bindings are restored, before the others are open.
    topology: Option<Arc<ChannelCore>>,
    channel_max: u16,
    /// New ones may be opened.
    accepts: bool,
}

impl Channels {
    pub(super) fn new(channel_max: u16) -> Self {
        Channels { slots: Vec::new(), topology: None, channel_max, accepts: true }
    }

    /// A new channel with the lowest free number; `None` while none may be opened.
    pub(super) fn add(&mut self) -> Result<Option<Arc<ChannelCore>>> {
        if !self.accepts {
            return Ok(None);
        }
        let index = self.slots.iter().position(Option::is_none).unwrap_or(self.slots.len());
        let id = u16::try_from(index + 1).ok().filter(|&id| id <= self.channel_max);
        let id = id.ok_or(Error::Usage("all channels that were negotiated are open"))?;
        let core = Arc::new(ChannelCore::new(id));
        match self.slots.get_mut(index) {
            Some(slot) => *slot = Some(core.clone()),
            None => self.slots.push(Some(core.clone())),
        }
        Ok(Some(core))
    }

    /// The channel of that number.
    pub(super) fn at(&self, id: u16) -> Option<Arc<ChannelCore>> {
        if let Some(topology) = self.topology.as_ref().filter(|topology| topology.id == id) {
            return Some(topology.clone());
        }
        self.slots.get(usize::from(id).checked_sub(1)?)?.clone()
    }

    pub(super) fn remove(&mut self, core: &ChannelCore) {
        let is_it = |slot: &Option<Arc<ChannelCore>>| slot.as_ref().is_some_and(|held| std::ptr::eq(&**held, core));
        if is_it(&self.topology) {
            self.topology = None;
        }
        let slot = usize::from(core.id).checked_sub(1).and_then(|index| self.slots.get_mut(index));
        if let Some(slot) = slot.filter(|slot| is_it(slot)) {
            *slot = None;
        }
    }

    /// A channel of the restoring's own. No other one is open while there is one, so it takes the first number.
    pub(crate) fn add_topology(&mut self) -> Arc<ChannelCore> {
        self.topology.insert(Arc::new(ChannelCore::new(1))).clone()
    }

    /// Those that the program has, in order of their numbers.
    pub(crate) fn all(&self) -> Vec<Arc<ChannelCore>> {
        self.slots.iter().flatten().cloned().collect()
    }

    /// The connection is lost: these are to be suspended.
    pub(super) fn lose(&mut self) -> Vec<Arc<ChannelCore>> {
        self.accepts = false;
        self.topology = None;
        self.all()
    }

    /// How many the next connection may have.
    pub(super) fn limit(&mut self, channel_max: u16) {
        self.channel_max = channel_max;
    }

    pub(crate) fn channel_max(&self) -> u16 {
        self.channel_max
    }

    /// From now on new ones may be opened.
    pub(super) fn accept(&mut self) {
        self.accepts = true;
    }

    /// All of them, for good.
    pub(super) fn take_all(&mut self) -> Vec<Arc<ChannelCore>> {
        let topology = self.topology.take();
        std::mem::take(&mut self.slots).into_iter().flatten().chain(topology).collect()
    }
}
