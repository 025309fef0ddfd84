//! What a virtual host promises: equal declarations, routes, and what goes with what.

use leveret_spec::{ReplyCode, Value};

use super::*;
use crate::exchange::{Declaration, Destination, Kind};
use crate::message::Message;
use crate::queue::{self, ConnectionId, Turn};
use crate::time::Moment;

fn vhost() -> Vhost {
    Vhost::new("/", Arc::default(), Arc::default(), None)
}

fn exchange(vhost: &Vhost, name: &str, kind: Kind, auto_delete: bool, arguments: TableBuf) -> Arc<Exchange> {
    let declaration = Declaration { kind, durable: false, auto_delete, internal: false, arguments };
    vhost.declare_exchange(name, declaration).unwrap();
    vhost.exchange(name).unwrap()
}

fn queue(vhost: &Vhost, name: &str) -> Arc<Queue> {
    vhost.declare_queue(name, queue::Declaration::default(), Moment::default()).unwrap().0
}

fn bind(vhost: &Vhost, source: &Arc<Exchange>, destination: Destination, key: &str) {
    let ends = Ends { source: source.clone(), destination };
    vhost.bind(ends, key.as_bytes(), Default::default(), |_| Ok(())).unwrap();
}

fn routed(vhost: &Vhost, exchange: &str, key: &str) -> Vec<String> {
    let message = Message::compose(exchange, key, &Default::default(), b"");
    let routed = vhost.route(exchange.as_bytes(), key.as_bytes(), &message).unwrap();
    let mut names: Vec<_> = routed.queues.iter().map(|q| q.name.to_string()).collect();
    names.sort();
    names
}

#[test]
fn the_default_exchange_knows_queues_by_name() {
    let vhost = vhost();
    queue(&vhost, "a");
    assert_eq!(routed(&vhost, "", "a"), ["a"]);
    assert!(routed(&vhost, "", "b").is_empty());
}

#[test]
fn a_queue_bound_twice_gets_one_copy() {
    let vhost = vhost();
    let (x, q) = (exchange(&vhost, "x", Kind::Topic, false, TableBuf::new()), queue(&vhost, "q"));
    bind(&vhost, &x, Destination::Queue(q.clone()), "a.*");
    bind(&vhost, &x, Destination::Queue(q), "#");
    assert_eq!(routed(&vhost, "x", "a.b"), ["q"]);
}

#[test]
fn exchanges_bound_in_a_circle_are_visited_once() {
    let vhost = vhost();
    let a = exchange(&vhost, "a", Kind::Fanout, false, TableBuf::new());
    let b = exchange(&vhost, "b", Kind::Fanout, false, TableBuf::new());
    bind(&vhost, &a, Destination::Exchange(b.clone()), "");
    bind(&vhost, &b, Destination::Exchange(a.clone()), "");
    bind(&vhost, &b, Destination::Queue(queue(&vhost, "q")), "");
    assert_eq!(routed(&vhost, "a", ""), ["q"]);
}

#[test]
fn the_alternate_exchange_takes_what_nobody_else_does() {
    let vhost = vhost();
    let to_lost = TableBuf::new().with("alternate-exchange", "lost").unwrap();
    let x = exchange(&vhost, "x", Kind::Direct, false, to_lost);
    bind(&vhost, &x, Destination::Queue(queue(&vhost, "q")), "known");
    assert!(routed(&vhost, "x", "unknown").is_empty(), "it need not exist");
    let lost = exchange(&vhost, "lost", Kind::Fanout, false, TableBuf::new());
    bind(&vhost, &lost, Destination::Queue(queue(&vhost, "l")), "");
    assert_eq!(routed(&vhost, "x", "known"), ["q"]);
    assert_eq!(routed(&vhost, "x", "unknown"), ["l"]);
}

#[test]
fn deleting_a_queue_ends_its_bindings_and_exchanges_that_live_by_them() {
    let vhost = vhost();
    let x = exchange(&vhost, "x", Kind::Fanout, true, TableBuf::new());
    let y = exchange(&vhost, "y", Kind::Fanout, true, TableBuf::new());
    let q = queue(&vhost, "q");
    bind(&vhost, &y, Destination::Exchange(x.clone()), "");
    bind(&vhost, &x, Destination::Queue(q.clone()), "");
    vhost.delete_queue(&q, DeleteCondition::default(), &mut Turn::default()).unwrap();
    assert_eq!(vhost.exchange("x").map(drop).unwrap_err().code, ReplyCode::NotFound);
    assert_eq!(vhost.exchange("y").map(drop).unwrap_err().code, ReplyCode::NotFound);
    assert!(vhost.topology().is_empty());
}

#[test]
fn the_generation_changes_with_every_route() {
    let vhost = vhost();
    let mut last = vhost.generation();
    let mut changed = || std::mem::replace(&mut last, vhost.generation()) != vhost.generation();
    let x = exchange(&vhost, "x", Kind::Fanout, false, TableBuf::new());
    let q = queue(&vhost, "q");
    assert!(changed());
    bind(&vhost, &x, Destination::Queue(q.clone()), "");
    assert!(changed());
    bind(&vhost, &x, Destination::Queue(q.clone()), "");
    assert!(!changed(), "the binding was there");
    let ends = Ends { source: x, destination: Destination::Queue(q.clone()) };
    vhost.unbind(ends, b"", Default::default(), |_| Ok(())).unwrap();
    assert!(changed());
    vhost.delete_queue(&q, DeleteCondition::default(), &mut Turn::default()).unwrap();
    assert!(changed());
}

#[test]
fn a_second_declaration_must_be_equal() {
    let vhost = vhost();
    let ttl = |ms: Value<'_>| TableBuf::new().with("x-message-ttl", ms).unwrap();
    let declare = |declaration| vhost.declare_queue("q", declaration, Moment::default()).map(drop);
    let base = || queue::Declaration { arguments: ttl(Value::I32(10)), ..Default::default() };
    declare(base()).unwrap();
    declare(queue::Declaration { arguments: ttl(Value::I64(10)), ..base() }).unwrap();
    for (declaration, text) in [
        (
            queue::Declaration { durable: true, ..base() },
            "inequivalent arg 'durable' for queue 'q' in vhost '/': received 'true' but current is 'false'",
        ),
        (
            queue::Declaration { arguments: ttl(Value::I32(20)), ..base() },
            "inequivalent arg 'x-message-ttl' for queue 'q' in vhost '/': received '20' but current is '10'",
        ),
        (
            queue::Declaration { arguments: TableBuf::new(), ..base() },
            "inequivalent arg 'x-message-ttl' for queue 'q' in vhost '/': received none but current is the value '10' of type 'signedint'",
        ),
    ] {
        assert_eq!(declare(declaration).unwrap_err().text, text);
    }
    let taken = declare(queue::Declaration { owner: Some(ConnectionId(1)), durable: true, ..base() }).unwrap_err();
    assert_eq!(taken.code, ReplyCode::ResourceLocked, "ownership comes first");
}

#[test]
fn reserved_names_are_the_brokers_own() {
    let vhost = vhost();
    let refused = vhost.declare_queue("amq.mine", Default::default(), Moment::default()).map(drop).unwrap_err();
    assert_eq!(refused.to_string(), "ACCESS_REFUSED - queue name 'amq.mine' contains reserved prefix 'amq.*'");
    let refused = vhost.delete_exchange("amq.direct", false).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "ACCESS_REFUSED - deletion of system exchange 'amq.direct' in vhost '/' not allowed"
    );
}

#[test]
fn all_virtual_hosts_count_together() {
    // Seven exchanges are there from the start, in each.
    let census = Arc::new(Census::new(Some(2), Some(15)));
    let [one, two] = ["one", "two"].map(|name| Vhost::new(name, Arc::default(), census.clone(), None));
    let declare = |vhost: &Vhost, name| {
        let declared = vhost.declare_queue(name, Default::default(), Moment::default()).map(drop);
        declared.map_err(|refused| refused.text)
    };
    let full = "cannot declare queue 'c': queue limit in cluster (2) is reached";
    assert_eq!((declare(&one, "a"), declare(&two, "b"), declare(&two, "c")), (Ok(()), Ok(()), Err(full.into())));
    assert_eq!(declare(&two, "b"), Ok(()), "it is there");
    let doomed = one.queue("a").unwrap();
    for _ in 0..2 {
        one.delete_queue(&doomed, DeleteCondition::default(), &mut Turn::default()).unwrap();
    }
    assert_eq!((declare(&two, "c"), declare(&one, "d").is_err()), (Ok(()), true));
    exchange(&one, "x", Kind::Fanout, false, TableBuf::new());
    let declaration = || Declaration {
        kind: Kind::Fanout,
        durable: false,
        auto_delete: false,
        internal: false,
        arguments: TableBuf::new(),
    };
    let refused = two.declare_exchange("y", declaration()).unwrap_err();
    assert_eq!(refused.text, "cannot declare exchange 'y' in vhost 'two': exchange limit of 15 is reached");
    // What goes with its virtual host makes room as well.
    drop(two);
    assert_eq!((declare(&one, "e"), declare(&one, "f"), declare(&one, "g").is_err()), (Ok(()), Ok(()), true));
    assert!(one.declare_exchange("y", declaration()).is_ok());
}

#[test]
fn what_is_refused_for_its_properties_is_not_counted() {
    let vhost = Vhost::new("/", Arc::default(), Arc::new(Census::new(Some(1), None)), None);
    let arguments = || TableBuf::new().with("x-queue-type", "quorum").unwrap();
    let transient = queue::Declaration { arguments: arguments(), ..Default::default() };
    let refused = vhost.declare_queue("q", transient, Moment::default()).map(drop).unwrap_err();
    assert_eq!(refused.text, "invalid property 'non-durable' for queue 'q' in vhost '/'");
    queue(&vhost, "q");
}
