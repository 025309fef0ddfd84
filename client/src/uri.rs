//! AMQP URIs as RabbitMQ defines them: `amqp://user:password@host:port/vhost?key=value`, and with several hosts, as many
//! clients read them: `amqp://user:password@host:port,other:port/vhost`.
//!
//! Each part is percent-decoded after the split, so `%2f` in the path is part of the vhost's name. Without a path the
//! vhost is `/`; with an empty one (`amqp://host/`) it is the empty name by RabbitMQ's rules, but since no broker has
//! such a vhost and many people write the slash, it is read as `/` too.

use std::fmt;
use std::time::Duration;

use leveret_spec::DEFAULT_PORT;

use crate::error::{Error, Result};
use crate::options::{Mechanism, Options};

/// The port of `amqps`.
const DEFAULT_TLS_PORT: u16 = 5671;

/// Where to connect, and how.
#[derive(Debug)]
pub(crate) struct Target {
    /// In the order in which they are tried. There is at least one.
    pub(crate) hosts: Vec<Host>,
    /// `amqps`.
    #[cfg(feature = "tls")]
    pub(crate) secure: bool,
    pub(crate) options: Options,
}

/// One of the brokers that will do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) port: u16,
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.port)
    }
}

impl Target {
    /// Adds the hosts that the options name.
    pub(crate) fn add_hosts(&mut self) -> Result<()> {
        #[cfg(feature = "tls")]
        let secure = self.secure;
        #[cfg(not(feature = "tls"))]
        let secure = false;
        for address in &self.options.hosts {
            self.hosts.push(host_of(address, secure)?);
        }
        Ok(())
    }
}

/// Takes a URI apart.
pub(crate) fn parse(uri: &str) -> Result<Target> {
    let (secure, rest) = after_scheme(uri)?;
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut options = Options::default();
    let address = match authority.rsplit_once('@') {
        Some((login, address)) => {
            let (user, password) = login.split_once(':').unwrap_or((login, ""));
            options = options.credentials(decode(user)?, decode(password)?);
            address
        }
        None => authority,
    };
    if !path.is_empty() {
        options.vhost = decode(path)?;
    }
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        options = with_parameter(options, pair, secure)?;
    }
    let hosts = address.split(',').map(|address| host_of(address, secure)).collect::<Result<_>>()?;
    Ok(Target {
        hosts,
        #[cfg(feature = "tls")]
        secure,
        options,
    })
}

fn invalid(why: impl Into<String>) -> Error {
    Error::InvalidUri(why.into())
}

/// True with `amqps`, and what follows the scheme.
fn after_scheme(uri: &str) -> Result<(bool, &str)> {
    let (scheme, rest) = uri.split_once("://").ok_or_else(|| invalid("it does not start with amqp://"))?;
    if scheme.eq_ignore_ascii_case("amqp") {
        Ok((false, rest))
    } else if scheme.eq_ignore_ascii_case("amqps") && cfg!(feature = "tls") {
        Ok((true, rest))
    } else if scheme.eq_ignore_ascii_case("amqps") {
        Err(invalid("amqps needs the feature tls of leveret-client"))
    } else {
        Err(invalid(format!("unknown scheme '{scheme}'")))
    }
}

fn host_of(address: &str, secure: bool) -> Result<Host> {
    let (name, port) = address_of(address)?;
    let usual = if secure { DEFAULT_TLS_PORT } else { DEFAULT_PORT };
    Ok(Host { name, port: port.unwrap_or(usual) })
}

/// Host and port; a host in brackets is an IPv6 address.
fn address_of(address: &str) -> Result<(String, Option<u16>)> {
    let (host, port) = match address.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or_else(|| invalid("the host's bracket is not closed"))?;
            if !port.is_empty() && !port.starts_with(':') {
                return Err(invalid("a port must follow the host's bracket"));
            }
            (host, port.trim_start_matches(':'))
        }
        None => address.rsplit_once(':').unwrap_or((address, "")),
    };
    let host = if host.is_empty() { String::from("localhost") } else { decode(host)? };
    let port = if port.is_empty() { None } else { Some(number("port", port)?) };
    Ok((host, port))
}

fn with_parameter(options: Options, pair: &str, secure: bool) -> Result<Options> {
    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
    let value = decode(value)?;
    match key {
        "heartbeat" => Ok(options.heartbeat_s(number(key, &value)?)),
        "channel_max" => Ok(options.channel_max(number(key, &value)?)),
        "frame_max" => Ok(options.frame_max(number(key, &value)?)),
        "connection_timeout" => Ok(options.timeout(Duration::from_millis(number(key, &value)?))),
        "name" => Ok(options.connection_name(value)),
        "auth_mechanism" => Ok(options.mechanism(mechanism(&value)?)),
        "cacertfile" | "certfile" | "keyfile" | "verify" | "server_name_indication" if !secure => {
            Err(invalid(format!("{key} is for amqps alone")))
        }
        _ => with_tls_parameter(options, key, value),
    }
}

fn mechanism(name: &str) -> Result<Mechanism> {
    match name.to_ascii_uppercase().as_str() {
        "PLAIN" => Ok(Mechanism::Plain),
        "EXTERNAL" => Ok(Mechanism::External),
        _ => Err(invalid(format!("unknown auth_mechanism '{name}'"))),
    }
}

#[cfg(feature = "tls")]
fn with_tls_parameter(mut options: Options, key: &str, value: String) -> Result<Options> {
    let tls = &mut options.tls;
    match key {
        "cacertfile" => tls.ca_file = Some(value.into()),
        "certfile" => tls.certificate_file = Some(value.into()),
        "keyfile" => tls.key_file = Some(value.into()),
        "server_name_indication" => tls.server_name = Some(value),
        "verify" => match value.as_str() {
            "verify_peer" => {}
            "verify_none" => tls.asked_not_to_verify = true,
            _ => return Err(invalid(format!("'{value}' is no value for verify"))),
        },
        _ => return Err(invalid(format!("unknown parameter '{key}'"))),
    }
    Ok(options)
}

#[cfg(not(feature = "tls"))]
fn with_tls_parameter(_: Options, key: &str, _: String) -> Result<Options> {
    Err(invalid(format!("unknown parameter '{key}'")))
}

fn number<T: std::str::FromStr>(key: &str, value: &str) -> Result<T> {
    value.parse().map_err(|_| invalid(format!("'{value}' is no value for {key}")))
}

/// Replaces `%XX` by the byte, and demands UTF-8 of the whole.
fn decode(text: &str) -> Result<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|b| char::from(b).to_digit(16));
        match (digit(), digit()) {
            (Some(high), Some(low)) => bytes.push((high << 4 | low) as u8),
            _ => return Err(invalid("a % must be followed by two hexadecimal digits")),
        }
    }
    String::from_utf8(bytes).map_err(|_| invalid("it is not UTF-8 after percent-decoding"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(uri: &str) -> (String, u16, String, String, String) {
        let Target { mut hosts, options, .. } = parse(uri).unwrap();
        let Host { name, port } = hosts.remove(0);
        (name, port, options.user, options.password, options.vhost)
    }

    fn owned(host: &str, port: u16, login: [&str; 3]) -> (String, u16, String, String, String) {
        let [user, password, vhost] = login.map(String::from);
        (host.into(), port, user, password, vhost)
    }

    #[test]
    fn what_a_uri_leaves_out_has_the_usual_default() {
        let default = owned("localhost", 5672, ["guest", "guest", "/"]);
        for uri in ["amqp://localhost", "amqp://", "amqp://localhost/", "AMQP://:5672/%2f", "amqp://localhost/%2F"] {
            assert_eq!(parts(uri), default, "{uri}");
        }
    }

    #[test]
    fn user_password_and_vhost_are_percent_decoded_after_the_split() {
        let uri = "amqp://us%40er:p%3A%2Fss@broker.example:5673/a%2Fb%20c";
        assert_eq!(parts(uri), owned("broker.example", 5673, ["us@er", "p:/ss", "a/b c"]));
        assert_eq!(parts("amqp://u@h/v"), owned("h", 5672, ["u", "", "v"]));
        assert_eq!(parts("amqp://[::1]:7/v"), owned("::1", 7, ["guest", "guest", "v"]));
        assert_eq!(parts("amqp://[::1]"), owned("::1", 5672, ["guest", "guest", "/"]));
    }

    #[test]
    fn several_hosts_stand_one_behind_the_other_and_those_of_the_options_at_the_end() {
        let mut target = parse("amqp://u:p@one,two:7,[::1]:8/v").unwrap();
        target.options = target.options.host("four:9").host("five");
        target.add_hosts().unwrap();
        let hosts: Vec<_> = target.hosts.iter().map(Host::to_string).collect();
        assert_eq!(hosts, ["one:5672", "two:7", "::1:8", "four:9", "five:5672"]);
        let mut wrong = parse("amqp://h").unwrap();
        wrong.options = wrong.options.host("h:port");
        assert!(matches!(wrong.add_hosts(), Err(Error::InvalidUri(_))));
    }

    #[test]
    fn the_query_sets_the_limits() {
        let uri = "amqp://h/v?heartbeat=30&channel_max=7&frame_max=8192&connection_timeout=1500&name=a%20b";
        let options = parse(uri).unwrap().options;
        assert_eq!((options.heartbeat_s, options.channel_max, options.frame_max), (30, 7, 8192));
        assert_eq!(options.timeout, Duration::from_millis(1500));
        assert_eq!(options.connection_name.as_deref(), Some("a b"));
    }

    #[cfg(feature = "tls")]
    #[test]
    fn amqps_has_its_own_port_and_parameters() {
        let uri = "amqps://h/v?cacertfile=%2Fca.pem&certfile=c&keyfile=k&server_name_indication=n&verify=verify_peer";
        let Target { hosts, secure, options } = parse(uri).unwrap();
        assert_eq!((hosts[0].port, secure), (5671, true));
        let paths = [options.tls.ca_file, options.tls.certificate_file, options.tls.key_file];
        assert_eq!(paths.map(Option::unwrap), ["/ca.pem", "c", "k"].map(std::path::PathBuf::from));
        assert_eq!(options.tls.server_name.as_deref(), Some("n"));
        let external = parse("amqps://h?auth_mechanism=external").unwrap().options;
        assert_eq!(external.mechanism, Mechanism::External);
        for refused in ["amqps://h?verify=no", "amqps://h?verify"] {
            assert!(parse(refused).unwrap_err().to_string().contains("verify"));
        }
    }

    #[cfg(feature = "tls")]
    #[test]
    fn a_uri_cannot_switch_verification_off() {
        let options = parse("amqps://h?verify=verify_none").unwrap().options;
        assert!(matches!(options.tls.check(), Err(Error::InvalidUri(_))));
        assert!(options.tls.dangerously_accept_any_server().check().is_ok());
    }

    #[test]
    fn what_cannot_be_used_is_refused_with_the_reason() {
        let refused = [
            ("localhost", "amqp://"),
            ("http://h", "scheme"),
            ("amqp://h?cacertfile=ca.pem", "amqps"),
            ("amqp://h?auth_mechanism=GSSAPI", "GSSAPI"),
            ("amqp://h:http", "port"),
            ("amqp://h:70000", "port"),
            ("amqp://h?heartbeat=x", "heartbeat"),
            ("amqp://h?hartbeat=1", "hartbeat"),
            ("amqp://h/%2", "hexadecimal"),
            ("amqp://h/%ff", "UTF-8"),
            ("amqp://[::1", "bracket"),
            ("amqp://[::1]5672", "bracket"),
        ];
        for (uri, why) in refused {
            let text = parse(uri).unwrap_err().to_string();
            assert!(text.contains(why), "{uri}: {text}");
        }
    }

    #[test]
    fn a_password_does_not_show_in_debug_output() {
        assert!(!format!("{:?}", parse("amqp://u:secret@h").unwrap()).contains("secret"));
    }
}
