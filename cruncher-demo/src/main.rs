//! The program: arguments become a service, which runs until it is done or told to end.

use clap::{Args, Parser, Subcommand};
use cruncher_demo::crunch::{Cruncher, Kind};
use cruncher_demo::error::Error;
use cruncher_demo::mail::{Post, SENDER};
use cruncher_demo::screen::Screen;
use cruncher_demo::service::serve;
use cruncher_demo::spam::{ATTEMPTS, Spammer, Warnings};
use cruncher_demo::status::{Alone, Status};
use cruncher_demo::stop::Stop;
use cruncher_demo::tally::Tally;
use cruncher_demo::topology::{self, DOMAIN};
use cruncher_demo::{prompt, up, web};
use lettre::message::Mailbox;
use leveret_client::{Channel, Connection};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The email cruncher: finds e-mail addresses in files with services that talk over AMQP
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    service: Service,
}

#[derive(Subcommand)]
enum Service {
    /// Take file names and publish them to the crunchers
    Prompt(Prompt),
    /// Find the addresses in each file that is published
    Crunch(Crunch),
    /// Count the addresses found and ask for warnings to the new ones of a domain
    Status(StatusArguments),
    /// Warn one address by mail whenever asked to
    Spam(Spam),
    /// Run a broker and all services in one program
    Up(Up),
    /// Serve a page to paste letters into and watch the services work, with a broker and all services
    Web(Web),
}

#[derive(Args)]
struct Broker {
    /// The broker
    #[arg(long, env = "AMQP_URL", hide_env_values = true, default_value = "amqp://guest:guest@127.0.0.1:5672/")]
    url: String,
}

#[derive(Args)]
struct Prompt {
    /// The files to crunch; asked for when there are none
    files: Vec<String>,
    #[command(flatten)]
    broker: Broker,
}

#[derive(Args)]
struct Crunch {
    #[command(flatten)]
    kind: KindFlags,
    /// End after so many files
    #[arg(long)]
    limit: Option<u64>,
    #[command(flatten)]
    broker: Broker,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct KindFlags {
    /// By a regular expression (queue regex-cruncher)
    #[arg(long)]
    fast: bool,
    /// With care: decode, read, check (queue slow-cruncher)
    #[arg(long)]
    slow: bool,
}

#[derive(Args)]
struct StatusArguments {
    /// The domain whose addresses are warned
    #[arg(long, default_value = DOMAIN)]
    domain: String,
    /// End after so many results
    #[arg(long)]
    limit: Option<u64>,
    #[command(flatten)]
    broker: Broker,
}

#[derive(Args)]
struct Spam {
    /// The part of the address before the @
    #[arg(long, value_name = "LOCALPART", value_parser = local_part)]
    name: String,
    /// The part of the address after the @
    #[arg(long, default_value = DOMAIN)]
    domain: String,
    /// Who the mail is from
    #[arg(long, default_value = SENDER)]
    from: Mailbox,
    /// Write each mail as a file into this folder; nothing is sent
    #[arg(long, value_name = "DIR", default_value = "warnings", conflicts_with = "smtp")]
    out: PathBuf,
    /// Really send each mail: smtp://host:port, smtps://user:password@host, smtp://host?tls=required
    #[arg(long, value_name = "URL")]
    smtp: Option<String>,
    /// How often a mail is tried before it is given up
    #[arg(long, default_value_t = ATTEMPTS, value_parser = clap::value_parser!(u32).range(1..=100))]
    attempts: u32,
    /// End after so many messages
    #[arg(long)]
    limit: Option<u64>,
    #[command(flatten)]
    broker: Broker,
}

#[derive(Args)]
struct Up {
    /// The files to crunch; without any, example letters
    files: Vec<String>,
    /// End when every file is crunched and every warning written
    #[arg(long)]
    once: bool,
    /// Print the totals as a line of JSON at the end
    #[arg(long)]
    json: bool,
    /// Use this broker instead of starting one
    #[arg(long, env = "AMQP_URL", hide_env_values = true)]
    url: Option<String>,
    /// Where the broker that is started listens
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// The domain whose addresses are warned
    #[arg(long, default_value = DOMAIN)]
    domain: String,
    /// Where the warnings are written; without it, a new folder among the temporary ones
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print lines, with bars for --once, where a terminal would show a live view
    #[arg(long)]
    plain: bool,
    /// Kill crunchers in mid-work, again and again, and check that nothing is lost or counted twice
    #[arg(long)]
    chaos: bool,
    /// Send the files again and again, one each so many milliseconds
    #[arg(long, value_name = "MILLISECONDS", conflicts_with = "once", value_parser = clap::value_parser!(u64).range(1..))]
    every: Option<u64>,
    /// Let each file last so long with the slow cruncher, and a quarter of it with the fast one, to be watched
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 0)]
    pace: u64,
    /// How long --once waits while nothing happens
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    patience: u64,
}

#[derive(Args)]
struct Web {
    /// Where the page is served; port 0 picks a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Use this broker instead of starting one
    #[arg(long, env = "AMQP_URL", hide_env_values = true)]
    url: Option<String>,
    /// Where the broker that is started listens
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    broker_listen: SocketAddr,
    /// Run no crunchers and spammers here: they run elsewhere, over the same broker
    #[arg(long)]
    only_page: bool,
    /// The domain whose addresses are warned
    #[arg(long, default_value = DOMAIN)]
    domain: String,
    /// Where the warnings are written; without it, a new folder among the temporary ones
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let screen = Screen::new();
    let stop = Stop::on_ctrl_c();
    let ended = match Cli::parse().service {
        Service::Prompt(arguments) => prompt_service(arguments, &screen, stop).await,
        Service::Crunch(arguments) => crunch_service(arguments, &screen, stop).await,
        Service::Status(arguments) => status_service(arguments, &screen, stop).await,
        Service::Spam(arguments) => spam_service(arguments, &screen, stop).await,
        Service::Up(arguments) => up_service(arguments, &screen, stop).await,
        Service::Web(arguments) => web_service(arguments, &screen, stop).await,
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            screen.note(&format!("cruncher-demo: {error}"));
            ExitCode::from(if matches!(error, Error::Usage(_)) { 2 } else { 1 })
        }
    }
}

/// Connects and declares what all services share.
async fn join(broker: &Broker, service: &str) -> Result<(Connection, Channel), Error> {
    let connection = topology::connect(&broker.url, service).await?;
    let channel = connection.open_channel().await?;
    topology::declare(&channel).await?;
    Ok((connection, channel))
}

async fn prompt_service(arguments: Prompt, screen: &Screen, stop: Stop) -> Result<(), Error> {
    let (connection, channel) = join(&arguments.broker, "prompt").await?;
    prompt::run(&channel, &arguments.files, screen, stop).await?;
    Ok(connection.close().await?)
}

async fn crunch_service(arguments: Crunch, screen: &Screen, stop: Stop) -> Result<(), Error> {
    let kind = if arguments.kind.fast { Kind::Fast } else { Kind::Slow };
    let (connection, channel) = join(&arguments.broker, kind.queue()).await?;
    let (cruncher, consumer) = Cruncher::start(kind, channel, screen.clone()).await?;
    screen.note(&format!("{}: waiting for file names in {}; Ctrl-C ends", kind.name(), kind.queue()));
    serve(cruncher, consumer, stop, arguments.limit).await?;
    Ok(connection.close().await?)
}

async fn status_service(arguments: StatusArguments, screen: &Screen, stop: Stop) -> Result<(), Error> {
    let (connection, channel) = join(&arguments.broker, "status").await?;
    let tally = Arc::new(Mutex::new(Tally::new(&arguments.domain)));
    let (status, consumer) = Status::start(tally, channel, screen.clone(), Alone, false).await?;
    screen.note(&format!("status: waiting for results, watching {}; Ctrl-C ends", arguments.domain));
    serve(status, consumer, stop, arguments.limit).await?;
    Ok(connection.close().await?)
}

async fn spam_service(arguments: Spam, screen: &Screen, stop: Stop) -> Result<(), Error> {
    let Spam { name, domain, from, out, smtp, attempts, limit, broker } = arguments;
    let post = smtp.map_or_else(|| Post::folder(&out), |url| Post::smtp(&url))?;
    let (connection, channel) = join(&broker, "spam").await?;
    let warnings = Warnings { domain, sender: from, post, attempts };
    let waiting = format!("spam: waiting for warnings to {name}@{}; Ctrl-C ends", warnings.domain);
    let (spammer, consumer) = Spammer::start(&name, warnings, channel, screen.clone()).await?;
    screen.note(&waiting);
    serve(spammer, consumer, stop, limit).await?;
    Ok(connection.close().await?)
}

async fn up_service(arguments: Up, screen: &Screen, stop: Stop) -> Result<(), Error> {
    let Up { files, once, json, url, listen, domain, out, plain, chaos, every, pace, patience } = arguments;
    let (patience, pace) = (Duration::from_secs(patience), Duration::from_millis(pace));
    let every = every.map(Duration::from_millis);
    let settings = up::Settings { url, listen, files, domain, out, once, json, plain, chaos, every, pace, patience };
    up::run(&settings, screen, stop).await
}

async fn web_service(arguments: Web, screen: &Screen, stop: Stop) -> Result<(), Error> {
    let Web { listen, url, broker_listen, only_page, domain, out } = arguments;
    web::run(&web::Settings { listen, url, broker_listen, domain, out, only_page }, screen, stop).await
}

fn local_part(text: &str) -> Result<String, String> {
    let fits = 1..=topology::NAME_BYTES_MAX;
    match text.contains('@') || !fits.contains(&text.len()) {
        true => Err("only the part before the @, 1 to 255 bytes".to_owned()),
        false => Ok(text.to_owned()),
    }
}
