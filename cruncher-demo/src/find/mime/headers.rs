//! The header block of a message or body part: who is named in it, and how its body is to be read.

use super::{Text, body};
use mail_parser::{Addr, Address, ContentType, Header, HeaderName, HeaderValue, MessageParser};
use regex::Regex;
use std::sync::LazyLock;

#[expect(clippy::unwrap_used, reason = "a constant pattern, compiled by every test of this file")]
static KNOWN_HEADER: LazyLock<Regex> = LazyLock::new(|| {
    let names = "from|to|cc|subject|date|mime-version|content-type|content-transfer-encoding|received|return-path";
    Regex::new(&format!("(?i)^(?:{names}|reply-to|message-id):")).unwrap()
});

#[expect(clippy::unwrap_used, reason = "a constant pattern, compiled by every test of this file")]
static HEADER_LINE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^(?:[!-9;-~]+:|[ \t]+\S)").unwrap());

/// What a body is.
pub(super) enum Kind<'h> {
    /// Parts between lines of this boundary.
    Multipart(&'h str),
    /// A whole message.
    Message,
    /// Tagged text.
    Html,
    /// Anything else; read if it is text.
    Plain,
}

/// The decoded headers of one part.
pub(super) struct Headers {
    headers: Vec<Header<'static>>,
}

impl Headers {
    pub(super) fn read(head: &str) -> Headers {
        let parsed = MessageParser::default().parse_headers(head.as_bytes());
        let part = parsed.and_then(|message| message.into_owned().parts.into_iter().next());
        Headers { headers: part.map(|part| part.headers).unwrap_or_default() }
    }

    /// Adds the names and texts that people wrote into the headers.
    pub(super) fn texts(&self, texts: &mut Vec<Text>) {
        for header in self.headers.iter().filter(|header| !is_for_machines(&header.name)) {
            match &header.value {
                HeaderValue::Address(Address::List(list)) => texts.extend(list.iter().map(mailbox)),
                HeaderValue::Address(Address::Group(groups)) => {
                    texts.extend(groups.iter().flat_map(|group| &group.addresses).map(mailbox));
                }
                HeaderValue::Text(text) => texts.push(Text::Plain(text.clone().into_owned())),
                HeaderValue::TextList(list) => {
                    texts.extend(list.iter().map(|text| Text::Plain(text.clone().into_owned())));
                }
                _ => {}
            }
        }
    }

    pub(super) fn kind(&self) -> Kind<'_> {
        let Some(content_type) = self.content_type() else { return Kind::Plain };
        let subtype = content_type.subtype().unwrap_or_default();
        match content_type.ctype() {
            kind if kind.eq_ignore_ascii_case("multipart") => match content_type.attribute("boundary") {
                Some(boundary) if !boundary.is_empty() => Kind::Multipart(boundary),
                _ => Kind::Plain,
            },
            kind if kind.eq_ignore_ascii_case("message") && subtype.eq_ignore_ascii_case("rfc822") => Kind::Message,
            kind if kind.eq_ignore_ascii_case("text") && subtype.eq_ignore_ascii_case("html") => Kind::Html,
            _ => Kind::Plain,
        }
    }

    /// Is the body in quoted-printable or base64?
    pub(super) fn is_encoded(&self) -> bool {
        !matches!(body::Encoding::named(self.encoding_name()), body::Encoding::AsIs)
    }

    /// The body as text, or nothing when it is none.
    pub(super) fn decoded(&self, body: &str) -> Option<String> {
        let charset = self.content_type().and_then(|kind| kind.attribute("charset"));
        body::Encoding::named(self.encoding_name()).decode(body, charset)
    }

    fn encoding_name(&self) -> &str {
        match self.value(&HeaderName::ContentTransferEncoding) {
            Some(HeaderValue::Text(name)) => name,
            _ => "",
        }
    }

    fn content_type(&self) -> Option<&ContentType<'static>> {
        match self.value(&HeaderName::ContentType) {
            Some(HeaderValue::ContentType(content_type)) => Some(content_type),
            _ => None,
        }
    }

    fn value(&self, name: &HeaderName<'_>) -> Option<&HeaderValue<'static>> {
        self.headers.iter().find(|header| header.name == *name).map(|header| &header.value)
    }
}

/// Does `text` begin with a block of header lines, one of them well known?
pub(super) fn open_message(text: &str) -> bool {
    let mut known = false;
    for line in text.lines().skip_while(|line| line.starts_with("From ")).take_while(|line| !line.is_empty()) {
        if !HEADER_LINE.is_match(line) {
            return false;
        }
        known |= KNOWN_HEADER.is_match(line);
    }
    known
}

/// Where the header lines begin that `before` ends with.
pub(super) fn block_start(before: &str) -> usize {
    let mut start = before.len();
    for line in before.split_inclusive('\n').rev() {
        if !HEADER_LINE.is_match(line) {
            break;
        }
        start -= line.len();
    }
    start
}

/// Header block and body: the first empty line parts them. A part may have no headers at all.
pub(super) fn split(text: &str) -> (&str, &str) {
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if line.trim_end_matches(['\r', '\n']).is_empty() {
            return (text.get(..at).unwrap_or_default(), text.get(at + line.len()..).unwrap_or_default());
        }
        at += line.len();
    }
    (text, "")
}

/// Headers whose `x@y` name messages, parts and signatures, not people.
fn is_for_machines(name: &HeaderName<'_>) -> bool {
    let by_kind = [HeaderName::MessageId, HeaderName::References, HeaderName::InReplyTo, HeaderName::ContentId];
    let by_name = ["dkim-signature", "feedback-id", "list-id", "resent-message-id", "content-transfer-encoding"];
    let name_text = name.as_str().to_ascii_lowercase();
    by_kind.contains(name) || by_name.contains(&name_text.as_str()) || name_text.starts_with("arc-")
}

fn mailbox(mailbox: &Addr<'_>) -> Text {
    Text::Plain(format!("{} <{}>", mailbox.name().unwrap_or_default(), mailbox.address().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(head: &str) -> String {
        let mut texts = Vec::new();
        Headers::read(head).texts(&mut texts);
        format!("{texts:?}")
    }

    #[test]
    fn people_in_headers_are_read() {
        let text = read("From: Ann <ann@apple.com>\nCc: friends: bob@apple.com, carl@apple.com;\n");
        assert!(["ann", "bob", "carl"].iter().all(|name| text.contains(&format!("<{name}@apple.com>"))), "{text}");
    }

    #[test]
    fn encoded_words_are_decoded() {
        assert!(read("Subject: =?utf-8?q?write_to_bob=40apple.com?=\n").contains("bob@apple.com"));
    }

    #[test]
    fn names_of_messages_are_not_read() {
        let head =
            "Message-ID: <1234@mail.apple.com>\nIn-Reply-To: <9@mail.apple.com>\nContent-ID: <8@mail.apple.com>\n";
        assert!(!read(head).contains("mail.apple.com"));
    }

    #[test]
    fn a_letter_is_told_from_a_message() {
        assert!(open_message("From: ann@apple.com\nX-Any: 1\n more\n\nhello"));
        assert!(open_message("From ann Mon Jan 1\nSubject: mbox\n\nhello"));
        assert!(!open_message("Dear Bob:\nwhat a day\n"));
        assert!(!open_message("P.S.: only a remark\n\nhello"));
    }

    #[test]
    fn the_header_block_before_a_line_is_found_back() {
        assert_eq!(block_start("Hello you\nA: 1\n b\nC: 2\n"), "Hello you\n".len());
        assert_eq!(block_start(""), 0);
    }
}
