//! What would go unseen: a panic in a task, and a task that spins so that no time passes.

use std::cell::Cell;
use std::io;
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use leveret_client::Error;

/// A case takes milliseconds. One that takes this long will never end.
const STUCK: Duration = Duration::from_secs(120);

thread_local! {
    /// The runtimes run on the thread of their test.
    static PANICS: Cell<usize> = const { Cell::new(0) };
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

static STEP: AtomicU64 = AtomicU64::new(0);
static SEED: AtomicU64 = AtomicU64::new(0);

/// The panics on this thread so far.
pub(crate) fn panics() -> usize {
    PANICS.get()
}

/// A failing case is run again and again to make it smaller, and its panic is known.
pub(crate) fn quiet(quiet: bool) {
    QUIET.set(quiet);
}

/// A case begins.
pub(crate) fn begin(seed: u64) {
    static START: Once = Once::new();
    SEED.store(seed, Ordering::Relaxed);
    STEP.fetch_add(1, Ordering::Relaxed);
    START.call_once(|| {
        let shown = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            PANICS.set(PANICS.get() + 1);
            if !QUIET.get() {
                shown(panic);
            }
        }));
        std::thread::spawn(look);
    });
}

/// Ends the program, naming the seed, when a case does not. (After the last case nothing is left to end it.)
fn look() {
    loop {
        let step = STEP.load(Ordering::Relaxed);
        std::thread::sleep(STUCK);
        if STEP.load(Ordering::Relaxed) == step {
            eprintln!("seed {} does not end", SEED.load(Ordering::Relaxed));
            std::process::abort();
        }
    }
}

/// A task that panicked ends its connection with an error of its own.
pub(crate) fn not_by_a_panic(error: &Error) -> Result<(), String> {
    match error {
        Error::Io(why) if why.kind() == io::ErrorKind::Interrupted => Err(format!("the task is gone: {why}")),
        _ => Ok(()),
    }
}
