//! The prompt: takes file names from a person or the command line and publishes them to the crunchers.

use crate::error::Error;
use crate::screen::Screen;
use crate::service::hand_over;
use crate::stop::Stop;
use crate::topology::EMAILS;
use leveret_client::{Channel, Publish};
use std::io::BufRead;
use tokio::sync::mpsc;

/// From how many files on a terminal shows a bar.
const LONG_WORK_FILES: usize = 100;

/// Publishes one file name; `label` comes back with every result.
///
/// # Errors
/// When the broker does not take it.
pub async fn publish(channel: &Channel, name: &str, label: Option<&str>) -> Result<(), Error> {
    let mut message = Publish::to_exchange(EMAILS, "").persistent();
    message = message.content_type("text/plain").content_encoding("utf-8").body(name);
    if let Some(label) = label {
        message = message.correlation_id(label);
    }
    hand_over(channel, message, "a file name").await
}

/// Publishes all `names`, or those that a person enters when there are none.
///
/// # Errors
/// When the broker does not take one.
pub async fn run(channel: &Channel, names: &[String], screen: &Screen, mut stop: Stop) -> Result<(), Error> {
    if names.is_empty() {
        return ask(channel, screen, stop).await;
    }
    let bar = (names.len() >= LONG_WORK_FILES).then(|| screen.bar("prompt", names.len() as u64));
    for name in names {
        tokio::select! {
            biased;
            () = stop.asked() => break,
            published = publish(channel, name, None) => published?,
        }
        match &bar {
            Some(bar) => bar.inc(1),
            None => screen.line(&format!("prompt: {name}")),
        }
    }
    Ok(())
}

async fn ask(channel: &Channel, screen: &Screen, mut stop: Stop) -> Result<(), Error> {
    let mut names = entered(screen);
    loop {
        let name = tokio::select! {
            () = stop.asked() => return Ok(()),
            name = names.recv() => name,
        };
        let Some((name, answered)) = name else { return Ok(()) };
        publish(channel, &name, None).await?;
        drop(answered);
    }
}

/// A name that a person entered. The next question is asked when the second half is dropped.
pub type Entered = (String, mpsc::Sender<()>);

/// The names that a person enters, one per line, until `quit` or the end of the input.
///
/// Reading happens on a thread of its own, which cannot be told to end: it goes with the program.
pub fn entered(screen: &Screen) -> mpsc::Receiver<Entered> {
    let (sender, receiver) = mpsc::channel(1);
    let screen = screen.clone();
    std::thread::spawn(move || {
        screen.ask();
        for line in std::io::stdin().lock().lines() {
            let line = match line {
                Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
                    screen.note("prompt: a file name must be UTF-8");
                    String::new()
                }
                Err(_) => break,
                Ok(line) => line,
            };
            let name = line.trim();
            if name == "quit" {
                break;
            }
            if !name.is_empty() {
                let (answered, mut wait) = mpsc::channel(1);
                if sender.blocking_send((name.to_owned(), answered)).is_err() {
                    break;
                }
                wait.blocking_recv();
            }
            screen.ask();
        }
    });
    receiver
}
