//! The fast cruncher: the usual regular expression over the raw text, with the usual blind spots.

use super::Found;
use regex::Regex;
use std::sync::LazyLock;

#[expect(clippy::unwrap_used, reason = "a constant pattern, compiled by every test of this file")]
static ADDRESS: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}").unwrap());

/// Everything in `text` that has the shape of an address.
pub fn find(text: &str) -> Vec<String> {
    let mut found = Found::default();
    for hit in ADDRESS.find_iter(text) {
        found.add(hit.as_str());
    }
    found.into_list()
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn addresses_in_plain_text_are_found() {
        let text = "Ask ann@apple.com, <bob.lee+mail@mail.example.org> or (carl@apple.com).";
        assert_eq!(find(text), ["ann@apple.com", "bob.lee+mail@mail.example.org", "carl@apple.com"]);
    }

    #[test]
    fn a_text_without_addresses_gives_an_empty_list() {
        assert!(find("").is_empty());
        assert!(find("meet me @ noon, not at a@b").is_empty());
    }

    #[test]
    fn it_takes_what_only_looks_like_an_address() {
        assert_eq!(find("icon@2x.png and a..b@apple.com"), ["icon@2x.png", "a..b@apple.com"]);
    }

    #[test]
    fn it_misses_what_is_encoded_or_spelled_out() {
        assert!(find("ann=40apple.com ann&#64;apple.com ann [at] apple [dot] com").is_empty());
    }
}
