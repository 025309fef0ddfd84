//! The broker that is judged: the one at AMQP_URL, or an embedded Leveret.

use std::env;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::LazyLock;
use std::time::Duration;

use leveret::Config;

use crate::own::Own;
use crate::peer::Peer;

/// The embedded broker's limit for messages, in bytes: small, so that a test can exceed it in no time.
const EMBEDDED_MESSAGE_BYTES_MAX: u64 = 4 << 20;
/// The embedded broker's patience with peers that do not say who they are: long enough for those that will.
const EMBEDDED_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(3);

/// A broker, and how to get in.
#[derive(Debug)]
pub struct Target {
    address: SocketAddr,
    user: String,
    password: String,
    vhost: String,
    /// Where the management API is, if the broker is embedded.
    http: Option<SocketAddr>,
    product: LazyLock<Product>,
}

/// What a broker says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Product {
    /// Leveret, under its own name.
    Leveret,
    /// RabbitMQ of that version, or a broker that wants to be taken for it.
    RabbitMq {
        /// The version's first number.
        major: u16,
        /// The version's second number.
        minor: u16,
    },
}

/// The broker that this process judges.
pub fn target() -> &'static Target {
    static TARGET: LazyLock<Target> = LazyLock::new(|| match env::var("AMQP_URL") {
        Ok(url) => Target::parse(&url),
        Err(_) => Target::embedded(),
    });
    &TARGET
}

impl Target {
    fn parse(url: &str) -> Target {
        let Url { user, password, address, path } = Url::parse("AMQP_URL", "amqp://", 5672, url);
        let vhost = path.filter(|path| !path.is_empty()).unwrap_or_else(|| "/".into());
        Target { address, user, password, vhost, http: None, product: LazyLock::new(recognise) }
    }

    fn embedded() -> Target {
        let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut config = Config::in_memory().listen(anywhere).http(anywhere);
        config.limits.message_bytes_max = EMBEDDED_MESSAGE_BYTES_MAX;
        config.limits.handshake_timeout = EMBEDDED_HANDSHAKE_TIMEOUT;
        let broker = Own::start(config);
        let (address, http) = (broker.address(), broker.http_address());
        // It ends with the process.
        std::mem::forget(broker);
        Target {
            address,
            user: "guest".into(),
            password: "guest".into(),
            vhost: "/".into(),
            http,
            product: LazyLock::new(recognise),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The user to log in as.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The user's password.
    pub fn password(&self) -> &str {
        &self.password
    }

    /// The virtual host that the tests work in.
    pub fn vhost(&self) -> &str {
        &self.vhost
    }

    /// True if the broker ends with this process, and all that the tests have left behind with it.
    pub fn is_embedded(&self) -> bool {
        self.http.is_some()
    }

    /// Where an embedded broker has its management API.
    pub(crate) fn http_address(&self) -> Option<SocketAddr> {
        self.http
    }

    /// What the broker says it is.
    pub fn product(&self) -> Product {
        *self.product
    }

    /// The largest message that the broker takes with its default settings, in bytes.
    pub fn message_bytes_max(&self) -> u64 {
        match self.product() {
            Product::Leveret if self.is_embedded() => EMBEDDED_MESSAGE_BYTES_MAX,
            Product::RabbitMq { major: 4.., .. } => 16 << 20,
            _ => 128 << 20,
        }
    }
}

/// A URL with a login.
pub(crate) struct Url {
    pub(crate) user: String,
    pub(crate) password: String,
    pub(crate) address: SocketAddr,
    /// What is behind the `/`, if there is one.
    pub(crate) path: Option<String>,
}

impl Url {
    /// The URL in the environment variable `variable`.
    ///
    /// # Panics
    /// If it is none, or its host cannot be found.
    #[track_caller]
    pub(crate) fn parse(variable: &str, scheme: &str, default_port: u16, url: &str) -> Url {
        let Some(rest) = url.strip_prefix(scheme) else { panic!("{variable} is no {scheme} URL: {url}") };
        let (rest, path) = rest.split_once('/').map_or((rest, None), |(rest, path)| (rest, Some(path)));
        let (login, authority) = rest.rsplit_once('@').unwrap_or(("guest:guest", rest));
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        let port = if authority.contains(':') { String::new() } else { format!(":{default_port}") };
        let address = format!("{authority}{port}").to_socket_addrs().ok().and_then(|mut found| found.next());
        let Some(address) = address else { panic!("{variable} names no host that can be found: {url}") };
        Url { user: unescape(user), password: unescape(password), address, path: path.map(unescape) }
    }
}

fn unescape(text: &str) -> String {
    let mut out = vec![];
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let escaped = (*first == b'%').then(|| text_of(after.get(..2)?)).flatten();
        out.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn text_of(hex: &[u8]) -> Option<u8> {
    u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok()
}

/// Asks the broker what it is.
fn recognise() -> Product {
    let mut peer = Peer::connect();
    let start = peer.greet();
    let property = |name| start.server_properties.lookup(name).and_then(|v| v.as_str()).unwrap_or_default();
    match property("product") {
        "Leveret" => Product::Leveret,
        "RabbitMQ" => {
            let mut numbers = property("version").split('.').map(|n| n.parse().unwrap_or(0));
            let (major, minor) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
            Product::RabbitMq { major, minor }
        }
        other => panic!("neither Leveret nor RabbitMQ: {other}"),
    }
}
