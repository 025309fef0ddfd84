//! `up`: all services in one program, over a broker of its own or a given one.

mod bars;
mod board;
mod chaos;
mod cruncher;
mod depths;
pub(crate) mod embedded;
mod endings;
mod run;
mod services;
mod spammers;
mod summary;
mod view;
mod watch;

use crate::error::Error;
use crate::letters;
use crate::screen::{Lines, Screen};
use crate::spam::Warnings;
use crate::stop::Stop;
use crate::topology::without_login;
use board::SharedBoard;
use chaos::{Check, addresses_in};
use embedded::Embedded;
use run::Run;
use services::Services;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use summary::Summary;
use tempfile::TempDir;
use view::View;
use watch::{Remains, Up};

/// What `up` is asked to do.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The broker; without one, a broker is started.
    pub url: Option<String>,
    /// Where a broker that is started listens.
    pub listen: SocketAddr,
    /// The files to crunch; without any, the example letters.
    pub files: Vec<String>,
    /// The domain whose addresses are warned.
    pub domain: String,
    /// Where the warnings go; without it, a new folder under the system's temporary one.
    pub out: Option<PathBuf>,
    /// End when all is done.
    pub once: bool,
    /// Print the totals as JSON.
    pub json: bool,
    /// Print lines even where a terminal would show a live view.
    pub plain: bool,
    /// Kill crunchers in mid-work, again and again.
    pub chaos: bool,
    /// Send the files again and again, one each time this is over.
    pub every: Option<Duration>,
    /// How long a file lasts at least with the slow cruncher.
    pub pace: Duration,
    /// How long `once` waits while nothing happens.
    pub patience: Duration,
}

impl Settings {
    /// Do only messages of the run itself count? They must where all is accounted for at the end.
    fn counts_own(&self) -> bool {
        self.once || self.chaos
    }
}

/// Runs everything until `stop`, or with `once` until all is done.
///
/// # Errors
/// When a service or the broker fails, or `once` could not finish.
pub async fn run(settings: &Settings, screen: &Screen, stop: Stop) -> Result<(), Error> {
    let broker = Embedded::unless(settings.url.as_deref(), settings.listen, "up", screen).await?;
    let worked = work(broker.url(), settings, screen, stop).await;
    let ended = broker.shutdown().await;
    worked.and(ended)
}

async fn work(url: &str, settings: &Settings, screen: &Screen, stop: Stop) -> Result<(), Error> {
    let (files, _letters) = files(settings)?;
    let (warnings, out) = Warnings::into_folder(&settings.domain, settings.out.as_deref())?;

    let run = Run::new(run_id());
    let board = board(url, settings);
    let lines = view::is_wanted(settings).then(Lines::default);
    let services_screen = lines.clone().map_or_else(|| screen.clone(), Screen::drawn);
    let mut services = Services::start(url, settings, warnings, run.id(), &services_screen, board.clone()).await?;
    let mut view = None;
    if let Some(lines) = lines {
        services.watch_depths(url).await?;
        view = Some(View::start(board.clone(), lines, settings.chaos)?);
    }
    let mut up = Up::new(settings, services_screen, services, run, board.clone(), view, files.len());
    let done = up.watch(&files, stop).await;
    let Remains { services, run, sent, view: left } = up.end();
    let (tally, ended) = services.end().await;

    let check = match sent.filter(|_| settings.chaos) {
        Some(sent) => account(&board, sent).await.map(Some),
        None => Ok(None),
    };
    if settings.chaos && matches!(check, Ok(None)) {
        let killed = board.open().kills();
        screen.line(&format!("up: chaos: {killed} killed; left before all was crunched, {}", run.missing()));
    }
    let told = check.as_ref().ok().and_then(Option::as_ref);
    Summary { tally: &tally, files: run.files(), warned: run.warned(), out: &out, check: told }
        .print(screen, settings.json);
    let same = check.and_then(|check| match check {
        Some(check) if !check.holds() => Err(Error::Unfinished(check.to_string())),
        _ => Ok(()),
    });
    done.and(left).and(ended).and(same)
}

/// Holds what is on the board against what is in the files that were `sent`.
async fn account(board: &SharedBoard, sent: BTreeSet<String>) -> Result<Check, Error> {
    let expected = tokio::task::spawn_blocking(move || addresses_in(&sent)).await;
    let expected = expected.map_err(|why| Error::Unfinished(format!("counting without chaos broke: {why}")))?;
    Ok(Check::of(&board.open(), expected))
}

fn board(url: &str, settings: &Settings) -> SharedBoard {
    let board = SharedBoard::default();
    let mut painted = board.open();
    painted.broker = without_login(url);
    painted.domain = settings.domain.to_lowercase();
    painted.chaos = settings.chaos;
    drop(painted);
    board
}

/// The files to crunch, and the folder of the example letters if it is they.
fn files(settings: &Settings) -> Result<(Vec<String>, Option<TempDir>), Error> {
    if !settings.files.is_empty() {
        return Ok((settings.files.clone(), None));
    }
    let written = tempfile::Builder::new().prefix("cruncher-letters-").tempdir().and_then(|folder| {
        let paths = letters::write_to(folder.path())?;
        Ok((paths.iter().map(|path| path.display().to_string()).collect(), Some(folder)))
    });
    written.map_err(|source| Error::File { what: "write the example letters".to_owned(), source })
}

/// A name that no other run has: what time it is, and which process.
pub(crate) fn run_id() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    format!("{:x}-{:x}", now.as_nanos(), std::process::id())
}
