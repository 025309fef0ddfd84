//! What reaches which queue: the exchange types, bindings between exchanges, alternate exchanges.
#![expect(clippy::unwrap_used, reason = "a check that fails panics")]

use leveret_spec::{Properties, TableBuf, Value, basic, channel, exchange, queue};
use leveret_tests::{Difference, Peer, Product, default, octets, short, table, target, texts, unique};

/// Section 3.1.3.1: every queue is bound to the default exchange under its name.
#[test]
fn the_default_exchange_knows_every_queue() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    peer.publish(1, "", &queue, "m");
    assert_eq!(peer.drain(1, &queue), ["m"]);
}

/// Section 3.1.3.1: a direct exchange compares whole keys, which are bytes and not text.
#[test]
fn direct_compares_byte_for_byte() {
    let mut peer = Peer::with_channel();
    let (exchange, queue) = (peer.exchange(1, "direct"), peer.queue(1));
    peer.bind(1, &queue, &exchange, "key");
    for key in [b"key".as_slice(), b"Key", b"key.", b"", b"ke", b"k\xffy"] {
        let publish = basic::Publish { exchange: octets(&exchange), routing_key: octets(key), ..default() };
        peer.publish_method(1, &publish, &default(), key);
    }
    assert_eq!(peer.drain(1, &queue), ["key"]);
}

/// Section 3.1.3.2: a fanout exchange does not look at the key.
#[test]
fn fanout_ignores_the_key() {
    let mut peer = Peer::with_channel();
    let exchange = peer.exchange(1, "fanout");
    let (one, two) = (peer.queue(1), peer.queue(1));
    peer.bind(1, &one, &exchange, "");
    peer.bind(1, &two, &exchange, "some.key");
    peer.publish(1, &exchange, "other", "m");
    assert_eq!((peer.drain(1, &one), peer.drain(1, &two)), (vec!["m".into()], vec!["m".into()]));
}

/// Section 3.1.3.3: `*` is one word, `#` any number of them; words may be empty.
#[test]
fn topic_matches_word_by_word() {
    const KEYS: [&str; 12] = ["", "a", "b", "a.b", "a.c", "a.b.c", "a..b", ".", "a.", ".a", "b.a", "a.b.c.d"];
    let patterns: [(&str, &[&str]); 14] = [
        ("#", &KEYS),
        ("*", &["a", "b"]),
        ("a", &["a"]),
        ("", &[""]),
        ("a.#", &["a", "a.b", "a.c", "a.b.c", "a..b", "a.", "a.b.c.d"]),
        ("#.b", &["b", "a.b", "a..b"]),
        ("*.*", &["a.b", "a.c", ".", "a.", ".a", "b.a"]),
        ("a.*", &["a.b", "a.c", "a."]),
        ("*.b.*", &["a.b.c"]),
        ("a.#.b", &["a.b", "a..b"]),
        ("#.#", &KEYS),
        ("a.*.b", &["a..b"]),
        ("*.#.c", &["a.c", "a.b.c"]),
        ("#.*", &["a", "b", "a.b", "a.c", "a.b.c", "a..b", ".", "a.", ".a", "b.a", "a.b.c.d"]),
    ];
    let mut peer = Peer::with_channel();
    let exchange = peer.exchange(1, "topic");
    for (pattern, matching) in patterns {
        let queue = peer.queue(1);
        peer.bind(1, &queue, &exchange, pattern);
        for key in KEYS {
            peer.publish(1, &exchange, key, key);
        }
        assert_eq!(peer.drain(1, &queue), matching, "{pattern}");
        peer.unbind(1, &queue, &exchange, pattern);
    }
}

/// RabbitMQ: a wildcard is one only as a whole word of a binding, and a key's are none.
#[test]
fn wildcards_are_whole_words_of_bindings() {
    let mut peer = Peer::with_channel();
    let (exchange, queue) = (peer.exchange(1, "topic"), peer.queue(1));
    peer.bind(1, &queue, &exchange, "a*");
    peer.bind(1, &queue, &exchange, "b#.c");
    for key in ["a*", "ab", "a", "b#.c", "bx.c", "b.c", "*", "#"] {
        peer.publish(1, &exchange, key, key);
    }
    assert_eq!(peer.drain(1, &queue), ["a*", "b#.c"]);
}

/// RabbitMQ up to 4.2: any number of `#` in a binding. (It needs ages to match 20 of them, though, so it is asked for 3.)
#[test]
fn many_hashes_are_no_trouble() {
    let mut peer = Peer::with_channel();
    let (exchange, queue) = (peer.exchange(1, "topic"), peer.queue(1));
    let hashes = if target().product() == Product::Leveret { 20 } else { 3 };
    let pattern = vec!["#"; hashes].join(".a.");
    let (exchange_name, routing_key) = (short(&exchange), short(&pattern));
    let bind = queue::Bind { queue: short(&queue), exchange: exchange_name, routing_key, ..default() };
    if !Difference::AnyNumberOfHashes.holds() {
        peer.send(1, &bind);
        assert_eq!(peer.expect::<channel::Close>(1).reply_code, 406);
        return;
    }
    peer.call::<queue::BindOk>(1, &bind);
    peer.publish(1, &exchange, &["a"; 127].join("."), "many");
    peer.publish(1, &exchange, &vec!["a"; hashes - 2].join("."), "too few");
    assert_eq!(peer.drain(1, &queue), ["many"]);
}

/// RabbitMQ: however many bindings match, a queue gets one copy.
#[test]
fn a_queue_gets_one_copy() {
    let mut peer = Peer::with_channel();
    let (exchange, queue) = (peer.exchange(1, "topic"), peer.queue(1));
    for pattern in ["#", "a.*", "*.b", "a.b"] {
        peer.bind(1, &queue, &exchange, pattern);
    }
    peer.publish(1, &exchange, "a.b", "m");
    assert_eq!(peer.drain(1, &queue), ["m"]);
}

/// Section 1.7.2.3: binding twice is binding once; one unbind ends it.
#[test]
fn a_binding_exists_once() {
    let mut peer = Peer::with_channel();
    let (exchange, queue) = (peer.exchange(1, "direct"), peer.queue(1));
    peer.bind(1, &queue, &exchange, "k");
    peer.bind(1, &queue, &exchange, "k");
    peer.publish(1, &exchange, "k", "m");
    assert_eq!(peer.drain(1, &queue), ["m"]);
    peer.unbind(1, &queue, &exchange, "k");
    peer.publish(1, &exchange, "k", "m");
    assert_eq!(peer.drain(1, &queue), Vec::<String>::new());
}

/// RabbitMQ: bindings that differ in their arguments are two, and unbinding has to give the same.
#[test]
fn arguments_are_part_of_a_binding() {
    let mut peer = Peer::with_channel();
    let (exchange, queue) = (peer.exchange(1, "direct"), peer.queue(1));
    let arguments = table([("x-note", 1i32.into())]);
    peer.bind(1, &queue, &exchange, "k");
    peer.bind_with(1, &queue, &exchange, "k", &arguments);
    peer.unbind(1, &queue, &exchange, "k");
    peer.publish(1, &exchange, "k", "m");
    assert_eq!(peer.drain(1, &queue), ["m"]);
}

/// Section 3.1.3.4: `all` wants every entry, `any` one of them; entries without a value want the name only.
#[test]
fn headers_compares_entries() {
    let both = [("a", Value::from(1i32)), ("b", "two".into())];
    let all = with_match("all", &both);
    let any = with_match("any", &both);
    let unsaid = table(both);
    let present = with_match("all", &[("a", Value::Void)]);
    let sent = [
        ("none", table([])),
        ("a", table([("a", 1i32.into())])),
        ("wrong a", table([("a", 2i32.into())])),
        ("text a", table([("a", "1".into())])),
        ("wide a", table([("a", 1i64.into())])),
        ("both", table([("a", 1i32.into()), ("b", "two".into()), ("c", true.into())])),
    ];
    assert_eq!(routed_by_headers(&all, &sent), ["both"]);
    assert_eq!(routed_by_headers(&unsaid, &sent), ["both"]);
    assert_eq!(routed_by_headers(&any, &sent), ["a", "wide a", "both"]);
    assert_eq!(routed_by_headers(&present, &sent), ["a", "wrong a", "text a", "wide a", "both"]);
}

/// RabbitMQ: `all` with nothing to want matches everything, `any` nothing.
#[test]
fn headers_without_entries_match_all_or_nothing() {
    let sent = [("none", table([])), ("a", table([("a", 1i32.into())]))];
    assert_eq!(routed_by_headers(&table([]), &sent), ["none", "a"]);
    assert_eq!(routed_by_headers(&with_match("all", &[]), &sent), ["none", "a"]);
    assert_eq!(routed_by_headers(&with_match("any", &[]), &sent), Vec::<String>::new());
}

/// RabbitMQ: entries whose names begin with `x-` count in the with-x forms only.
#[test]
fn headers_pass_over_x_entries_unless_told() {
    let wanted = [("x-a", Value::from(1i32)), ("b", 2i32.into())];
    let sent = [
        ("b", table([("b", 2i32.into())])),
        ("x", table([("x-a", 1i32.into())])),
        ("both", table([("x-a", 1i32.into()), ("b", 2i32.into())])),
    ];
    assert_eq!(routed_by_headers(&with_match("all", &wanted), &sent), ["b", "both"]);
    assert_eq!(routed_by_headers(&with_match("any", &wanted), &sent), ["b", "both"]);
    assert_eq!(routed_by_headers(&with_match("all-with-x", &wanted), &sent), ["both"]);
    assert_eq!(routed_by_headers(&with_match("any-with-x", &wanted), &sent), ["b", "x", "both"]);
}

/// RabbitMQ: values compare by value and kind, each kind with itself.
#[test]
fn headers_compare_by_kind() {
    let mut kinds = vec![("int", Value::from(1i32)), ("bool", true.into()), ("text", "1".into())];
    if Difference::FloatsAreNoIntegers.holds() {
        kinds.push(("float", Value::F64(1.0)));
    }
    let sent: Vec<(&str, TableBuf)> = kinds.iter().map(|&(name, value)| (name, table([("k", value)]))).collect();
    for (name, value) in kinds {
        assert_eq!(routed_by_headers(&table([("k", value)]), &sent), [name]);
    }
}

/// Section 3.1.3.4: a timestamp equals itself.
#[test]
fn headers_compare_timestamps() {
    let sent = [("now", table([("k", Value::Timestamp(1_700_000_000))]))];
    let wanted = table([("k", Value::Timestamp(1_700_000_000))]);
    let expected: &[&str] = if Difference::TimestampsMatch.holds() { &["now"] } else { &[] };
    assert_eq!(routed_by_headers(&wanted, &sent), expected);
}

/// RabbitMQ: x-match has four values, and others are refused when binding.
#[test]
fn an_unknown_way_to_match_is_refused() {
    let mut peer = Peer::with_channel();
    let (exchange, queue) = (peer.exchange(1, "headers"), peer.queue(1));
    let arguments = with_match("foo", &[]);
    let bind =
        queue::Bind { queue: short(&queue), exchange: short(&exchange), arguments: arguments.as_table(), ..default() };
    let text = "Invalid x-match field value <<\"foo\">>; expected all, any, all-with-x, or any-with-x";
    peer.refused(1, &bind, 406, text);
}

fn with_match(how: &str, entries: &[(&str, Value<'_>)]) -> TableBuf {
    entries.iter().fold(table([("x-match", how.into())]), |table, &(key, value)| table.with(key, value).unwrap())
}

/// The names of those messages that reach a queue bound to a headers exchange.
#[track_caller]
fn routed_by_headers(arguments: &TableBuf, sent: &[(&str, TableBuf)]) -> Vec<String> {
    let mut peer = Peer::with_channel();
    let (exchange, queue) = (peer.exchange(1, "headers"), peer.queue(1));
    peer.bind_with(1, &queue, &exchange, "", arguments);
    for (name, headers) in sent {
        let headers = (!headers.as_table().is_empty()).then_some(headers.as_table());
        peer.publish_as(1, &exchange, "", &Properties { headers, ..default() }, name);
    }
    peer.drain(1, &queue)
}

/// RabbitMQ's exchange.bind: what an exchange routes goes on to those bound to it, by their own rules.
#[test]
fn exchanges_can_be_chained() {
    let mut peer = Peer::with_channel();
    let (first, second, queue) = (peer.exchange(1, "topic"), peer.exchange(1, "direct"), peer.queue(1));
    peer.bind_exchange(1, &second, &first, "a.#");
    peer.bind(1, &queue, &second, "a.b");
    for key in ["a.b", "a.c", "b"] {
        peer.publish(1, &first, key, key);
    }
    assert_eq!(peer.drain(1, &queue), ["a.b"]);
    peer.unbind_exchange(1, &second, &first, "a.#");
    peer.publish(1, &first, "a.b", "m");
    peer.expect_counts(1, &queue, 0, 0);
}

/// RabbitMQ's exchange.bind: in a circle, and along two ways, every queue still gets one copy.
#[test]
fn circles_of_exchanges_end() {
    let mut peer = Peer::with_channel();
    let (a, b, c) = (peer.exchange(1, "fanout"), peer.exchange(1, "fanout"), peer.exchange(1, "fanout"));
    for (destination, source) in [(&b, &a), (&c, &b), (&a, &c), (&c, &a), (&a, &a)] {
        peer.bind_exchange(1, destination, source, "");
    }
    let queue = peer.queue(1);
    peer.bind(1, &queue, &b, "");
    peer.bind(1, &queue, &c, "");
    peer.publish(1, &a, "", "m");
    assert_eq!(peer.drain(1, &queue), ["m"]);
}

/// RabbitMQ's exchange.bind: both ends have to exist; unbinding is content with anything.
#[test]
fn only_what_exists_can_be_bound() {
    let mut peer = Peer::with_channel();
    let (exchange, missing) = (peer.exchange(1, "fanout"), unique("missing"));
    let (there, not_there) = (short(&exchange), short(&missing));
    let text = texts::no_exchange(&missing);
    peer.refused(1, &exchange::Bind { destination: not_there, source: there, ..default() }, 404, &text);
    peer.refused(1, &exchange::Bind { destination: there, source: not_there, ..default() }, 404, &text);
    peer.unbind_exchange(1, &missing, &exchange, "k");
    peer.unbind_exchange(1, &exchange, &missing, "k");
    peer.unbind_exchange(1, &exchange, &exchange, "never bound");
}

/// RabbitMQ: clients do not publish to an internal exchange, but other exchanges do.
#[test]
fn an_internal_exchange_is_for_other_exchanges() {
    let mut peer = Peer::with_channel();
    let internal = unique("internal");
    let (exchange, kind) = (short(&internal), short("fanout"));
    peer.declare_exchange(1, &exchange::Declare { exchange, kind, internal: true, ..default() });
    let (front, queue) = (peer.exchange(1, "fanout"), peer.queue(1));
    peer.bind_exchange(1, &internal, &front, "");
    peer.bind(1, &queue, &internal, "");
    peer.publish(1, &front, "", "through the front");
    assert_eq!(peer.drain(1, &queue), ["through the front"]);
    peer.publish(1, &internal, "", "m");
    let text = format!("cannot publish to internal {}", texts::exchange(&internal));
    let close = peer.expect_channel_close(1, 403, &text);
    assert_eq!((close.class_id, close.method_id), (60, 40));
}

/// RabbitMQ's alternate-exchange: it gets what its exchange has routed nowhere, and nothing else; chains are followed.
#[test]
fn an_alternate_exchange_gets_what_is_left() {
    let mut peer = Peer::with_channel();
    let last = peer.exchange(1, "fanout");
    let middle = with_alternate(&mut peer, "direct", &last);
    let first = with_alternate(&mut peer, "direct", &middle);
    let (here, there, rest) = (peer.queue(1), peer.queue(1), peer.queue(1));
    peer.bind(1, &here, &first, "here");
    peer.bind(1, &there, &middle, "there");
    peer.bind(1, &rest, &last, "");
    for key in ["here", "there", "elsewhere"] {
        peer.publish(1, &first, key, key);
    }
    assert_eq!(peer.drain(1, &here), ["here"]);
    assert_eq!(peer.drain(1, &there), ["there"]);
    assert_eq!(peer.drain(1, &rest), ["elsewhere"]);
}

/// RabbitMQ's alternate-exchange: mandatory is about where the message ends up; circles and missing exchanges end nowhere.
#[test]
fn what_no_alternate_exchange_routes_is_returned() {
    let mut peer = Peer::with_channel();
    let (one, two) = (unique("ae"), unique("ae"));
    for (name, other) in [(&one, &two), (&two, &one)] {
        let arguments = table([("alternate-exchange", other.as_str().into())]);
        let (exchange, kind) = (short(name), short("direct"));
        peer.declare_exchange(1, &exchange::Declare { exchange, kind, arguments: arguments.as_table(), ..default() });
    }
    let to_nowhere = with_alternate(&mut peer, "direct", &unique("missing"));
    for exchange in [&one, &to_nowhere] {
        peer.publish_mandatory(1, exchange, "k", "m");
        let (returned, _) = peer.expect_content::<basic::Return>(1);
        assert_eq!(returned.exchange.as_bytes(), exchange.as_bytes());
    }
    let queue = peer.queue(1);
    peer.bind(1, &queue, &two, "k");
    peer.publish_mandatory(1, &one, "k", "m");
    assert_eq!(peer.drain(1, &queue), ["m"]);
}

fn with_alternate(peer: &mut Peer, kind: &str, alternate: &str) -> String {
    let name = unique("ae");
    let arguments = table([("alternate-exchange", alternate.into())]);
    let declare =
        exchange::Declare { exchange: short(&name), kind: short(kind), arguments: arguments.as_table(), ..default() };
    peer.declare_exchange(1, &declare);
    name
}

/// Section 3.1.3: the server's own exchanges are there to be published to.
#[test]
fn predeclared_exchanges_route() {
    let mut peer = Peer::with_channel();
    let (queue, key) = (peer.queue(1), unique("key"));
    for exchange in ["amq.direct", "amq.topic"] {
        peer.bind(1, &queue, exchange, &key);
        peer.publish(1, exchange, &key, exchange);
    }
    let headers = table([("only", key.as_str().into())]);
    for exchange in ["amq.headers", "amq.match"] {
        peer.bind_with(1, &queue, exchange, "", &headers);
        let properties = Properties { headers: Some(headers.as_table()), ..default() };
        peer.publish_as(1, exchange, "", &properties, exchange);
    }
    assert_eq!(peer.drain(1, &queue), ["amq.direct", "amq.topic", "amq.headers", "amq.match"]);
}
