//! What a connection leaves in a trace. `tracing` remembers for the whole process who is interested in what, so this test
//! has one of its own.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use leveret::{Broker, Config};
use leveret_client::{Connection, Options};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Notes what this crate does, with `>` and `<` where a span is entered and left.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<String>>);

impl Notes {
    fn text(&self) -> MutexGuard<'_, String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Visit for Notes {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.text().push_str(&format!("{field}={value:?};"));
    }
}

impl Subscriber for Notes {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("leveret_client")
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        self.text().push_str(&format!("{}, root: {}\n", span.metadata().name(), span.is_root()));
        Id::from_u64(1)
    }

    fn event(&self, event: &Event<'_>) {
        event.record(&mut self.clone());
    }

    fn enter(&self, _: &Id) {
        self.text().push('>');
    }

    fn exit(&self, _: &Id) {
        self.text().push('<');
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}
}

#[tokio::test]
async fn the_span_of_a_connection_stands_alone_and_ends_with_the_reason() -> Result<(), Box<dyn std::error::Error>> {
    let notes = Notes::default();
    let noted = tracing::subscriber::set_default(notes.clone());
    let broker = Broker::start(Config::in_memory()).await?;
    let connection = Connection::over(broker.connect(), Options::default()).await?;
    broker.shutdown().await?;
    connection.closed().await;
    drop(noted);
    let notes = notes.text();
    assert!(notes.starts_with("connection, root: true\n"), "{notes}");
    let (before, reason) = notes.split_once("message=the connection ends;reason=").ok_or("no reason")?;
    assert!(before.ends_with('>') && reason.starts_with("connection closed: 320"), "{notes}");
    Ok(())
}
