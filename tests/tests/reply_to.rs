//! RabbitMQ's direct reply-to: answers without a queue, by way of `amq.rabbitmq.reply-to`.

use leveret_spec::{Properties, basic, channel, queue};
use leveret_tests::{Difference, Peer, default, http, octets, short, texts};

const REPLY_TO: &str = "amq.rabbitmq.reply-to";

/// A requester that waits for answers on channel 1.
fn requester() -> Peer {
    let mut peer = Peer::with_channel();
    peer.consume_settled(1, REPLY_TO, "answers");
    peer
}

/// Publishes a request, and tells which name it has for its answer.
#[track_caller]
fn request(requester: &mut Peer, responder: &mut Peer, queue: &str) -> String {
    let properties = Properties { reply_to: Some(octets(REPLY_TO)), correlation_id: Some(octets("1")), ..default() };
    requester.publish_as(1, "", queue, &properties, "request");
    requester.expect_nothing(1);
    loop {
        if let Some((_, content)) = responder.get_settled(1, queue) {
            assert_eq!(content.properties().correlation_id, Some(octets("1")));
            let reply_to = content.properties().reply_to.expect("a request says where answers go");
            return String::from_utf8(reply_to.as_bytes().to_vec()).expect("a name is text");
        }
    }
}

/// A request leaves with a name for its answer, which anybody may publish to.
#[test]
fn an_answer_finds_its_requester() {
    let (mut requester, mut responder) = (requester(), Peer::with_channel());
    let queue = responder.shared_queue(1);
    let name = request(&mut requester, &mut responder, &queue);
    assert!(name.starts_with("amq.rabbitmq.reply-to.") && name.len() > "amq.rabbitmq.reply-to.".len(), "{name}");
    let properties = Properties { correlation_id: Some(octets("1")), ..default() };
    responder.publish_as(1, "", &name, &properties, "answer");
    let (deliver, content) = requester.delivery(1);
    assert_eq!(
        (&*deliver.consumer_tag, deliver.exchange.as_bytes(), deliver.redelivered),
        ("answers", &b""[..], false)
    );
    assert_eq!((content.text().as_str(), content.properties().correlation_id), ("answer", Some(octets("1"))));
    // More answers are welcome, in their order.
    for n in 0..5 {
        responder.publish(1, "", &name, n.to_string());
    }
    assert_eq!(requester.bodies(1, 5), ["0", "1", "2", "3", "4"]);
}

/// All requests of a channel have the same name; another channel has another.
#[test]
fn a_name_is_its_channels() {
    let (mut one, mut two, mut responder) = (requester(), requester(), Peer::with_channel());
    let queue = responder.shared_queue(1);
    let first = request(&mut one, &mut responder, &queue);
    assert_eq!(request(&mut one, &mut responder, &queue), first);
    let second = request(&mut two, &mut responder, &queue);
    assert_ne!(first, second);
    responder.publish(1, "", &second, "for two");
    responder.publish(1, "", &first, "for one");
    assert_eq!(one.bodies(1, 1), ["for one"]);
    assert_eq!(two.bodies(1, 1), ["for two"]);
}

/// Answers need no settling; a consumer that wants to is refused.
#[test]
fn answers_cannot_be_settled() {
    let mut peer = Peer::with_channel();
    let consume = basic::Consume { queue: short(REPLY_TO), ..default() };
    peer.refused(1, &consume, 406, "reply consumer cannot acknowledge");
}

/// A channel has one consumer for answers.
#[test]
fn a_channel_has_one_consumer_for_answers() {
    let mut peer = requester();
    let consume = basic::Consume { queue: short(REPLY_TO), no_ack: true, ..default() };
    peer.refused(1, &consume, 406, "reply consumer already set");
    // That comes before the tag, which need not be another.
    peer.consume_settled(1, REPLY_TO, "same");
    let again = basic::Consume { consumer_tag: short("same"), ..consume };
    peer.refused(1, &again, 406, "reply consumer already set");
    // Channels do not share it, and when it is cancelled there may be another.
    peer.consume_settled(1, REPLY_TO, "again");
    peer.open_channel(2);
    peer.consume_settled(2, REPLY_TO, "again");
    peer.cancel(1, "again");
    peer.consume_settled(1, REPLY_TO, "once more");
}

/// Without a consumer for answers there is nothing that a request could be answered to.
#[test]
fn a_request_needs_a_consumer() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    let properties = Properties { reply_to: Some(octets(REPLY_TO)), ..default() };
    peer.publish_as(1, "", &queue, &properties, "m");
    let close = peer.expect_channel_close(1, 406, "fast reply consumer does not exist");
    assert_eq!((close.class_id, close.method_id), (60, 40));
    peer.open_channel(1);
    // One on another channel does not count, nor one that was cancelled.
    peer.open_channel(2);
    peer.consume_settled(2, REPLY_TO, "answers");
    peer.publish_as(1, "", &queue, &properties, "m");
    peer.expect_channel_close(1, 406, "fast reply consumer does not exist");
    peer.open_channel(1);
    peer.cancel(2, "answers");
    peer.publish_as(2, "", &queue, &properties, "m");
    peer.expect_channel_close(2, 406, "fast reply consumer does not exist");
}

/// Other names for answers are nobody's business.
#[test]
fn other_names_stay_as_they_are() {
    let mut peer = requester();
    let queue = peer.queue(1);
    for name in ["my-own-queue", "amq.rabbitmq.reply-too", ""] {
        peer.publish_as(1, "", &queue, &Properties { reply_to: Some(octets(name)), ..default() }, "m");
        let (_, content) = peer.get_settled(1, &queue).unwrap();
        assert_eq!(content.properties().reply_to, Some(octets(name)));
    }
}

/// A responder can ask whether anybody waits still: the name is a queue with one consumer, or none.
#[test]
fn a_name_can_be_asked_for() {
    let (mut requester, mut responder) = (requester(), Peer::with_channel());
    let queue = responder.shared_queue(1);
    let name = request(&mut requester, &mut responder, &queue);
    let passive = queue::Declare { queue: short(&name), passive: true, ..default() };
    let answer = responder.call::<queue::DeclareOk>(1, &passive);
    assert_eq!((answer.message_count, answer.consumer_count), (0, 1));
    requester.cancel(1, "answers");
    responder.expect_no_queue(1, &name);
    requester.close();
    responder.expect_no_queue(1, &name);
}

/// An answer that nobody waits for is dropped, and harms nobody.
#[test]
fn a_late_answer_is_dropped() {
    let (mut requester, mut responder) = (requester(), Peer::with_channel());
    let queue = responder.shared_queue(1);
    let name = request(&mut requester, &mut responder, &queue);
    requester.close();
    responder.expect_no_queue(1, &name);
    responder.select_confirms(1);
    responder.publish(1, "", &name, "late");
    responder.publish(1, "", "amq.rabbitmq.reply-to.nonsense", "for nobody");
    responder.expect_confirms(1, 2);
    responder.expect_nothing(1);
}

/// The name is nothing to get from, purge, bind or delete; what it stands for has no queue's name.
#[test]
fn the_name_is_no_queue() {
    let mut peer = requester();
    let delete = queue::Delete { queue: short(REPLY_TO), ..default() };
    peer.send(1, &delete);
    let received = peer.expect_any(1, "queue.DeleteOk or channel.Close");
    if received.method.row().name == "channel.Close" {
        peer.send(1, &channel::CloseOk {});
        peer.open_channel(1);
    }
    let get = basic::Get { queue: short(REPLY_TO), ..default() };
    peer.refused(1, &get, 404, &texts::no_queue(REPLY_TO));
}

/// Nor can the name for an answer be bound.
#[test]
fn a_name_for_answers_is_not_bound() {
    let (mut requester, mut responder) = (requester(), Peer::with_channel());
    let queue = responder.shared_queue(1);
    let name = request(&mut requester, &mut responder, &queue);
    let (queue, exchange, routing_key) = (short(&name), short("amq.direct"), short("k"));
    let bind = queue::Bind { queue, exchange, routing_key, ..default() };
    if Difference::ReplyNamesAreMissing.holds() {
        responder.refused(1, &bind, 404, &texts::no_queue(&name));
    } else {
        responder.refused(1, &bind, 403, "cannot bind or unbind to a volatile (direct reply-to) queue");
    }
}

/// What stands behind a name for answers is in no list of queues.
#[test]
fn a_name_is_in_no_list() {
    let (mut requester, mut responder) = (requester(), Peer::with_channel());
    let queue = responder.shared_queue(1);
    let name = request(&mut requester, &mut responder, &queue);
    let list = http::request("GET", "queues?columns=name", "").text;
    assert!(list.contains(&queue), "{list}");
    assert!(!list.contains(&name) && !list.contains(REPLY_TO), "{list}");
}

/// The name itself can be asked for by whoever wants to know whether the server can do this.
#[test]
fn the_pseudo_queue_can_be_declared() {
    let mut peer = Peer::with_channel();
    let passive = queue::Declare { queue: short(REPLY_TO), passive: true, ..default() };
    let answer = peer.call::<queue::DeclareOk>(1, &passive);
    assert_eq!((&*answer.queue, answer.message_count), (REPLY_TO, 0));
    let active = queue::Declare { queue: short(REPLY_TO), ..default() };
    assert_eq!(&*peer.call::<queue::DeclareOk>(1, &active).queue, REPLY_TO);
}

/// An answer that was mandatory and finds its requester does not come back.
#[test]
fn a_mandatory_answer_that_arrives_is_not_returned() {
    let (mut requester, mut responder) = (requester(), Peer::with_channel());
    let queue = responder.shared_queue(1);
    let name = request(&mut requester, &mut responder, &queue);
    responder.publish_mandatory(1, "", &name, "answer");
    assert_eq!(requester.bodies(1, 1), ["answer"]);
    if Difference::AnswersAreRouted.holds() {
        responder.expect_nothing(1);
    }
}

/// Deliveries of answers have numbers in the channel's one sequence.
#[test]
fn answers_have_delivery_tags() {
    let (mut requester, mut responder) = (requester(), Peer::with_channel());
    let queue = responder.shared_queue(1);
    let name = request(&mut requester, &mut responder, &queue);
    for tag in 1..=3 {
        responder.publish(1, "", &name, "answer");
        let (deliver, _) = requester.delivery(1);
        if Difference::AnswersAreNumbered.holds() {
            assert_eq!(deliver.delivery_tag, tag);
        }
    }
}
