//! Where one copy of a message may be, and what has happened to it since the broker started.
//!
//! A copy is in one place: in the queue it was published to (`HERE`), in the queue that messages go to from there
//! (`THERE`), or `NOWHERE`: not there yet, or gone. What happens moves it, one step after the other. A crash keeps the
//! first few steps and forgets the others; those that are sure are kept.

use std::fmt;
use std::time::Duration;

/// A time of the run.
pub(crate) type At = Duration;

/// A set of places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Places(u8);

pub(super) const NOWHERE: Places = Places(1);
pub(super) const HERE: Places = Places(2);
pub(super) const THERE: Places = Places(4);
const NONE: Places = Places(0);

impl Places {
    pub(super) fn has(self, place: Places) -> bool {
        self.0 & place.0 == place.0
    }

    pub(super) fn or(self, other: Places) -> Places {
        Places(self.0 | other.0)
    }

    /// 0 for `HERE` and 1 for `THERE`.
    pub(super) fn index(self) -> usize {
        usize::from(self == THERE)
    }
}

impl fmt::Display for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [(HERE, "in its first queue"), (THERE, "in the queue behind that"), (NOWHERE, "nowhere")];
        let names: Vec<_> = names.iter().filter(|(place, _)| self.has(*place)).map(|(_, name)| *name).collect();
        f.write_str(&names.join(" or "))
    }
}

/// A transaction's number.
pub(crate) type Tx = u64;

/// What moves a copy.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) what: &'static str,
    from: Places,
    to: Places,
    /// A crash from then on keeps it.
    pub(super) sure_from: Option<At>,
    pub(super) tx: Option<Tx>,
}

impl Step {
    pub(super) fn publish(tx: Option<Tx>) -> Step {
        Step { what: "published", from: NOWHERE, to: HERE, sure_from: None, tx }
    }

    pub(super) fn end(from: Places) -> Step {
        Step { what: "acked", from, to: NOWHERE, sure_from: None, tx: None }
    }

    pub(super) fn pass_on(to: Places, tx: Option<Tx>) -> Step {
        let what = if to == NOWHERE { "rejected" } else { "passed on" };
        Step { what, from: HERE, to, sure_from: None, tx }
    }
}

/// What a crash leaves of a transaction that nobody was told the end of.
#[derive(Clone, Copy)]
pub(super) struct Doubt {
    pub(super) tx: Tx,
    pub(super) if_done: Places,
    pub(super) if_not: Places,
}

/// Whether a copy has to say that it was delivered before.
#[derive(Clone, Copy, Default)]
pub(super) struct Mark {
    /// When it was first received since the broker started.
    received: Option<At>,
    /// It was received before that.
    was_received: bool,
    /// The broker knows, whatever happens.
    stays: bool,
    /// The broker knows.
    is_known: bool,
}

impl Mark {
    pub(super) fn receive(&mut self, at: At) {
        self.received.get_or_insert(at);
    }

    pub(super) fn give_back(&mut self) {
        self.is_known = true;
    }

    /// The next delivery has to be marked as redelivered.
    pub(super) fn must(&self) -> bool {
        self.is_known
    }

    /// It may be, since somebody has received it.
    pub(super) fn may(&self) -> bool {
        self.was_received || self.received.is_some()
    }

    fn crash(&mut self, horizon: At) {
        self.stays |= self.received.is_some_and(|at| at <= horizon);
        self.was_received |= self.received.is_some();
        (self.received, self.is_known) = (None, self.stays);
    }
}

/// One copy of a message: in one queue, or in the one behind it.
pub(super) struct Copy {
    pub(super) persistent: bool,
    pub(super) priority: u8,
    /// Where it may have been when the broker started.
    pub(super) base: Places,
    pub(super) steps: Vec<Step>,
    pub(super) doubt: Option<Doubt>,
    /// The transaction of which another message has told how it ended.
    pub(super) tx: Option<Tx>,
    /// The consumer that has it unsettled.
    pub(super) held_by: Option<u64>,
    /// What consumers had of it, in each of its two queues.
    pub(super) marks: [Mark; 2],
    /// The last listing that it was seen in.
    pub(super) listing: u32,
    /// What happened to it, for the report: when, what, and which consumer did it.
    pub(super) history: Vec<(At, &'static str, u64)>,
}

impl Copy {
    pub(super) fn new(persistent: bool, priority: u8, tx: Option<Tx>) -> Copy {
        Copy {
            persistent,
            priority,
            base: NOWHERE,
            steps: vec![Step::publish(tx)],
            doubt: None,
            tx: None,
            held_by: None,
            marks: [Mark::default(); 2],
            listing: 0,
            history: vec![],
        }
    }

    /// Where it may be now.
    pub(super) fn now(&self) -> Places {
        self.steps.last().map_or(self.base, |step| step.to)
    }

    /// Takes the step; what it leads to is a new message there.
    pub(super) fn step(&mut self, step: Step) {
        self.steps.push(step);
        self.held_by = None;
        if step.to == THERE {
            self.marks[1] = Mark::default();
        }
    }

    /// The last step out of this place is sure, from some time on.
    pub(super) fn make_sure(&mut self, from: Places, at: At) {
        if let Some(step) = self.steps.iter_mut().rev().find(|step| step.from == from) {
            step.sure_from.get_or_insert(at);
        }
    }

    /// It is back in this place, because the broker closed a connection before it read what was on the way.
    pub(super) fn undo_towards(&mut self, place: Places) {
        while !self.now().has(place) && self.steps.pop_if(|step| step.sure_from.is_none()).is_some() {
            self.held_by = None;
        }
    }

    fn after(&self, steps: usize) -> Places {
        match steps.checked_sub(1) {
            Some(last) => self.steps[last].to,
            None => self.base,
        }
    }

    fn any_after(&self, steps: impl Iterator<Item = usize>) -> Places {
        steps.fold(NONE, |places, steps| places.or(self.after(steps)))
    }

    /// The broker has ended: what happened before `horizon` stays. `survives` is false for a message that does not.
    pub(super) fn crash(&mut self, horizon: At, survives: bool) {
        let all = self.steps.len();
        let is_sure = |step: &Step| step.sure_from.is_some_and(|at| at <= horizon);
        let sure = self.steps.iter().rposition(is_sure).map_or(0, |last| last + 1);
        let in_doubt = self.steps[sure..].iter().enumerate().find_map(|(index, step)| Some((sure + index, step.tx?)));
        if !survives {
            (self.base, self.doubt) = (NOWHERE, None);
        } else if let Some((index, tx)) = in_doubt {
            let if_not = self.any_after(sure..=index);
            let if_done = self.any_after(index + 1..=all);
            self.base = if_not.or(if_done);
            self.doubt = Some(Doubt { tx, if_done, if_not });
        } else if all > 0 {
            self.base = self.any_after(sure..=all);
            self.doubt = None;
        }
        self.steps.clear();
        self.held_by = None;
        self.marks.iter_mut().for_each(|mark| mark.crash(horizon));
    }
}

impl fmt::Display for Copy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at the broker's start {}", self.base)?;
        for step in &self.steps {
            write!(f, "; {}", step.what)?;
            if let Some(tx) = step.tx {
                write!(f, " in transaction {tx}")?;
            }
            match step.sure_from {
                Some(At::ZERO) => f.write_str(" (confirmed)")?,
                Some(at) => write!(f, " (known to be handled at {} ms)", at.as_millis())?,
                None => {}
            }
        }
        for (at, what, who) in &self.history {
            write!(f, "; {} ms {what}", at.as_millis())?;
            if *who > 0 {
                write!(f, " by consumer {who}")?;
            }
        }
        Ok(())
    }
}
