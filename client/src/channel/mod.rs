//! A channel: calls to the broker, publishes, consumers. One file per AMQP class, and one for each direction.

mod basic;
mod core;
mod ending;
mod exchange;
mod incoming;
mod publish;
mod queue;
mod reply;
mod settlement;
mod suspended;
#[cfg(test)]
mod tests;
mod tx;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use leveret_spec::method::MethodFrame;
use leveret_spec::{ShortStr, channel};
use tokio::time::timeout;

use crate::connection::{Connection, Shared};
use crate::error::{Error, Result, Scope};

pub use basic::{Consume, Get, Qos};
pub use exchange::{ExchangeBind, ExchangeDeclare, ExchangeDelete};
pub use queue::{QueueBind, QueueDeclare, QueueDelete};
pub use reply::QueueStatus;

pub(crate) use self::core::{Answer, ChannelCore};
pub(crate) use incoming::After;
pub(crate) use reply::Reply;
pub(crate) use settlement::Settlement;
pub(crate) use suspended::Former;

/// A channel of a connection: a conversation with its own errors, confirms and delivery tags.
///
/// Clones are handles to the same channel, and deliveries and consumers hold it too. When the last of them is dropped,
/// the channel is closed in the background. A mistake such as an unknown queue makes the broker close the channel; all
/// its calls fail with that error then, and a new channel has to be opened.
///
/// When the connection is lost and comes back, so does the channel, unless it has transactions. Calls wait for that, and
/// fail with `Timeout` after `Options::timeout`; those that were under way fail with what the connection was lost for.
///
/// Futures of the calls may be dropped: the broker still carries out what was sent.
#[derive(Clone)]
pub struct Channel {
    handle: Arc<Handle>,
}

/// Closes the channel with the last handle.
struct Handle {
    core: Arc<ChannelCore>,
    connection: Connection,
}

impl Drop for Handle {
    fn drop(&mut self) {
        // It may be closed already.
        let _ = self.core.start_close(self.connection.shared());
    }
}

impl Channel {
    pub(crate) async fn open(connection: Connection) -> Result<Channel> {
        let core = connection.shared().when_there_is_room(|| connection.shared().add_channel()).await?;
        let opened = core.try_call(connection.shared(), &channel::Open { reserved: ShortStr::default() }, None);
        if opened.is_err() {
            connection.shared().remove_channel(&core);
        }
        let channel = Channel { handle: Arc::new(Handle { core, connection }) };
        let opened = opened?.ok_or_else(unexpected)?;
        channel.answer(opened).await?;
        Ok(channel)
    }

    /// Waits until the connection is not lost, within the time limit of the options.
    pub(crate) async fn until_live(&self) -> Result<()> {
        let is_live = || Ok(self.core().state().check_live()?.then_some(()));
        self.shared().when_there_is_room(is_live).await
    }

    /// Closes the channel and waits for the broker to agree. Unsettled deliveries go back to their queues. Nothing
    /// happens if this program closed it already.
    ///
    /// # Errors
    /// The error that closed the channel or connection before, and `Timeout` if the broker does not answer.
    pub async fn close(&self) -> Result<()> {
        let closing = match self.core().start_close(self.shared()) {
            Ok(None) => return Ok(()),
            Err(error) if error.is_closed_here() => return Ok(()),
            Ok(Some(closing)) => closing,
            Err(error) => return Err(error),
        };
        let answer = timeout(self.shared().limits.timeout, self.answer(closing)).await;
        match answer.unwrap_or(Err(Error::Timeout("channel.close-ok"))) {
            Err(error) if !error.is_closed_here() => Err(error),
            _ => Ok(()),
        }
    }

    /// True until the channel is closed by either side, and while its connection is.
    pub fn is_open(&self) -> bool {
        self.core().state().end.is_none() && self.handle.connection.is_open()
    }

    /// The connection it is on.
    pub fn connection(&self) -> &Connection {
        &self.handle.connection
    }

    /// Its number.
    pub fn id(&self) -> u16 {
        self.core().id
    }

    pub(crate) fn core(&self) -> &ChannelCore {
        &self.handle.core
    }

    pub(crate) fn shared(&self) -> &Shared {
        self.handle.connection.shared()
    }

    async fn call(&self, method: &impl MethodFrame) -> Result<Reply> {
        self.call_when_live(|| self.core().try_call(self.shared(), method, None)).await
    }

    /// A call that `start` makes as soon as the connection is there.
    async fn call_when_live(&self, start: impl FnMut() -> Result<Option<Answer>>) -> Result<Reply> {
        let started = self.shared().when_there_is_room(start).await?;
        self.answer(started).await
    }

    /// The name that a queue has now. An empty one, for the queue that was declared last, says nothing to a broker that
    /// has not seen that.
    fn current_queue<'q>(&self, name: &'q str) -> Cow<'q, str> {
        if !name.is_empty() {
            return self.shared().topology().current(name);
        }
        let state = self.core().state();
        if !state.last_queue.former {
            return Cow::Borrowed(name);
        }
        let last = state.last_queue.name.clone();
        drop(state);
        Cow::Owned(self.shared().topology().current(&last).into_owned())
    }

    async fn answer(&self, answer: Answer) -> Result<Reply> {
        let lost = |_| Err(Error::closed_here(Scope::Connection));
        answer.await.unwrap_or_else(lost)
    }

    /// A call whose answer says no more than that it is done.
    async fn done(&self, method: &impl MethodFrame) -> Result<()> {
        self.call(method).await.map(drop)
    }
}

/// The number that a call is answered with.
fn count(reply: Reply) -> Result<u32> {
    match reply {
        Reply::Count(messages) => Ok(messages),
        _ => Err(unexpected()),
    }
}

/// Cannot happen as long as replies are matched with their calls.
fn unexpected() -> Error {
    Error::Protocol(String::from("an answer to another call"))
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").field("id", &self.id()).field("open", &self.is_open()).finish()
    }
}
