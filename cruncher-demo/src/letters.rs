//! The example letters that ship with the demo. Each shows one kind of address that a quick look gets wrong.

use std::path::{Path, PathBuf};

/// File name and text of each letter.
const LETTERS: [(&str, &str); 8] = [
    ("plain.txt", include_str!("../letters/plain.txt")),
    ("harvest.eml", include_str!("../letters/harvest.eml")),
    ("forwarded.eml", include_str!("../letters/forwarded.eml")),
    ("homepage.html", include_str!("../letters/homepage.html")),
    ("notice.txt", include_str!("../letters/notice.txt")),
    ("minutes.eml", include_str!("../letters/minutes.eml")),
    ("bounce.eml", include_str!("../letters/bounce.eml")),
    ("release.md", include_str!("../letters/release.md")),
];

/// File name and text of each letter.
pub fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    LETTERS.into_iter()
}

/// Writes the letters into `folder` and gives their paths.
///
/// # Errors
/// When a file cannot be written.
pub fn write_to(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let write = |(name, text): &(&str, &str)| {
        let path = folder.join(name);
        std::fs::write(&path, text).map(|()| path)
    };
    LETTERS.iter().map(write).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::find::{fast, slow};

    fn letter(name: &str) -> &'static str {
        LETTERS.iter().find(|letter| letter.0 == name).unwrap().1
    }

    #[test]
    fn the_plain_letter_is_easy_for_both() {
        let all = ["bob@apple.com", "carl@orchard.org", "ann@apple.com"];
        assert_eq!(fast::find(letter("plain.txt")), all);
        assert_eq!(slow::find(letter("plain.txt")), all);
    }

    #[test]
    fn the_harvest_letter_is_quoted_printable() {
        let fast = ["dora@apple.com", "everyone@orchard.org", "20261024.0815.17@mail.orchard.org", "tree@orchard.org"];
        assert_eq!(fast::find(letter("harvest.eml")), fast);
        let slow = ["dora@apple.com", "everyone@orchard.org", "emil@apple.com", "fritz@apple.com"];
        let found = slow::find(letter("harvest.eml"));
        assert_eq!(found, [&slow[..], &["gwendolyn.appletree@orchard.org"]].concat());
    }

    #[test]
    fn the_forwarded_letter_is_base64() {
        let fast = ["hanna@orchard.org", "ann@apple.com", "7f3a9c@web.orchard.org", "5b21@museum.orchard.org"];
        assert_eq!(fast::find(letter("forwarded.eml")), fast);
        let slow = ["hanna@orchard.org", "ann@apple.com", "ida@apple.com", "joao@pomar.pt"];
        let found = slow::find(letter("forwarded.eml"));
        assert_eq!(found, [&slow[..], &["letters@museum.orchard.org"]].concat());
    }

    #[test]
    fn the_home_page_hides_its_addresses_from_robots() {
        assert_eq!(fast::find(letter("homepage.html")), ["leaf@2x.png", "secret@camera.orchard.org"]);
        let slow = ["lena@apple.com", "max@orchard.org", "nora@apple.com", "otto@orchard.org"];
        assert_eq!(slow::find(letter("homepage.html")), slow);
    }

    #[test]
    fn the_notice_spells_its_addresses_out() {
        assert_eq!(fast::find(letter("notice.txt")).len(), 5);
        let slow = ["paula@apple.com", "quentin@orchard.org", "rosa@apple.com", "sven@apple.com"];
        assert_eq!(slow::find(letter("notice.txt")), slow);
    }
}
