//! Opens mail messages: their headers and parts as readable texts, decoded. Messages may stand in messages, and
//! encoded parts may be pasted into a letter; both to a bounded depth.

mod body;
mod headers;

use headers::{Headers, Kind};
use regex::Regex;
use std::sync::LazyLock;

/// How many parts inside parts are opened.
const NESTED_MAX: usize = 8;

/// One readable text of a letter.
#[derive(Debug, PartialEq)]
pub(super) enum Text {
    /// Words as they are.
    Plain(String),
    /// Words with tags.
    Html(String),
}

#[expect(clippy::unwrap_used, reason = "a constant pattern, compiled by every test of this file")]
static ENCODED_PART: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?im)^content-transfer-encoding:[ \t]*(?:quoted-printable|base64)[ \t]*\r?$").unwrap()
});

/// The texts inside `text` if it is a mail message or carries encoded parts of one; otherwise `text` itself.
pub(super) fn texts(text: &str) -> Vec<Text> {
    let mut texts = Vec::new();
    letter(text, NESTED_MAX, &mut texts);
    texts
}

fn letter(text: &str, levels: usize, texts: &mut Vec<Text>) {
    let text = text.trim_start_matches(['\u{feff}', '\r', '\n']);
    if levels > 0 && headers::open_message(text) {
        part(text, levels - 1, texts);
    } else {
        words(text, levels, texts);
    }
}

/// Plain words, perhaps with encoded parts pasted into them.
fn words(text: &str, levels: usize, texts: &mut Vec<Text>) {
    let mut plain_from = 0;
    for encoded in ENCODED_PART.find_iter(text) {
        if levels == 0 || encoded.start() < plain_from {
            continue;
        }
        let start = plain_from + headers::block_start(text.get(plain_from..encoded.start()).unwrap_or_default());
        let end = body::end(text, encoded.end());
        texts.push(Text::Plain(text.get(plain_from..start).unwrap_or_default().to_owned()));
        part(text.get(start..end).unwrap_or_default(), levels - 1, texts);
        plain_from = end;
    }
    texts.push(Text::Plain(text.get(plain_from..).unwrap_or_default().to_owned()));
}

/// One message or body part: a block of headers, an empty line, a body.
fn part(text: &str, levels: usize, texts: &mut Vec<Text>) {
    let (head, body) = headers::split(text);
    let headers = Headers::read(head);
    headers.texts(texts);
    match headers.kind() {
        Kind::Multipart(boundary) => {
            let pieces = body::pieces(body, boundary);
            texts.push(Text::Plain(pieces.around));
            for piece in pieces.parts {
                if levels > 0 {
                    part(piece, levels - 1, texts);
                } else {
                    texts.push(Text::Plain(piece.to_owned()));
                }
            }
        }
        Kind::Message => letter(&headers.decoded(body).unwrap_or_default(), levels, texts),
        Kind::Html => texts.extend(headers.decoded(body).map(Text::Html)),
        Kind::Plain if headers.is_encoded() => texts.extend(headers.decoded(body).map(Text::Plain)),
        Kind::Plain => words(&headers.decoded(body).unwrap_or_default(), levels, texts),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(text: &str) -> String {
        let plain = |text| match text {
            Text::Plain(text) | Text::Html(text) => text,
        };
        texts(text).into_iter().map(plain).collect::<Vec<_>>().join("\n")
    }

    fn assert_reads(letter: &str, names: &[&str]) {
        let text = joined(letter);
        for name in names {
            assert!(text.contains(&format!("{name}@apple.com")), "{name} in {text}");
        }
    }

    #[test]
    fn a_plain_text_stays_as_it_is() {
        let text = "Dear all,\nwrite to me: ann@apple.com";
        assert_eq!(texts(text), [Text::Plain(text.to_owned())]);
        assert_eq!(texts(""), [Text::Plain(String::new())]);
    }

    #[test]
    fn quoted_printable_and_base64_parts_are_decoded() {
        let mail = "From: Ann <ann@apple.com>\nMIME-Version: 1.0\nContent-Type: multipart/mixed;\n boundary=\"cut\"\n\n\
            before dora@apple.com\n\
            --cut\nContent-Type: text/plain\nContent-Transfer-Encoding: quoted-printable\n\nbob=40app=\nle.com\n\
            --cut\nContent-Type: text/plain\nContent-Transfer-Encoding: base64\n\nY2FybEBh\ncHBsZS5jb20=\n--cut\n\n\
            emil@apple.com\n--cut--\nafter fritz@apple.com\n";
        assert_reads(mail, &["ann", "bob", "carl", "dora", "emil", "fritz"]);
        assert_reads(&mail.replace('\n', "\r\n"), &["ann", "bob", "carl", "dora", "emil", "fritz"]);
    }

    #[test]
    fn an_encoded_part_pasted_into_a_letter_is_decoded() {
        let letter = "Dear Bob, see what I got:\n\n--x1\nContent-Type: text/plain\n\
            Content-Transfer-Encoding: base64\n\nY2FybEBhcHBsZS5jb20=\n--x1--\n\nYours, ann@apple.com\n";
        assert_reads(letter, &["carl", "ann"]);
    }

    #[test]
    fn a_message_within_a_message_is_opened() {
        let inner = "From: bob@apple.com\nContent-Transfer-Encoding: quoted-printable\n\ncarl=40apple.com\n";
        assert_reads(&format!("From: ann@apple.com\nContent-Type: message/rfc822\n\n{inner}"), &["ann", "bob", "carl"]);
    }

    #[test]
    fn an_html_part_is_marked_as_such() {
        let mail = "From: ann@apple.com\nContent-Type: text/html\n\n<p>hello</p>";
        assert!(texts(mail).contains(&Text::Html("<p>hello</p>".to_owned())));
    }

    #[test]
    fn a_part_without_text_is_not_read() {
        let mail = "From: ann@apple.com\nContent-Type: image/png\nContent-Transfer-Encoding: base64\n\niVBORw0KGgo=\n";
        assert_eq!(texts(mail).len(), 1);
    }

    #[test]
    fn absurd_nesting_does_no_harm() {
        let messages = "Content-Type: message/rfc822\n\n".repeat(20_000);
        let parts = "Content-Type: multipart/mixed; boundary=b\n\n--b\n".repeat(20_000);
        let pasted = "Content-Transfer-Encoding: base64\n".repeat(20_000);
        for nested in [messages, parts, pasted] {
            assert!(!texts(&nested).is_empty());
            assert!(!texts(&format!("From: a@apple.com\n{nested}")).is_empty());
        }
    }
}
