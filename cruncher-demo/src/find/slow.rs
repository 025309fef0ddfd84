//! The slow cruncher: takes its time to decode what the fast one cannot see and to check what it finds.
//!
//! ```text
//! text -> mail parts decoded -> HTML read -> entities decoded -> spelling read -> addresses cut out -> checked
//!         (mime)                (html)       (html)              (spoken)         (address)            (address)
//! ```

use super::mime::{self, Text};
use super::{Found, address, html, spoken};

/// Every address in `text` that can exist.
pub fn find(text: &str) -> Vec<String> {
    let mut found = Found::default();
    for part in mime::texts(text) {
        let read = match part {
            Text::Html(html) => html::text_of(&html),
            Text::Plain(text) if html::is_html(&text) => html::text_of(&text),
            Text::Plain(text) => html::decoded(&text),
        };
        for address in address::addresses_in(&spoken::written_out(&plain_marks(&read))) {
            found.add(&address);
        }
    }
    found.into_list()
}

/// Marks that only look like others become plain, those that cannot be seen go, and those that no address contains
/// part it from its neighbours. An `@` of a web address becomes one.
fn plain_marks(text: &str) -> String {
    let is_accent = |c| matches!(c, '\u{300}'..='\u{36f}');
    let visible = text.chars().filter(|c| !matches!(c, '\u{ad}' | '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}'));
    let plain = visible.map(|c| match c {
        '\u{ff20}' | '\u{fe6b}' => '@',
        '\u{ff0e}' | '\u{3002}' | '\u{2024}' => '.',
        '\u{2019}' => '\'',
        mark if !mark.is_ascii() && !mark.is_alphanumeric() && !is_accent(mark) => ' ',
        other => other,
    });
    plain.collect::<String>().replace("%40", "@")
}

#[cfg(test)]
mod tests {
    use super::find;
    use crate::find::fast;

    #[test]
    fn both_crunchers_agree_on_plain_text() {
        let text = "Tim (tim@apple.com) knows Kate <kate@apple.com> and Joe: joe@banana.org.";
        assert_eq!(find(text), ["tim@apple.com", "kate@apple.com", "joe@banana.org"]);
        assert_eq!(find(text), fast::find(text));
    }

    #[test]
    fn entities_hide_nothing() {
        assert_eq!(find("ann&#64;apple.com, bob&commat;apple&period;com"), ["ann@apple.com", "bob@apple.com"]);
    }

    #[test]
    fn invisible_and_lookalike_marks_hide_nothing() {
        assert_eq!(find("ann\u{ff20}apple\u{ff0e}com bo\u{200b}b@ap\u{ad}ple.com"), ["ann@apple.com", "bob@apple.com"]);
    }

    #[test]
    fn foreign_punctuation_parts_addresses() {
        let text = "\u{ab}ann@apple.com\u{bb}\u{2014}bob@apple.com\u{2026} https://x.org/?to=carl%40apple.com";
        assert_eq!(find(text), ["ann@apple.com", "bob@apple.com", "carl@apple.com"]);
    }

    #[test]
    fn html_letters_are_read() {
        let html =
            "<p>ann<span>@</span>apple.com</p><a href='mailto:bob%40apple.com'>Bob</a> carl &lt;at&gt; apple.com";
        assert_eq!(find(html), ["ann@apple.com", "bob@apple.com", "carl@apple.com"]);
    }

    #[test]
    fn a_mail_in_html_and_quoted_printable_is_read() {
        let mail = "From: ann@apple.com\nContent-Type: text/html; charset=utf-8\n\
            Content-Transfer-Encoding: quoted-printable\n\n<p>bob&#64;app=\nle.com, carl=40apple.com</p>\n";
        assert_eq!(find(mail), ["ann@apple.com", "bob@apple.com", "carl@apple.com"]);
    }

    #[test]
    fn what_the_regex_wrongly_takes_is_dropped() {
        let text = format!("icon@2x.png a..b@apple.com {}@apple.com ann@apple.com.Thanks", "x".repeat(65));
        assert_eq!(fast::find(&text).len(), 4);
        assert_eq!(find(&text), ["ann@apple.com"]);
    }

    #[test]
    fn a_long_run_of_any_mark_is_read_in_reasonable_time() {
        let marks = ["@", "a@", ".", "a.", "<", "<a ", "<a \"", "<!", "<script>", "&", "a at ", "(at)", "=", "a dot "];
        let lines =
            ["--\n", "x:y\n", "'", "a.b@c.com", "From: a\n\n", "content-transfer-encoding: base64\n", "\u{2019}"];
        let started = std::time::Instant::now();
        for mark in marks.iter().chain(&lines) {
            let run = mark.repeat((256 << 10) / mark.len());
            find(&run);
            find(&format!("Content-Type: text/html\n\n{run}"));
        }
        assert!(started.elapsed().as_secs() < 30, "took {:?}", started.elapsed());
    }
}
