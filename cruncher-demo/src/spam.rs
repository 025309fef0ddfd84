//! The spammer: warns one address whenever it is told to. What fails is tried again a few times, by sending the
//! message round once more with a count, so that the others in the queue get their turn.

use crate::error::Error;
use crate::mail::{Failure, Post, SENDER};
use crate::messages::{self, ATTEMPTS_HEADER};
use crate::screen::Screen;
use crate::service::{Service, hand_over, one_at_a_time};
use crate::topology::{declare_spam_queue, spam_queue};
use lettre::message::Mailbox;
use leveret_client::spec::TableBuf;
use leveret_client::{Channel, Consume, Consumer, Delivery, Publish};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::mpsc;

/// How often a warning is tried unless another number is given.
pub const ATTEMPTS: u32 = 3;
/// The pause after the first failure; it doubles with each.
const PAUSE: Duration = Duration::from_millis(500);
/// Longest pause. The message is held meanwhile.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Whom to warn, and how.
#[derive(Debug, Clone)]
pub struct Warnings {
    /// The domain of the addresses.
    pub domain: String,
    /// Who the mails are from.
    pub sender: Mailbox,
    /// Where they go.
    pub post: Post,
    /// How often each is tried.
    pub attempts: u32,
}

impl Warnings {
    /// Warnings as files in `folder`, or without one in a new folder under the system's temporary one; and that folder.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn into_folder(domain: &str, folder: Option<&Path>) -> Result<(Warnings, PathBuf), Error> {
        let sender = SENDER.parse().map_err(|why| Error::Usage(format!("{SENDER}: {why}")))?;
        let folder = match folder {
            Some(folder) => folder.to_owned(),
            None => {
                let made = tempfile::Builder::new().prefix("cruncher-warnings-").tempdir();
                let what = || "make a folder for warnings".to_owned();
                made.map_err(|source| Error::File { what: what(), source })?.keep()
            }
        };
        let post = Post::folder(&folder)?;
        Ok((Warnings { domain: domain.to_owned(), sender, post, attempts: ATTEMPTS }, folder))
    }
}

/// The end of one warning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Whom it was for.
    pub local_part: String,
    /// The label of the message that asked for it.
    pub label: Option<String>,
    /// Was the mail written?
    pub written: bool,
}

/// A spammer at work.
#[derive(Debug)]
pub struct Spammer {
    local_part: String,
    queue: String,
    warnings: Warnings,
    channel: Channel,
    screen: Screen,
    ended: Option<mpsc::Sender<Ended>>,
    until: Option<String>,
    done: bool,
}

impl Spammer {
    /// Declares the queue for `local_part` and gives its spammer and the messages for it.
    ///
    /// # Errors
    /// When the broker refuses, for example because the local part is too long for a queue's name.
    pub async fn start(
        local_part: &str,
        warnings: Warnings,
        channel: Channel,
        screen: Screen,
    ) -> Result<(Spammer, Consumer), Error> {
        declare_spam_queue(&channel, local_part).await?;
        let queue = spam_queue(local_part);
        let consumer = one_at_a_time(&channel, Consume::new(&queue)).await?;
        let local_part = local_part.to_owned();
        Ok((Spammer { local_part, queue, warnings, channel, screen, ended: None, until: None, done: false }, consumer))
    }

    /// Tells `listener` how each warning ends.
    pub fn tell(&mut self, listener: mpsc::Sender<Ended>) {
        self.ended = Some(listener);
    }

    /// Ends this spammer with the warning of that label.
    pub fn end_after(&mut self, label: &str) {
        self.until = Some(label.to_owned());
    }

    async fn end(&mut self, label: Option<String>, written: bool) {
        self.done |= self.until.is_some() && self.until == label;
        if let Some(listener) = &self.ended {
            // A listener that is gone wants to know nothing more.
            let _ = listener.send(Ended { local_part: self.local_part.clone(), label, written }).await;
        }
    }

    /// Sends the message round once more, with one more failure counted.
    async fn again(&self, failures: u32, label: Option<&str>) -> Result<(), Error> {
        let pause = PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(16));
        tokio::time::sleep(pause.min(PAUSE_MAX)).await;
        let headers = TableBuf::new().with(ATTEMPTS_HEADER, failures).map_err(leveret_client::Error::from)?;
        let mut message = Publish::to_queue(&self.queue).persistent().headers(&headers);
        message = message.content_type("text/plain").content_encoding("utf-8");
        if let Some(label) = label {
            message = message.correlation_id(label);
        }
        hand_over(&self.channel, message.body(messages::SPAM_ME), "a warning").await
    }
}

impl Service for Spammer {
    async fn handle(&mut self, delivery: &Delivery) -> Result<(), Error> {
        let Warnings { domain, sender, post, attempts } = &self.warnings;
        let (local_part, label) = (&self.local_part, messages::label(delivery.properties()));
        match post.warn(sender, local_part, domain).await {
            Ok(place) => {
                self.screen.line(&format!("spam: {local_part}@{domain} warned: {place}"));
                self.end(label, true).await;
            }
            Err(Failure::Undeliverable(why)) => {
                self.screen.note(&format!("spam: {local_part}@{domain} given up: {why}"));
                self.end(label, false).await;
            }
            Err(Failure::Failed(why)) => {
                let failures = messages::attempts(delivery.properties()).saturating_add(1);
                self.screen
                    .note(&format!("spam: {local_part}@{domain}: attempt {failures} of {attempts} failed: {why}"));
                if failures < *attempts {
                    self.again(failures, label.as_deref()).await?;
                } else {
                    self.screen.note(&format!("spam: {local_part}@{domain} given up after {failures} attempts"));
                    self.end(label, false).await;
                }
            }
        }
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.done
    }
}
