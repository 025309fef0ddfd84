//! The terminal while a program draws on all of it: taken over once, and given back on every way out.

use crate::screen::{Lines, printable};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use std::io::{self, Stdout};
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};

/// Is the terminal taken over?
static TAKEN: AtomicBool = AtomicBool::new(false);

/// The name of the thread that draws. If it or the main thread panics, the program ends.
pub(crate) const DRAWING_THREAD: &str = "view";

/// A terminal that is taken over, until this is dropped.
pub(crate) struct Taken {
    terminal: Terminal<CrosstermBackend<Stdout>>,
}

impl Taken {
    /// Takes it over. What panics in the meantime in a task that others survive becomes one of `lines`.
    pub(crate) fn over(lines: Lines) -> io::Result<Taken> {
        give_back_in_panic(lines);
        TAKEN.store(true, Ordering::SeqCst);
        let taken = enable_raw_mode().and_then(|()| execute!(io::stdout(), EnterAlternateScreen));
        // So that no pasted text acts as keys. A terminal that cannot do it is used as it is.
        let _ = execute!(io::stdout(), EnableBracketedPaste);
        let terminal = taken.and_then(|()| Terminal::new(CrosstermBackend::new(io::stdout())));
        // Half of it may be done.
        let terminal = terminal.inspect_err(|_| restore())?;
        Ok(Taken { terminal })
    }

    /// What is drawn on.
    pub(crate) fn terminal(&mut self) -> &mut Terminal<CrosstermBackend<Stdout>> {
        &mut self.terminal
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        restore();
    }
}

/// Is it still taken over? It is not after a panic.
pub(crate) fn is_taken() -> bool {
    TAKEN.load(Ordering::SeqCst)
}

/// Gives the terminal back, if it is taken over.
pub(crate) fn restore() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        // Nothing more can be done about a terminal that is gone.
        let _ = execute!(io::stdout(), DisableBracketedPaste);
        let _ = execute!(io::stdout(), LeaveAlternateScreen, Show);
        let _ = disable_raw_mode();
    }
}

fn give_back_in_panic(lines: Lines) {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |why| {
        let thread = std::thread::current();
        let is_the_end = matches!(thread.name(), Some("main" | DRAWING_THREAD));
        if is_taken() && !is_the_end {
            lines.push(printable(&why.to_string()));
        } else {
            restore();
            before(why);
        }
    }));
}
