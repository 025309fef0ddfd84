//! Publisher confirms: which publishes of a channel the broker has not yet answered, and what it said of the others.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::oneshot;

use crate::error::{Error, Result, Scope};
use crate::message::Message;

/// Gaps that are left alone however few publishes are unanswered.
const GAPS_SPARED: usize = 64;

/// What the broker says of one publish.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a publish may have been refused or returned"]
pub enum Outcome {
    /// It has taken responsibility: a persistent message on a durable queue is on disk.
    Acked,
    /// It could not, for example because a queue with `reject-publish` is full. The message is lost there.
    Nacked,
    /// A mandatory message reached no queue. The broker does not say which publish it means; among several under way
    /// with the same exchange, routing key and body, it is the first.
    Returned(Box<Returned>),
    /// The connection was lost before the broker's word came. The message may have arrived or not: it is not sent again,
    /// and whoever publishes it again may double it.
    Unknown,
}

impl Outcome {
    /// True if the broker has taken responsibility and no queue was missing.
    pub fn is_acked(&self) -> bool {
        matches!(self, Outcome::Acked)
    }

    /// The same as a result, for those who only go on if it was acknowledged.
    ///
    /// # Errors
    /// `Nacked`, `Returned`, and `Unconfirmed` for `Unknown`.
    pub fn into_result(self) -> Result<()> {
        match self {
            Outcome::Acked => Ok(()),
            Outcome::Nacked => Err(Error::Nacked),
            Outcome::Returned(returned) => Err(Error::Returned(returned)),
            Outcome::Unknown => Err(Error::Unconfirmed),
        }
    }
}

/// A message that came back because it reached no queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Returned {
    /// The reply code: 312 is NO_ROUTE.
    pub code: u16,
    /// The broker's explanation.
    pub text: String,
    /// The message as it was published.
    pub message: Message,
}

/// What the broker has said so far of the publishes of a channel in confirm mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfirmCounts {
    /// Publishes since the channel is in confirm mode.
    pub published: u64,
    /// Of these, how many were acknowledged; among them are the mandatory ones that came back.
    pub acked: u64,
    /// How many were refused.
    pub nacked: u64,
    /// How many were unanswered when a connection was lost: they may have arrived or not.
    pub unknown: u64,
    /// Answers to nothing that was waiting: a broker that keeps the protocol gives none.
    pub unexpected: u64,
}

/// Resolves to the outcome of one publish. It may be dropped if nobody wants to know.
#[derive(Debug)]
#[must_use = "a confirm does nothing unless it is awaited"]
pub struct Confirm(pub(crate) oneshot::Receiver<Result<Outcome>>);

impl Future for Confirm {
    type Output = Result<Outcome>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Outcome>> {
        let closed = |_| Err(Error::closed_here(Scope::Channel));
        Pin::new(&mut self.0).poll(cx).map(|answer| answer.unwrap_or_else(closed))
    }
}

/// One publish without an answer.
#[derive(Debug)]
pub(crate) struct Unconfirmed {
    /// Who wants to know.
    pub(crate) watcher: Option<oneshot::Sender<Result<Outcome>>>,
    /// What to recognise it by if it comes back.
    pub(crate) mandatory: Option<Fingerprint>,
    returned: Option<Box<Returned>>,
}

/// basic.return does not say which publish it answers. Returns come in the order of publishing, and before the publish
/// is confirmed; so the first unanswered one with the same exchange, routing key and body is meant, or one that nobody
/// could tell from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint(u64);

impl Fingerprint {
    pub(crate) fn of(exchange: &[u8], routing_key: &[u8], body: &[u8]) -> Self {
        let mut hasher = DefaultHasher::new();
        (exchange, routing_key, body).hash(&mut hasher);
        Fingerprint(hasher.finish())
    }
}

impl Unconfirmed {
    pub(crate) fn new(watcher: Option<oneshot::Sender<Result<Outcome>>>, mandatory: Option<Fingerprint>) -> Self {
        Unconfirmed { watcher, mandatory, returned: None }
    }

    fn settle(self, acked: bool) {
        let Some(watcher) = self.watcher else { return };
        let outcome = match self.returned {
            _ if !acked => Outcome::Nacked,
            Some(returned) => Outcome::Returned(returned),
            None => Outcome::Acked,
        };
        // The watcher may have lost interest.
        let _ = watcher.send(Ok(outcome));
    }
}

/// A channel in confirm mode. Publishes are numbered from 1 (the broker counts along).
///
/// Answers that leave others out, as RabbitMQ's may, make gaps. There are never more gaps than unanswered publishes, but
/// for a few, so that the limit on these bounds all of it whatever the broker leaves out.
#[derive(Debug)]
pub(crate) struct Confirms {
    /// By their numbers. The first is not a gap.
    waiting: VecDeque<(u64, Option<Unconfirmed>)>,
    unanswered: usize,
    counts: ConfirmCounts,
    /// Publishes up to this number went over connections that are lost; the broker counts from 1 on each.
    base: u64,
    /// How many of `ConfirmCounts::unknown` were reported by `Channel::all_confirmed`.
    unknown_reported: u64,
    /// Publishes before this one have been passed by returns.
    returns_from: u64,
}

impl Confirms {
    pub(crate) fn new() -> Self {
        let counts = ConfirmCounts::default();
        Confirms { waiting: VecDeque::new(), unanswered: 0, counts, base: 0, unknown_reported: 0, returns_from: 1 }
    }

    /// The number of publishes that the broker has not answered.
    pub(crate) fn unanswered(&self) -> usize {
        self.unanswered
    }

    pub(crate) fn counts(&self) -> ConfirmCounts {
        self.counts
    }

    /// The next publish.
    pub(crate) fn push(&mut self, publish: Unconfirmed) {
        self.counts.published += 1;
        self.waiting.push_back((self.counts.published, Some(publish)));
        self.unanswered += 1;
    }

    /// The broker answers one publish, or with `multiple` all up to it (0: all). Numbers that are not waiting are
    /// only counted: they were answered before.
    pub(crate) fn settle(&mut self, tag: u64, multiple: bool, acked: bool) {
        let before = self.unanswered;
        if multiple {
            let up_to = if tag == 0 { u64::MAX } else { self.base.saturating_add(tag) };
            while let Some((_, publish)) = self.waiting.pop_front_if(|(number, _)| *number <= up_to) {
                self.answer(publish, acked);
            }
        } else if let Some(slot) = self.slot(self.base.saturating_add(tag)) {
            let publish = slot.take();
            self.answer(publish, acked);
        }
        self.counts.unexpected += u64::from(self.unanswered == before);
        while self.waiting.pop_front_if(|(_, publish)| publish.is_none()).is_some() {}
        if self.waiting.len() > 2 * self.unanswered + GAPS_SPARED {
            self.waiting.retain(|(_, publish)| publish.is_some());
        }
    }

    fn answer(&mut self, publish: Option<Unconfirmed>, acked: bool) {
        if let Some(publish) = publish {
            self.unanswered -= 1;
            *(if acked { &mut self.counts.acked } else { &mut self.counts.nacked }) += 1;
            publish.settle(acked);
        }
    }

    fn slot(&mut self, tag: u64) -> Option<&mut Option<Unconfirmed>> {
        let index = self.waiting.binary_search_by_key(&tag, |(number, _)| *number).ok()?;
        self.waiting.get_mut(index).map(|(_, publish)| publish)
    }

    /// Keeps a returned message for the publish that it belongs to; gives it back if nobody watches that.
    pub(crate) fn keep_returned(&mut self, returned: Returned) -> Option<Returned> {
        let message = &returned.message;
        let exchange = message.exchange();
        let sought = Fingerprint::of(exchange.as_bytes(), message.routing_key_bytes(), message.body());
        let skip = self.waiting.partition_point(|(number, _)| *number < self.returns_from);
        let found = self.waiting.iter_mut().skip(skip).find_map(|(number, slot)| {
            slot.as_mut().filter(|publish| publish.mandatory == Some(sought)).map(|publish| (*number, publish))
        });
        let Some((number, publish)) = found else { return Some(returned) };
        self.returns_from = number + 1;
        if publish.watcher.is_none() {
            return Some(returned);
        }
        publish.returned = Some(Box::new(returned));
        None
    }

    /// The connection is lost: nobody knows what became of those that wait, and the broker counts anew.
    pub(crate) fn lose(&mut self) {
        self.base = self.counts.published;
        self.counts.unknown += self.unanswered as u64;
        self.unanswered = 0;
        for watcher in self.waiting.drain(..).filter_map(|(_, publish)| publish?.watcher) {
            // The watcher may have lost interest.
            let _ = watcher.send(Ok(Outcome::Unknown));
        }
    }

    /// How many unknown publishes have been reported.
    pub(crate) fn unknown_reported(&self) -> u64 {
        self.unknown_reported
    }

    /// True if there are more unknown publishes than had been reported when somebody began to wait.
    pub(crate) fn report_unknown(&mut self, reported: u64) -> bool {
        self.unknown_reported = self.counts.unknown;
        reported < self.counts.unknown
    }

    /// The channel is closed: nobody will ever know.
    pub(crate) fn end(&mut self, error: &Error) {
        self.unanswered = 0;
        for watcher in self.waiting.drain(..).filter_map(|(_, publish)| publish?.watcher) {
            let _ = watcher.send(Err(error.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::MessageParts;

    fn published(confirms: &mut Confirms, mandatory: Option<&str>) -> Confirm {
        let (watcher, confirm) = oneshot::channel();
        let print = mandatory.map(|key| Fingerprint::of(b"", key.as_bytes(), b""));
        confirms.push(Unconfirmed::new(Some(watcher), print));
        Confirm(confirm)
    }

    fn answer(confirm: &mut Confirm) -> Option<Outcome> {
        confirm.0.try_recv().ok().map(Result::unwrap)
    }

    fn returned(key: &str) -> Returned {
        let message = MessageParts::new(b"", key.as_bytes(), 0).finish();
        Returned { code: 312, text: String::from("NO_ROUTE"), message }
    }

    #[test]
    fn every_publish_and_every_answer_is_counted_once() {
        let mut confirms = Confirms::new();
        let _waiting: Vec<_> = (0..6).map(|_| published(&mut confirms, None)).collect();
        confirms.settle(2, false, false);
        confirms.settle(3, true, true);
        let counts = ConfirmCounts { published: 6, acked: 2, nacked: 1, unknown: 0, unexpected: 0 };
        assert_eq!(confirms.counts(), counts);
        for (tag, multiple) in [(2, false), (3, true), (7, false)] {
            confirms.settle(tag, multiple, true);
        }
        assert_eq!(confirms.counts(), ConfirmCounts { unexpected: 3, ..counts });
    }

    #[test]
    fn one_answer_settles_one_publish_and_multiple_settles_the_range() {
        let mut confirms = Confirms::new();
        let mut waiting: Vec<_> = (0..6).map(|_| published(&mut confirms, None)).collect();
        confirms.settle(3, false, false);
        confirms.settle(4, true, true);
        let outcomes: Vec<_> = waiting.iter_mut().map(answer).collect();
        let acked = Some(Outcome::Acked);
        assert_eq!(outcomes, [acked.clone(), acked.clone(), Some(Outcome::Nacked), acked, None, None]);
        assert_eq!(confirms.unanswered(), 2);
        confirms.settle(0, true, true);
        assert_eq!(confirms.unanswered(), 0);
    }

    #[test]
    fn a_publish_that_is_never_answered_keeps_no_room_for_those_behind_it() {
        let mut confirms = Confirms::new();
        let mut first = published(&mut confirms, None);
        for number in 2..10_000 {
            let mut confirm = published(&mut confirms, None);
            confirms.settle(number, false, true);
            assert_eq!((answer(&mut confirm), confirms.unanswered()), (Some(Outcome::Acked), 1));
            assert!(confirms.waiting.len() < 2 * GAPS_SPARED);
        }
        let mut last = published(&mut confirms, Some("a"));
        assert!(confirms.keep_returned(returned("a")).is_none());
        confirms.settle(1, false, false);
        confirms.settle(10_000, false, true);
        assert_eq!(answer(&mut first), Some(Outcome::Nacked));
        assert!(matches!(answer(&mut last), Some(Outcome::Returned(_))));
        assert_eq!((confirms.counts().unexpected, confirms.waiting.len()), (0, 0));
    }

    #[test]
    fn answers_to_numbers_that_do_not_wait_change_nothing() {
        let mut confirms = Confirms::new();
        let mut confirm = published(&mut confirms, None);
        confirms.settle(0, false, true);
        confirms.settle(2, false, true);
        confirms.settle(u64::MAX, false, true);
        assert_eq!((answer(&mut confirm), confirms.unanswered()), (None, 1));
        confirms.settle(1, false, true);
        confirms.settle(1, false, false);
        confirms.settle(9, true, false);
        assert_eq!((answer(&mut confirm), confirms.unanswered()), (Some(Outcome::Acked), 0));
    }

    #[test]
    fn a_returned_message_is_the_outcome_of_its_own_publish() {
        let mut confirms = Confirms::new();
        let keys = [None, Some("a"), Some("b"), Some("a")];
        let mut waiting: Vec<_> = keys.iter().map(|key| published(&mut confirms, *key)).collect();
        assert!(confirms.keep_returned(returned("b")).is_none());
        assert!(confirms.keep_returned(returned("a")).is_none());
        assert!(confirms.keep_returned(returned("c")).is_some());
        confirms.settle(4, true, true);
        let came_back: Vec<_> =
            waiting.iter_mut().map(|c| matches!(answer(c), Some(Outcome::Returned(r)) if r.code == 312)).collect();
        assert_eq!(came_back, [false, false, true, true]);
    }

    #[test]
    fn a_return_that_nobody_watches_goes_to_the_returns_stream() {
        let mut confirms = Confirms::new();
        confirms.push(Unconfirmed::new(None, Some(Fingerprint::of(b"", b"a", b""))));
        assert!(confirms.keep_returned(returned("a")).is_some());
    }

    #[test]
    fn what_a_lost_connection_leaves_unanswered_is_unknown_and_the_broker_counts_anew() {
        let mut confirms = Confirms::new();
        let mut waiting: Vec<_> = (0..3).map(|_| published(&mut confirms, None)).collect();
        confirms.settle(1, false, true);
        confirms.lose();
        let outcomes: Vec<_> = waiting.iter_mut().map(answer).collect();
        assert_eq!(outcomes, [Some(Outcome::Acked), Some(Outcome::Unknown), Some(Outcome::Unknown)]);
        assert_eq!([0; 2].map(|reported| confirms.report_unknown(reported)), [true; 2], "two have waited for it");
        assert!(!confirms.report_unknown(confirms.unknown_reported()));
        let mut next: Vec<_> = (0..3).map(|_| published(&mut confirms, None)).collect();
        confirms.settle(1, false, false);
        confirms.settle(2, true, true);
        let outcomes: Vec<_> = next.iter_mut().map(answer).collect();
        assert_eq!(outcomes, [Some(Outcome::Nacked), Some(Outcome::Acked), None]);
        let counts = ConfirmCounts { published: 6, acked: 2, nacked: 1, unknown: 2, unexpected: 0 };
        assert_eq!(confirms.counts(), counts);
    }

    #[test]
    fn a_closed_channel_ends_every_wait_with_its_error() {
        let mut confirms = Confirms::new();
        let mut confirm = published(&mut confirms, None);
        confirms.end(&Error::Timeout("x"));
        assert!(matches!(confirm.0.try_recv(), Ok(Err(Error::Timeout("x")))));
    }
}
