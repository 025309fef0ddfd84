//! `up`: all services in one program, over a broker of its own or a given one.

pub(crate) mod embedded;
mod run;
mod services;
mod spammers;
mod summary;

use crate::error::Error;
use crate::letters;
use crate::prompt;
use crate::screen::Screen;
use crate::spam::Warnings;
use crate::stop::Stop;
use embedded::Embedded;
use indicatif::ProgressBar;
use run::Run;
use services::{Event, Services};
use spammers::Counted;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use summary::Summary;
use tempfile::TempDir;

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
    /// How long `once` waits while nothing happens.
    pub patience: Duration,
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
    // With `once`, only messages of the run itself count.
    let only = settings.once.then(|| run.id().to_owned());
    let services = Services::start(url, settings, warnings, only, screen).await?;
    let mut up = Up { settings, screen, services, run, bars: Bars::new(settings, screen, files.len()) };
    let done = up.watch(&files, stop).await;
    up.bars.clear();
    let Up { services, run, .. } = up;
    let (tally, ended) = services.end().await;
    Summary { tally: &tally, files: run.files(), warned: run.warned(), out: &out }.print(screen, settings.json);
    done.and(ended)
}

struct Up<'u> {
    settings: &'u Settings,
    screen: &'u Screen,
    services: Services,
    run: Run,
    bars: Bars,
}

impl Up<'_> {
    /// Publishes `files` and those that are entered, and follows what comes of them.
    async fn watch(&mut self, files: &[String], mut stop: Stop) -> Result<(), Error> {
        for file in files {
            tokio::select! {
                biased;
                () = stop.asked() => return self.interrupted(),
                published = publish(&mut self.run, &self.services, file) => published?,
            }
        }
        let interactive = !self.settings.once && std::io::stdin().is_terminal();
        let mut entered = interactive.then(|| prompt::entered(self.screen));
        while !(self.settings.once && self.run.is_over()) {
            let next_name = async {
                match &mut entered {
                    Some(entered) => entered.recv().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = stop.asked() => return self.interrupted(),
                event = self.services.event() => self.follow(event)?,
                name = next_name => match name {
                    Some((name, _answered)) => publish(&mut self.run, &self.services, &name).await?,
                    None => return Ok(()),
                },
                () = tokio::time::sleep(self.settings.patience), if self.settings.once => {
                    return Err(Error::Unfinished(format!("nothing happens any more, {}", self.run.missing())));
                }
            }
            self.bars.warned(&self.run);
        }
        Ok(())
    }

    fn follow(&mut self, event: Event) -> Result<(), Error> {
        match event {
            Event::Counted(Counted { result, expected }) => {
                if self.run.counted(result.label.as_deref(), &result.cruncher, expected) {
                    self.bars.crunched(&result.cruncher);
                }
            }
            Event::Ended(ended) => {
                if !self.settings.once || run::is_of(self.run.id(), ended.label.as_deref()) {
                    self.run.warning_ended(&ended.local_part, ended.written);
                }
            }
            Event::Failed(why) => return Err(why),
        }
        Ok(())
    }

    fn interrupted(&self) -> Result<(), Error> {
        if self.settings.once { Err(Error::Unfinished(self.run.missing())) } else { Ok(()) }
    }
}

async fn publish(run: &mut Run, services: &Services, file: &str) -> Result<(), Error> {
    let label = run.add_file();
    prompt::publish(&services.prompt, file, Some(&label)).await
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

/// The bars of `--once` on a terminal.
struct Bars {
    fast: ProgressBar,
    slow: ProgressBar,
    warned: ProgressBar,
}

impl Bars {
    fn new(settings: &Settings, screen: &Screen, files: usize) -> Bars {
        let screen = if settings.once { screen.clone() } else { Screen::default() };
        let files = files as u64;
        Bars { fast: screen.bar("fast", files), slow: screen.bar("slow", files), warned: screen.bar("warned", 0) }
    }

    fn crunched(&self, cruncher: &str) {
        let bar = if cruncher == crate::crunch::Kind::Fast.name() { &self.fast } else { &self.slow };
        bar.inc(1);
    }

    fn warned(&self, run: &Run) {
        self.warned.set_length(run.warnings() as u64);
        self.warned.set_position(run.warned() as u64);
    }

    fn clear(&self) {
        for bar in [&self.fast, &self.slow, &self.warned] {
            bar.finish_and_clear();
        }
    }
}
