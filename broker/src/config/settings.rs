//! Every setting once: its key in the configuration file, its flag, what it does, how its value is read.

use std::time::Duration;

use tracing::level_filters::LevelFilter;

use super::program::{HTTP_ADDRESS, LogFormat, Program};
use super::values::{self, Expected};
use super::{DiskFreeLimit, MemoryLimit, Secret};

/// One setting.
pub struct Setting {
    /// The key in the configuration file.
    pub key: &'static str,
    /// The flag without its dashes, and the name of its value; a flag with none says `true`.
    pub flag: Option<(&'static str, &'static str)>,
    /// One sentence for `--help` and the documentation.
    pub help: &'static str,
    pub(super) apply: fn(&mut Program, &str) -> Result<(), Expected>,
}

/// The two keys that say where data stays.
const DATA_DIR: &str = "data_dir";
const IN_MEMORY: &str = "in_memory";

/// All settings.
pub const SETTINGS: &[Setting] = &[
    Setting {
        key: "listeners.tcp.default",
        flag: Some(("listen", "ADDR")),
        help: "Where AMQP clients connect; may be repeated; port 0 takes a free one [default: 127.0.0.1:5672]",
        apply: |p, v| {
            p.broker.amqp = v.split(',').map(values::address).collect::<Result<_, _>>()?;
            Ok(())
        },
    },
    Setting {
        key: "listeners.tcp",
        flag: None,
        help: "`none` to listen nowhere",
        apply: |p, v| {
            values::one_of(v, &["none"])?;
            p.broker.amqp.clear();
            Ok(())
        },
    },
    #[cfg(feature = "tls")]
    Setting {
        key: "listeners.ssl.default",
        flag: Some(("tls-listen", "ADDR")),
        help: "Where AMQP clients connect that speak TLS; may be repeated; port 0 takes a free one [default: nowhere]",
        apply: |p, v| {
            p.broker.amqps = v.split(',').map(values::address).collect::<Result<_, _>>()?;
            Ok(())
        },
    },
    #[cfg(feature = "tls")]
    Setting {
        key: "listeners.ssl",
        flag: None,
        help: "`none` to listen for TLS nowhere",
        apply: |p, v| {
            values::one_of(v, &["none"])?;
            p.broker.amqps.clear();
            Ok(())
        },
    },
    #[cfg(feature = "tls")]
    Setting {
        key: "ssl_options.certfile",
        flag: Some(("tls-cert", "FILE")),
        help: "The certificate for TLS, with those that lead to its CA (PEM)",
        apply: |p, v| {
            p.broker.tls.certfile = Some(values::file(v)?);
            Ok(())
        },
    },
    #[cfg(feature = "tls")]
    Setting {
        key: "ssl_options.keyfile",
        flag: Some(("tls-key", "FILE")),
        help: "The certificate's private key (PEM)",
        apply: |p, v| {
            p.broker.tls.keyfile = Some(values::file(v)?);
            Ok(())
        },
    },
    #[cfg(feature = "tls")]
    Setting {
        key: "ssl_options.cacertfile",
        flag: Some(("tls-ca", "FILE")),
        help: "The CAs that clients' certificates may come from (PEM), for ssl_options.verify = verify_peer",
        apply: |p, v| {
            p.broker.tls.cacertfile = Some(values::file(v)?);
            Ok(())
        },
    },
    #[cfg(feature = "tls")]
    Setting {
        key: "ssl_options.verify",
        flag: None,
        help: "verify_peer asks TLS clients for a certificate and checks it, verify_none does not [default: verify_none]",
        apply: |p, v| {
            p.broker.tls.verify_peer = values::one_of(v, &["verify_peer", "verify_none"])? == "verify_peer";
            Ok(())
        },
    },
    #[cfg(feature = "tls")]
    Setting {
        key: "ssl_options.fail_if_no_peer_cert",
        flag: None,
        help: "Whether TLS clients without a certificate are refused, with verify_peer [default: false]",
        apply: |p, v| {
            p.broker.tls.fail_if_no_peer_cert = values::boolean(v)?;
            Ok(())
        },
    },
    #[cfg(feature = "tls")]
    Setting {
        key: "ssl_handshake_timeout",
        flag: None,
        help: "How long a TLS client may take until AMQP begins [default: 5s]",
        apply: |p, v| {
            p.broker.tls.handshake_timeout = values::time(v)?;
            Ok(())
        },
    },
    Setting {
        key: "management.listener",
        flag: Some(("http", "ADDR|off")),
        help: "Where the HTTP management API listens; port 0 takes a free one [default: 127.0.0.1:15672]",
        apply: |p, v| {
            p.broker.http = if v == "off" {
                None
            } else {
                Some(values::address(v).map_err(|expected| format!("off, or {expected}"))?)
            };
            Ok(())
        },
    },
    Setting {
        key: "management.tcp.ip",
        flag: None,
        help: "The HTTP management API's address without its port",
        apply: |p, v| {
            let ip = v.parse().map_err(|_| "an address such as 127.0.0.1 or ::1")?;
            p.broker.http.get_or_insert(HTTP_ADDRESS).set_ip(ip);
            Ok(())
        },
    },
    Setting {
        key: "management.tcp.port",
        flag: None,
        help: "The HTTP management API's port",
        apply: |p, v| {
            let port = values::number(v, 0..=u16::MAX)?;
            p.broker.http.get_or_insert(HTTP_ADDRESS).set_port(port);
            Ok(())
        },
    },
    Setting {
        key: "prometheus.listener",
        flag: Some(("metrics", "ADDR|off")),
        help: "Metrics for Prometheus; only `off` so far [default: off]",
        apply: |_, v| values::one_of(v, &["off"]).map(drop),
    },
    Setting {
        key: DATA_DIR,
        flag: Some(("data-dir", "DIR")),
        help: "The directory where everything durable stays; it is made if need be [default: leveret in $XDG_DATA_HOME or \
               ~/.local/share, on macOS in ~/Library/Application Support; without a home /var/lib/leveret]",
        apply: |p, v| {
            if v.is_empty() {
                return Err("a directory".into());
            }
            p.broker.data_dir = Some(v.into());
            Ok(())
        },
    },
    Setting {
        key: IN_MEMORY,
        flag: Some(("in-memory", "")),
        help: "Keep everything in memory and nothing on disk",
        apply: |p, v| {
            p.broker.data_dir = match values::boolean(v)? {
                true => None,
                false => Some(p.broker.data_dir.take().unwrap_or_else(values::default_data_dir)),
            };
            Ok(())
        },
    },
    Setting {
        key: "identity",
        flag: Some(("identity", "PRODUCT/VERSION")),
        help: "What clients are told about the server, such as RabbitMQ/4.2.4",
        apply: |p, v| {
            p.broker.identity = values::identity(v)?;
            Ok(())
        },
    },
    Setting {
        key: "log.console.level",
        flag: Some(("log", "LEVEL")),
        help: "What is logged to standard error: error, warning, info, debug, none [default: info]",
        apply: |p, v| {
            p.log_level = match values::one_of(v, &["error", "warning", "info", "debug", "none"])? {
                "error" => LevelFilter::ERROR,
                "warning" => LevelFilter::WARN,
                "debug" => LevelFilter::DEBUG,
                "none" => LevelFilter::OFF,
                _ => LevelFilter::INFO,
            };
            Ok(())
        },
    },
    Setting {
        key: "log.console.formatter",
        flag: Some(("log-format", "text|json")),
        help: "How log lines look [default: text]",
        apply: |p, v| {
            p.log_format = match values::one_of(v, &["text", "plaintext", "json"])? {
                "json" => LogFormat::Json,
                _ => LogFormat::Text,
            };
            Ok(())
        },
    },
    Setting {
        key: "vm_memory_high_watermark.absolute",
        flag: Some(("memory-limit", "SIZE")),
        help: "Publishers wait while the broker uses more memory than this [default: 0.6 of all there is]",
        apply: |p, v| {
            p.broker.memory_limit = MemoryLimit::Bytes(values::size(v)?);
            Ok(())
        },
    },
    Setting {
        key: "vm_memory_high_watermark.relative",
        flag: None,
        help: "The same as a share of the memory of the machine or control group [default: 0.6]",
        apply: |p, v| {
            p.broker.memory_limit = MemoryLimit::Share(values::share(v)?);
            Ok(())
        },
    },
    Setting {
        key: "accept_data_loss",
        flag: Some(("accept-data-loss", "")),
        help: "Start although the log is damaged, without what cannot be read; the log says what that is",
        apply: |p, v| {
            p.broker.accept_data_loss = values::boolean(v)?;
            Ok(())
        },
    },
    Setting {
        key: "disk_free_limit.absolute",
        flag: None,
        help: "Publishers wait while the data directory's file system has less room than this [default: 50MB]",
        apply: |p, v| {
            p.broker.disk_free_limit = DiskFreeLimit::Bytes(values::size(v)?);
            Ok(())
        },
    },
    Setting {
        key: "disk_free_limit.relative",
        flag: None,
        help: "The same as a multiple of the memory of the machine or control group",
        apply: |p, v| {
            p.broker.disk_free_limit = DiskFreeLimit::OfMemory(values::multiple(v)?);
            Ok(())
        },
    },
    Setting {
        key: "heartbeat",
        flag: None,
        help: "The heartbeat that clients are asked for, in seconds; 0 is none [default: 60]",
        apply: |p, v| {
            p.broker.limits.heartbeat_s = values::number(v, 0..=u16::MAX)?;
            Ok(())
        },
    },
    Setting {
        key: "load_definitions",
        flag: Some(("definitions", "FILE")),
        help: "Definitions to take in at the start: a JSON file as RabbitMQ exports it, or a folder of them; \
               then there is no first user or virtual host but theirs",
        apply: load_definitions,
    },
    Setting {
        key: "management.load_definitions",
        flag: None,
        help: "The same, as RabbitMQ once called it",
        apply: load_definitions,
    },
    Setting {
        key: "definitions.import_backend",
        flag: None,
        help: "Where definitions come from: local_filesystem, which is all there is",
        apply: |_, v| values::one_of(v, &["local_filesystem"]).map(drop),
    },
    Setting {
        key: "definitions.local.path",
        flag: None,
        help: "The same as load_definitions",
        apply: load_definitions,
    },
    Setting {
        key: "frame_max",
        flag: None,
        help: "The largest frame, in bytes; 0 is no limit [default: 131072]",
        apply: |p, v| {
            p.broker.limits.frame_max = match values::number(v, 0..=u32::MAX)? {
                n @ 1..4096 => return Err(format!("0 or a number from 4096 to {}, not {n}", u32::MAX)),
                n => n,
            };
            Ok(())
        },
    },
    Setting {
        key: "initial_frame_max",
        flag: None,
        help: "The largest frame before the limits are negotiated, in bytes; logins with long tokens need more [default: 4096]",
        apply: |p, v| {
            p.broker.limits.initial_frame_max = values::number(v, 4096..=1 << 20)?;
            Ok(())
        },
    },
    Setting {
        key: "connection_max",
        flag: None,
        help: "Connections open at a time [default: infinity]",
        apply: connection_max,
    },
    Setting { key: "max_connections", flag: None, help: "The same, as RabbitMQ calls it now", apply: connection_max },
    Setting {
        key: "consumer_timeout",
        flag: None,
        help: "How long a consumer may keep a delivery, in milliseconds, before it is cancelled and the delivery goes back; \
               0 is for ever [default: 0]",
        apply: |p, v| {
            let ms = values::number(v, 0..=315_360_000_000)?;
            p.broker.limits.consumer_timeout = (ms > 0).then(|| Duration::from_millis(ms));
            Ok(())
        },
    },
    Setting {
        key: "channel_max",
        flag: None,
        help: "Channels of a connection; 0 is no limit [default: 2047]",
        apply: channel_max,
    },
    Setting {
        key: "max_channels_per_connection",
        flag: None,
        help: "The same, as RabbitMQ calls it now",
        apply: channel_max,
    },
    Setting {
        key: "channel_max_per_node",
        flag: None,
        help: "Channels of all connections together [default: infinity]",
        apply: |p, v| values::bound(v, 1).map(|most| p.broker.limits.channels_max = most),
    },
    Setting {
        key: "vhost_max",
        flag: None,
        help: "Virtual hosts; the first one is there in any case [default: infinity]",
        apply: |p, v| values::bound(v, 0).map(|most| p.broker.limits.vhosts_max = most),
    },
    Setting {
        key: "cluster_queue_limit",
        flag: None,
        help: "Queues of all virtual hosts together [default: infinity]",
        apply: |p, v| values::bound(v, 1).map(|most| p.broker.limits.queues_max = most),
    },
    Setting {
        key: "cluster_exchange_limit",
        flag: None,
        help: "Exchanges of all virtual hosts together, of which each has seven from its start [default: infinity]",
        apply: |p, v| values::bound(v, 0).map(|most| p.broker.limits.exchanges_max = most),
    },
    Setting {
        key: "handshake_timeout",
        flag: None,
        help: "How long a peer may take from connecting to connection.open [default: 10s]",
        apply: |p, v| {
            p.broker.limits.handshake_timeout = values::time(v)?;
            Ok(())
        },
    },
    Setting {
        key: "max_message_size",
        flag: None,
        help: "The largest message [default: 128MiB]",
        apply: |p, v| {
            let size = values::size(v)?;
            if size == 0 || size > 512 << 20 {
                return Err("a size from 1 to 512MiB".into());
            }
            p.broker.limits.message_bytes_max = size;
            Ok(())
        },
    },
    Setting {
        key: "consumer_max_per_channel",
        flag: None,
        help: "Consumers of a channel, or infinity [default: 10000]",
        apply: |p, v| values::bound(v, 1).map(|most| p.broker.limits.consumers_per_channel_max = most),
    },
    Setting {
        key: "channel_tx_message_max",
        flag: None,
        help: "Publishes that a channel may have uncommitted in a transaction, or infinity [default: 10000]",
        apply: |p, v| values::bound(v, 1).map(|most| p.broker.limits.transaction_publishes_max = most),
    },
    Setting {
        key: "default_user",
        flag: None,
        help: "The first user [default: guest]",
        apply: |p, v| {
            p.broker.default_user = v.into();
            Ok(())
        },
    },
    Setting {
        key: "default_pass",
        flag: None,
        help: "The first user's password [default: guest]",
        apply: |p, v| {
            p.broker.default_password = Secret::new(v);
            Ok(())
        },
    },
    Setting {
        key: "default_vhost",
        flag: None,
        help: "The first virtual host [default: /]",
        apply: |p, v| {
            p.broker.default_vhost = v.into();
            Ok(())
        },
    },
    Setting {
        key: "loopback_users.guest",
        flag: None,
        help: "Whether guest is let in from this machine only [default: true]",
        apply: |p, v| {
            let only = values::boolean(v)?;
            p.broker.loopback_users.retain(|user| user != "guest");
            if only {
                p.broker.loopback_users.push("guest".into());
            }
            Ok(())
        },
    },
    Setting {
        key: "loopback_users",
        flag: None,
        help: "`none` to let every user in from everywhere",
        apply: |p, v| {
            values::one_of(v, &["none"])?;
            p.broker.loopback_users.clear();
            Ok(())
        },
    },
];

fn connection_max(program: &mut Program, value: &str) -> Result<(), Expected> {
    values::bound(value, 0).map(|most| program.broker.limits.connection_max = most)
}

fn channel_max(program: &mut Program, value: &str) -> Result<(), Expected> {
    values::number(value, 0..=u16::MAX).map(|most| program.broker.limits.channel_max = most)
}

fn load_definitions(program: &mut Program, value: &str) -> Result<(), Expected> {
    program.broker.definitions = Some(value.into());
    Ok(())
}
