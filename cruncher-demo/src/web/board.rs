//! What the page shows, and how it changes with what happens. Pure: time is an argument, changes are returned as JSON.
//! Everything on it can happen twice, as messages can come twice, and changes it once.

use super::rows::{Address, Broker, Change, Find, Fixed, Letter, Link, Progress, Queue, Totals, Warning};
use crate::messages::CruncherResult;
use crate::newest::remember;
use crate::screen::printable;
use crate::status::Asked;
use crate::tally::{News, Tally};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::Path;
use std::time::Instant;

/// How many letters, addresses and warnings are shown; older ones are only counted.
const ROWS_MAX: usize = 200;
/// How many addresses of one result are shown with its letter.
const FINDS_MAX: usize = 30;
/// How many addresses of one result are looked up among those that are shown.
const LOOKED_UP_MAX: usize = 2000;
/// How many crunchers are told apart for one letter.
const CRUNCHERS_MAX: usize = 4;
/// Longest name or address that is shown.
const CHARS_MAX: usize = 200;

/// The board that all browsers see.
#[derive(Debug)]
pub(super) struct Board {
    fixed: Fixed,
    broker: Broker,
    totals: Totals,
    queues: Vec<Queue>,
    letters: VecDeque<Letter>,
    addresses: VecDeque<Address>,
    /// By local part. There are as many as the tally has addresses, which has a bound.
    warnings: HashMap<String, Warning>,
    latest_warnings: VecDeque<String>,
    rows: u64,
}

impl Board {
    pub(super) fn new(fixed: Fixed, broker: Broker) -> Board {
        Board {
            fixed,
            broker,
            totals: Totals::default(),
            queues: Vec::new(),
            letters: VecDeque::new(),
            addresses: VecDeque::new(),
            warnings: HashMap::new(),
            latest_warnings: VecDeque::new(),
            rows: 0,
        }
    }

    /// All of it.
    pub(super) fn snapshot(&self) -> String {
        let change = Change {
            fixed: Some(&self.fixed),
            broker: Some(&self.broker),
            totals: Some(&self.totals),
            queues: Some(&self.queues),
            letters: self.letters.iter().collect(),
            addresses: self.addresses.iter().collect(),
            warnings: self.latest_warnings.iter().filter_map(|name| self.warnings.get(name)).collect(),
        };
        change.json()
    }

    /// The connection to the broker came, went or has news of the broker.
    pub(super) fn link(&mut self, link: Link) -> Option<String> {
        if self.broker.link == link {
            return None;
        }
        let is_connected = matches!(link, Link::Connected { .. });
        self.broker.healed += u32::from(is_connected && matches!(self.broker.link, Link::Lost { .. }));
        if !is_connected {
            self.queues.clear();
        }
        self.broker.link = link;
        let queues = (!is_connected).then_some(self.queues.as_slice());
        Some(Change { broker: Some(&self.broker), queues, ..Change::default() }.json())
    }

    /// The broker takes no messages for now, or takes them again.
    pub(super) fn blocked(&mut self, why: Option<String>) -> Option<String> {
        match &mut self.broker.link {
            Link::Connected { blocked, .. } if *blocked != why => *blocked = why,
            _ => return None,
        }
        Some(Change { broker: Some(&self.broker), ..Change::default() }.json())
    }

    /// How the queues stand.
    pub(super) fn queues(&mut self, queues: Vec<Queue>) -> Option<String> {
        if self.queues == queues {
            return None;
        }
        self.queues = queues;
        Some(Change { queues: Some(&self.queues), ..Change::default() }.json())
    }

    /// A letter was handed in.
    pub(super) fn letter(&mut self, label: &str, name: &str, bytes: usize) -> Option<String> {
        let row = self.next_row();
        self.add_letter(Letter {
            row,
            key: label.to_owned(),
            name: shown(name),
            bytes: Some(bytes),
            sent: false,
            sent_at: None,
            finds: BTreeMap::new(),
        });
        self.letter_change(row)
    }

    /// A letter is about to be published; its results may be here before the broker says that it has it.
    pub(super) fn sending(&mut self, label: &str, now: Instant) {
        if let Some(letter) = self.letters.iter_mut().find(|letter| letter.key == label) {
            letter.sent_at = letter.sent_at.or(Some(now));
        }
    }

    /// The broker has a letter.
    pub(super) fn sent(&mut self, label: &str) -> Option<String> {
        let letter = self.letters.iter_mut().find(|letter| letter.key == label)?;
        letter.sent = true;
        let row = letter.row;
        self.letter_change(row)
    }

    /// A result has been counted.
    pub(super) fn recorded(&mut self, result: &CruncherResult, tally: &Tally, now: Instant) -> Option<String> {
        self.totals.addresses = tally.addresses();
        self.totals.in_domain = tally.new_in_domain().count();
        self.totals.by_cruncher = tally.crunchers().map(|(name, found)| (shown(name), found)).collect();
        let letter = self.find(result, now);
        let first_new = self.rows + 1;
        for address in tally.latest() {
            let row = self.next_row();
            remember(&mut self.addresses, ROWS_MAX, Address { row, address: shown(address), found_by: Vec::new() });
        }
        let found_again = self.mark_finder(result);
        let is_told = |address: &&Address| address.row >= first_new || found_again.contains(&address.row);
        let change = Change {
            totals: Some(&self.totals),
            letters: self.letters.iter().filter(|row| Some(row.row) == letter).collect(),
            addresses: self.addresses.iter().filter(is_told).collect(),
            ..Change::default()
        };
        Some(change.json())
    }

    /// A warning was asked for.
    pub(super) fn asked(&mut self, news: &News, asked: Asked) -> Option<String> {
        let progress = match asked {
            Asked::Queued => Progress::Queued,
            Asked::Unheard => Progress::Unheard,
            Asked::Impossible => Progress::Impossible,
        };
        self.warning(&news.local_part, progress)
    }

    /// A spammer has come to an end with a warning.
    pub(super) fn ended(&mut self, local_part: &str, written: bool) -> Option<String> {
        self.warning(local_part, if written { Progress::Written } else { Progress::Failed })
    }

    /// Whose warnings are still in their queues.
    pub(super) fn unwarned(&self) -> Vec<String> {
        let queued = self.warnings.iter().filter(|(_, warning)| warning.progress == Progress::Queued);
        queued.map(|(local_part, _)| local_part.clone()).collect()
    }

    fn next_row(&mut self) -> u64 {
        self.rows += 1;
        self.rows
    }

    fn add_letter(&mut self, letter: Letter) {
        remember(&mut self.letters, ROWS_MAX, letter);
    }

    fn letter_change(&self, row: u64) -> Option<String> {
        let letters: Vec<_> = self.letters.iter().filter(|letter| letter.row == row).collect();
        (!letters.is_empty()).then(|| Change { letters, ..Change::default() }.json())
    }

    /// Notes what was found in which letter, and gives the letter's row.
    fn find(&mut self, result: &CruncherResult, now: Instant) -> Option<u64> {
        let key = result.label.as_deref().or(result.file.as_deref()).unwrap_or_default();
        if !self.letters.iter().any(|letter| letter.key == key) {
            // One of our own that is not shown any more stays so.
            if key.starts_with(self.fixed.run.as_str()) {
                return None;
            }
            let row = self.next_row();
            let name = result.file.as_deref().and_then(|file| Path::new(file).file_name()?.to_str());
            let name = shown(name.unwrap_or("a letter"));
            let finds = BTreeMap::new();
            self.add_letter(Letter { row, key: key.to_owned(), name, bytes: None, sent: true, sent_at: None, finds });
        }
        let letter = self.letters.iter_mut().find(|letter| letter.key == key)?;
        letter.sent = true;
        let cruncher = shown(&result.cruncher);
        if letter.finds.len() < CRUNCHERS_MAX {
            let took = letter.sent_at.map(|sent| now.saturating_duration_since(sent));
            letter.finds.entry(cruncher).or_insert_with(|| Find {
                count: result.addresses.len(),
                millis: took.map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX)),
                addresses: result.addresses.iter().take(FINDS_MAX).map(|address| shown(address)).collect(),
            });
        }
        Some(letter.row)
    }

    /// Writes the cruncher to each address that it found, and gives the rows that changed.
    fn mark_finder(&mut self, result: &CruncherResult) -> Vec<u64> {
        let cruncher = shown(&result.cruncher);
        let found = result.addresses.iter().take(LOOKED_UP_MAX).map(|address| shown(address).to_lowercase());
        let found: std::collections::HashSet<_> = found.collect();
        let mut changed = Vec::new();
        for row in &mut self.addresses {
            let is_news = found.contains(&row.address.to_lowercase()) && !row.found_by.contains(&cruncher);
            if is_news && row.found_by.len() < CRUNCHERS_MAX {
                row.found_by.push(cruncher.clone());
                changed.push(row.row);
            }
        }
        changed
    }

    /// A warning goes on, never back: its end may be known before the broker says that it took it.
    fn warning(&mut self, local_part: &str, progress: Progress) -> Option<String> {
        let before = self.warnings.get(local_part).cloned();
        if before.as_ref().is_some_and(|before| before.progress >= progress) {
            return None;
        }
        let was_asked = before.as_ref().is_some_and(|before| before.progress >= Progress::Queued);
        let row = match before {
            Some(before) => before.row,
            None => {
                remember(&mut self.latest_warnings, ROWS_MAX, local_part.to_owned());
                self.next_row()
            }
        };
        self.totals.asked += usize::from(progress >= Progress::Queued && !was_asked);
        self.totals.warned += usize::from(progress == Progress::Written);
        let address = shown(&format!("{local_part}@{}", self.fixed.domain));
        self.warnings.insert(local_part.to_owned(), Warning { row, address, progress });
        let warnings = self.warnings.get(local_part).into_iter().collect();
        Some(Change { totals: Some(&self.totals), warnings, ..Change::default() }.json())
    }
}

/// A stranger's text as it is shown: in one line, and not too long.
fn shown(text: &str) -> String {
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}\u{2026}", printable(text.get(..end).unwrap_or_default())),
        None => printable(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use std::time::Duration;

    fn board() -> Board {
        let texts = || String::from("x");
        let fixed =
            Fixed { run: "run".into(), domain: "apple.com".into(), out: None, own_services: true, letter_bytes_max: 1 };
        Board::new(fixed, Broker { link: Link::Connecting, address: texts(), embedded: false, healed: 0 })
    }

    fn result(cruncher: &str, label: Option<&str>, addresses: &[&str]) -> CruncherResult {
        let addresses = addresses.iter().map(|&address| address.to_owned()).collect();
        CruncherResult {
            cruncher: cruncher.into(),
            file: Some("/letters/a.txt".into()),
            label: label.map(str::to_owned),
            addresses,
        }
    }

    fn record(board: &mut Board, tally: &mut Tally, result: &CruncherResult, now: Instant) -> Value {
        tally.record(&result.cruncher, &result.addresses);
        parsed(board.recorded(result, tally, now))
    }

    fn parsed(change: Option<String>) -> Value {
        serde_json::from_str(&change.unwrap()).unwrap()
    }

    fn connected() -> Link {
        Link::Connected { product: "Leveret".into(), blocked: None }
    }

    #[test]
    fn a_result_shows_who_found_what_and_how_long_it_took() {
        let (mut board, mut tally, start) = (board(), Tally::new("apple.com"), Instant::now());
        board.letter("run/1", "<b>.txt", 3);
        board.sending("run/1", start);
        let fast = result("fast", Some("run/1"), &["ann@apple.com", "bob@pears.net"]);
        let change = record(&mut board, &mut tally, &fast, start + Duration::from_millis(7));
        let letter = &change["letters"][0];
        assert_eq!((&letter["name"], &letter["sent"], &letter["bytes"]), (&json!("<b>.txt"), &json!(true), &json!(3)));
        let find = json!({"count": 2, "millis": 7, "addresses": ["ann@apple.com", "bob@pears.net"]});
        assert_eq!(letter["finds"], json!({"fast": find}));
        assert_eq!(change["addresses"][0]["found_by"], json!(["fast"]));
        let totals = json!({"addresses": 2, "in_domain": 1, "asked": 0, "warned": 0, "by_cruncher": {"fast": 2}});
        assert_eq!(change["totals"], totals);

        let slow = result("slow", Some("run/1"), &["Ann@apple.com", "carl@pears.net"]);
        let change = record(&mut board, &mut tally, &slow, start);
        let found: Vec<_> = change["addresses"].as_array().unwrap().iter().map(|row| &row["found_by"]).collect();
        assert_eq!(found, [&json!(["fast", "slow"]), &json!(["slow"])]);
    }

    #[test]
    fn what_comes_twice_changes_the_board_once() {
        let (mut board, mut tally, start) = (board(), Tally::new("apple.com"), Instant::now());
        board.letter("run/1", "a.txt", 3);
        board.sending("run/1", start);
        let fast = result("fast", Some("run/1"), &["ann@apple.com"]);
        record(&mut board, &mut tally, &fast, start);
        let before = board.snapshot();
        record(&mut board, &mut tally, &fast, start + Duration::from_secs(9));
        assert_eq!(board.snapshot(), before);

        let news = News { local_part: "ann".into(), domain: "apple.com".into() };
        assert!(board.ended("ann", true).is_some() && board.ended("ann", true).is_none());
        assert!(board.asked(&news, Asked::Queued).is_none());
        assert_eq!((board.totals.asked, board.totals.warned), (1, 1));
        assert!(board.unwarned().is_empty());
    }

    #[test]
    fn letters_from_elsewhere_are_shown_by_their_file() {
        let (mut board, mut tally) = (board(), Tally::new("apple.com"));
        for cruncher in ["fast", "slow"] {
            let change = record(&mut board, &mut tally, &result(cruncher, None, &[]), Instant::now());
            assert_eq!(
                (&change["letters"][0]["name"], &change["letters"][0]["bytes"]),
                (&json!("a.txt"), &Value::Null)
            );
        }
        assert_eq!(board.letters.len(), 1);
    }

    #[test]
    fn the_board_has_a_bound() {
        let (mut board, mut tally) = (board(), Tally::new("apple.com"));
        for number in 0..ROWS_MAX + 10 {
            board.letter(&format!("run/{number}"), "a", 1);
            board.ended(&format!("ann{number}"), false);
            let addresses: Vec<_> = (0..100).map(|other| format!("a{number}.{other}@pears.net")).collect();
            let addresses: Vec<_> = addresses.iter().map(String::as_str).collect();
            record(&mut board, &mut tally, &result(&format!("c{number}"), Some("run/9"), &addresses), Instant::now());
        }
        record(&mut board, &mut tally, &result("fast", Some("run/0"), &[&"x".repeat(5000)]), Instant::now());
        let shown = parsed(Some(board.snapshot()));
        for rows in ["letters", "addresses", "warnings"] {
            assert_eq!(shown[rows].as_array().unwrap().len(), ROWS_MAX, "{rows}");
        }
        assert!(board.letters.iter().all(|letter| letter.finds.len() <= CRUNCHERS_MAX));
        assert_eq!(board.totals.addresses, (ROWS_MAX + 10) * 100);
    }

    #[test]
    fn only_a_connection_that_comes_back_has_healed() {
        let mut board = board();
        board.link(connected());
        assert!(board.link(connected()).is_none());
        assert_eq!(board.broker.healed, 0);
        board.link(Link::Lost { why: "gone".into() });
        let change = parsed(board.link(connected()));
        assert_eq!((&change["broker"]["state"], &change["broker"]["healed"]), (&json!("connected"), &json!(1)));
        assert_eq!(parsed(board.blocked(Some("memory".into())))["broker"]["blocked"], "memory");
        assert!(board.blocked(Some("memory".into())).is_none());
    }

    #[test]
    fn a_strangers_text_is_one_line_of_bounded_length() {
        assert_eq!(shown("a\nb\u{202e}"), "a\\nb\\u{202e}");
        assert_eq!(shown(&"\u{fc}".repeat(5000)).chars().count(), CHARS_MAX + 1);
    }
}
