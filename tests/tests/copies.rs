//! RabbitMQ's sender-selected distribution: more routing keys in the headers CC and BCC.

use leveret_spec::method::MethodFrame;
use leveret_spec::table::ArrayBuf;
use leveret_spec::{TableBuf, Value, basic, exchange};
use leveret_tests::{Peer, default, octets, short, table, texts_of, unique};

fn copies<const N: usize>(header: &str, keys: [&str; N]) -> TableBuf {
    table([(header, Value::Array(texts_of(keys).as_array()))])
}

/// A message goes to its routing key and to those of CC and BCC.
#[test]
fn a_message_may_have_many_keys() {
    let mut peer = Peer::with_channel();
    let [to, cc, other, bcc] = [(); 4].map(|()| peer.queue(1));
    let headers = table([
        ("CC", Value::Array(texts_of([&cc, &other]).as_array())),
        ("BCC", Value::Array(texts_of([bcc.as_str()]).as_array())),
    ]);
    peer.publish_headed(1, "", &to, &headers, "m");
    for queue in [&to, &cc, &other, &bcc] {
        assert_eq!(peer.drain(1, queue), ["m"]);
    }
}

/// What a message without headers has taught the broker about its way says nothing of one with CC or BCC.
#[test]
fn copies_do_not_go_the_way_of_the_message_before() {
    let mut peer = Peer::with_channel();
    let [to, copy] = [(); 2].map(|()| peer.queue(1));
    peer.publish(1, "", &to, "plain");
    peer.publish_headed(1, "", &to, &copies("CC", [copy.as_str()]), "copied");
    peer.publish_headed(1, "", &to, &copies("BCC", [copy.as_str()]), "blind");
    peer.publish(1, "", &to, "plain");
    assert_eq!(peer.drain(1, &copy), ["copied", "blind"]);
    assert_eq!(peer.drain(1, &to), ["plain", "copied", "blind", "plain"]);
}

/// The other keys count though the first leads nowhere, also for mandatory messages.
#[test]
fn the_first_key_may_lead_nowhere() {
    let mut peer = Peer::with_channel();
    let (queue, nowhere) = (peer.queue(1), unique("nowhere"));
    for header in ["CC", "BCC"] {
        let headers = copies(header, [queue.as_str()]);
        let properties = leveret_spec::Properties { headers: Some(headers.as_table()), ..default() };
        let publish = basic::Publish { routing_key: octets(nowhere.as_str()), mandatory: true, ..default() };
        peer.publish_method(1, &publish, &properties, b"m");
        peer.expect_nothing(1);
        assert_eq!(peer.drain(1, &queue), ["m"]);
    }
}

/// CC is for all to see, BCC for nobody; the routing key stays the first.
#[test]
fn blind_copies_are_not_to_be_seen() {
    let mut peer = Peer::with_channel();
    let [to, cc, bcc] = [(); 3].map(|()| peer.queue(1));
    let headers = table([
        ("mine", "kept".into()),
        ("CC", Value::Array(texts_of([cc.as_str()]).as_array())),
        ("BCC", Value::Array(texts_of([bcc.as_str()]).as_array())),
    ]);
    peer.publish_headed(1, "", &to, &headers, "m");
    for queue in [&to, &cc, &bcc] {
        let (got, content) = peer.get_settled(1, queue).unwrap();
        assert_eq!(got.routing_key.as_bytes(), to.as_bytes());
        let headers = content.headers();
        assert_eq!(headers.lookup("BCC"), None);
        assert_eq!(headers.lookup("mine"), Some("kept".into()));
        assert_eq!(headers.lookup("CC"), Some(Value::Array(texts_of([cc.as_str()]).as_array())));
    }
}

/// A queue gets one copy, however many keys lead to it.
#[test]
fn many_keys_are_one_copy() {
    let mut peer = Peer::with_channel();
    let (queue, exchange) = (peer.queue(1), peer.exchange(1, "direct"));
    for key in ["a", "b"] {
        peer.bind(1, &queue, &exchange, key);
    }
    let headers = table([
        ("CC", Value::Array(texts_of(["a", "b"]).as_array())),
        ("BCC", Value::Array(texts_of(["b"]).as_array())),
    ]);
    peer.publish_headed(1, &exchange, "a", &headers, "m");
    assert_eq!(peer.drain(1, &queue), ["m"]);
}

/// The keys work with every type of exchange that has keys.
#[test]
fn every_exchange_looks_at_copies() {
    let mut peer = Peer::with_channel();
    for kind in ["direct", "topic"] {
        let (one, two, exchange) = (peer.queue(1), peer.queue(1), peer.exchange(1, kind));
        peer.bind(1, &one, &exchange, "one.key");
        peer.bind(1, &two, &exchange, if kind == "topic" { "two.#" } else { "two.key" });
        peer.publish_headed(1, &exchange, "one.key", &copies("CC", ["two.key"]), "m");
        for queue in [&one, &two] {
            assert_eq!(peer.drain(1, queue), ["m"], "{kind}");
        }
    }
}

/// The keys travel with the message through bindings between exchanges.
#[test]
fn copies_travel_through_exchanges() {
    let mut peer = Peer::with_channel();
    let (front, back, queue) = (peer.exchange(1, "fanout"), peer.exchange(1, "direct"), peer.queue(1));
    peer.bind_exchange(1, &back, &front, "");
    peer.bind(1, &queue, &back, "copy");
    peer.publish_headed(1, &front, "key", &copies("CC", ["copy"]), "cc");
    peer.publish_headed(1, &front, "key", &copies("BCC", ["copy"]), "bcc");
    assert_eq!(peer.drain(1, &queue), ["cc", "bcc"]);
    // Where a copy's key is the only one that leads on.
    let (front, back) = (peer.exchange(1, "direct"), peer.exchange(1, "fanout"));
    peer.bind_exchange(1, &back, &front, "copy");
    peer.bind(1, &queue, &back, "");
    peer.publish_headed(1, &front, "key", &copies("CC", ["copy"]), "through the copy");
    assert_eq!(peer.drain(1, &queue), ["through the copy"]);
}

/// An alternate exchange is for what none of the keys has routed, and gets them all.
#[test]
fn copies_keep_the_alternate_exchange_out() {
    let mut peer = Peer::with_channel();
    let (alternate, queue, rest) = (peer.exchange(1, "direct"), peer.queue(1), peer.queue(1));
    let name = unique("direct");
    let arguments = table([("alternate-exchange", alternate.as_str().into())]);
    let (exchange, kind, arguments) = (short(&name), short("direct"), arguments.as_table());
    peer.declare_exchange(1, &exchange::Declare { exchange, kind, arguments, ..default() });
    peer.bind(1, &queue, &name, "here");
    peer.bind(1, &rest, &alternate, "there");
    peer.publish_headed(1, &name, "there", &copies("CC", ["here"]), "routed");
    assert_eq!(peer.drain(1, &queue), ["routed"]);
    assert_eq!(peer.drain(1, &rest), [""; 0]);
    peer.publish_headed(1, &name, "nowhere", &copies("CC", ["there"]), "rest");
    assert_eq!(peer.drain(1, &rest), ["rest"]);
}

/// In a chain of exchanges each has its own alternate exchange, for what it has routed nowhere itself.
#[test]
fn every_exchange_in_a_chain_has_its_alternate() {
    let mut peer = Peer::with_channel();
    let (alternate, rest) = (peer.exchange(1, "fanout"), peer.queue(1));
    peer.bind(1, &rest, &alternate, "");
    let front = peer.exchange(1, "fanout");
    let middle = unique("direct");
    let arguments = table([("alternate-exchange", alternate.as_str().into())]);
    let (exchange, kind, arguments) = (short(&middle), short("direct"), arguments.as_table());
    peer.declare_exchange(1, &exchange::Declare { exchange, kind, arguments, ..default() });
    peer.bind_exchange(1, &middle, &front, "");
    let other = peer.queue(1);
    peer.bind(1, &other, &front, "");
    peer.publish(1, &front, "nowhere", "m");
    assert_eq!(peer.drain(1, &other), ["m"]);
    assert_eq!(peer.drain(1, &rest), ["m"]);
}

/// An empty list is a list.
#[test]
fn a_list_may_be_empty() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    for header in ["CC", "BCC"] {
        peer.publish_headed(1, "", &queue, &copies(header, []), "m");
    }
    assert_eq!(peer.drain(1, &queue), ["m", "m"]);
}

/// What is no list is refused; entries of a list that are no texts are passed over, and headers of other names are.
#[test]
fn what_is_no_list_is_refused() {
    let mut peer = Peer::with_channel();
    let (queue, other) = (peer.queue(1), peer.queue(1));
    for header in ["CC", "BCC"] {
        peer.publish_headed(1, "", &queue, &table([(header, "key".into())]), "m");
        let what = format!("{{unacceptable_type_in_header,\"{header}\",longstr}}");
        peer.expect_refusal(1, basic::Publish::ROW, 406, &format!("invalid message: {what}"));
    }
    let mut mixed = ArrayBuf::new();
    mixed.push(7i32).push(other.as_str());
    for header in ["CC", "BCC"] {
        peer.publish_headed(1, "", &queue, &table([(header, Value::Array(mixed.as_array()))]), "m");
        peer.expect_nothing(1);
        assert_eq!(peer.drain(1, &queue), ["m"]);
        assert_eq!(peer.drain(1, &other), ["m"]);
    }
    peer.publish_headed(1, "", &queue, &table([("cc", "nobody looks".into())]), "m");
    assert_eq!(peer.drain(1, &queue), ["m"]);
}

/// A return has the message as it was sent, but for the blind copies.
#[test]
fn a_return_tells_nothing_of_blind_copies() {
    let mut peer = Peer::with_channel();
    let nowhere = unique("nowhere");
    let headers = table([
        ("CC", Value::Array(texts_of(["nowhere-1"]).as_array())),
        ("BCC", Value::Array(texts_of(["nowhere-2"]).as_array())),
    ]);
    let properties = leveret_spec::Properties { headers: Some(headers.as_table()), ..default() };
    let publish = basic::Publish { routing_key: octets(nowhere.as_str()), mandatory: true, ..default() };
    peer.publish_method(1, &publish, &properties, b"m");
    let (_, content) = peer.expect_content::<basic::Return>(1);
    assert_eq!(content.headers().lookup("CC"), Some(Value::Array(texts_of(["nowhere-1"]).as_array())));
    assert_eq!(content.headers().lookup("BCC"), None);
}
