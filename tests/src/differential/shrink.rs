//! Takes away from a script what does not matter to its difference.

use super::play::{Difference, compare};
use super::step::{Place, Step};
use super::wire::Address;

/// The shortest script that leaving out single steps and runs of them leads to, with its difference.
///
/// # Errors
/// If a broker cannot be reached.
pub fn shrink(
    script: Vec<(Place, Step)>,
    difference: Difference,
    ours: &Address,
    theirs: &Address,
    name: &str,
) -> std::io::Result<(Vec<(Place, Step)>, Difference)> {
    let mut best = (script, difference);
    best.0.truncate(best.1.step + 1);
    let mut tries = 0;
    let mut run = best.0.len() / 2;
    while run > 0 {
        let mut at = 0;
        while at + run <= best.0.len() {
            let mut shorter = best.0.clone();
            shorter.drain(at..at + run);
            tries += 1;
            match compare(&shorter, ours, theirs, &format!("{name}s{tries}"))? {
                Some(difference) => {
                    shorter.truncate(difference.step + 1);
                    best = (shorter, difference);
                }
                None => at += 1,
            }
        }
        run /= 2;
    }
    Ok(best)
}
