//! What a person sees: results on standard output, remarks on standard error, bars where there is a terminal.
//!
//! File names and addresses come from strangers, so nothing unprintable reaches the terminal.

use crate::newest::remember;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::collections::VecDeque;
use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Where a service writes. Clones share the bars.
#[derive(Debug, Clone, Default)]
pub struct Screen {
    bars: Option<MultiProgress>,
    silent: bool,
    remarks_only: bool,
    lines: Option<Lines>,
}

/// The newest lines of a screen that somebody else draws.
#[derive(Debug, Clone, Default)]
pub struct Lines(Arc<Mutex<VecDeque<String>>>);

/// How many lines are kept.
const LINES_MAX: usize = 200;

impl Lines {
    /// The newest `count` lines, the newest last.
    pub fn newest(&self, count: usize) -> Vec<String> {
        let lines = self.lines();
        lines.iter().skip(lines.len().saturating_sub(count)).cloned().collect()
    }

    pub(crate) fn push(&self, line: String) {
        remember(&mut self.lines(), LINES_MAX, line);
    }

    fn lines(&self) -> MutexGuard<'_, VecDeque<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Screen {
    /// A screen with bars if standard error is a terminal.
    pub fn new() -> Screen {
        Screen { bars: std::io::stderr().is_terminal().then(MultiProgress::new), ..Screen::default() }
    }

    /// A screen that shows nothing.
    pub fn silent() -> Screen {
        Screen { silent: true, ..Screen::default() }
    }

    /// The same screen without the results of services, for a program that shows them in another way.
    #[must_use]
    pub fn remarks_only(&self) -> Screen {
        Screen { remarks_only: true, ..self.clone() }
    }

    /// A screen that writes into `lines`, for a program that draws them itself.
    pub fn drawn(lines: Lines) -> Screen {
        Screen { lines: Some(lines), ..Screen::default() }
    }

    /// A result: one line on standard output.
    pub fn line(&self, text: &str) {
        if !self.remarks_only {
            self.write(text, std::io::stdout);
        }
    }

    /// A remark: one line on standard error.
    pub fn note(&self, text: &str) {
        self.write(text, std::io::stderr);
    }

    /// Asks for a line of input.
    pub fn ask(&self) {
        let mut out = std::io::stdout().lock();
        out.write_all(b"> ").and_then(|()| out.flush()).ok();
    }

    /// A bar that counts to `length`; invisible without a terminal.
    pub fn bar(&self, name: &'static str, length: u64) -> ProgressBar {
        let style = ProgressStyle::with_template("{prefix:>8} [{bar:30}] {pos}/{len} {msg}");
        let bar = ProgressBar::new(length).with_prefix(name);
        self.shown(style.map_or(bar.clone(), |style| bar.with_style(style.progress_chars("=> "))))
    }

    /// A sign that work of unknown length goes on; invisible without a terminal.
    pub fn busy(&self, text: &str) -> ProgressBar {
        let spinner = self.shown(ProgressBar::new_spinner().with_message(printable(text)));
        spinner.enable_steady_tick(Duration::from_millis(120));
        spinner
    }

    fn shown(&self, bar: ProgressBar) -> ProgressBar {
        match &self.bars {
            Some(bars) => bars.add(bar),
            None => ProgressBar::hidden(),
        }
    }

    fn write<W: Write>(&self, text: &str, out: impl FnOnce() -> W) {
        let text = printable(text);
        // Nobody may be reading any more (`| head`); that is no reason to end.
        let write = || drop(writeln!(out(), "{text}"));
        match &self.bars {
            _ if self.silent => {}
            _ if self.lines.is_some() => self.lines.iter().for_each(|lines| lines.push(text.clone())),
            Some(bars) => bars.suspend(write),
            None => write(),
        }
    }
}

/// `text` on one line and without control characters, which a terminal might obey.
pub fn printable(text: &str) -> String {
    let mut printed = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') {
            printed.extend(c.escape_default());
        } else {
            printed.push(c);
        }
    }
    printed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_drawn_have_a_bound() {
        let lines = Lines::default();
        let screen = Screen::drawn(lines.clone());
        for number in 0..10 * LINES_MAX {
            screen.note(&format!("line {number}\u{1b}"));
        }
        assert_eq!(lines.newest(1), [format!("line {}\\u{{1b}}", 10 * LINES_MAX - 1)]);
        assert_eq!(lines.newest(usize::MAX).len(), LINES_MAX);
    }

    #[test]
    fn a_strangers_text_cannot_command_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\nc\u{202e}d"), "a\\u{1b}[2Jb\\nc\\u{202e}d");
        assert_eq!(printable("caf\u{e9}.txt"), "caf\u{e9}.txt");
    }
}
