//! How values are written in the configuration: numbers, sizes, times, addresses. The errors say what is allowed.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::Identity;

/// What was expected instead.
pub(super) type Expected = String;

pub(super) fn number<T>(text: &str, range: std::ops::RangeInclusive<T>) -> Result<T, Expected>
where
    T: std::str::FromStr + PartialOrd + std::fmt::Display,
{
    let parsed = text.parse().ok().filter(|n| range.contains(n));
    parsed.ok_or_else(|| format!("a number from {} to {}", range.start(), range.end()))
}

/// A number of something that there may be, from `least` on, or `infinity`.
pub(super) fn bound(text: &str, least: u32) -> Result<Option<usize>, Expected> {
    if text == "infinity" {
        return Ok(None);
    }
    let most = number(text, least..=u32::MAX).map_err(|expected| format!("infinity, or {expected}"))?;
    Ok(Some(most as usize))
}

/// Bytes, with an optional unit: `128MiB`, `64kB`, `1000`.
pub(super) fn size(text: &str) -> Result<u64, Expected> {
    const UNITS: &[(&str, u64)] = &[
        ("kib", 1 << 10),
        ("mib", 1 << 20),
        ("gib", 1 << 30),
        ("kb", 1000),
        ("mb", 1_000_000),
        ("gb", 1_000_000_000),
        ("k", 1 << 10),
        ("m", 1 << 20),
        ("g", 1 << 30),
        ("b", 1),
    ];
    let lower = text.to_ascii_lowercase();
    let unit = UNITS.iter().find_map(|(unit, bytes)| lower.strip_suffix(unit).map(|number| (number, *bytes)));
    let (number, unit) = unit.unwrap_or((&lower, 1));
    let bytes = number.trim().parse::<u64>().ok().and_then(|n| n.checked_mul(unit));
    bytes.ok_or_else(|| "a size in bytes, or with a unit such as 64kB or 128MiB".into())
}

/// How many times as much, such as 1.5.
pub(super) fn multiple(text: &str) -> Result<f64, Expected> {
    let multiple = text.parse().ok().filter(|multiple: &f64| multiple.is_finite() && *multiple >= 0.0);
    multiple.ok_or_else(|| "a number such as 1.5".into())
}

/// A share, such as 0.6.
pub(super) fn share(text: &str) -> Result<f64, Expected> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "a share from 0 to 1".into())
}

/// Milliseconds, or a number with `ms`, `s`, `m` or `h`.
pub(super) fn time(text: &str) -> Result<Duration, Expected> {
    const UNITS: &[(&str, u64)] = &[("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)];
    let unit = UNITS.iter().find_map(|(unit, ms)| text.strip_suffix(unit).map(|number| (number, *ms)));
    let (number, unit) = unit.unwrap_or((text, 1));
    let ms = number.trim().parse::<u64>().ok().and_then(|n| n.checked_mul(unit));
    ms.map(Duration::from_millis).ok_or_else(|| "milliseconds, or a time such as 10s".into())
}

/// `127.0.0.1:5672`, `[::1]:5672`, or a port on all interfaces.
pub(super) fn address(text: &str) -> Result<SocketAddr, Expected> {
    if let Ok(port) = text.parse::<u16>() {
        return Ok((Ipv4Addr::UNSPECIFIED, port).into());
    }
    let text = text.strip_prefix("localhost:").map_or(text.into(), |port| format!("127.0.0.1:{port}"));
    text.parse().map_err(|_| "an address such as 127.0.0.1:5672 or [::1]:5672, or a port".into())
}

/// The path of a file.
#[cfg(feature = "tls")]
pub(super) fn file(text: &str) -> Result<PathBuf, Expected> {
    if text.is_empty() { Err("a file".into()) } else { Ok(text.into()) }
}

/// `RabbitMQ/4.2.4`.
pub(super) fn identity(text: &str) -> Result<Identity, Expected> {
    match text.split_once('/') {
        Some((product, version)) if !product.is_empty() && !version.is_empty() => {
            Ok(Identity { product: product.into(), version: version.into() })
        }
        _ => Err("PRODUCT/VERSION, such as RabbitMQ/4.2.4".into()),
    }
}

pub(super) fn boolean(text: &str) -> Result<bool, Expected> {
    match text {
        "true" | "on" | "yes" => Ok(true),
        "false" | "off" | "no" => Ok(false),
        _ => Err("true or false".into()),
    }
}

pub(super) fn one_of<'t>(text: &'t str, allowed: &[&str]) -> Result<&'t str, Expected> {
    if allowed.contains(&text) { Ok(text) } else { Err(format!("one of {}", allowed.join(", "))) }
}

/// Where data stays if nothing else is said: where the platform has the data of programs.
pub(super) fn default_data_dir() -> PathBuf {
    platform_data_dir(cfg!(target_os = "macos"), |name| std::env::var_os(name))
}

fn platform_data_dir(is_mac: bool, variable: impl Fn(&str) -> Option<OsString>) -> PathBuf {
    let folder = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = |below| folder("HOME").map(|home| home.join(below));
    let base = match is_mac {
        true => home("Library/Application Support"),
        false => folder("XDG_DATA_HOME").or_else(|| home(".local/share")),
    };
    base.unwrap_or_else(|| "/var/lib".into()).join("leveret")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Data stays where the platform has it, and in /var/lib for a service without a home.
    #[test]
    fn data_stays_where_the_platform_has_it() {
        let of = |is_mac, variables: &[(&str, &str)]| {
            let variable = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| value.into());
            platform_data_dir(is_mac, variable).display().to_string()
        };
        let home = ("HOME", "/home/u");
        assert_eq!(of(false, &[home, ("XDG_DATA_HOME", "/data")]), "/data/leveret");
        assert_eq!(of(false, &[home, ("XDG_DATA_HOME", "not/absolute")]), "/home/u/.local/share/leveret");
        assert_eq!(of(true, &[home, ("XDG_DATA_HOME", "/data")]), "/home/u/Library/Application Support/leveret");
        assert_eq!(of(false, &[]), "/var/lib/leveret");
    }

    #[test]
    fn sizes_and_times_take_the_usual_units() {
        assert_eq!(size("128MiB"), Ok(128 << 20));
        assert_eq!(size("64 kB"), Ok(64_000));
        assert_eq!(size("16"), Ok(16));
        assert!(size("many").is_err() && size("99999999999GB").is_err());
        assert_eq!(time("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(time("250"), Ok(Duration::from_millis(250)));
        assert!(time("soon").is_err());
        assert_eq!((multiple("1.5"), multiple("-1").is_err(), multiple("inf").is_err()), (Ok(1.5), true, true));
    }

    #[test]
    fn a_bound_may_be_none() {
        assert_eq!((bound("infinity", 1), bound("7", 1), bound("0", 0)), (Ok(None), Ok(Some(7)), Ok(Some(0))));
        assert_eq!(bound("0", 1), Err("infinity, or a number from 1 to 4294967295".into()));
    }

    #[test]
    fn an_address_may_be_a_bare_port() {
        assert_eq!(address("5672").map(|a| a.to_string()), Ok("0.0.0.0:5672".into()));
        assert_eq!(address("localhost:1").map(|a| a.to_string()), Ok("127.0.0.1:1".into()));
        assert!(address("example:1").is_err());
    }
}
