//! Letters, and what cannot be read, delivered or reached.

use serde_json::json;

use super::{mails, totals, up};

#[test]
fn the_example_letters_come_out_as_they_should() {
    let out = tempfile::tempdir().unwrap();
    let names = [
        "_vera",
        "ann",
        "bob",
        "dora",
        "emil",
        "fritz",
        "ida",
        "jana",
        "lena",
        "mira",
        "muehle",
        "nora",
        "paula",
        "robin+cellar",
        "rosa",
        "sven",
        "tina",
        "vera",
        "wanda",
        "yvonne",
        "zoe",
    ];
    let expected = json!({
        "files": 8, "addresses": 66, "by_cruncher": {"fast": 44, "slow": 40},
        "domain": "apple.com", "new_in_domain": names, "warned": 21,
    });
    assert_eq!(totals(&up(out.path(), &[])), expected);
    assert_eq!(mails(out.path()), names.map(|name| format!("{name}@apple.com.eml")));
}

#[test]
fn files_that_cannot_be_read_stop_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("binary"), [0xff, 0xfe, b'@']).unwrap();
    std::fs::write(path("letter"), "Ask Status@Fruit.ORG, status@fruit.org or ann@apple.com.").unwrap();
    let out = folder.path().join("out");
    let files = [path("missing"), path("binary"), folder.path().display().to_string(), path("letter"), path("letter")];
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let output = up(&out, &[&["--domain", "fruit.org"], &files[..]].concat());
    let expected = json!({
        "files": 5, "addresses": 2, "by_cruncher": {"fast": 2, "slow": 2},
        "domain": "fruit.org", "new_in_domain": ["Status"], "warned": 1,
    });
    assert_eq!(totals(&output), expected);
    assert_eq!(mails(&out), ["Status@fruit.org.eml"]);
    let remarks = String::from_utf8_lossy(&output.stderr);
    assert!(
        remarks.contains("missing") && remarks.contains("not UTF-8") && remarks.contains("not a file"),
        "{remarks}"
    );
}

#[test]
fn an_address_that_no_mail_reaches_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let letter = folder.path().join("letter").display().to_string();
    let long = "x".repeat(300);
    std::fs::write(&letter, format!("a..b@apple.com {long}@apple.com status@apple.com amq.x@apple.com")).unwrap();
    let out = folder.path().join("out");
    let totals = totals(&up(&out, &[&letter]));
    assert_eq!(totals["new_in_domain"], json!(["a..b", "amq.x", "status", long]));
    assert_eq!(mails(&out), ["amq.x@apple.com.eml", "status@apple.com.eml"]);
    assert_eq!(totals["warned"], 2);
}

#[test]
fn no_broker_is_one_sentence() {
    let out = tempfile::tempdir().unwrap();
    let output = up(out.path(), &["--url", "amqp://ann:secret@127.0.0.1:1/"]);
    let remarks = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(remarks.starts_with("cruncher-demo: no broker at amqp://127.0.0.1:1/"), "{remarks}");
    assert!(!remarks.contains("secret") && remarks.lines().count() == 1, "{remarks}");
}
