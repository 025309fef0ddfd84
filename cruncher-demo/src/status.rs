//! The status service: counts what the crunchers find and asks for a warning to every new address of one domain.

use crate::error::Error;
use crate::messages::{self, CruncherResult};
use crate::screen::Screen;
use crate::service::{Service, one_at_a_time};
use crate::tally::{News, Tally};
use crate::topology::{NAME_BYTES_MAX, SPAMMER, STATUS};
use leveret_client::{Channel, Consume, Consumer, Delivery, Outcome, Publish, Qos};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The priority of a consumer that goes before others, which have none.
const FIRST: i32 = 10;
/// How many results such a consumer takes ahead: the others get what is beyond it.
const AHEAD_MAX: u16 = 1000;

/// What became of a wish to warn somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// A queue holds it.
    Queued,
    /// Nobody listens for it: such an address wants no warning.
    Unheard,
    /// There is no such warning.
    Impossible,
}

/// What goes on around a status service.
pub trait Surroundings: Send {
    /// Does this result count? Others are set aside.
    fn counts(&self, _result: &CruncherResult) -> bool {
        true
    }

    /// A result has been recorded; its warnings follow.
    fn recorded(&mut self, _result: &CruncherResult, _tally: &Tally) {}

    /// A warning was asked for.
    fn asked(&mut self, _news: &News, _asked: Asked) {}

    /// Makes ready for a warning with this label, before it is published. False: there will be none.
    fn expect(&mut self, _news: &News, _label: Option<&str>) -> impl Future<Output = Result<bool, Error>> + Send {
        std::future::ready(Ok(true))
    }

    /// A result has been dealt with, and all warnings that follow from it are published.
    fn counted(&mut self, _result: CruncherResult) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }
}

/// A status service that runs alone.
#[derive(Debug, Clone, Copy)]
pub struct Alone;

impl Surroundings for Alone {}

/// The totals, shared with whoever shows them.
pub type SharedTally = Arc<Mutex<Tally>>;

/// A status service at work.
#[derive(Debug)]
pub struct Status<S> {
    tally: SharedTally,
    channel: Channel,
    screen: Screen,
    surroundings: S,
}

impl<S: Surroundings> Status<S> {
    /// A status service and the messages for it. With `alone`, the broker refuses if another one runs.
    ///
    /// # Errors
    /// When the broker refuses.
    pub async fn start(
        tally: SharedTally,
        channel: Channel,
        screen: Screen,
        surroundings: S,
        alone: bool,
    ) -> Result<(Status<S>, Consumer), Error> {
        let consume = Consume::new(STATUS);
        let consumer = one_at_a_time(&channel, if alone { consume.exclusive() } else { consume }).await?;
        Ok((Status { tally, channel, screen, surroundings }, consumer))
    }

    /// A status service that gets the results before others that consume the same queue, which may run already.
    ///
    /// # Errors
    /// When the broker refuses.
    pub async fn start_first(
        tally: SharedTally,
        channel: Channel,
        screen: Screen,
        surroundings: S,
    ) -> Result<(Status<S>, Consumer), Error> {
        // Others go first while the prefetch is used up.
        channel.qos(Qos::per_consumer(AHEAD_MAX)).await?;
        let consumer = channel.consume(Consume::new(STATUS).priority(FIRST)).await?;
        Ok((Status { tally, channel, screen, surroundings }, consumer))
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for the warnings that nobody has been asked for yet.
    async fn ask_for_warnings(&mut self, label: Option<&str>) -> Result<(), Error> {
        loop {
            let Some(news) = self.tally().unasked().cloned() else { return Ok(()) };
            let asked = self.ask_for_warning(&news, label).await?;
            self.surroundings.asked(&news, asked);
            self.tally().asked();
        }
    }

    /// Asks for one warning. That nobody listens for it is no error: such an address wants none.
    async fn ask_for_warning(&mut self, news: &News, label: Option<&str>) -> Result<Asked, Error> {
        let News { local_part, domain } = news;
        if local_part.len() > NAME_BYTES_MAX {
            self.screen.note(&format!("status: {local_part}@{domain} gets no warning: longer than a routing key"));
            return Ok(Asked::Impossible);
        }
        if !self.surroundings.expect(news, label).await? {
            return Ok(Asked::Impossible);
        }
        let mut warning = Publish::to_exchange(SPAMMER, local_part).persistent().content_type("text/plain").mandatory();
        if let Some(label) = label {
            warning = warning.correlation_id(label);
        }
        match self.channel.publish_confirmed(warning.content_encoding("utf-8").body(messages::SPAM_ME)).await? {
            Outcome::Acked => {
                self.screen.line(&format!("status: new: {local_part}@{domain}"));
                Ok(Asked::Queued)
            }
            Outcome::Nacked | Outcome::Unknown => Err(Error::NotTaken("a warning".to_owned())),
            Outcome::Returned(_) => {
                self.screen.line(&format!("status: new: {local_part}@{domain} (no spammer listens for it)"));
                Ok(Asked::Unheard)
            }
        }
    }
}

impl<S: Surroundings> Service for Status<S> {
    async fn handle(&mut self, delivery: &Delivery) -> Result<(), Error> {
        let result = match CruncherResult::read(delivery.properties(), delivery.body()) {
            Ok(result) => result,
            Err(why) => {
                self.screen.note(&format!("status: not a list of addresses: {why}"));
                return Ok(());
            }
        };
        if !self.surroundings.counts(&result) {
            self.screen.note(&format!("status: a result of another run was set aside ({})", result.cruncher));
            return Ok(());
        }
        let totals = {
            let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
            tally.record(&result.cruncher, &result.addresses);
            self.surroundings.recorded(&result, &tally);
            tally.to_string()
        };
        self.ask_for_warnings(result.label.as_deref()).await?;
        self.screen.line(&format!("status: {totals}"));
        self.surroundings.counted(result).await;
        Ok(())
    }
}
