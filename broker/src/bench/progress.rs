//! A bar on the terminal while a measurement runs, and nothing anywhere else.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};

/// The bar of one measurement. It goes when it is dropped.
pub(crate) struct Progress(Option<ProgressBar>);

impl Progress {
    /// A bar up to `length`, if standard error is a terminal.
    pub(crate) fn new(name: &'static str, length: u64) -> Self {
        if !std::io::stderr().is_terminal() {
            return Progress::hidden();
        }
        let bar = ProgressBar::new(length).with_prefix(name);
        let style = ProgressStyle::with_template("{prefix:>12} [{bar:40}] {msg}");
        Progress(Some(style.map_or(bar.clone(), |style| bar.with_style(style.progress_chars("=> ")))))
    }

    /// For what runs beside something that has a bar.
    pub(crate) fn hidden() -> Self {
        Progress(None)
    }

    pub(crate) fn show(&self, position: u64, message: impl FnOnce() -> String) {
        if let Some(bar) = &self.0 {
            bar.set_position(position);
            bar.set_message(message());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
