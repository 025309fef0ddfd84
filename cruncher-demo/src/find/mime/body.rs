//! The body of a message part: where it ends, its pieces, and its transfer encoding and charset undone.

use mail_parser::decoders::{base64::base64_decode, charsets::map::charset_decoder};

/// How a body is wrapped for the way (RFC 2045, section 6).
pub(super) enum Encoding {
    /// Not at all.
    AsIs,
    /// `=40` for an at sign, `=` at the end of a line that goes on.
    QuotedPrintable,
    /// Four characters for three bytes.
    Base64,
}

/// A multipart body taken apart.
pub(super) struct Pieces<'b> {
    /// The parts between the boundary lines.
    pub(super) parts: Vec<&'b str>,
    /// What stands before the first and after the last boundary.
    pub(super) around: String,
}

impl Encoding {
    /// The encoding of that name; an unknown one is read as it is.
    pub(super) fn named(name: &str) -> Encoding {
        match name.trim() {
            name if name.eq_ignore_ascii_case("quoted-printable") => Encoding::QuotedPrintable,
            name if name.eq_ignore_ascii_case("base64") => Encoding::Base64,
            _ => Encoding::AsIs,
        }
    }

    /// `body` as text, or nothing when it is none. What is wrongly encoded is read as far as it goes.
    pub(super) fn decode(&self, body: &str, charset: Option<&str>) -> Option<String> {
        let bytes = match self {
            Encoding::AsIs => return Some(body.to_owned()),
            Encoding::QuotedPrintable => {
                quoted_printable::decode(body.as_bytes(), quoted_printable::ParseMode::Robust).ok()?
            }
            Encoding::Base64 => base64_decode(base64_lines(body).as_bytes())?,
        };
        match charset.and_then(|name| charset_decoder(name.as_bytes())) {
            Some(decode) => Some(decode(&bytes)),
            None => String::from_utf8(bytes).ok(),
        }
    }
}

/// The leading lines of `body` that can be base64: a footer below them would spoil the whole.
fn base64_lines(body: &str) -> &str {
    let is_base64 = |line: &str| line.trim_end().bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=".contains(&b));
    let mut end = 0;
    for line in body.split_inclusive('\n') {
        if !is_base64(line) {
            break;
        }
        end += line.len();
    }
    body.get(..end).unwrap_or_default()
}

/// Where a part is over whose boundary is not known: before the next line that looks like one.
pub(super) fn end(text: &str, from: usize) -> usize {
    let body = text.get(from..).unwrap_or_default();
    let boundary = body.match_indices("\n--").find(|(at, _)| {
        body.get(at + 3..).is_some_and(|line| line.starts_with(|c: char| !c.is_whitespace() && c != '-'))
    });
    boundary.map_or(text.len(), |(at, _)| from + at + 1)
}

/// Takes a multipart body apart. The last part may lack its closing boundary.
pub(super) fn pieces<'b>(body: &'b str, boundary: &str) -> Pieces<'b> {
    let mut pieces = Pieces { parts: Vec::new(), around: String::new() };
    let (mut at, mut start, mut closed) = (0, None, false);
    for line in body.split_inclusive('\n') {
        let mark = line.trim_end().strip_prefix("--").and_then(|line| line.strip_prefix(boundary));
        match mark {
            Some(mark) if !closed && (mark.is_empty() || mark == "--") => {
                pieces.parts.extend(start.and_then(|start: usize| body.get(start..at)));
                closed = mark == "--";
                start = (!closed).then_some(at + line.len());
            }
            _ if start.is_none() => pieces.around.push_str(line),
            _ => {}
        }
        at += line.len();
    }
    pieces.parts.extend(start.and_then(|start| body.get(start..)));
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_are_undone() {
        let quoted = Encoding::named("Quoted-Printable").decode("ann=40app=\nle.com =C3=BC", Some("utf-8"));
        assert_eq!(quoted.as_deref(), Some("ann@apple.com \u{fc}"));
        assert_eq!(Encoding::named("BASE64").decode("YW5u\nQGE=\n", None).as_deref(), Some("ann@a"));
        assert_eq!(Encoding::named("8bit").decode("a=40b", None).as_deref(), Some("a=40b"));
    }

    #[test]
    fn charsets_are_read() {
        let latin = Encoding::QuotedPrintable.decode("j=FCrgen", Some("iso-8859-1"));
        assert_eq!(latin.as_deref(), Some("j\u{fc}rgen"));
    }

    #[test]
    fn what_is_no_text_is_nothing() {
        assert_eq!(Encoding::Base64.decode("/////w==", None), None);
    }

    #[test]
    fn wrong_encoding_is_read_as_far_as_it_goes() {
        assert_eq!(Encoding::QuotedPrintable.decode("a = b=40c", None).as_deref(), Some("a = b@c"));
        assert_eq!(Encoding::Base64.decode("YW5u\n___ footer ___\n", None).as_deref(), Some("ann"));
    }

    #[test]
    fn a_multipart_body_comes_apart() {
        let whole = pieces("pre\n--b\none\n--bc\n--b\r\ntwo\n--b--\npost\n--b\nlate\n", "b");
        assert_eq!(whole.parts, ["one\n--bc\n", "two\n"]);
        assert_eq!(whole.around, "pre\npost\n--b\nlate\n");
        assert_eq!(pieces("--b\ncut off", "b").parts, ["cut off"]);
    }
}
