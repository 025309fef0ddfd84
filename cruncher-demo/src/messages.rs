//! The messages between the services: how each is written, and what is accepted from services of other makes.
//!
//! ```text
//! file name   emails -> crunchers   text/plain         body: the name          correlation_id: label (optional)
//! result      crunchers -> status   application/json   body: ["a@b.c", ...]    app_id: cruncher, header file,
//!                                                                              correlation_id: as in the file name
//! warning     status -> spammer     text/plain         body: spam me!          correlation_id: as in the result
//! ```

use leveret_client::spec::{RawProperties, ShortBytes};
use std::str::FromStr;

/// The body of a warning.
pub const SPAM_ME: &str = "spam me!";
/// The header of a result that names the file.
pub const FILE_HEADER: &str = "file";
/// The header of a warning that counts how often sending it failed.
pub const ATTEMPTS_HEADER: &str = "x-attempts";
/// Who found it, when a result does not say.
pub const UNKNOWN_CRUNCHER: &str = "unknown";

/// Longest file name that is looked up.
pub const FILE_NAME_BYTES_MAX: usize = 4096;

/// The file name in the body of a message: as it is, or as a JSON string when the message says so.
///
/// # Errors
/// Why the body is no file name.
pub fn file_name(properties: RawProperties<'_>, body: &[u8]) -> Result<String, &'static str> {
    if body.len() > FILE_NAME_BYTES_MAX {
        return Err("a file name that is too long");
    }
    let is_json = properties.content_type().is_some_and(|kind| kind.starts_with(b"application/json"));
    let name =
        if is_json { serde_json::from_slice(body).ok() } else { std::str::from_utf8(body).ok().map(str::to_owned) };
    match name {
        Some(name) if name.is_empty() => Err("an empty file name"),
        Some(name) => Ok(name),
        None => Err("a message that is no file name"),
    }
}

/// What a cruncher found, as the status service reads it.
#[derive(Debug, PartialEq, Eq)]
pub struct CruncherResult {
    /// Which cruncher it is from.
    pub cruncher: String,
    /// The file, if the cruncher says so.
    pub file: Option<String>,
    /// The label of the file name's message, if it had one and the cruncher passed it on.
    pub label: Option<String>,
    /// The addresses.
    pub addresses: Vec<String>,
}

impl CruncherResult {
    /// Reads a result. A cruncher of another make may send no more than the list.
    ///
    /// # Errors
    /// When the body is no JSON list of texts.
    pub fn read(properties: RawProperties<'_>, body: &[u8]) -> Result<CruncherResult, serde_json::Error> {
        let file = properties.headers().and_then(|headers| headers.lookup(FILE_HEADER)?.as_str());
        Ok(CruncherResult {
            cruncher: properties.app_id().map_or_else(|| UNKNOWN_CRUNCHER.to_owned(), text),
            file: file.map(str::to_owned),
            label: label(properties),
            addresses: serde_json::from_slice(body)?,
        })
    }
}

/// The label that belongs to a file and everything that follows from it, if the message has one. What is no text is
/// none: put right, it could be longer than what may be passed on.
pub fn label(properties: RawProperties<'_>) -> Option<String> {
    properties.correlation_id().and_then(|label| std::str::from_utf8(&label).ok().map(str::to_owned))
}

/// The number of a letter in the label that a run of that name gave it.
pub(crate) fn number_of<N: FromStr>(run: &str, label: &str) -> Option<N> {
    label.strip_prefix(run)?.strip_prefix('/')?.parse().ok()
}

/// How often sending this warning has failed before.
pub fn attempts(properties: RawProperties<'_>) -> u32 {
    let counted = properties.headers().and_then(|headers| headers.lookup(ATTEMPTS_HEADER)?.as_i64());
    counted.map_or(0, |counted| counted.clamp(0, i64::from(u32::MAX)) as u32)
}

fn text(short: ShortBytes<'_>) -> String {
    String::from_utf8_lossy(&short).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use leveret_client::spec::{Properties, TableBuf};

    fn raw(properties: &Properties<'_>) -> Vec<u8> {
        let mut bytes = Vec::new();
        properties.encode(&mut bytes);
        bytes
    }

    fn short(text: &str) -> Option<ShortBytes<'_>> {
        Some(text.try_into().unwrap())
    }

    #[test]
    fn a_file_name_is_text_or_a_json_string() {
        assert_eq!(file_name(RawProperties::default(), b"a b.txt").as_deref(), Ok("a b.txt"));
        let json = raw(&Properties { content_type: short("application/json"), ..Default::default() });
        assert_eq!(file_name(RawProperties::of(&json).unwrap(), br#""a.txt""#).as_deref(), Ok("a.txt"));
    }

    #[test]
    fn what_is_no_file_name_is_refused() {
        for body in [&b""[..], b"\xff", &vec![b'a'; FILE_NAME_BYTES_MAX + 1]] {
            assert!(file_name(RawProperties::default(), body).is_err());
        }
    }

    #[test]
    fn a_result_may_be_the_bare_list() {
        let result = CruncherResult::read(RawProperties::default(), br#"["ann@apple.com"]"#).unwrap();
        assert_eq!((result.cruncher.as_str(), result.file, result.label), (UNKNOWN_CRUNCHER, None, None));
        assert_eq!(result.addresses, ["ann@apple.com"]);
    }

    #[test]
    fn a_result_says_who_found_it_where() {
        let headers = TableBuf::new().with(FILE_HEADER, "a.txt").unwrap();
        let bytes = raw(&Properties {
            app_id: short("fast"),
            correlation_id: short("run/1"),
            headers: Some(headers.as_table()),
            ..Default::default()
        });
        let result = CruncherResult::read(RawProperties::of(&bytes).unwrap(), b"[]").unwrap();
        assert_eq!((result.cruncher.as_str(), result.file.as_deref()), ("fast", Some("a.txt")));
        assert_eq!(result.label.as_deref(), Some("run/1"));
    }

    #[test]
    fn a_label_is_passed_on_as_it_came_or_not_at_all() {
        let of = |bytes: &[u8]| {
            let correlation_id = Some(ShortBytes::new(bytes).unwrap());
            let bytes = raw(&Properties { correlation_id, ..Default::default() });
            label(RawProperties::of(&bytes).unwrap())
        };
        let longest = "\u{fc}".repeat(127);
        assert_eq!(of(longest.as_bytes()), Some(longest));
        assert_eq!(of(&[0xff; 86]), None);
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for body in [&b""[..], b"3", b"[1]", br#"{"a":1}"#, b"\xff"] {
            assert!(CruncherResult::read(RawProperties::default(), body).is_err());
        }
    }

    #[test]
    fn attempts_are_counted_whatever_number_comes() {
        let count = |number: i64| {
            let headers = TableBuf::new().with(ATTEMPTS_HEADER, number).unwrap();
            let bytes = raw(&Properties { headers: Some(headers.as_table()), ..Default::default() });
            attempts(RawProperties::of(&bytes).unwrap())
        };
        assert_eq!((count(2), count(-1), count(i64::MAX)), (2, 0, u32::MAX));
        assert_eq!(attempts(RawProperties::default()), 0);
    }
}
