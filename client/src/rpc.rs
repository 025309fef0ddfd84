//! Calls over messages: RabbitMQ's direct reply-to, and the correlation id that brings each answer to its call.

use std::collections::HashMap;
use std::fmt::Display;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use futures_util::future::{Either, select};
use leveret_spec::RawProperties;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::channel::{Channel, Consume};
use crate::connection::Connection;
use crate::consumer::{Consumer, Subscription};
use crate::delivery::Delivery;
use crate::error::{Error, Result, Scope};
use crate::lock::locked;
use crate::message::Message;
use crate::publish::Publish;
use crate::returns::Returns;

/// RabbitMQ's name for answers without a queue.
const REPLY_TO: &str = "amq.rabbitmq.reply-to";
/// The default time limit of a call.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Requests that `serve` handles at a time, if the prefetch lets so many come.
const SERVED_MAX: usize = 64;

type Answer = Result<Message>;

/// Calls that wait for their answers.
#[derive(Default)]
pub(crate) struct Calls {
    made: u64,
    waiting: HashMap<u64, oneshot::Sender<Answer>>,
    /// Why no answer will come any more.
    end: Option<Error>,
}

impl Calls {
    /// No answer will come to those that wait.
    pub(crate) fn fail(calls: &Mutex<Calls>, error: &Error) {
        let waiting = std::mem::take(&mut locked(calls).waiting);
        for answer in waiting.into_values() {
            // The caller may have stopped waiting.
            let _ = answer.send(Err(error.clone()));
        }
    }
}

/// Makes calls over direct reply-to. Any number of them may be under way at a time; clones share the channel.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use std::sync::Arc;
/// # use leveret_client::{Connection, Delivery, Publish, QueueDeclare};
/// # let broker = leveret::Broker::start(leveret::Config::in_memory()).await?;
/// # let connection = Connection::over(broker.connect(), Default::default()).await?;
/// let channel = connection.open_channel().await?;
/// channel.queue_declare(QueueDeclare::new("shout").auto_delete()).await?;
/// tokio::spawn(async move {
///     let shout = |request: Arc<Delivery>| async move { Ok::<_, String>(request.body().to_ascii_uppercase()) };
///     channel.serve("shout", shout).await
/// });
///
/// let rpc = connection.rpc().await?;
/// let answer = rpc.call(Publish::to_queue("shout").body("hello")).await?;
/// assert_eq!(answer.body(), b"HELLO");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Rpc {
    line: Arc<Line>,
    timeout: Duration,
}

/// The channel of an `Rpc`, and the task that reads the answers as long as there is a handle.
struct Line {
    channel: Channel,
    answers: Arc<Subscription>,
    calls: Arc<Mutex<Calls>>,
    reader: JoinHandle<()>,
}

impl Drop for Line {
    fn drop(&mut self) {
        // The task is dropped some time after `abort`, and a next `Channel::rpc` must find the consumer gone.
        self.channel.core().start_cancel(self.channel.shared(), &self.answers);
        self.reader.abort();
    }
}

/// Takes a call off the list when nobody waits for it any more.
struct Waiting<'a> {
    calls: &'a Mutex<Calls>,
    id: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        locked(self.calls).waiting.remove(&self.id);
    }
}

impl Connection {
    /// Opens a channel for calls. See `Rpc`.
    ///
    /// # Errors
    /// As `open_channel`.
    pub async fn rpc(&self) -> Result<Rpc> {
        self.open_channel().await?.rpc().await
    }
}

impl Channel {
    /// Makes calls over this channel, which must not do so already: a channel has one reply-to consumer, as long as there
    /// is an `Rpc` of it. Returned messages of this channel go to the calls from now on.
    ///
    /// # Errors
    /// What closed the channel or connection; the broker closes the channel with 406 if it makes calls already.
    pub async fn rpc(&self) -> Result<Rpc> {
        let answers = self.consume(Consume::new(REPLY_TO).no_ack()).await?;
        let subscription = answers.subscription().clone();
        let calls = Arc::new(Mutex::new(Calls::default()));
        self.core().state().calls = Some(calls.clone());
        let reader = tokio::spawn(read(answers, self.returns(), calls.clone()));
        let line = Line { channel: self.clone(), answers: subscription, calls, reader };
        Ok(Rpc { line: Arc::new(line), timeout: TIMEOUT })
    }

    /// Answers the requests of a queue: what `handler` returns goes to where the request wants its answer, and the
    /// request is acknowledged. Where it fails, the request is dead-lettered or dropped, and its caller's time runs out.
    /// Runs until the channel is closed or the queue deleted; see `Rpc` for an example.
    ///
    /// As many requests are handled at a time as the prefetch (`qos`) lets come, at most 64. If the future is dropped,
    /// requests that are being handled go back to the queue.
    ///
    /// # Errors
    /// As `consume`, and what ended the consumer, if that was not this program.
    pub async fn serve<F, Handled, R, E>(&self, queue: &str, handler: F) -> Result<()>
    where
        F: Fn(Arc<Delivery>) -> Handled,
        Handled: Future<Output = std::result::Result<R, E>>,
        R: AsRef<[u8]>,
        E: Display,
    {
        let mut requests = self.consume(Consume::new(queue).discard_failed()).await?;
        let serve_one = |request: Arc<Delivery>| {
            let handled = handler(request.clone());
            async move {
                let result = handled.await.map_err(|error| error.to_string())?;
                self.answer_request(&request, result.as_ref()).await.map_err(|error| error.to_string())
            }
        };
        requests.for_each_concurrent(SERVED_MAX, serve_one).await
    }

    async fn answer_request(&self, request: &Delivery, body: &[u8]) -> Result<()> {
        let properties = request.properties().decode();
        let Some(reply_to) = properties.reply_to else { return Ok(()) };
        let reply_to = String::from_utf8_lossy(&reply_to);
        let correlation_id = properties.correlation_id;
        let answer = leveret_spec::Properties { correlation_id, ..Default::default() };
        self.publish(Publish::to_queue(&reply_to).properties(answer).body(body)).await
    }
}

impl Rpc {
    /// Limits how long a call may take; 30 seconds by default.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sends a request and waits for its answer. Reply-to, correlation id and the mandatory flag are set here.
    ///
    /// If the future is dropped, the answer is dropped when it comes.
    ///
    /// # Errors
    /// `Returned` at once if the request reaches no queue, `Timeout` if no answer comes in time, and what closed the
    /// channel or connection. If the connection is lost meanwhile the call fails with the reason: the request may have
    /// been handled or not. Calls after that wait until it is back.
    pub async fn call(&self, request: Publish<'_>) -> Result<Message> {
        let Line { channel, calls, .. } = &*self.line;
        let answered = async {
            // A call that waits for the connection must not fail with those that were under way when it was lost.
            channel.until_live().await?;
            let (waiting, answer) = begin(calls)?;
            let id = waiting.id.to_string();
            let sending = pin!(channel.publish(request.reply_to(REPLY_TO).correlation_id(&id).mandatory()));
            let answer = match select(sending, answer).await {
                Either::Left((sent, answer)) => {
                    sent?;
                    answer.await
                }
                // It has failed before it was sent, and will not be.
                Either::Right((failed, _)) => failed,
            };
            answer.unwrap_or_else(|_| Err(Error::closed_here(Scope::Channel)))
        };
        tokio::time::timeout(self.timeout, answered).await.unwrap_or(Err(Error::Timeout("answer to the call")))
    }
}

fn begin(calls: &Mutex<Calls>) -> Result<(Waiting<'_>, oneshot::Receiver<Answer>)> {
    let (answer, receiver) = oneshot::channel();
    let mut list = locked(calls);
    if let Some(error) = &list.end {
        return Err(error.clone());
    }
    list.made += 1;
    let id = list.made;
    list.waiting.insert(id, answer);
    Ok((Waiting { calls, id }, receiver))
}

/// Brings answers and returned requests to their calls.
async fn read(mut answers: Consumer, mut returns: Returns, calls: Arc<Mutex<Calls>>) {
    let end = poll_fn(|cx| {
        while let Poll::Ready(Some(Ok(returned))) = returns.poll_returned(cx) {
            let id = call_id(returned.message.properties());
            finish(&calls, id, Err(Error::Returned(Box::new(returned))));
        }
        loop {
            match std::task::ready!(answers.poll_delivery(cx)) {
                Some(Ok(delivery)) => {
                    let id = call_id(delivery.properties());
                    finish(&calls, id, Ok(delivery.into_message()));
                }
                Some(Err(error)) => return Poll::Ready(error),
                None => return Poll::Ready(Error::closed_here(Scope::Channel)),
            }
        }
    })
    .await;
    locked(&calls).end = Some(end.clone());
    Calls::fail(&calls, &end);
}

fn call_id(properties: RawProperties<'_>) -> Option<u64> {
    std::str::from_utf8(&properties.correlation_id()?).ok()?.parse().ok()
}

/// Ends a call. An answer that comes too late, or to nothing that was asked, is dropped.
fn finish(calls: &Mutex<Calls>, id: Option<u64>, answer: Answer) {
    let waiting = id.and_then(|id| locked(calls).waiting.remove(&id));
    if let Some(waiting) = waiting {
        // The caller may have stopped waiting.
        let _ = waiting.send(answer);
    }
}

impl std::fmt::Debug for Rpc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rpc").field("channel", &self.line.channel).field("timeout", &self.timeout).finish()
    }
}
