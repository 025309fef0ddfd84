//! Exchanges, queues and bindings, over a channel of the restoring's own. The broker closes it for each mistake; the next
//! step opens another one.

use std::sync::Arc;

use leveret_spec::method::MethodFrame;
use leveret_spec::{ReplyCode, ShortStr, channel};

use super::restore::{Restorer, Suspect, does_not_fit, is_of_channel, name_of};
use crate::channel::{ChannelCore, Reply};
use crate::error::Result;
use crate::events::Event;
use crate::topology::{Destination, Queue};

/// The channel, while the broker has not closed it.
type Line = Option<Arc<ChannelCore>>;

impl Restorer<'_> {
    /// Restores everything that was declared.
    pub(super) async fn topology(&mut self) -> Result<()> {
        let (exchanges, queues) = {
            let topology = self.shared.topology();
            (topology.exchanges(), topology.queues())
        };
        let mut line = None;
        for exchange in exchanges {
            self.suspicion.of(Suspect::Exchange(exchange.name.clone()));
            let declared = self.ask(&mut line, &exchange.declare()?).await;
            self.note(exchange, declared)?;
        }
        for queue in queues {
            // Its last consumer may have been dropped a moment ago.
            if self.shared.topology().has_queue(&queue.name) {
                self.suspicion.of(Suspect::Queue(queue.name.clone()));
                let declared = self.queue(&mut line, &queue).await;
                self.note(queue, declared)?;
            }
        }
        // By the new names of the queues.
        let bindings = self.shared.topology().bindings();
        for binding in bindings {
            self.suspicion.of(Suspect::Binding(binding.clone()));
            let name = name_of(&binding.destination);
            let bound = match binding.destination {
                Destination::Exchange(_) => self.ask(&mut line, &binding.exchange_bind(name)?).await,
                Destination::Queue(_) => self.ask(&mut line, &binding.queue_bind(name)?).await,
            };
            self.note(binding, bound)?;
        }
        self.suspicion.clear();
        match line {
            Some(core) => self.close(&core).await,
            None => Ok(()),
        }
    }

    /// Declares a queue again. One that is locked may be so by the connection that was lost.
    async fn queue(&mut self, line: &mut Line, queue: &Queue) -> Result<Reply> {
        if queue.server_named && !queue.exclusive {
            // It may have outlived the connection, with its messages.
            let found = self.ask(line, &queue.declare(true)?).await;
            if !matches!(&found, Err(error) if is_of_channel(error)) {
                return found;
            }
        }
        loop {
            let declared = self.ask(line, &queue.declare(false)?).await;
            let locked = matches!(&declared, Err(error) if error.code() == Some(ReplyCode::ResourceLocked.code()));
            if locked && self.patience.wait().await {
                continue;
            }
            if let Ok(Reply::Queue(status)) = &declared {
                self.rename(&queue.name, &status.name);
            }
            return declared;
        }
    }

    fn rename(&self, old: &str, new: &str) {
        if old != new {
            self.shared.topology().rename_queue(old, new);
            self.shared.events.tell(&Event::QueueRenamed { old: old.to_owned(), new: new.to_owned() });
        }
    }

    /// Reports what the broker has refused.
    fn note(&self, what: impl ToString, done: Result<Reply>) -> Result<()> {
        match done {
            Err(error) if is_of_channel(&error) || does_not_fit(&error) => {
                self.report(what, &error);
                Ok(())
            }
            done => done.map(drop),
        }
    }

    /// A call, for which a channel is opened if there is none.
    async fn ask(&self, line: &mut Line, method: &impl MethodFrame) -> Result<Reply> {
        let core = match line.take() {
            Some(core) => core,
            None => {
                let core = self.shared.channels().add_topology();
                let opened = core.restoring_call(self.shared, &channel::Open { reserved: ShortStr::default() })?;
                self.answer(opened).await?;
                core
            }
        };
        let asked = match core.restoring_call(self.shared, method) {
            Ok(started) => self.answer(started).await,
            Err(error) => Err(error),
        };
        if !matches!(&asked, Err(error) if !does_not_fit(error)) {
            *line = Some(core);
        }
        asked
    }

    async fn close(&self, core: &ChannelCore) -> Result<()> {
        if let Some(closed) = core.start_close(self.shared)? {
            self.answer(closed).await?;
        }
        Ok(())
    }
}
