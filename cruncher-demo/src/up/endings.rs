//! Who may want a run of `up` to end: a signal, a person at the view. Each is heard once.

use super::view::View;
use crate::stop::Stop;

/// How a run is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// In order: what is accounted for at the end is finished first.
    Told,
    /// At once.
    Left,
}

/// See the file's head.
pub(super) struct Endings {
    signal: Option<Stop>,
    told: Option<Stop>,
    left: Option<Stop>,
}

impl Endings {
    pub(super) fn new(signal: Stop, view: Option<&View>) -> Endings {
        Endings { signal: Some(signal), told: view.and_then(View::told), left: view.map(View::closed) }
    }

    /// The next wish to end.
    pub(super) async fn next(&mut self) -> Ending {
        tokio::select! {
            biased;
            () = asked(self.left.as_mut()) => Ending::Left,
            () = asked(self.signal.as_mut()) => {
                self.signal = None;
                Ending::Told
            }
            () = asked(self.told.as_mut()) => {
                self.told = None;
                Ending::Told
            }
        }
    }
}

async fn asked(stop: Option<&mut Stop>) {
    match stop {
        Some(stop) => stop.asked().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::{Context, Poll, Waker};

    fn is_pending(endings: &mut Endings) -> bool {
        let next = std::pin::pin!(endings.next());
        next.poll(&mut Context::from_waker(Waker::noop())) == Poll::Pending
    }

    #[tokio::test]
    async fn each_is_heard_once_and_leaving_goes_before() {
        let ((signalling, signal), (telling, told), (leaving, left)) = (Stop::new(), Stop::new(), Stop::new());
        let mut endings = Endings { signal: Some(signal), told: Some(told), left: Some(left) };
        assert!(is_pending(&mut endings));
        signalling.stop();
        assert_eq!(endings.next().await, Ending::Told);
        assert!(is_pending(&mut endings));
        telling.stop();
        assert_eq!(endings.next().await, Ending::Told);
        assert!(is_pending(&mut endings));
        leaving.stop();
        assert_eq!(endings.next().await, Ending::Left);
    }
}
