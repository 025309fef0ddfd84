//! The broker's lives: it starts, is looked at, is put under load, and dies.

use std::fmt;
use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::consumer::Consumer;
use super::layout::Queue;
use super::ledger::{Counts, Ending, Kind};
use super::listing;
use super::publisher::Publisher;
use super::site::Site;
use crate::dice::Dice;
use crate::program::Program;

/// What a run is told.
#[derive(Clone, Debug)]
pub struct Options {
    /// The program.
    pub leveret: PathBuf,
    /// Where the broker's directory and its log are; made if need be.
    pub folder: PathBuf,
    /// How often the broker dies.
    pub cycles: u32,
    /// What decides all that is not time.
    pub seed: u64,
}

/// How a run ended.
#[derive(Clone, Debug)]
pub struct Report {
    /// Cycles without a fault.
    pub good: u32,
    /// What the broker did wrong, one sentence each.
    pub faults: Vec<String>,
    counts: Counts,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { published, confirmed, received, redelivered, settled, recovered } = self.counts;
        write!(
            f,
            "{} cycles; {published} messages published and {confirmed} confirmed, {received} received and {settled} \
             settled, {redelivered} redelivered, {recovered} found after restarts",
            self.good
        )
    }
}

/// Publishers, at most.
const PUBLISHERS: usize = 6;
/// Consumers of a queue, at most.
const CONSUMERS: usize = 3;
/// The shortest and the longest time under load, in milliseconds.
const LOAD_MS: (usize, usize) = (200, 1300);
/// A broker that is killed while it starts lives so long at most, in milliseconds.
const EARLY_MS: usize = 30;

/// What is looked at when the broker has started.
enum Look {
    Counts,
    List,
    Drain,
}

/// Runs until the last cycle, or the first fault.
///
/// # Errors
/// No folder or no runtime, which is not the broker's fault.
pub fn run(options: &Options) -> std::io::Result<Report> {
    fs::create_dir_all(&options.folder)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let site = Arc::new(Site::new(options.seed, PUBLISHERS));
    let mut lives = Lives { options, runtime, site, log_read: 0 };
    let mut good = 0;
    while good < options.cycles && lives.cycle(good) {
        good += 1;
    }
    if good == options.cycles {
        lives.last();
    }
    let ledger = lives.site.ledger();
    let faults = ledger.faults().iter().map(ToString::to_string).collect();
    Ok(Report { good, faults, counts: ledger.counts })
}

struct Lives<'a> {
    options: &'a Options,
    runtime: Runtime,
    site: Arc<Site>,
    /// How much of the broker's log was looked at.
    log_read: u64,
}

impl Lives<'_> {
    fn is_good(&self) -> bool {
        self.site.ledger().faults().is_empty()
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.options.leveret);
        command.args(["--log", "warning", "--data-dir"]).arg(self.options.folder.join("data"));
        command
    }

    fn fault(&self, text: String) {
        self.site.ledger().fault(Kind::Process, None, None, text);
    }

    fn start(&self) -> Option<Program> {
        let started = Program::start(&mut self.command(), &self.options.folder.join("broker.log"));
        started.map_err(|error| self.fault(error.text)).ok()
    }

    /// One life, and the death at its end. False if something was wrong.
    fn cycle(&mut self, number: u32) -> bool {
        let mut dice = Dice::of(self.options.seed, u64::from(number));
        if dice.one_in(8) {
            self.die_early(&mut dice);
        }
        let Some(broker) = self.start() else { return self.end_of_life() };
        let look = match dice.roll(16) {
            0..8 => Look::List,
            8 | 9 => Look::Drain,
            _ => Look::Counts,
        };
        self.look(&broker.url(), number == 0, &look);
        if self.is_good() {
            self.load(broker, &mut dice);
        }
        self.end_of_life()
    }

    /// A broker that is killed while it starts.
    fn die_early(&self, dice: &mut Dice) {
        let mut command = self.command();
        command.args(["--listen", "127.0.0.1:0", "--http", "off"]).stdout(Stdio::null()).stderr(Stdio::null());
        if let Ok(mut child) = command.spawn() {
            std::thread::sleep(Duration::from_micros(dice.roll(EARLY_MS * 1000) as u64));
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    fn look(&self, url: &str, is_new: bool, look: &Look) {
        let (site, url) = (&*self.site, url);
        let looked = self.runtime.block_on(async {
            if is_new {
                listing::declare(url).await?;
            }
            listing::count(site, url).await?;
            match look {
                Look::Counts => Ok(()),
                Look::List => listing::list(site, url, false).await,
                Look::Drain => listing::list(site, url, true).await,
            }
        });
        if let Err(error) = looked {
            site.ledger().fault(Kind::Topology, None, None, format!("what was declared cannot be read: {error}"));
        }
    }

    fn load(&self, mut broker: Program, dice: &mut Dice) {
        let (site, url) = (&self.site, broker.url());
        site.set_ending(false);
        let asked = dice.one_in(8);
        let lives = Duration::from_millis((LOAD_MS.0 + dice.roll(LOAD_MS.1 - LOAD_MS.0)) as u64);
        let mut clients = JoinSet::new();
        let _inside = self.runtime.enter();
        for publisher in self.publishers(dice) {
            clients.spawn(publisher.run(site.clone(), url.clone()));
        }
        for consumer in self.consumers(dice) {
            clients.spawn(consumer.run(site.clone(), url.clone()));
        }
        self.runtime.block_on(sleep(lives));
        if let Some(status) = broker.ended() {
            self.fault(format!("the broker ended by itself, with {status}"));
        }
        site.set_ending(true);
        let at = site.now();
        if asked {
            site.ledger().closing();
            if let Err(text) = broker.terminate() {
                self.fault(text);
            }
        } else {
            let _ = broker.kill();
        }
        // Everything that the broker had sent is still read.
        self.runtime.block_on(async { while clients.join_next().await.is_some() {} });
        site.ledger().crashed(at, if asked { Ending::Asked } else { Ending::Killed });
    }

    fn publishers(&self, dice: &mut Dice) -> Vec<Publisher> {
        let number = 2 + dice.roll(PUBLISHERS - 1);
        (0..number as u16).map(|publisher| Publisher::new(publisher, Dice::new(dice.bits()))).collect()
    }

    fn consumers(&self, dice: &mut Dice) -> Vec<Consumer> {
        // Now and then nobody consumes, and a backlog grows.
        let busy = dice.pick(&[0, 1, 2, 2, CONSUMERS]);
        let mut consumers = vec![];
        for queue in Queue::all() {
            for _ in 0..dice.roll(busy + 1) {
                let is_slow = dice.one_in(3);
                consumers.push(Consumer::new(self.site.number(), queue, is_slow, Dice::new(dice.bits())));
            }
        }
        consumers
    }

    /// Nothing is left in the end, and nothing comes back.
    fn last(&mut self) {
        for last in [false, true] {
            let Some(broker) = self.start() else { return };
            self.look(&broker.url(), false, &Look::Drain);
            if last && self.site.ledger().live() > 0 {
                self.fault(format!("{} copies are left", self.site.ledger().live()));
            }
            let at = self.site.now();
            if let Err(text) = broker.terminate() {
                self.fault(text);
            }
            self.site.ledger().crashed(at, Ending::Asked);
            self.end_of_life();
        }
    }

    /// Looks into the log for what nobody saw from outside. False if something was wrong.
    fn end_of_life(&mut self) -> bool {
        let mut text = vec![];
        if let Ok(mut log) = fs::File::open(self.options.folder.join("broker.log"))
            && log.seek(SeekFrom::Start(self.log_read)).is_ok()
            && log.read_to_end(&mut text).is_ok()
        {
            self.log_read += text.len() as u64;
        }
        let text = String::from_utf8_lossy(&text);
        for line in text.lines().filter(|line| line.contains("panicked") || line.contains("ERROR")) {
            self.fault(format!("the broker logged: {line}"));
        }
        self.is_good()
    }
}
