//! Channels with their prefetch, confirm mode and consumers.

use std::sync::Arc;

use leveret_spec::method::MethodFrame;
use leveret_spec::{ReplyCode, basic, confirm};

use super::restore::{Restorer, Suspect, does_not_fit, is_of_channel};
use crate::channel::{ChannelCore, Former};
use crate::consumer::Subscription;
use crate::error::{Error, Result};

impl Restorer<'_> {
    /// Opens a channel again with what it had. Each mistake makes the broker close it; then it begins anew, without the
    /// consumer that the broker did not want.
    pub(super) async fn channel(&mut self, core: &Arc<ChannelCore>) -> Result<()> {
        if core.id > self.shared.channels().channel_max() {
            self.give_up(core, &Error::Usage("the broker allows fewer channels than before"));
            return Ok(());
        }
        while let Some((former, opened)) = core.begin_restoring(self.shared)? {
            let mut culprit = None;
            let restored = match self.answer(opened).await {
                Ok(_) => self.furnish(core, &former, &mut culprit).await,
                Err(error) => Err(error),
            };
            self.suspicion.clear();
            match restored {
                Ok(()) => {
                    core.finish_restoring();
                    self.shared.room.notify_waiters();
                    return Ok(());
                }
                // The program has closed it.
                Err(_) if core.is_over() => return Ok(()),
                Err(error) if !is_of_channel(&error) => return Err(error),
                Err(error) => match culprit {
                    Some(consumer) => self.consumer_failed(core, &consumer, &error).await,
                    None => self.give_up(core, &error),
                },
            }
        }
        Ok(())
    }

    fn give_up(&self, core: &ChannelCore, error: &Error) {
        self.report(format!("channel {}", core.id), error);
        core.close(self.shared, error);
        self.shared.remove_channel(core);
    }

    /// What is locked may be so by the connection that was lost; everything else is refused for good.
    async fn consumer_failed(&mut self, core: &ChannelCore, consumer: &Arc<Subscription>, error: &Error) {
        let locked = match ReplyCode::of(error.code().unwrap_or_default()) {
            Some(ReplyCode::ResourceLocked) => true,
            Some(ReplyCode::AccessRefused) => consumer.source.exclusive,
            _ => false,
        };
        if !locked || !self.patience.wait().await {
            self.report(consumer, error);
            core.give_up_consumer(self.shared, consumer, error);
        }
    }

    /// Makes an open channel what it was. `culprit` is the consumer that is being started.
    async fn furnish(
        &self,
        core: &Arc<ChannelCore>,
        former: &Former,
        culprit: &mut Option<Arc<Subscription>>,
    ) -> Result<()> {
        let Former { prefetch, confirms, consumers } = former;
        if *confirms {
            self.call(core, &confirm::Select { no_wait: false }).await?;
        }
        if prefetch.per_channel != 0 {
            self.qos(core, (prefetch.per_channel, true)).await?;
        }
        // It holds for the consumers that start afterwards.
        let mut per_consumer = 0;
        for consumer in consumers {
            if consumer.prefetch != per_consumer {
                per_consumer = consumer.prefetch;
                self.qos(core, (per_consumer, false)).await?;
            }
            *culprit = Some(consumer.clone());
            self.suspicion.of(Suspect::Consumer(core.clone(), consumer.clone()));
            match core.restore_consumer(self.shared, consumer) {
                Ok(Some(started)) => drop(self.answer(started).await?),
                Ok(None) => {}
                Err(error) if does_not_fit(&error) => {
                    self.report(consumer, &error);
                    core.give_up_consumer(self.shared, consumer, &error);
                }
                Err(error) => return Err(error),
            }
            *culprit = None;
            self.suspicion.clear();
        }
        if prefetch.per_consumer != per_consumer {
            self.qos(core, (prefetch.per_consumer, false)).await?;
        }
        Ok(())
    }

    async fn qos(&self, core: &ChannelCore, (prefetch_count, global): (u16, bool)) -> Result<()> {
        self.call(core, &basic::Qos { prefetch_size: 0, prefetch_count, global }).await
    }

    async fn call(&self, core: &ChannelCore, method: &impl MethodFrame) -> Result<()> {
        let started = core.restoring_call(self.shared, method)?;
        self.answer(started).await.map(drop)
    }
}
