//! What clients publish, for those who want to see it: tapes that take in every publish and let the oldest go when they are
//! full.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;

use atomic_waker::AtomicWaker;
use parking_lot::Mutex;

use crate::message::{Message, split_address};

/// Publishes that a tape holds, and bytes of them.
const PUBLISHES_MAX: usize = 100_000;
const BYTES_MAX: usize = 64 << 20;

/// A publish.
#[derive(Clone)]
pub(crate) struct Publish {
    pub(crate) vhost: Arc<str>,
    /// A copy: nobody else has it.
    pub(crate) message: Message,
    /// The queues that it has gone to.
    pub(crate) queues: Vec<Arc<str>>,
}

/// The tapes of a broker.
#[derive(Default)]
pub(crate) struct Recordings(Mutex<Vec<Arc<Tape>>>);

/// What was published since somebody began to record.
#[derive(Default)]
pub(crate) struct Tape {
    /// The only exchange whose publishes it takes; none is every exchange.
    exchange: Option<Box<str>>,
    state: Mutex<State>,
    waker: AtomicWaker,
}

#[derive(Default)]
struct State {
    publishes: VecDeque<Publish>,
    bytes: usize,
    missed: u64,
}

impl Recordings {
    /// Begins to record what goes to one exchange, or to all of them.
    pub(crate) fn begin(&self, exchange: Option<&str>) -> Arc<Tape> {
        let tape = Arc::new(Tape { exchange: exchange.map(Into::into), ..Tape::default() });
        self.0.lock().push(tape.clone());
        tape
    }

    /// Ends a recording.
    pub(crate) fn end(&self, tape: &Arc<Tape>) {
        self.0.lock().retain(|other| !Arc::ptr_eq(other, tape));
    }

    /// True if nobody records.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }

    /// Takes in a publish.
    pub(crate) fn take(&self, vhost: &Arc<str>, message: &Message, queues: impl Iterator<Item = Arc<str>>) {
        let tapes = self.0.lock();
        let (exchange, _) = split_address(message.address());
        let wanted = |tape: &&Arc<Tape>| tape.exchange.as_deref().is_none_or(|name| name.as_bytes() == &*exchange);
        let mut wanting = tapes.iter().filter(wanted).peekable();
        if wanting.peek().is_some() {
            let message = Message::from_wire(message.as_bytes());
            let publish = Publish { vhost: vhost.clone(), message, queues: queues.collect() };
            wanting.for_each(|tape| tape.put(publish.clone()));
        }
    }
}

impl Tape {
    fn put(&self, publish: Publish) {
        let state = &mut *self.state.lock();
        state.bytes += publish.message.size();
        state.publishes.push_back(publish);
        while state.publishes.len() > PUBLISHES_MAX || state.bytes > BYTES_MAX && state.publishes.len() > 1 {
            state.pop();
            state.missed += 1;
        }
        self.waker.wake();
    }

    /// Takes the oldest publish out.
    pub(crate) fn pop(&self) -> Option<Publish> {
        self.state.lock().pop()
    }

    /// The oldest publish, or a wake-up when there is one.
    pub(crate) fn pop_or_wait(&self, waker: &Waker) -> Option<Publish> {
        self.waker.register(waker);
        self.pop()
    }

    /// All that is there, the oldest first.
    pub(crate) fn all(&self) -> Vec<Publish> {
        self.state.lock().publishes.iter().cloned().collect()
    }

    /// How many publishes are there.
    pub(crate) fn len(&self) -> usize {
        self.state.lock().publishes.len()
    }

    /// How many had to go because there were too many.
    pub(crate) fn missed(&self) -> u64 {
        self.state.lock().missed
    }
}

impl State {
    fn pop(&mut self) -> Option<Publish> {
        let publish = self.publishes.pop_front()?;
        self.bytes -= publish.message.size();
        Some(publish)
    }
}

#[cfg(test)]
mod tests {
    use leveret_spec::Properties;

    use super::*;

    fn publish(recordings: &Recordings, exchange: &str, body: &[u8]) {
        let message = Message::compose(exchange, "key", &Properties::default(), body);
        recordings.take(&"/".into(), &message, ["q".into()].into_iter());
    }

    #[test]
    fn a_tape_takes_what_goes_to_its_exchange() {
        let recordings = Recordings::default();
        let (all, orders) = (recordings.begin(None), recordings.begin(Some("orders")));
        publish(&recordings, "", b"1");
        publish(&recordings, "orders", b"2");
        assert_eq!((all.len(), orders.len()), (2, 1));
        recordings.end(&all);
        assert!(!recordings.is_empty());
        publish(&recordings, "orders", b"3");
        assert_eq!((all.len(), orders.len()), (2, 2));
        assert_eq!(orders.pop().map(|publish| publish.message.body().to_vec()), Some(b"2".to_vec()));
        recordings.end(&orders);
        assert!(recordings.is_empty());
    }

    #[test]
    fn a_full_tape_lets_the_oldest_go_and_counts_them() {
        let recordings = Recordings::default();
        let tape = recordings.begin(None);
        let half = vec![0; BYTES_MAX / 2];
        (0..3).for_each(|_| publish(&recordings, "", &half));
        assert_eq!((tape.len(), tape.missed()), (1, 2));
        publish(&recordings, "", &vec![0; BYTES_MAX + 1]);
        assert_eq!((tape.len(), tape.missed()), (1, 3), "the last one stays, however large");
        while tape.pop().is_some() {}
        assert_eq!((tape.len(), tape.state.lock().bytes), (0, 0));
    }
}
