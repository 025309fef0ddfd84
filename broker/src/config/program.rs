//! What the program is told, put together: the value that counts is the flag's, else the variable's, else the file's, else the
//! built-in one. The variable of `log.console.level` is `LEVERET_LOG_CONSOLE_LEVEL`, and that of `--log` is `LEVERET_LOG`.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use tracing::level_filters::LevelFilter;

use super::settings::{SETTINGS, Setting};
use super::values;
use super::{Config, MemoryLimit, file};

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// One line of text for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// What the program is told: the broker's configuration and its own.
#[derive(Clone, Debug)]
pub struct Program {
    /// The broker's configuration.
    pub broker: Config,
    /// The least severe level that is logged.
    pub log_level: LevelFilter,
    /// How log lines look.
    pub log_format: LogFormat,
}

/// Where the HTTP management API listens if nothing else is said.
pub(super) const HTTP_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 15672);

/// A setting that cannot be used, in one sentence.
#[derive(Debug)]
pub struct UsageError(String);

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

impl Default for Program {
    /// What holds without any settings.
    fn default() -> Self {
        let mut broker = Config::durable(values::default_data_dir())
            .listen(([127, 0, 0, 1], leveret_spec::DEFAULT_PORT).into())
            .http(HTTP_ADDRESS);
        broker.memory_limit = MemoryLimit::Share(0.6);
        Program { broker, log_level: LevelFilter::INFO, log_format: LogFormat::Text }
    }
}

impl Program {
    /// Puts the settings together: `flags` are those that were given (by flag name, in the order of the command line), then
    /// `pairs` of `--set key=value`; `variables` is the environment.
    ///
    /// # Errors
    /// One sentence that names the key or flag, the value and what is allowed.
    pub fn assemble(
        file: Option<PathBuf>,
        flags: &[(&str, String)],
        pairs: &[String],
        variables: &HashMap<String, String>,
    ) -> Result<Self, UsageError> {
        let mut program = Program::default();
        if let Some(path) = file {
            program.read_file(&path)?;
        }
        program.read_variables(variables)?;
        let given = |name| flags.iter().any(|(flag, _)| *flag == name);
        if given("in-memory") && given("data-dir") {
            return Err(UsageError("--in-memory and --data-dir: only one of them can be".into()));
        }
        for (flag, value) in flags {
            let setting = SETTINGS.iter().find(|s| s.flag.is_some_and(|(name, _)| name == *flag));
            let setting = setting.ok_or_else(|| UsageError(format!("unknown flag --{flag}")))?;
            program.apply(setting, value, &format!("--{flag} {value}"))?;
        }
        for pair in pairs {
            let (key, value) =
                pair.split_once('=').ok_or_else(|| UsageError(format!("--set {pair}: expected key=value")))?;
            program.apply(by_key(key.trim(), "--set")?, value.trim(), &format!("--set {pair}"))?;
        }
        Ok(program)
    }

    fn apply(&mut self, setting: &Setting, value: &str, place: &str) -> Result<(), UsageError> {
        (setting.apply)(self, value).map_err(|expected| UsageError(format!("{place}: expected {expected}")))
    }

    fn read_file(&mut self, path: &std::path::Path) -> Result<(), UsageError> {
        let shown = path.display();
        let text = std::fs::read_to_string(path).map_err(|e| UsageError(format!("--config {shown}: {e}")))?;
        for line in file::lines(&text) {
            let line = line.map_err(|(number, line)| {
                UsageError(format!("{shown} line {number}: expected key = value, found '{line}'"))
            })?;
            let place = format!("{shown} line {}", line.number);
            let setting = by_key(line.key, &place)?;
            self.apply(setting, line.value, &format!("{place}: {} = {}", line.key, line.value))?;
        }
        Ok(())
    }

    fn read_variables(&mut self, variables: &HashMap<String, String>) -> Result<(), UsageError> {
        for setting in SETTINGS {
            for name in setting.variables() {
                if let Some(value) = variables.get(&name) {
                    self.apply(setting, value, &format!("{name}={value}"))?;
                }
            }
        }
        Ok(())
    }
}

impl Setting {
    /// The environment variables that set it: by its key, and by its flag.
    fn variables(&self) -> impl Iterator<Item = String> {
        let names = [Some(self.key), self.flag.map(|(flag, _)| flag)];
        names.into_iter().flatten().map(|name| format!("LEVERET_{}", name.replace(['.', '-'], "_").to_uppercase()))
    }
}

fn by_key(key: &str, place: &str) -> Result<&'static Setting, UsageError> {
    SETTINGS.iter().find(|s| s.key == key).ok_or_else(|| {
        let closest = SETTINGS.iter().min_by_key(|s| distance(s.key, key)).map_or("", |s| s.key);
        UsageError(format!("{place}: unknown key '{key}' (did you mean '{closest}'?)"))
    })
}

/// Edits between two words (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let cost = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assemble(flags: &[(&str, &str)], pairs: &[&str], variables: &[(&str, &str)]) -> Result<Program, String> {
        let flags: Vec<_> = flags.iter().map(|(f, v)| (*f, (*v).to_owned())).collect();
        let pairs: Vec<_> = pairs.iter().map(|&p| p.to_owned()).collect();
        let variables = variables.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        Program::assemble(None, &flags, &pairs, &variables).map_err(|e| e.to_string())
    }

    #[test]
    fn a_flag_counts_more_than_a_variable() {
        let program =
            assemble(&[("listen", "127.0.0.1:1")], &[], &[("LEVERET_LISTEN", "127.0.0.1:2"), ("LEVERET_LOG", "debug")]);
        let program = program.unwrap();
        assert_eq!((program.broker.amqp[0].port(), program.log_level), (1, LevelFilter::DEBUG));
    }

    /// Data stays on disk unless somebody says otherwise, and what is said last on where counts.
    #[test]
    fn data_stays_where_it_is_said_last() {
        let of = |flags, pairs, variables| assemble(flags, pairs, variables).map(|program| program.broker.data_dir);
        let default = || Ok(Some(values::default_data_dir()));
        assert_eq!(of(&[], &[], &[]), default());
        assert_eq!(of(&[("data-dir", "/d")], &[], &[("LEVERET_IN_MEMORY", "true")]), Ok(Some("/d".into())));
        assert_eq!(of(&[("in-memory", "true")], &[], &[("LEVERET_DATA_DIR", "/d")]), Ok(None));
        assert_eq!(of(&[("in-memory", "true")], &["in_memory=false"], &[]), default());
        let both = of(&[("data-dir", "/d"), ("in-memory", "true")], &[], &[]);
        assert_eq!(both, Err("--in-memory and --data-dir: only one of them can be".into()));
    }

    #[test]
    fn mistakes_name_the_place_the_value_and_what_is_allowed() {
        for (flags, pairs, text) in [
            (
                &[("listen", "nowhere")][..],
                &[][..],
                "--listen nowhere: expected an address such as 127.0.0.1:5672 or [::1]:5672, or a port",
            ),
            (&[], &["heartbeat=soon"], "--set heartbeat=soon: expected a number from 0 to 65535"),
            (&[], &["hartbeat=1"], "--set: unknown key 'hartbeat' (did you mean 'heartbeat'?)"),
            (
                &[("http", "nowhere")],
                &[],
                "--http nowhere: expected off, or an address such as 127.0.0.1:5672 or [::1]:5672, or a port",
            ),
            (&[], &["frame_max=10"], "--set frame_max=10: expected 0 or a number from 4096 to 4294967295, not 10"),
        ] {
            assert_eq!(assemble(flags, pairs, &[]).map(drop), Err(text.into()));
        }
    }

    #[test]
    fn bounds_of_a_channel_may_be_none() {
        let program = assemble(&[], &["consumer_max_per_channel=infinity", "channel_tx_message_max=infinity"], &[]);
        let limits = program.unwrap().broker.limits;
        assert_eq!((limits.consumers_per_channel_max, limits.transaction_publishes_max), (None, None));
        let program = assemble(&[], &["consumer_max_per_channel=7", "channel_tx_message_max=8"], &[]);
        let limits = program.unwrap().broker.limits;
        assert_eq!((limits.consumers_per_channel_max, limits.transaction_publishes_max), (Some(7), Some(8)));
    }

    #[cfg(feature = "tls")]
    #[test]
    fn tls_has_flags_and_the_keys_of_rabbitmq() {
        let flags =
            [("tls-listen", "127.0.0.1:5671"), ("tls-cert", "c.pem"), ("tls-key", "k.pem"), ("tls-ca", "ca.pem")];
        let pairs =
            ["ssl_options.verify=verify_peer", "ssl_options.fail_if_no_peer_cert=true", "ssl_handshake_timeout=7s"];
        let broker = assemble(&flags, &pairs, &[]).unwrap().broker;
        let tls = &broker.tls;
        assert_eq!(broker.amqps.iter().map(SocketAddr::port).collect::<Vec<_>>(), [5671]);
        let files = [&tls.certfile, &tls.keyfile, &tls.cacertfile].map(|file| file.as_deref().and_then(|f| f.to_str()));
        assert_eq!(files, [Some("c.pem"), Some("k.pem"), Some("ca.pem")]);
        assert!(tls.verify_peer && tls.fail_if_no_peer_cert);
        assert_eq!(tls.handshake_timeout, std::time::Duration::from_secs(7));
        assert!(
            assemble(&[], &["listeners.ssl.default=5671", "listeners.ssl=none"], &[]).unwrap().broker.amqps.is_empty()
        );
    }

    #[test]
    fn a_file_is_read_line_by_line() {
        let path = std::env::temp_dir().join(format!("leveret-settings-{}.conf", std::process::id()));
        std::fs::write(&path, "heartbeat = 7\nlisteners.tcp = none\nloopback_users.guest = false\n").unwrap();
        let program = Program::assemble(Some(path.clone()), &[], &[], &HashMap::new()).unwrap();
        assert_eq!((program.broker.limits.heartbeat_s, program.broker.amqp.len()), (7, 0));
        assert!(program.broker.loopback_users.is_empty());
        std::fs::write(&path, "\nheartbeat 7\n").unwrap();
        let error = Program::assemble(Some(path.clone()), &[], &[], &HashMap::new()).unwrap_err().to_string();
        assert!(error.ends_with("line 2: expected key = value, found 'heartbeat 7'"), "{error}");
        std::fs::remove_file(path).unwrap();
    }
}
