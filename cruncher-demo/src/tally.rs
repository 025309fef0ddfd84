//! What the status service knows: every address ever seen, who found it, and which are new in the watched domain.
//! Pure.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::fmt;

/// How many addresses are remembered. Above it, further ones are counted as dropped.
pub const ADDRESSES_MAX: usize = 1_000_000;

/// The running totals of the status service.
#[derive(Debug)]
pub struct Tally {
    domain: String,
    seen: HashSet<String>,
    by_cruncher: BTreeMap<String, HashSet<String>>,
    new_in_domain: BTreeSet<String>,
    latest: Vec<String>,
    unasked: VecDeque<News>,
    results: u64,
    dropped: u64,
    addresses_max: usize,
}

/// An address nobody had found before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// The part before the `@`, spelled as it was found first.
    pub local_part: String,
    /// The part after the `@`, lower-cased.
    pub domain: String,
}

impl Tally {
    /// Nothing seen yet, watching `domain`.
    pub fn new(domain: &str) -> Tally {
        Tally {
            domain: domain.to_lowercase(),
            seen: HashSet::new(),
            by_cruncher: BTreeMap::new(),
            new_in_domain: BTreeSet::new(),
            latest: Vec::new(),
            unasked: VecDeque::new(),
            results: 0,
            dropped: 0,
            addresses_max: ADDRESSES_MAX,
        }
    }

    /// Takes one result in. What is no address is ignored.
    pub fn record(&mut self, cruncher: &str, found: &[String]) {
        self.results += 1;
        self.latest.clear();
        let known = self.by_cruncher.contains_key(cruncher) || self.by_cruncher.len() < CRUNCHERS_MAX;
        let cruncher = if known { cruncher } else { "others" };
        let own = self.by_cruncher.entry(cruncher.to_owned()).or_default();
        for address in found {
            let Some((local_part, domain)) = halves(address) else { continue };
            let key = address.to_lowercase();
            if self.seen.len() >= self.addresses_max && !self.seen.contains(&key) {
                self.dropped += 1;
                continue;
            }
            own.insert(key.clone());
            let domain = domain.to_lowercase();
            if !self.seen.insert(key) {
                continue;
            }
            self.latest.push(address.clone());
            if domain == self.domain {
                self.new_in_domain.insert(local_part.to_owned());
                self.unasked.push_back(News { local_part: local_part.to_owned(), domain });
            }
        }
    }

    /// What the last result brought that nobody had found before.
    pub fn latest(&self) -> &[String] {
        &self.latest
    }

    /// The oldest news that nobody has been asked yet to warn. It stays until `asked`, so that a broker that goes away
    /// in between loses no warning.
    pub fn unasked(&self) -> Option<&News> {
        self.unasked.front()
    }

    /// The oldest unasked news is dealt with.
    pub fn asked(&mut self) {
        self.unasked.pop_front();
    }

    /// The watched domain, lower-cased.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// How many different addresses were seen.
    pub fn addresses(&self) -> usize {
        self.seen.len()
    }

    /// How many different addresses `cruncher` found.
    pub fn found_by(&self, cruncher: &str) -> usize {
        self.by_cruncher.get(cruncher).map_or(0, HashSet::len)
    }

    /// Every cruncher's name, and how many different addresses it found.
    pub fn crunchers(&self) -> impl Iterator<Item = (&str, usize)> {
        self.by_cruncher.iter().map(|(name, found)| (name.as_str(), found.len()))
    }

    /// How many local parts were seen in the watched domain.
    pub fn new_in_domain_count(&self) -> usize {
        self.new_in_domain.len()
    }

    /// The local parts seen in the watched domain, sorted.
    pub fn new_in_domain(&self) -> impl Iterator<Item = &str> {
        self.new_in_domain.iter().map(String::as_str)
    }
}

/// What stands before and after the only `@`.
fn halves(address: &str) -> Option<(&str, &str)> {
    let (local_part, domain) = address.split_once('@')?;
    let whole = !local_part.is_empty() && !domain.is_empty() && !domain.contains('@');
    whole.then_some((local_part, domain))
}

/// How many crunchers are told apart by name.
const CRUNCHERS_MAX: usize = 16;

/// The totals in one line.
impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} results, {} addresses", self.results, self.addresses())?;
        let mut before = " (";
        for (cruncher, found) in &self.by_cruncher {
            write!(f, "{before}{cruncher} {}", found.len())?;
            before = ", ";
        }
        let closing = if self.by_cruncher.is_empty() { "" } else { ")" };
        write!(f, "{closing}, {} in {}", self.new_in_domain.len(), self.domain)?;
        if self.dropped > 0 {
            write!(f, ", {} not remembered: more than {}", self.dropped, self.addresses_max)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(addresses: &[&str]) -> Vec<String> {
        addresses.iter().map(|&address| address.to_owned()).collect()
    }

    /// The local parts that a result brings.
    fn news(tally: &mut Tally, cruncher: &str, found: &[&str]) -> Vec<String> {
        tally.record(cruncher, &list(found));
        std::mem::take(&mut tally.unasked).into_iter().map(|news| news.local_part).collect()
    }

    #[test]
    fn an_address_is_news_only_once() {
        let mut tally = Tally::new("apple.com");
        assert_eq!(news(&mut tally, "fast", &["ann@apple.com", "ann@apple.com"]), ["ann"]);
        assert!(news(&mut tally, "slow", &["ann@apple.com"]).is_empty());
        assert_eq!((tally.addresses(), tally.found_by("fast"), tally.found_by("slow")), (1, 1, 1));
    }

    #[test]
    fn news_stays_until_somebody_was_asked() {
        let mut tally = Tally::new("apple.com");
        tally.record("fast", &list(&["ann@apple.com", "bob@apple.com", "carl@orchard.org"]));
        assert_eq!(tally.latest(), ["ann@apple.com", "bob@apple.com", "carl@orchard.org"]);
        tally.asked();
        tally.record("fast", &list(&["ann@apple.com", "dora@apple.com"]));
        assert_eq!(tally.latest(), ["dora@apple.com"]);
        for local_part in ["bob", "dora"] {
            assert_eq!(tally.unasked().unwrap().local_part, local_part);
            tally.asked();
        }
        assert_eq!(tally.unasked(), None);
    }

    #[test]
    fn only_the_watched_domain_makes_news() {
        let mut tally = Tally::new("apple.com");
        let found = ["ann@apple.com", "bob@orchard.org", "carl@mail.apple.com"];
        assert_eq!(news(&mut tally, "fast", &found), ["ann"]);
        assert_eq!(tally.addresses(), 3);
    }

    #[test]
    fn case_tells_no_two_addresses_apart() {
        let mut tally = Tally::new("APPLE.com");
        tally.record("fast", &list(&["Ann@Apple.Com", "ann@apple.com", "ANN@APPLE.COM"]));
        assert_eq!(tally.unasked, [News { local_part: "Ann".into(), domain: "apple.com".into() }]);
        assert_eq!(tally.addresses(), 1);
    }

    #[test]
    fn the_local_parts_are_sorted() {
        let mut tally = Tally::new("apple.com");
        tally.record("fast", &list(&["carl@apple.com", "ann@apple.com", "bob@apple.com"]));
        assert_eq!(tally.new_in_domain().collect::<Vec<_>>(), ["ann", "bob", "carl"]);
    }

    #[test]
    fn what_is_no_address_is_ignored() {
        let mut tally = Tally::new("apple.com");
        assert!(news(&mut tally, "fast", &["", "ann", "@apple.com", "ann@", "a@b@apple.com"]).is_empty());
        assert_eq!(tally.addresses(), 0);
    }

    #[test]
    fn the_totals_fit_in_a_line() {
        let mut tally = Tally::new("apple.com");
        assert_eq!(tally.to_string(), "0 results, 0 addresses, 0 in apple.com");
        tally.record("slow", &list(&["ann@apple.com", "bob@orchard.org"]));
        tally.record("fast", &list(&["ann@apple.com"]));
        assert_eq!(tally.to_string(), "2 results, 2 addresses (fast 1, slow 2), 1 in apple.com");
    }

    #[test]
    fn memory_has_a_bound() {
        let mut tally = Tally { addresses_max: 2, ..Tally::new("apple.com") };
        assert_eq!(news(&mut tally, "fast", &["a@apple.com", "b@apple.com", "c@apple.com", "a@apple.com"]), ["a", "b"]);
        assert!(tally.to_string().ends_with("1 not remembered: more than 2"), "{tally}");
        for number in 0..100 {
            tally.record(&format!("cruncher {number}"), &[]);
        }
        assert!(tally.by_cruncher.len() <= CRUNCHERS_MAX + 1);
    }
}
