//! Reads addresses that are spelled out for people: `ann [at] apple [dot] com`, `ann at apple dot com`.

use super::address;
use regex::{Captures, Regex};
use std::sync::LazyLock;

/// Words that stand before a plain "at" without being a mailbox: "visit us at apple dot com".
const NOT_A_NAME: [&str; 32] = [
    "also",
    "and",
    "are",
    "available",
    "be",
    "everything",
    "find",
    "found",
    "here",
    "i",
    "is",
    "it",
    "look",
    "looking",
    "me",
    "meet",
    "met",
    "more",
    "now",
    "online",
    "only",
    "or",
    "page",
    "shop",
    "site",
    "that",
    "them",
    "us",
    "visit",
    "was",
    "website",
    "you",
];

const OPEN: &str = r"\s{0,4}[\[({<]\s{0,4}";
const CLOSE: &str = r"\s{0,4}[\])}>]\s{0,4}";
const NAME: &str = r"[\p{Alphabetic}\p{Nd}_%+'-]+";
const LABEL: &str = r"[\p{Alphabetic}\p{Nd}-]+";

/// The "at" stands in brackets: nobody writes that by chance, so the dots may be plain.
static BRACKETED: LazyLock<Regex> = LazyLock::new(|| {
    let at = format!("{OPEN}(?:at|@){CLOSE}");
    pattern(&at, &format!(r"\.|{}|\s{{1,4}}dot\s{{1,4}}", dot_in_brackets()), &dot_in_brackets())
});

/// The "at" is a plain word: then at least one dot must be spelled out too.
static PLAIN: LazyLock<Regex> = LazyLock::new(|| {
    let dot = format!(r"\.|{}|\s{{1,4}}(?:dot|\.)\s{{1,4}}", dot_in_brackets());
    pattern(r"\s{1,4}(?:at|@)\s{1,4}", &dot, &format!(r"{}|\s{{1,4}}dot\s{{1,4}}", dot_in_brackets()))
});

#[expect(clippy::unwrap_used, reason = "a constant pattern, compiled by every test of this file")]
static DOT: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(&format!(r"(?i){}|\s+(?:dot|\.)\s+", dot_in_brackets())).unwrap());

fn dot_in_brackets() -> String {
    format!(r"{OPEN}(?:dot|\.){CLOSE}")
}

#[expect(clippy::unwrap_used, reason = "built from constants, compiled by every test of this file")]
fn pattern(at: &str, host_dot: &str, name_dot: &str) -> Regex {
    let name = format!(r"{NAME}(?:(?:\.|{name_dot}){NAME})*");
    let host = format!(r"{LABEL}(?:(?:{host_dot}){LABEL})+");
    Regex::new(&format!("(?i)(?P<name>{name}){at}(?P<host>{host})")).unwrap()
}

/// `text` with every spelled-out address that can exist written as an ordinary one; the rest stays as it is.
pub(super) fn written_out(text: &str) -> String {
    let text = BRACKETED.replace_all(text, |hit: &Captures<'_>| written(hit, false));
    PLAIN.replace_all(&text, |hit: &Captures<'_>| written(hit, true)).into_owned()
}

fn written(hit: &Captures<'_>, plain: bool) -> String {
    let part = |name| hit.name(name).map_or("", |part| part.as_str());
    let (name, host) = (DOT.replace_all(part("name"), "."), DOT.replace_all(part("host"), "."));
    let by_chance = plain && (host == part("host") || NOT_A_NAME.contains(&name.to_lowercase().as_str()));
    match address::checked(&format!("{name}@{host}")) {
        Some(address) if !by_chance => format!(" {address} "),
        _ => hit.get(0).map_or("", |whole| whole.as_str()).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        address::addresses_in(&written_out(text))
    }

    #[test]
    fn every_usual_spelling_is_read() {
        let spellings = [
            "ann [at] apple [dot] com",
            "ann(at)apple(dot)com",
            "ann {AT} apple {DOT} com",
            "ann <at> apple <dot> com",
            "ann [at] apple.com",
            "ann [at] apple dot com",
            "ann (@) apple (.) com",
            "ann at apple dot com",
            "ann AT apple DOT com.",
            "ann @ apple . com",
            "ann at apple\ndot com",
        ];
        for spelling in spellings {
            assert_eq!(found(spelling), ["ann@apple.com"], "{spelling}");
        }
    }

    #[test]
    fn dots_inside_the_name_are_read_too() {
        assert_eq!(found("ann dot lee at mail dot apple dot com"), ["ann.lee@mail.apple.com"]);
        assert_eq!(found("ann [dot] lee [at] apple [dot] co [dot] uk"), ["ann.lee@apple.co.uk"]);
    }

    #[test]
    fn neighbours_stay_apart() {
        let text = "ann at apple dot com, bob [at] apple.com and carl@apple.com";
        assert_eq!(found(text), ["ann@apple.com", "bob@apple.com", "carl@apple.com"]);
    }

    #[test]
    fn ordinary_sentences_are_no_addresses() {
        for text in [
            "Look at apple.com for more",
            "visit us at apple dot com",
            "we met at noon. Dot came later",
            "five at apple dot nowhere",
            "dinner @ pizza.com",
        ] {
            assert!(found(text).is_empty(), "{text}");
        }
    }
}
