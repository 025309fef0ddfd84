//! Threads that play producers and consumers: each has a runtime of its own, so that a role's work and its connection's
//! input and output take turns on one core and wake nobody else.

use std::thread;

use leveret_client::Connection;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::trouble::{Result, Trouble};

/// More roles than this share threads.
const THREADS_MAX: usize = 16;

/// The roles of one kind. `T` is what each hands in at the end.
pub(crate) struct Crew<T> {
    size: usize,
    ready: mpsc::UnboundedReceiver<Connection>,
    connections: Vec<Connection>,
    go: watch::Sender<bool>,
    results: mpsc::UnboundedReceiver<Result<T>>,
    done: Vec<T>,
}

/// A role's way to say that it is ready, and to wait for the others.
pub(crate) struct Start {
    ready: mpsc::UnboundedSender<Connection>,
    go: watch::Receiver<bool>,
}

impl Start {
    /// Says that all is prepared, and hands in the connection, which `Crew::close` will close.
    pub(crate) fn report(&self, connection: Connection) {
        // If nobody listens the run is over.
        let _ = self.ready.send(connection);
    }

    /// Waits for `Crew::go`.
    pub(crate) async fn wait(&mut self) {
        // If nobody will call any more the run is over.
        let _ = self.go.wait_for(|go| *go).await;
    }
}

impl<T: Send + 'static> Crew<T> {
    /// Starts `size` roles, each with its number.
    pub(crate) fn start<F>(size: usize, role: impl Fn(usize, Start) -> F) -> Result<Crew<T>>
    where
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let (ready_sender, ready) = mpsc::unbounded_channel();
        let (go, go_receiver) = watch::channel(false);
        let (sender, results) = mpsc::unbounded_channel();
        let threads = size.min(THREADS_MAX);
        for first in 0..threads {
            let indexes = (first..size).step_by(threads);
            let start = || Start { ready: ready_sender.clone(), go: go_receiver.clone() };
            let roles: Vec<F> = indexes.map(|index| role(index, start())).collect();
            let sender = sender.clone();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            thread::Builder::new().name(String::from("bench")).spawn(move || runtime.block_on(play(roles, &sender)))?;
        }
        Ok(Crew { size, ready, connections: vec![], go, results, done: vec![] })
    }

    /// Waits until every role is ready.
    pub(crate) async fn ready(&mut self) -> Result<()> {
        while self.connections.len() < self.size {
            tokio::select! {
                Some(connection) = self.ready.recv() => self.connections.push(connection),
                result = self.results.recv() => self.done.push(result.unwrap_or_else(|| Err(gone()))?),
            }
        }
        Ok(())
    }

    /// Lets them begin.
    pub(crate) fn go(&self) {
        self.go.send_replace(true);
    }

    /// Notices roles that have ended.
    ///
    /// # Errors
    /// The first trouble of a role.
    pub(crate) fn check(&mut self) -> Result<()> {
        while let Ok(result) = self.results.try_recv() {
            self.done.push(result?);
        }
        Ok(())
    }

    /// True when every role has ended.
    pub(crate) fn is_done(&self) -> bool {
        self.done.len() == self.size
    }

    /// Waits for what the roles hand in.
    pub(crate) async fn join(mut self) -> Result<Vec<T>> {
        while self.done.len() < self.size {
            self.done.push(self.results.recv().await.unwrap_or_else(|| Err(gone()))?);
        }
        Ok(self.done)
    }

    /// Closes the connections of the roles, which ends those that wait for deliveries.
    pub(crate) async fn close(&self) -> Result<()> {
        for connection in &self.connections {
            connection.close().await?;
        }
        Ok(())
    }
}

fn gone() -> Trouble {
    Trouble::new("a thread of the measurement has ended")
}

async fn play<F, T>(roles: Vec<F>, results: &mpsc::UnboundedSender<Result<T>>)
where
    F: Future<Output = Result<T>> + Send + 'static,
    T: Send + 'static,
{
    let mut set: JoinSet<Result<T>> = roles.into_iter().collect();
    while let Some(ended) = set.join_next().await {
        // If nobody listens the run is over.
        let _ = results.send(ended.unwrap_or_else(|_| Err(gone())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_role_plays_once_however_many_there_are() {
        let crew = Crew::start(THREADS_MAX * 2 + 1, |index, _| async move { Ok(index) }).unwrap();
        let mut indexes = crew.join().await.unwrap();
        indexes.sort_unstable();
        assert_eq!(indexes, (0..THREADS_MAX * 2 + 1).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_role_that_fails_before_it_is_ready_ends_the_waiting() {
        let mut crew: Crew<()> = Crew::start(2, |index, mut start| async move {
            if index == 0 {
                start.wait().await;
            }
            Err(Trouble::new("no such broker"))
        })
        .unwrap();
        assert_eq!(crew.ready().await.unwrap_err().to_string(), "no such broker");
    }
}
