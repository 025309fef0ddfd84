//! Publishing, with and without confirms.

use std::iter::Peekable;

use leveret_spec::{confirm, frame};
use tokio::sync::oneshot;
use tracing::Instrument;

use super::Channel;
use crate::confirm::{Confirm, ConfirmCounts, Confirms, Outcome, Unconfirmed};
use crate::connection::Shared;
use crate::error::{Error, Result};
use crate::mailbox::Mailbox;
use crate::publish::Publish;
use crate::publishing::Publishing;
use crate::returns::Returns;

/// Publishes of `publish_all` that are encoded without letting anybody else at the connection.
const RUN_MAX: usize = 64;

impl Channel {
    /// Publishes without asking what became of it: it is on its way when this returns. Waits while the socket does not
    /// keep up, or the broker blocks publishers, and for a connection that is lost. If the future is dropped before it is done, nothing was sent.
    ///
    /// # Errors
    /// `TooLong` for a name, key or headers that do not fit; what closed the channel or connection; `Timeout` if that is
    /// lost and does not come back in time. An exchange that
    /// does not exist makes the broker close the channel with 404, which a later call reports.
    pub async fn publish(&self, publish: Publish<'_>) -> Result<()> {
        let attempt = || self.try_publish(&publish, false);
        self.shared().when_there_is_room(attempt).await.map(drop)
    }

    /// Publishes one message after the other, as `publish` does, and asks for room once for many of them instead of
    /// for each: the fast way to send much. If the future is dropped, the messages from some place on were not sent.
    ///
    /// # Errors
    /// As `publish`; what stands before a message that does not fit was sent.
    pub async fn publish_all<'a>(&self, publishes: impl IntoIterator<Item = Publish<'a>>) -> Result<()> {
        let mut publishes = publishes.into_iter().peekable();
        while publishes.peek().is_some() {
            self.shared().when_there_is_room(|| self.try_publish_run(&mut publishes)).await?;
        }
        Ok(())
    }

    /// A message for a queue, to be built, published and confirmed with one `await`. See `Publishing`.
    pub fn publish_to_queue<'a>(&'a self, queue: &'a str) -> Publishing<'a> {
        Publishing::new(self, Publish::to_queue(queue))
    }

    /// A message for an exchange, to be built, published and confirmed with one `await`. See `Publishing`.
    pub fn publish_to_exchange<'a>(&'a self, exchange: &'a str, routing_key: &'a str) -> Publishing<'a> {
        Publishing::new(self, Publish::to_exchange(exchange, routing_key))
    }

    /// Publishes messages one behind the other without waiting for each, and then for the broker's word on all of them:
    /// one outcome for each, in their order.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use leveret_client::{Connection, Outcome, Publish, QueueDeclare};
    /// # let broker = leveret::Broker::start(leveret::Config::in_memory()).await?;
    /// # let connection = Connection::over(broker.connect(), Default::default()).await?;
    /// # let channel = connection.open_channel().await?;
    /// # channel.queue_declare(QueueDeclare::new("jobs")).await?;
    /// let jobs = ["first", "second", "third"];
    /// let outcomes = channel.publish_batch(jobs.iter().map(|job| Publish::to_queue("jobs").body(*job))).await?;
    /// assert!(outcomes.iter().all(Outcome::is_acked));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As `publish_confirmed`; what became of those before is not known then.
    pub async fn publish_batch<'a>(&self, publishes: impl IntoIterator<Item = Publish<'a>>) -> Result<Vec<Outcome>> {
        let mut confirms = Vec::new();
        for publish in publishes {
            confirms.push(self.publish_watched(publish).await?);
        }
        let mut outcomes = Vec::with_capacity(confirms.len());
        for confirm in confirms {
            outcomes.push(confirm.await?);
        }
        Ok(outcomes)
    }

    /// Publishes and waits for the broker's word. See `publish_watched` for many publishes at a time.
    ///
    /// # Errors
    /// As `publish`, and what closed the channel or connection before the broker's word came: the message may or may
    /// not have arrived then. A connection that is lost and comes back makes the outcome `Unknown` instead.
    pub async fn publish_confirmed(&self, publish: Publish<'_>) -> Result<Outcome> {
        let (exchange, routing_key) = publish.exchange_and_key();
        let span = tracing::debug_span!("publish", channel = self.id(), exchange, routing_key);
        async { self.publish_watched(publish).await?.await }.instrument(span).await
    }

    /// Publishes and returns what resolves to the broker's word, so that further publishes need not wait for it. Waits
    /// itself while `Options::unconfirmed_max` publishes are unanswered. Puts the channel into confirm mode if it is
    /// not.
    ///
    /// # Errors
    /// As `publish`.
    pub async fn publish_watched(&self, publish: Publish<'_>) -> Result<Confirm> {
        let attempt = || self.try_publish(&publish, true);
        let confirm = self.shared().when_there_is_room(attempt).await?;
        confirm.ok_or_else(super::unexpected)
    }

    /// Puts the channel into confirm mode: the broker counts and answers every publish from now on, also those that
    /// nobody waits for. `publish_confirmed` does it by itself.
    ///
    /// # Errors
    /// The channel is closed with 406 if it has transactions.
    pub async fn confirm_select(&self) -> Result<()> {
        let attempt = || {
            let mut state = self.core().state();
            if !state.check_live()? {
                return Ok(None);
            }
            let select = confirm::Select { no_wait: false };
            let selected = self.core().start_call_in(&mut state, self.shared(), &select)?;
            state.confirm();
            Ok(Some(selected))
        };
        self.call_when_live(attempt).await.map(drop)
    }

    /// What the broker has said so far of this channel's publishes; `None` if the channel is not in confirm mode, or
    /// closed.
    pub fn confirm_counts(&self) -> Option<ConfirmCounts> {
        self.core().state().confirms.as_ref().map(Confirms::counts)
    }

    /// Waits until the broker has answered every publish of this channel so far and since. What it has refused is
    /// counted in `confirm_counts`.
    ///
    /// # Errors
    /// `Unconfirmed`, once, if the connection was lost since the last call while there were unanswered publishes: they
    /// may have arrived or not. Everybody who waits at that moment hears of it. What closed the channel or connection.
    pub async fn all_confirmed(&self) -> Result<()> {
        let mut reported = None;
        let attempt = || {
            let mut state = self.core().state();
            state.check_open()?;
            let Some(confirms) = &mut state.confirms else { return Ok(Some(())) };
            let reported = *reported.get_or_insert(confirms.unknown_reported());
            if confirms.unanswered() > 0 {
                return Ok(None);
            }
            if confirms.report_unknown(reported) { Err(Error::Unconfirmed) } else { Ok(Some(())) }
        };
        self.shared().when_there_is_room(attempt).await
    }

    /// Mandatory messages that come back from now on, unless `publish_confirmed` or `publish_watched` waits for them.
    /// Another call takes over from the stream before, which ends.
    pub fn returns(&self) -> Returns {
        let mailbox = std::sync::Arc::new(Mailbox::new());
        let mut state = self.core().state();
        if let Some(error) = &state.end {
            mailbox.finish((!error.is_closed_here()).then(|| error.clone()));
        }
        if let Some(before) = state.returns.replace(mailbox.clone()) {
            before.finish(None);
        }
        Returns::new(mailbox)
    }

    /// Publishes if there is room now. The outer `None` is no room, the inner one nobody who waits for a confirm.
    fn try_publish(&self, publish: &Publish<'_>, watched: bool) -> Result<Option<Option<Confirm>>> {
        let (core, shared) = (self.core(), self.shared());
        let mut state = core.state();
        if !state.check_live()? || state.paused {
            return Ok(None);
        }
        if let Some(confirms) = &state.confirms
            && confirms.unanswered() >= shared.limits.unconfirmed_max
        {
            return Ok(None);
        }
        let select = watched && state.confirms.is_none();
        if !self.append(shared, publish, select)? {
            return Ok(None);
        }
        if select {
            state.confirm();
        }
        let Some(confirms) = &mut state.confirms else { return Ok(Some(None)) };
        let (watcher, confirm) = watched.then(oneshot::channel).unzip();
        confirms.push(Unconfirmed::new(watcher, publish.fingerprint()));
        Ok(Some(confirm.map(Confirm)))
    }

    /// Publishes what there is room for, up to a run. `None` if that was nothing.
    fn try_publish_run<'a>(&self, publishes: &mut Peekable<impl Iterator<Item = Publish<'a>>>) -> Result<Option<()>> {
        let (core, shared) = (self.core(), self.shared());
        let mut state = core.state();
        if !state.check_live()? || state.paused {
            return Ok(None);
        }
        let room = |confirms: &Confirms| shared.limits.unconfirmed_max.saturating_sub(confirms.unanswered());
        let run_max = state.confirms.as_ref().map_or(RUN_MAX, room).min(RUN_MAX);
        shared.append(|outbox| {
            let mut sent = None;
            for _ in 0..run_max {
                if outbox.is_full() || outbox.blocked.is_some() {
                    break;
                }
                let Some(publish) = publishes.next() else { break };
                publish.encode(&mut outbox.bytes, core.id, outbox.frame_max)?;
                if let Some(confirms) = &mut state.confirms {
                    confirms.push(Unconfirmed::new(None, publish.fingerprint()));
                }
                sent = Some(());
            }
            Ok(sent)
        })
    }

    /// False if there is no room. confirm.select needs no answer: the broker counts from the frame behind it on.
    fn append(&self, shared: &Shared, publish: &Publish<'_>, select: bool) -> Result<bool> {
        let id = self.core().id;
        shared.append(|outbox| {
            if outbox.is_full() || outbox.blocked.is_some() {
                return Ok(false);
            }
            let start = outbox.bytes.len();
            if select {
                frame::put_method(&mut outbox.bytes, id, &confirm::Select { no_wait: true });
            }
            let encoded = publish.encode(&mut outbox.bytes, id, outbox.frame_max);
            encoded.inspect_err(|_| outbox.bytes.truncate(start))?;
            Ok(true)
        })
    }
}
