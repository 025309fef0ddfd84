//! What one run of `up` still waits for. Pure.
//!
//! Every file name is published with a label, which its results and their warnings carry on. So a run tells its own
//! messages from those that earlier runs left in the durable queues.

use crate::crunch::Kind;
use crate::messages::number_of;
use std::collections::{HashMap, HashSet};

/// The files of one run, the results and warnings that follow from them.
#[derive(Debug)]
pub(super) struct Run {
    id: String,
    files: usize,
    outstanding: HashSet<(usize, &'static str)>,
    crunched: HashMap<&'static str, usize>,
    twice: usize,
    waiting: HashSet<String>,
    early: HashSet<String>,
    warned: HashSet<String>,
}

impl Run {
    /// A run that no other run shares its `id` with.
    pub(super) fn new(id: String) -> Run {
        Run {
            id,
            files: 0,
            outstanding: HashSet::new(),
            crunched: HashMap::new(),
            twice: 0,
            waiting: HashSet::new(),
            early: HashSet::new(),
            warned: HashSet::new(),
        }
    }

    /// Its name.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// One more file, which both crunchers are to work on; gives the label for its message.
    pub(super) fn add_file(&mut self) -> String {
        let number = self.files;
        self.files += 1;
        self.outstanding.extend(Kind::BOTH.map(|kind| (number, kind.name())));
        format!("{}/{number}", self.id)
    }

    /// A result has been counted; `expected` are the local parts that get a warning because of it. True if it was one
    /// that this run waited for.
    pub(super) fn counted(&mut self, label: Option<&str>, cruncher: &str, expected: Vec<String>) -> bool {
        for local_part in expected {
            if !self.early.remove(&local_part) {
                self.waiting.insert(local_part);
            }
        }
        let number = label.and_then(|label| number_of(&self.id, label));
        let kind = Kind::BOTH.into_iter().find(|kind| kind.name() == cruncher);
        let Some((number, kind)) = number.filter(|number| *number < self.files).zip(kind) else { return false };
        let waited_for = self.outstanding.remove(&(number, kind.name()));
        match waited_for {
            true => *self.crunched.entry(kind.name()).or_default() += 1,
            false => self.twice += 1,
        }
        waited_for
    }

    /// A warning has come to its end. It may do so before the result that it follows from has been counted.
    pub(super) fn warning_ended(&mut self, local_part: &str, written: bool) {
        if !self.waiting.remove(local_part) {
            self.early.insert(local_part.to_owned());
        }
        if written {
            self.warned.insert(local_part.to_owned());
        }
    }

    /// Is every file crunched by both, and every warning at its end?
    pub(super) fn is_over(&self) -> bool {
        self.outstanding.is_empty() && self.waiting.is_empty()
    }

    /// What is missing, in one sentence.
    pub(super) fn missing(&self) -> String {
        format!("{} results and {} warnings are missing", self.outstanding.len(), self.waiting.len())
    }

    /// How many files there are.
    pub(super) fn files(&self) -> usize {
        self.files
    }

    /// How many of them `kind` has crunched.
    pub(super) fn crunched(&self, kind: Kind) -> usize {
        self.crunched.get(kind.name()).copied().unwrap_or(0)
    }

    /// How many results came once more, and were not counted again.
    pub(super) fn twice(&self) -> usize {
        self.twice
    }

    /// How many results are still to come.
    pub(super) fn outstanding(&self) -> usize {
        self.outstanding.len()
    }

    /// How many addresses are expected to be warned, or were.
    pub(super) fn warnings(&self) -> usize {
        self.waiting.len() + self.warned.len()
    }

    /// How many addresses were warned.
    pub(super) fn warned(&self) -> usize {
        self.warned.len()
    }
}

/// Is that label one of the run `id`?
pub(super) fn is_of(id: &str, label: Option<&str>) -> bool {
    label.is_some_and(|label| number_of::<usize>(id, label).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_with_files(files: usize) -> (Run, Vec<String>) {
        let mut run = Run::new("run".to_owned());
        let labels = (0..files).map(|_| run.add_file()).collect();
        (run, labels)
    }

    fn expected(local_parts: &[&str]) -> Vec<String> {
        local_parts.iter().map(|&local_part| local_part.to_owned()).collect()
    }

    #[test]
    fn a_run_is_over_when_both_have_crunched_every_file() {
        let (mut run, labels) = run_with_files(2);
        for label in &labels {
            assert!(!run.is_over());
            assert!(run.counted(Some(label), "fast", vec![]));
            assert!(run.counted(Some(label), "slow", vec![]));
        }
        assert!(run.is_over());
        assert_eq!(run.files(), 2);
    }

    #[test]
    fn a_result_that_comes_twice_counts_once() {
        let (mut run, labels) = run_with_files(1);
        assert!(run.counted(Some(&labels[0]), "fast", vec![]));
        assert!(!run.counted(Some(&labels[0]), "fast", vec![]));
        assert!(!run.is_over());
        assert_eq!((run.crunched(Kind::Fast), run.crunched(Kind::Slow), run.twice()), (1, 0, 1));
    }

    #[test]
    fn results_of_other_runs_end_nothing() {
        let (mut run, _) = run_with_files(1);
        for label in [None, Some("other/0"), Some("run/1"), Some("run/x"), Some("run")] {
            assert!(!run.counted(label, "fast", vec![]));
        }
        assert_eq!(run.twice(), 0);
        assert!(is_of("run", Some("run/0")) && !is_of("run", Some("run2/0")) && !is_of("run", None));
    }

    #[test]
    fn a_run_waits_for_its_warnings() {
        let (mut run, labels) = run_with_files(1);
        run.counted(Some(&labels[0]), "fast", expected(&["ann", "bob"]));
        run.counted(Some(&labels[0]), "slow", vec![]);
        run.warning_ended("ann", true);
        assert!(!run.is_over());
        assert_eq!(run.missing(), "0 results and 1 warnings are missing");
        run.warning_ended("bob", false);
        assert!(run.is_over());
        assert_eq!(run.warned(), 1);
    }

    #[test]
    fn a_warning_may_end_before_its_result_is_counted() {
        let (mut run, labels) = run_with_files(1);
        run.warning_ended("ann", true);
        run.counted(Some(&labels[0]), "fast", expected(&["ann"]));
        run.counted(Some(&labels[0]), "slow", vec![]);
        assert!(run.is_over());
        assert_eq!((run.warned(), run.warnings()), (1, 1));
    }
}
