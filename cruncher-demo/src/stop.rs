//! The wish to end, which every service hears.

use crate::terminal;
use tokio::sync::watch;

/// Hears the wish to end. Clones hear the same one.
#[derive(Debug, Clone)]
pub struct Stop(watch::Receiver<bool>);

/// Tells every `Stop` made with it; dropping it does so too.
#[derive(Debug)]
pub struct Stopper(watch::Sender<bool>);

impl Stop {
    /// A stop and who pulls it.
    pub fn new() -> (Stopper, Stop) {
        let (sender, receiver) = watch::channel(false);
        (Stopper(sender), Stop(receiver))
    }

    /// A stop that Ctrl-C (or SIGTERM) pulls. A second Ctrl-C ends the program at once.
    pub fn on_ctrl_c() -> Stop {
        let (stopper, stop) = Stop::new();
        tokio::spawn(async move {
            interrupted().await;
            stopper.stop();
            interrupted().await;
            terminal::restore();
            std::process::exit(130);
        });
        stop
    }

    /// Waits until the service should end.
    pub async fn asked(&mut self) {
        // An error means that the stopper is gone, which says the same.
        let _ = self.0.wait_for(|asked| *asked).await;
    }
}

impl Stopper {
    /// One more that hears it.
    pub(crate) fn stop_of(&self) -> Stop {
        Stop(self.0.subscribe())
    }

    /// Asks all to end.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

#[cfg(unix)]
async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        },
        Err(_) => ctrl_c().await,
    }
}

#[cfg(not(unix))]
async fn interrupted() {
    ctrl_c().await;
}

async fn ctrl_c() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn everyone_hears_the_wish_to_end() {
        let (stopper, stop) = Stop::new();
        let (mut one, mut two) = (stop.clone(), stop);
        stopper.stop();
        one.asked().await;
        two.asked().await;
    }

    #[tokio::test]
    async fn a_stopper_that_is_gone_means_the_end() {
        let (stopper, mut stop) = Stop::new();
        drop(stopper);
        stop.asked().await;
    }
}
