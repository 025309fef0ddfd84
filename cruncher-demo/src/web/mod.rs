//! `web`: the email cruncher in the browser. Prompt and status service are the page's; crunchers and spammers run here
//! too, or elsewhere over the same broker, which may come and go.
//!
//! ```text
//! browser -- POST /letters/NAME --> http --> uploads --> session (prompt, crunchers, status, spammers) <--> broker
//!         <-- GET /events --------- http <-- feed <-- board <------|
//! ```

mod board;
mod feed;
mod http;
mod rows;
mod server;
mod session;
mod spammers;
mod text;
mod uploads;

use crate::error::Error;
use crate::screen::Screen;
use crate::spam::Warnings;
use crate::stop::Stop;
use crate::tally::Tally;
use crate::topology::without_login;
use crate::up::{embedded::Embedded, run_id};
use board::Board;
use feed::Feed;
use http::LETTER_BYTES_MAX;
use rows::{Broker, Fixed, Link};
use session::{Crew, Session, connected};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use uploads::Uploads;

/// The pause before a lost broker is tried again; it doubles with each try.
const PAUSE: Duration = Duration::from_millis(200);
/// Longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// What `web` is asked to do.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the page is served; port 0 picks a free one.
    pub listen: SocketAddr,
    /// The broker; without one, a broker is started.
    pub url: Option<String>,
    /// Where a broker that is started listens.
    pub broker_listen: SocketAddr,
    /// The domain whose addresses are warned.
    pub domain: String,
    /// Where the warnings go; without it, a new folder under the system's temporary one.
    pub out: Option<PathBuf>,
    /// Run no crunchers and spammers: they run elsewhere.
    pub only_page: bool,
}

/// The page, ready to be opened.
pub struct Web {
    listener: TcpListener,
    address: SocketAddr,
    broker: Embedded,
    crew: Crew,
    first: Option<Session>,
}

/// Serves the page until `stop`, and says on standard output where it can be opened.
///
/// # Errors
/// When the page cannot be served, or the broker will not have it.
pub async fn run(settings: &Settings, screen: &Screen, stop: Stop) -> Result<(), Error> {
    let web = Web::start(settings, screen).await?;
    screen.line(&format!("open {}", web.url()));
    web.serve(stop).await
}

impl Web {
    /// Gets all ready. A broker that is away for now is waited for later.
    ///
    /// # Errors
    /// As `run`.
    pub async fn start(settings: &Settings, screen: &Screen) -> Result<Web, Error> {
        let address = settings.listen;
        let cannot = |source| Error::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(cannot)?;
        let address = listener.local_addr().map_err(cannot)?;
        let broker = Embedded::unless(settings.url.as_deref(), settings.broker_listen, "web", screen).await?;
        let crew = crew(settings, &broker, screen)?;
        if !address.ip().is_loopback() {
            screen.note("web: whoever can reach this address can hand letters in and read what is found");
        }
        let first = match Session::start(&crew).await {
            Ok(session) => Some(session),
            Err(why) if may_pass(&why) => {
                crew.screen.note(&format!("web: {why}; it is tried again"));
                crew.lost(&why);
                None
            }
            Err(why) => return Err(why),
        };
        Ok(Web { listener, address, broker, crew, first })
    }

    /// Where the page can be opened on this machine.
    pub fn url(&self) -> String {
        let ip = match self.address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::from(Ipv4Addr::LOCALHOST),
            IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::from(Ipv6Addr::LOCALHOST),
            ip => ip,
        };
        format!("http://{}", SocketAddr::new(ip, self.address.port()))
    }

    /// Serves until `stop`.
    ///
    /// # Errors
    /// When a service or the embedded broker does not end properly.
    pub async fn serve(self, stop: Stop) -> Result<(), Error> {
        let Web { listener, address, broker, crew, first } = self;
        let (feed, uploads) = (crew.feed.clone(), crew.uploads.clone());
        let routes = http::routes(feed, uploads.clone(), address.ip().is_loopback(), stop.clone());
        let screen = crew.screen.clone();
        let (worked, ()) = tokio::join!(keep_up(crew, first, stop.clone()), server::run(listener, routes, stop));
        if let Some((letters, folder)) = uploads.end() {
            screen.note(&format!("web: {letters} letters are not crunched yet; they stay in {}", folder.display()));
        }
        let ended = broker.shutdown().await;
        worked.and(ended)
    }
}

fn crew(settings: &Settings, broker: &Embedded, screen: &Screen) -> Result<Crew, Error> {
    let run = run_id();
    let uploads = Arc::new(Uploads::new(&run)?);
    let domain = settings.domain.to_lowercase();
    let tally = Arc::new(Mutex::new(Tally::new(&domain)));
    let (warnings, out) = match settings.only_page {
        true => (None, None),
        false => Warnings::into_folder(&domain, settings.out.as_deref())
            .map(|(warnings, out)| (Some(warnings), Some(out)))?,
    };
    let (out, own_services) = (out.map(|out| out.display().to_string()), warnings.is_some());
    let fixed = Fixed { run, domain, out, own_services, letter_bytes_max: LETTER_BYTES_MAX };
    let (url, embedded) = (broker.url().to_owned(), broker.is_own());
    let link = Broker { link: Link::Connecting, address: without_login(&url), embedded, healed: 0 };
    let feed = Arc::new(Feed::new(Board::new(fixed, link)));
    Ok(Crew { url, feed, uploads, tally, warnings, screen: screen.remarks_only() })
}

/// Works, one session after another, until `stop`.
async fn keep_up(crew: Crew, mut next: Option<Session>, mut stop: Stop) -> Result<(), Error> {
    let mut pauses = Pauses(PAUSE);
    loop {
        let started = match next.take() {
            Some(session) => Ok(session),
            None => tokio::select! {
                () = stop.asked() => return Ok(()),
                started = Session::start(&crew) => started,
            },
        };
        let begin = Instant::now();
        match started {
            Ok(session) => {
                if let Some(ended) = work(&crew, session, &stop).await {
                    return ended;
                }
            }
            Err(why) => crew.lost(&why),
        }
        tokio::select! {
            () = stop.asked() => return Ok(()),
            () = tokio::time::sleep(pauses.next(begin.elapsed())) => {}
        }
    }
}

/// The pauses between one session and the next.
struct Pauses(Duration);

impl Pauses {
    /// The pause after a session that has `lasted` so long. One that ends as soon as it starts is no success: what ended
    /// it may end the next one too.
    fn next(&mut self, lasted: Duration) -> Duration {
        let pause = if lasted > PAUSE_MAX { PAUSE } else { self.0 };
        self.0 = (pause * 2).min(PAUSE_MAX);
        pause
    }
}

/// Works for one session. None when the broker is lost, else how it ended because of `stop`.
async fn work(crew: &Crew, mut session: Session, stop: &Stop) -> Option<Result<(), Error>> {
    crew.feed.tell(|board| board.link(connected(&session)));
    let failure = session.failure(stop.clone()).await;
    if let Some(why) = &failure {
        crew.screen.note(&format!("web: {why}; connecting again"));
        crew.lost(why);
    }
    // What is in hand may take a while.
    let ended = session.end(failure.is_none()).await;
    failure.is_none().then_some(ended)
}

/// Is this something that waiting may help against?
fn may_pass(why: &Error) -> bool {
    match why {
        Error::Connect { source, .. } | Error::Broker(source) => source.is_retryable(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_session_that_lasts_makes_the_pause_short_again() {
        let mut pauses = Pauses(PAUSE);
        let mut all: Vec<_> = (0..8).map(|_| pauses.next(Duration::from_millis(5))).collect();
        assert!(all.is_sorted());
        assert_eq!((all[0], all[1], all.pop()), (PAUSE, 2 * PAUSE, Some(PAUSE_MAX)));
        assert_eq!(pauses.next(2 * PAUSE_MAX), PAUSE);
        assert_eq!(pauses.next(Duration::ZERO), 2 * PAUSE);
    }
}
