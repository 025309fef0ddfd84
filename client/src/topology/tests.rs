//! What is noted, renamed and forgotten.

use leveret_spec::TableBuf;

use super::*;
use crate::channel::{QueueStatus, Reply};

fn queue(topology: &mut Topology, name: &str, auto_delete: bool) {
    let mut queue = Queue::new(name, TableBuf::new());
    queue.auto_delete = auto_delete;
    let named = if name.is_empty() { "amq.gen-1" } else { name };
    let status = QueueStatus { name: named.to_owned(), messages: 0, consumers: 0 };
    topology.apply(Change::DeclareQueue(queue), &Reply::Queue(status));
}

fn exchange(topology: &mut Topology, name: &str, auto_delete: bool) {
    let (name, kind) = (name.into(), "fanout".into());
    let exchange = Exchange { name, kind, durable: false, auto_delete, internal: false, arguments: TableBuf::new() };
    topology.apply(Change::DeclareExchange(exchange), &Reply::Done);
}

fn binding(destination: Destination, source: &str, key: &str) -> Binding {
    let route = Route { source: source.into(), routing_key: key.into(), arguments: TableBuf::new() };
    Binding { destination, route }
}

fn to_queue(name: &str, source: &str) -> Binding {
    binding(Destination::Queue(name.into()), source, "k")
}

fn names(topology: &Topology) -> (Vec<String>, Vec<String>, usize) {
    let text = |name: &str| name.to_owned();
    let exchanges = topology.exchanges().iter().map(|exchange| text(&exchange.name)).collect();
    let queues = topology.queues().iter().map(|queue| text(&queue.name)).collect();
    (exchanges, queues, topology.bindings().len())
}

#[test]
fn declaring_again_is_one_entry_and_deleting_takes_the_bindings_along() {
    let mut topology = Topology::default();
    for _ in 0..3 {
        exchange(&mut topology, "e", false);
        queue(&mut topology, "q", false);
        topology.apply(Change::Bind(to_queue("q", "e")), &Reply::Done);
        topology.apply(Change::Bind(to_queue("q", "amq.direct")), &Reply::Done);
    }
    assert_eq!(names(&topology), (vec!["e".into()], vec!["q".into()], 2));
    topology.apply(Change::DeleteExchange("e".into()), &Reply::Done);
    assert_eq!(names(&topology), (vec![], vec!["q".into()], 1));
    topology.apply(Change::DeleteQueue("q".into()), &Reply::Count(0));
    assert_eq!(names(&topology), (vec![], vec![], 0));
    assert!(topology.sources.is_empty() && topology.names.is_empty());
}

#[test]
fn auto_delete_exchanges_go_with_their_last_bindings_one_after_the_other() {
    let mut topology = Topology::default();
    for name in ["a", "b"] {
        exchange(&mut topology, name, true);
    }
    queue(&mut topology, "q", false);
    topology.apply(Change::Bind(binding(Destination::Exchange("b".into()), "a", "")), &Reply::Done);
    topology.apply(Change::Bind(to_queue("q", "b")), &Reply::Done);
    topology.apply(Change::Unbind(to_queue("q", "never bound")), &Reply::Done);
    assert_eq!(names(&topology).2, 2);
    topology.apply(Change::Unbind(to_queue("q", "b")), &Reply::Done);
    assert_eq!(names(&topology), (vec![], vec!["q".into()], 0));
}

#[test]
fn an_auto_delete_queue_goes_with_its_last_consumer_and_not_before_it_had_one() {
    let mut topology = Topology::default();
    queue(&mut topology, "q", true);
    queue(&mut topology, "kept", false);
    for name in ["q", "q", "kept"] {
        topology.consumer_started(name);
    }
    topology.consumer_ended("q");
    // Declared once more meanwhile, it has its consumer still.
    queue(&mut topology, "q", true);
    assert!(topology.has_queue("q"));
    topology.consumer_ended("kept");
    topology.consumer_ended("q");
    assert_eq!(names(&topology).1, ["kept"]);
}

#[test]
fn former_names_lead_to_a_queue_and_there_are_never_more_than_the_limit() {
    let mut topology = Topology::default();
    queue(&mut topology, "", false);
    topology.apply(Change::Bind(to_queue("amq.gen-1", "e")), &Reply::Done);
    for number in 1..100 {
        topology.rename_queue(&format!("amq.gen-{number}"), &format!("amq.gen-{}", number + 1));
    }
    assert_eq!(topology.names.len(), FORMER_NAMES_MAX);
    assert_eq!(topology.current("amq.gen-1"), "amq.gen-100");
    assert_eq!(topology.current("amq.gen-99"), "amq.gen-100");
    assert_eq!(topology.current("other"), "other");
    assert_eq!(topology.bindings(), [to_queue("amq.gen-100", "e")]);
    assert!(topology.queues()[0].server_named);
    topology.forget_queue("amq.gen-1");
    assert_eq!((names(&topology), topology.names.len()), ((vec![], vec![], 0), 0));
}

#[test]
fn an_empty_name_is_that_of_the_last_queue() {
    let mut change = Change::Bind(to_queue("", "e"));
    change.name_queue("last");
    let mut topology = Topology::default();
    topology.apply(change, &Reply::Done);
    assert_eq!(topology.bindings(), [to_queue("last", "e")]);
}
