//! The crunchers: a file name comes in, the addresses found in that file go to the status service.

use crate::error::Error;
use crate::find;
use crate::letter;
use crate::messages;
use crate::screen::Screen;
use crate::service::{Service, hand_over, one_at_a_time};
use crate::topology::{REGEX_CRUNCHER, SLOW_CRUNCHER, STATUS};
use leveret_client::spec::TableBuf;
use leveret_client::{Channel, Consume, Consumer, Delivery, Publish};
use std::path::Path;

/// Files from this size on get a sign of life on a terminal.
const LONG_WORK_BYTES: u64 = 1 << 20;

/// The two ways to find addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular expression.
    Fast,
    /// Decodes and checks.
    Slow,
}

impl Kind {
    /// All there are.
    pub const BOTH: [Kind; 2] = [Kind::Fast, Kind::Slow];

    /// What results are signed with.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Fast => "fast",
            Kind::Slow => "slow",
        }
    }

    /// The queue it works through.
    pub fn queue(self) -> &'static str {
        match self {
            Kind::Fast => REGEX_CRUNCHER,
            Kind::Slow => SLOW_CRUNCHER,
        }
    }

    /// The addresses that it finds in `text`.
    pub(crate) fn find(self, text: &str) -> Vec<String> {
        match self {
            Kind::Fast => find::fast::find(text),
            Kind::Slow => find::slow::find(text),
        }
    }
}

/// A cruncher at work.
#[derive(Debug)]
pub struct Cruncher {
    kind: Kind,
    channel: Channel,
    screen: Screen,
}

impl Cruncher {
    /// A cruncher and the messages for it.
    ///
    /// # Errors
    /// When the broker refuses.
    pub async fn start(kind: Kind, channel: Channel, screen: Screen) -> Result<(Cruncher, Consumer), Error> {
        let consumer = one_at_a_time(&channel, Consume::new(kind.queue())).await?;
        Ok((Cruncher { kind, channel, screen }, consumer))
    }

    /// The addresses in the file of that name; none when it cannot be read, which is reported.
    async fn crunch(&self, name: &str) -> Vec<String> {
        let long = std::fs::metadata(name).is_ok_and(|file| file.len() >= LONG_WORK_BYTES);
        let busy = long.then(|| self.screen.busy(&format!("{}: {name}", self.kind.name())));
        let (kind, path) = (self.kind, name.to_owned());
        let work = tokio::task::spawn_blocking(move || letter::read(Path::new(&path)).map(|text| kind.find(&text)));
        let found = match work.await {
            Ok(found) => found.map_err(|why| why.to_string()),
            Err(_) => Err("crunching it failed".to_owned()),
        };
        if let Some(busy) = busy {
            busy.finish_and_clear();
        }
        match &found {
            Ok(found) => self.screen.line(&format!("{}: {name}: {} found", self.kind.name(), found.len())),
            Err(why) => self.screen.note(&format!("{}: {name}: {why}", self.kind.name())),
        }
        found.unwrap_or_default()
    }
}

impl Service for Cruncher {
    async fn handle(&mut self, delivery: &Delivery) -> Result<(), Error> {
        let (properties, cruncher) = (delivery.properties(), self.kind.name());
        let mut headers = TableBuf::new();
        let found = match messages::file_name(properties, delivery.body()) {
            Ok(name) => {
                let found = self.crunch(&name).await;
                headers = headers.with(messages::FILE_HEADER, name.as_str()).map_err(leveret_client::Error::from)?;
                found
            }
            Err(why) => {
                self.screen.note(&format!("{cruncher}: {why}"));
                Vec::new()
            }
        };
        let list = serde_json::Value::from(found).to_string();
        let label = messages::label(properties);
        let result = Publish::to_queue(STATUS).persistent().content_type("application/json").content_encoding("utf-8");
        let mut result = result.app_id(cruncher).headers(&headers).body(&list);
        if let Some(label) = &label {
            result = result.correlation_id(label);
        }
        hand_over(&self.channel, result, "a result").await
    }
}
