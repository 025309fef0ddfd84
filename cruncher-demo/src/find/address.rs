//! What the slow cruncher accepts as an address, and how it trims one out of the text around it.

use email_address::EmailAddress;
use linkify::{LinkFinder, LinkKind};
use regex::Regex;
use std::sync::LazyLock;

/// Longest local part of a deliverable address (RFC 5321, 4.5.3.1.1).
const LOCAL_BYTES_MAX: usize = 64;

/// The closing mark of `_emphasis_`, which would spoil the domain before it.
#[expect(clippy::unwrap_used, reason = "a constant pattern, compiled by every test of this file")]
static CLOSING_MARK: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"([[:alpha:]])_+([\s.,;:!?)]|$)").unwrap());

/// The addresses written out in `text`, trimmed and checked, in their order.
pub(super) fn addresses_in(text: &str) -> Vec<String> {
    let text = CLOSING_MARK.replace_all(text, "$1 $2");
    let mut finder = LinkFinder::new();
    finder.kinds(&[LinkKind::Email]);
    finder.links(&text).filter_map(|link| at(&text, link.start(), link.end())).collect()
}

/// `candidate` as an address that can exist, or nothing.
pub(super) fn checked(candidate: &str) -> Option<String> {
    let (local, domain) = candidate.rsplit_once('@')?;
    let domain = existing(domain)?;
    let address = format!("{local}@{domain}");
    (local.len() <= LOCAL_BYTES_MAX && EmailAddress::is_valid(&address)).then_some(address)
}

fn at(text: &str, start: usize, end: usize) -> Option<String> {
    let (local, domain) = text.get(start..end)?.rsplit_once('@')?;
    let (before, after) = (text.get(..start)?, text.get(end..)?);
    let local = local_part(before, local)?;
    if is_userinfo(before, start) || is_remote_path(after) {
        return None;
    }
    checked(&format!("{local}@{}", ascii_prefix(domain)))
}

/// The local part without quotes, `key=` and other text glued in front of it; nothing when a piece of it was cut off
/// at consecutive dots.
fn local_part<'t>(before: &str, local: &'t str) -> Option<&'t str> {
    let belongs = |c: char| (c.is_alphanumeric() && c < '\u{2E80}') || "._%+-'".contains(c);
    let glued = local.rfind(|c| !belongs(c));
    let tail = match glued {
        Some(at) => local.get(at..)?.trim_start_matches(|c| !belongs(c)),
        None if before.trim_end_matches('.').ends_with(char::is_alphanumeric) && before.ends_with('.') => return None,
        None => local,
    };
    let tail = tail.trim_start_matches(|c: char| !c.is_alphanumeric());
    (!tail.is_empty()).then_some(tail)
}

/// The `user:password@` of a URL is no address. Looks back over one word only.
fn is_userinfo(before: &str, start: usize) -> bool {
    const LOOK_BACK: usize = 256;
    let mut from = start.saturating_sub(LOOK_BACK);
    while !before.is_char_boundary(from) {
        from += 1;
    }
    let word = before.get(from..).unwrap_or_default();
    let word = word.rsplit(char::is_whitespace).next().unwrap_or_default();
    word.rsplit_once("://").is_some_and(|(_, rest)| !rest.contains(['/', '?', '#']))
}

/// `git@host.com:team/project` names a repository, not a mailbox.
fn is_remote_path(after: &str) -> bool {
    let path = after.strip_prefix(':').unwrap_or_default();
    let end = path.find(|c: char| !(c.is_alphanumeric() || "-_.~/".contains(c))).unwrap_or(path.len());
    path.get(..end).is_some_and(|path| path.contains('/') && !path.starts_with('/'))
}

/// A domain up to where a script without spaces follows directly (`apple.com` of `apple.com` + CJK text).
fn ascii_prefix(domain: &str) -> &str {
    let glued = domain.char_indices().zip(domain.chars().skip(1)).find(|((_, left), right)| {
        left.is_ascii_alphanumeric() && !(right.is_ascii() || right.is_alphanumeric() && *right < '\u{2E80}')
    });
    match glued {
        Some(((at, left), _)) => domain.get(..at + left.len_utf8()).unwrap_or(domain),
        None => domain,
    }
}

/// `domain` if the public suffix list knows its end and something stands before that end.
///
/// A sentence that starts right after the address (`apple.com.Thanks`) is cut off first.
fn existing(domain: &str) -> Option<&str> {
    if is_registrable(domain) {
        return Some(domain);
    }
    let (rest, last) = domain.rsplit_once('.')?;
    let starts_sentence = last.starts_with(|c: char| c.is_uppercase()) && rest.ends_with(|c: char| c.is_lowercase());
    (starts_sentence && is_registrable(rest)).then_some(rest)
}

fn is_registrable(domain: &str) -> bool {
    let lower = domain.to_lowercase();
    let Some(suffix) = psl::suffix(lower.as_bytes()) else { return false };
    let private = suffix.typ() == Some(psl::Type::Private);
    suffix.is_known() && (private || psl::domain(lower.as_bytes()).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn punctuation_around_an_address_is_not_part_of_it() {
        let text = "(ann@apple.com), 'bob@apple.com'; \u{201c}carl@apple.com\u{201d} _dora@apple.com_ ...emil@apple.com! *fritz@apple.com*";
        let names = ["ann", "bob", "carl", "dora", "emil", "fritz"];
        assert_eq!(addresses_in(text), names.map(|name| format!("{name}@apple.com")));
    }

    #[test]
    fn a_sentence_glued_to_an_address_is_cut_off() {
        assert_eq!(addresses_in("Write to ann@apple.com.Thanks for all"), ["ann@apple.com"]);
        assert!(addresses_in("ann@apple.com.invalid").is_empty());
    }

    #[test]
    fn text_glued_in_front_is_cut_off() {
        assert_eq!(addresses_in("?email=ann@apple.com&x=1"), ["ann@apple.com"]);
        assert_eq!(addresses_in("mailto:ann@apple.com"), ["ann@apple.com"]);
        assert_eq!(addresses_in("\u{8054}\u{7cfb}ann@apple.com\u{8054}\u{7cfb}"), ["ann@apple.com"]);
    }

    #[test]
    fn an_apostrophe_and_a_foreign_letter_belong_to_a_name() {
        assert_eq!(addresses_in("pat.o'brien@apple.com j\u{fc}rgen@b\u{fc}cher.de").len(), 2);
    }

    #[test]
    fn domains_that_cannot_exist_are_dropped() {
        assert!(addresses_in("icon@2x.png me@localhost.localdomain x@co.uk y@apple.c0m z@10.0.0.1").is_empty());
        assert_eq!(addresses_in("x@shop.co.uk"), ["x@shop.co.uk"]);
    }

    #[test]
    fn a_local_part_ends_at_64_bytes() {
        let (fits, long) = ("a".repeat(64), "a".repeat(65));
        assert_eq!(addresses_in(&format!("{fits}@apple.com")).len(), 1);
        assert!(addresses_in(&format!("{long}@apple.com")).is_empty());
    }

    #[test]
    fn consecutive_dots_make_no_address() {
        assert!(addresses_in("a..b@apple.com").is_empty());
        assert!(addresses_in("a.@apple.com b@apple..com").is_empty());
    }

    #[test]
    fn what_only_stands_before_a_host_is_no_address() {
        assert!(addresses_in("https://user:secret@apple.com/ and git@github.com:team/project.git").is_empty());
        assert_eq!(addresses_in("https://apple.com/?to=ann@apple.com"), ["ann@apple.com"]);
    }

    #[test]
    fn no_text_makes_it_panic() {
        for text in ["@", "a@", "@a.com", "..@..", "\u{fc}@\u{fc}.\u{fc}", "a@b.com\u{300}", "\u{1f600}@\u{1f600}.com"]
        {
            addresses_in(text);
        }
    }
}
