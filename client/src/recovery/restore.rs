//! The conversation that makes a new connection what the lost one was.

use std::sync::Arc;

use leveret_spec::method::MethodFrame;
use leveret_spec::{ShortStr, basic, channel, confirm};
use tokio::time::timeout;

use crate::channel::{Answer, ChannelCore, Former, Reply};
use crate::connection::Shared;
use crate::consumer::Subscription;
use crate::error::{Error, Result, Scope};

/// Restores everything.
///
/// # Errors
/// What makes this connection useless.
pub(crate) async fn restore(shared: &Shared) -> Result<()> {
    let cores = shared.channels().all();
    for core in cores {
        restore_channel(shared, &core).await?;
    }
    Ok(())
}

/// Waits for an answer, within the time limit of the options.
async fn answer(shared: &Shared, answer: Answer) -> Result<Reply> {
    let lost = |_| Err(Error::Timeout("answer while the connection was restored"));
    match timeout(shared.limits.timeout, answer).await {
        Ok(answer) => answer.unwrap_or_else(lost),
        Err(_) => Err(Error::Timeout("answer while the connection was restored")),
    }
}

/// Opens a channel again with what it had. Each mistake makes the broker close it; then it begins anew, without the
/// consumer that the broker did not want.
async fn restore_channel(shared: &Shared, core: &Arc<ChannelCore>) -> Result<()> {
    if core.id > shared.channels().channel_max() {
        core.end(&Error::Usage("the broker allows fewer channels than before"));
        shared.remove_channel(core);
        return Ok(());
    }
    while let Some(former) = core.begin_restoring() {
        let mut culprit = None;
        match (Restoring { shared, core, former: &former }).all(&mut culprit).await {
            Ok(()) => {
                core.finish_restoring();
                shared.room.notify_waiters();
                return Ok(());
            }
            // The program has closed it.
            Err(_) if core.is_over() => return Ok(()),
            Err(error @ Error::Closed { scope: Scope::Channel, .. }) => match culprit {
                Some(consumer) => {
                    tracing::warn!(consumer = &*consumer.tag, %error, "a consumer could not be restored");
                    core.give_up_consumer(&consumer, &error);
                }
                None => {
                    tracing::warn!(channel = core.id, %error, "a channel could not be restored");
                    core.end(&error);
                    shared.remove_channel(core);
                }
            },
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// One attempt to restore a channel.
struct Restoring<'a> {
    shared: &'a Shared,
    core: &'a ChannelCore,
    former: &'a Former,
}

impl Restoring<'_> {
    /// Opens the channel, and makes it what it was. `culprit` is the consumer that is being started.
    async fn all(&self, culprit: &mut Option<Arc<Subscription>>) -> Result<()> {
        let Former { prefetch, confirms, consumers } = self.former;
        self.call(&channel::Open { reserved: ShortStr::default() }).await?;
        if *confirms {
            self.call(&confirm::Select { no_wait: false }).await?;
        }
        if prefetch.per_channel != 0 {
            self.qos(prefetch.per_channel, true).await?;
        }
        // It holds for the consumers that start afterwards.
        let mut per_consumer = 0;
        for consumer in consumers {
            if consumer.prefetch != per_consumer {
                per_consumer = consumer.prefetch;
                self.qos(per_consumer, false).await?;
            }
            *culprit = Some(consumer.clone());
            if let Some(started) = self.core.restore_consumer(self.shared, consumer)? {
                answer(self.shared, started).await?;
            }
            *culprit = None;
        }
        if prefetch.per_consumer != per_consumer {
            self.qos(prefetch.per_consumer, false).await?;
        }
        Ok(())
    }

    async fn qos(&self, prefetch_count: u16, global: bool) -> Result<()> {
        self.call(&basic::Qos { prefetch_size: 0, prefetch_count, global }).await
    }

    async fn call(&self, method: &impl MethodFrame) -> Result<()> {
        let started = self.core.restoring_call(self.shared, method)?;
        answer(self.shared, started).await.map(drop)
    }
}
