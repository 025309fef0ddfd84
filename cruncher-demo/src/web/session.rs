//! One conversation with the broker: the services of the page, each with a connection of its own, until one of them
//! loses it or the page ends. What they know (totals, letters, board) lives on in the next session.

use super::feed::Feed;
use super::rows::{Link, Queue};
use super::spammers::{Spammers, Watch};
use super::uploads::Uploads;
use crate::crunch::{Cruncher, Kind};
use crate::error::Error;
use crate::prompt;
use crate::screen::Screen;
use crate::service::serve;
use crate::spam::{Ended, Warnings};
use crate::status::{SharedTally, Status};
use crate::stop::{Stop, Stopper};
use crate::topology::{self, REGEX_CRUNCHER, SLOW_CRUNCHER, STATUS};
use leveret_client::{Channel, Connection, Consume, Consumer, QueueDeclare, QueueDelete};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

/// How many endings of warnings may wait to be shown.
const ENDED_MAX: usize = 64;
/// How long the services get for what they have in hand when all ends.
const END_TIMEOUT: Duration = Duration::from_secs(10);
/// How often the depths of the queues are asked for while somebody watches.
const QUEUES_INTERVAL: Duration = Duration::from_millis(500);
/// How long the broker remembers a page that is away. One that comes later sends its letters again, which counts nothing
/// twice.
const MARK_EXPIRES: Duration = Duration::from_secs(60 * 60);

/// What all sessions share.
#[derive(Clone)]
pub(super) struct Crew {
    pub(super) url: String,
    pub(super) feed: Arc<Feed>,
    pub(super) uploads: Arc<Uploads>,
    pub(super) tally: SharedTally,
    /// How the spammers write. None when they and the crunchers run elsewhere.
    pub(super) warnings: Option<Warnings>,
    pub(super) screen: Screen,
}

impl Crew {
    /// Shows that the broker is away.
    pub(super) fn lost(&self, why: &Error) {
        self.feed.tell(|board| board.link(Link::Lost { why: why.to_string() }));
    }
}

/// The services at work.
pub(super) struct Session {
    tasks: JoinSet<Result<(), Error>>,
    stopper: Stopper,
    connections: Vec<Connection>,
    mark: Consumer,
    mark_queue: String,
}

impl Session {
    /// Connects, declares and starts all services.
    ///
    /// # Errors
    /// When the broker is away or refuses.
    pub(super) async fn start(crew: &Crew) -> Result<Session, Error> {
        let page = topology::connect(&crew.url, "web").await?;
        let mark_queue = crew.uploads.mark();
        if has_forgotten(&page, &mark_queue).await? {
            let letters = crew.uploads.again();
            if letters > 0 {
                crew.screen.note(&format!("web: the broker has forgotten its queues; {letters} letters go out again"));
            }
        }
        let channel = page.open_channel().await?;
        topology::declare(&channel).await?;
        let mark = leave_mark(&page, &mark_queue).await?;
        let (stopper, stop) = Stop::new();
        let connections = vec![page.clone()];
        let mut session = Session { tasks: JoinSet::new(), stopper, connections, mark, mark_queue };
        session.status(crew, &stop).await?;
        if crew.warnings.is_some() {
            for kind in [Kind::Fast, Kind::Slow] {
                session.crunch(crew, kind, &stop).await?;
            }
        }
        session.tasks.spawn(until(stop.clone(), publish_letters(crew.clone(), channel)));
        session.tasks.spawn(until(stop.clone(), watch_queues(crew.feed.clone(), page)));
        Ok(session)
    }

    async fn connect(&mut self, crew: &Crew, service: &str) -> Result<Connection, Error> {
        let connection = topology::connect(&crew.url, service).await?;
        self.connections.push(connection.clone());
        Ok(connection)
    }

    async fn status(&mut self, crew: &Crew, stop: &Stop) -> Result<(), Error> {
        let connection = self.connect(crew, "status").await?;
        let (feed, uploads, screen) = (crew.feed.clone(), crew.uploads.clone(), crew.screen.clone());
        let spammers = match &crew.warnings {
            Some(warnings) => Some(self.spammers(crew, warnings.clone(), stop).await?),
            None => None,
        };
        let watch = Watch { feed, uploads, spammers };
        let started = Status::start_first(crew.tally.clone(), connection.open_channel().await?, screen, watch);
        let (status, consumer) = started.await?;
        self.tasks.spawn(serve(status, consumer, stop.clone(), None));
        Ok(())
    }

    /// Spammers, and at once those whose warnings were still in their queues when the last session ended.
    async fn spammers(&mut self, crew: &Crew, warnings: Warnings, stop: &Stop) -> Result<Spammers, Error> {
        let connection = self.connect(crew, "spam").await?;
        let (sender, ended) = mpsc::channel(ENDED_MAX);
        self.tasks.spawn(until(stop.clone(), lost(connection.clone())));
        tokio::spawn(show_ended(ended, crew.feed.clone()));
        let screen = crew.screen.clone();
        let mut spammers =
            Spammers { connection, warnings, screen, stop: stop.clone(), ended: sender, running: HashSet::new() };
        for local_part in crew.feed.look(super::board::Board::unwarned) {
            spammers.start(&local_part).await?;
        }
        Ok(spammers)
    }

    async fn crunch(&mut self, crew: &Crew, kind: Kind, stop: &Stop) -> Result<(), Error> {
        let connection = self.connect(crew, kind.queue()).await?;
        let channel = connection.open_channel().await?;
        let (cruncher, consumer) = Cruncher::start(kind, channel, crew.screen.clone()).await?;
        self.tasks.spawn(serve(cruncher, consumer, stop.clone(), None));
        Ok(())
    }

    /// What the broker calls itself.
    pub(super) fn product(&self) -> String {
        let Some(page) = self.connections.first() else { return String::new() };
        let properties = page.server_properties();
        let text = |key| properties.lookup(key).and_then(|value| value.as_str()).unwrap_or_default().to_owned();
        format!("{} {}", text("product"), text("version")).trim().to_owned()
    }

    /// Waits until a service fails; none when it is `stop` that comes.
    pub(super) async fn failure(&mut self, mut stop: Stop) -> Option<Error> {
        tokio::select! {
            biased;
            () = stop.asked() => None,
            Some(ended) = self.tasks.join_next() => Some(match ended {
                Ok(Err(why)) => why,
                Ok(Ok(())) => Error::Unfinished("a service ended too early".to_owned()),
                Err(why) => Error::Unfinished(format!("a service broke: {why}")),
            }),
        }
    }

    /// Ends all services after what they have in hand; `for_good` if no other session follows.
    ///
    /// # Errors
    /// When one does not end in time.
    pub(super) async fn end(mut self, for_good: bool) -> Result<(), Error> {
        self.stopper.stop();
        let all = async {
            while self.tasks.join_next().await.is_some() {}
            if for_good {
                // If not, it expires.
                let _ = self.mark.channel().queue_delete(QueueDelete::new(&self.mark_queue)).await;
            }
            for connection in &self.connections {
                // It may be lost already.
                let _ = connection.close().await;
            }
        };
        let in_time = tokio::time::timeout(END_TIMEOUT, all).await;
        in_time.map_err(|_| Error::Unfinished("a service did not end in time".to_owned()))
    }
}

/// True if the broker no longer has the mark of an earlier session, or has none yet. The queues that all share say
/// nothing: another service may have declared them again before us.
async fn has_forgotten(connection: &Connection, mark: &str) -> Result<bool, Error> {
    const NOT_FOUND: u16 = 404;
    // The broker closes the channel over a queue that is missing.
    let channel = connection.open_channel().await?;
    match channel.queue_declare(QueueDeclare::new(mark).passive()).await {
        Ok(_) => channel.close().await?,
        Err(why) if why.code() == Some(NOT_FOUND) => return Ok(true),
        Err(why) => return Err(why.into()),
    }
    Ok(false)
}

/// A queue by which the next session sees whether the broker still has what this one published. While there is a
/// consumer it does not expire.
async fn leave_mark(connection: &Connection, mark: &str) -> Result<Consumer, Error> {
    let channel = connection.open_channel().await?;
    let expires = i64::try_from(MARK_EXPIRES.as_millis()).unwrap_or(i64::MAX);
    channel.queue_declare(QueueDeclare::new(mark).durable().argument("x-expires", expires)).await?;
    Ok(channel.consume(Consume::new(mark)).await?)
}

/// `work`, until it ends or `stop`.
async fn until(mut stop: Stop, work: impl Future<Output = Result<(), Error>>) -> Result<(), Error> {
    tokio::select! {
        biased;
        () = stop.asked() => Ok(()),
        worked = work => worked,
    }
}

/// Ends with the connection.
async fn lost(connection: Connection) -> Result<(), Error> {
    Err(connection.closed().await.into())
}

/// The prompt of the page: publishes letters in the order in which they were handed in.
async fn publish_letters(crew: Crew, channel: Channel) -> Result<(), Error> {
    loop {
        let (number, path) = crew.uploads.next().await;
        let label = crew.uploads.label(number);
        crew.feed.tell(|board| {
            board.sending(&label, Instant::now());
            None
        });
        prompt::publish(&channel, &path, Some(&label)).await?;
        crew.uploads.published();
        crew.feed.tell(|board| board.sent(&label));
    }
}

/// Shows how warnings end.
async fn show_ended(mut ended: mpsc::Receiver<Ended>, feed: Arc<Feed>) {
    while let Some(Ended { local_part, written, .. }) = ended.recv().await {
        feed.tell(|board| board.ended(&local_part, written));
    }
}

/// Shows how many messages wait in the queues, and who works on them.
async fn watch_queues(feed: Arc<Feed>, connection: Connection) -> Result<(), Error> {
    let channel = connection.open_channel().await?;
    let mut ticks = tokio::time::interval(QUEUES_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            why = connection.closed() => return Err(why.into()),
            _ = ticks.tick() => {}
        }
        if !feed.is_watched() {
            continue;
        }
        let mut queues = Vec::new();
        for name in [REGEX_CRUNCHER, SLOW_CRUNCHER, STATUS] {
            let status = channel.queue_declare(QueueDeclare::new(name).passive()).await?;
            queues.push(Queue { name: status.name, messages: status.messages, consumers: status.consumers });
        }
        feed.tell(|board| board.queues(queues));
        let blocked = connection.blocked();
        feed.tell(|board| board.blocked(blocked));
    }
}

/// The state of the link that this session makes.
pub(super) fn connected(session: &Session) -> Link {
    Link::Connected { product: session.product(), blocked: None }
}
