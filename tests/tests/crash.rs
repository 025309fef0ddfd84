//! The program under `kill -9`: DESIGN.md, section 5. `cargo run -p leveret-tests --bin crash` kills it more often.

use leveret_tests::crash::{Options, run};
use leveret_tests::program;

/// A crash at any point loses nothing that was confirmed, and repeats at most what was not acknowledged.
#[test]
fn what_was_confirmed_survives_a_crash() {
    let folder = std::env::temp_dir().join(format!("leveret-crash-test-{}", std::process::id()));
    let report = run(&Options { leveret: program(), folder: folder.clone(), cycles: 4, seed: 1 }).unwrap();
    assert!(report.faults.is_empty(), "{report}\n{}\nsee {}", report.faults.join("\n"), folder.display());
    assert_eq!(report.good, 4);
    std::fs::remove_dir_all(folder).unwrap();
}
