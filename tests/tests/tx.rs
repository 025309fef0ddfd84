//! Class tx: publishes and settlements that wait for tx.commit.

use leveret_spec::method::MethodFrame;
use leveret_spec::{Properties, basic, confirm, frame, queue, tx};
use leveret_tests::{Difference, Peer, default, octets, short, table, texts, unique};

fn select(peer: &mut Peer, channel: u16) {
    peer.call::<tx::SelectOk>(channel, &tx::Select {});
}

fn commit(peer: &mut Peer, channel: u16) {
    peer.call::<tx::CommitOk>(channel, &tx::Commit {});
}

fn rollback(peer: &mut Peer, channel: u16) {
    peer.call::<tx::RollbackOk>(channel, &tx::Rollback {});
}

/// Section 1.9: what is published arrives with the commit, in its order, and not before.
#[test]
fn publishes_wait_for_the_commit() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    peer.open_channel(2);
    select(&mut peer, 2);
    for n in 0..5 {
        peer.publish(2, "", &queue, n.to_string());
    }
    peer.expect_nothing(2);
    peer.expect_counts(1, &queue, 0, 0);
    commit(&mut peer, 2);
    assert_eq!(peer.drain(1, &queue), ["0", "1", "2", "3", "4"]);
}

/// Section 1.9: what is rolled back was never published.
#[test]
fn a_rollback_forgets_publishes() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    select(&mut peer, 1);
    peer.publish(1, "", &queue, "forgotten");
    rollback(&mut peer, 1);
    peer.publish(1, "", &queue, "kept");
    commit(&mut peer, 1);
    peer.open_channel(2);
    assert_eq!(peer.drain(2, &queue), ["kept"]);
}

/// Section 1.9: a channel that ends without a commit rolls back.
#[test]
fn the_end_of_a_channel_rolls_back() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    peer.publish(1, "", &queue, "m");
    peer.expect_nothing(1);
    peer.open_channel(2);
    select(&mut peer, 2);
    let (got, _) = peer.get(2, &queue).unwrap();
    peer.ack(2, got.delivery_tag);
    peer.publish(2, "", &queue, "never");
    peer.close_channel(2);
    peer.expect_counts(1, &queue, 1, 0);
    let (got, content) = peer.get(1, &queue).unwrap();
    assert_eq!((content.text().as_str(), got.redelivered), ("m", true));
}

/// Section 1.9: settlements are part of the transaction too.
#[test]
fn settlements_wait_for_the_commit() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    peer.publish(1, "", &queue, "acked");
    peer.publish(1, "", &queue, "requeued");
    peer.expect_nothing(1);
    peer.open_channel(2);
    select(&mut peer, 2);
    let tags = [(); 2].map(|()| peer.get(2, &queue).unwrap().0.delivery_tag);
    peer.ack(2, tags[0]);
    peer.requeue(2, tags[1]);
    peer.expect_nothing(2);
    peer.expect_counts(1, &queue, 0, 0);
    commit(&mut peer, 2);
    peer.expect_counts(1, &queue, 1, 0);
    assert_eq!(peer.drain(1, &queue), ["requeued"]);
    peer.close_channel(2);
    peer.expect_counts(1, &queue, 0, 0);
}

/// Section 1.9: a rollback undoes settlements: the deliveries are unsettled as before, and not redelivered by it.
#[test]
fn a_rollback_undoes_settlements() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    peer.publish(1, "", &queue, "m");
    peer.open_channel(2);
    select(&mut peer, 2);
    peer.consume(2, &queue, "c");
    let (deliver, _) = peer.delivery(2);
    peer.ack(2, deliver.delivery_tag);
    rollback(&mut peer, 2);
    peer.expect_no_delivery(2, &queue);
    peer.expect_counts(1, &queue, 0, 1);
    // The same tag can be settled now.
    peer.ack(2, deliver.delivery_tag);
    commit(&mut peer, 2);
    peer.close_channel(2);
    peer.expect_counts(1, &queue, 0, 0);
}

/// Section 1.9: rejecting waits too, and dead-letters with the commit.
#[test]
fn rejections_wait_for_the_commit() {
    let mut peer = Peer::with_channel();
    let (queue, dead) = peer.queue_with_dead_letters(1, default());
    peer.publish(1, "", &queue, "m");
    peer.expect_nothing(1);
    peer.open_channel(2);
    select(&mut peer, 2);
    let (got, _) = peer.get(2, &queue).unwrap();
    peer.reject(2, got.delivery_tag);
    peer.expect_nothing(2);
    peer.expect_counts(1, &dead, 0, 0);
    commit(&mut peer, 2);
    peer.consume_settled(1, &dead, "dead");
    assert_eq!(peer.bodies(1, 1), ["m"]);
}

/// A delivery that a transaction has settled cannot be settled again in it.
#[test]
fn settling_twice_is_refused_at_once() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    peer.publish(1, "", &queue, "m");
    select(&mut peer, 1);
    let (got, _) = peer.get(1, &queue).unwrap();
    peer.ack(1, got.delivery_tag);
    let again = basic::Ack { delivery_tag: got.delivery_tag, multiple: false };
    peer.refused(1, &again, 406, &texts::unknown_tag(got.delivery_tag));
    peer.expect_counts(1, &queue, 1, 0);
    // An unknown tag is refused when it is settled, not when that is committed.
    select(&mut peer, 1);
    peer.refused(1, &basic::Ack { delivery_tag: 99, multiple: false }, 406, &texts::unknown_tag(99));
}

/// Section 1.9: the next transaction begins with the commit or rollback; one without anything in it is fine.
#[test]
fn transactions_follow_each_other() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    peer.open_channel(2);
    select(&mut peer, 2);
    select(&mut peer, 2);
    commit(&mut peer, 2);
    rollback(&mut peer, 2);
    for n in 0..3 {
        peer.publish(2, "", &queue, n.to_string());
        commit(&mut peer, 2);
        peer.publish(2, "", &queue, "never");
        rollback(&mut peer, 2);
    }
    assert_eq!(peer.drain(1, &queue), ["0", "1", "2"]);
}

/// RabbitMQ: a mandatory message comes back with the commit, before commit-ok.
#[test]
fn returns_come_before_commit_ok() {
    let mut peer = Peer::with_channel();
    select(&mut peer, 1);
    let key = unique("nowhere");
    peer.publish_mandatory(1, "", &key, "m");
    peer.expect_nothing(1);
    peer.send(1, &tx::Commit {});
    let (returned, content) = peer.expect_content::<basic::Return>(1);
    assert_eq!((returned.reply_code, content.text().as_str()), (312, "m"));
    peer.expect::<tx::CommitOk>(1);
    // What is rolled back does not come back.
    peer.publish_mandatory(1, "", &key, "m");
    rollback(&mut peer, 1);
    peer.expect_nothing(1);
}

/// Section 1.9: without tx.select there is nothing to commit or to roll back.
#[test]
fn a_transaction_has_to_be_selected() {
    let mut peer = Peer::with_channel();
    peer.refused(1, &tx::Commit {}, 406, "channel is not transactional");
    peer.refused(1, &tx::Rollback {}, 406, "channel is not transactional");
    // The mode ends with the channel.
    select(&mut peer, 1);
    peer.close_channel(1);
    peer.open_channel(1);
    peer.refused(1, &tx::Commit {}, 406, "channel is not transactional");
}

/// RabbitMQ: a channel has transactions or confirms, never both.
#[test]
fn transactions_and_confirms_exclude_each_other() {
    let mut peer = Peer::with_channel();
    select(&mut peer, 1);
    peer.refused(1, &confirm::Select::default(), 406, "cannot switch from tx to confirm mode");
    peer.select_confirms(1);
    peer.refused(1, &tx::Select {}, 406, "cannot switch from confirm to tx mode");
}

/// RabbitMQ: errors of a publish are found when it comes, not when it is committed; all that was held back is gone.
#[test]
fn a_publish_that_fails_ends_the_transaction() {
    let mut peer = Peer::with_channel();
    let (queue, missing) = (peer.queue(1), unique("missing"));
    select(&mut peer, 1);
    peer.publish(1, "", &queue, "never");
    let publish = basic::Publish { exchange: octets(missing.as_str()), ..default() };
    peer.publish_method(1, &publish, &Properties::default(), b"m");
    peer.send(1, &tx::Commit {});
    let close = peer.expect_channel_close(1, 404, &texts::no_exchange(&missing));
    assert_eq!((close.class_id, close.method_id), (60, 40));
    peer.open_channel(1);
    peer.expect_counts(1, &queue, 0, 0);
}

/// RabbitMQ: a queue that refuses makes the commit fail, though the other messages are where they belong.
#[test]
fn a_refused_publish_is_a_partial_commit() {
    let mut peer = Peer::with_channel();
    let full = peer.queue_with(1, &table([("x-max-length", 0i32.into()), ("x-overflow", "reject-publish".into())]));
    let queue = peer.queue(1);
    select(&mut peer, 1);
    for queue in [&full, &queue] {
        peer.publish(1, "", queue, "m");
    }
    peer.send(1, &tx::Commit {});
    let close = peer.expect_channel_close(1, 406, "partial tx completion");
    assert_eq!((close.class_id, close.method_id), (90, 20));
    peer.open_channel(1);
    peer.expect_counts(1, &queue, 1, 0);
}

/// Section 1.9: consuming goes on as ever in a transaction; deliveries are no part of it.
#[test]
fn deliveries_are_no_part_of_transactions() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    select(&mut peer, 1);
    peer.consume(1, &queue, "c");
    peer.open_channel(2);
    peer.publish(2, "", &queue, "m");
    assert_eq!(peer.bodies(1, 1), ["m"]);
    rollback(&mut peer, 1);
    peer.expect_no_delivery(1, &queue);
    peer.ack(1, 1);
    commit(&mut peer, 1);
}

/// Section 1.9: each channel has its own transaction.
#[test]
fn a_transaction_is_its_channels() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    for channel in [2, 3] {
        peer.open_channel(channel);
        select(&mut peer, channel);
        peer.publish(channel, "", &queue, channel.to_string());
    }
    commit(&mut peer, 3);
    rollback(&mut peer, 2);
    peer.publish(1, "", &queue, "plain");
    peer.expect_nothing(1);
    assert_eq!(peer.drain(1, &queue), ["3", "plain"]);
}

/// RabbitMQ 3: a message whose queue was deleted before the commit has nowhere to go: mandatory, it comes back.
#[test]
fn a_queue_may_go_before_the_commit() {
    if !Difference::CommitWithoutQueue.holds() {
        return;
    }
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    peer.open_channel(2);
    select(&mut peer, 2);
    peer.publish_mandatory(2, "", &queue, "m");
    peer.expect_nothing(2);
    peer.delete_queue(1, &queue);
    peer.send(2, &tx::Commit {});
    let (returned, _) = peer.expect_content::<basic::Return>(2);
    assert_eq!(returned.reply_code, 312);
    peer.expect::<tx::CommitOk>(2);
}

/// RabbitMQ: where a message goes is settled when it is published, not when it is committed.
#[test]
fn a_message_goes_where_its_exchange_led() {
    let mut peer = Peer::with_channel();
    let (queue, exchange) = (peer.queue(1), peer.exchange(1, "fanout"));
    peer.bind(1, &queue, &exchange, "");
    peer.open_channel(2);
    select(&mut peer, 2);
    peer.publish(2, &exchange, "", "m");
    peer.expect_nothing(2);
    peer.delete_exchange(1, &exchange);
    commit(&mut peer, 2);
    assert_eq!(peer.drain(1, &queue), ["m"]);
}

/// RabbitMQ's channel_tx_message_max is 10,000 if nobody says otherwise.
#[test]
fn a_transaction_holds_ten_thousand_publishes() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    select(&mut peer, 1);
    for _ in 0..10_000 {
        peer.publish(1, "", &queue, "m");
    }
    commit(&mut peer, 1);
    peer.expect_counts(1, &queue, 10_000, 0);
    if Difference::TransactionsBounded.holds() {
        for _ in 0..10_001 {
            peer.publish(1, "", &queue, "m");
        }
        let text = "transaction has reached the maximum of 10000 uncommitted publishes";
        peer.expect_channel_close(1, 406, text);
    }
}

/// Section 2.2.1: answers come in the order of what is asked. RabbitMQ takes nothing on a channel until its commit is done.
#[test]
fn a_commit_may_be_followed_at_once() {
    let mut peer = Peer::with_channel();
    let queue = peer.queue(1);
    select(&mut peer, 1);
    for _ in 0..200 {
        peer.publish(1, "", &queue, "m");
    }
    let mut both = vec![];
    frame::put_method(&mut both, 1, &tx::Commit {});
    frame::put_method(&mut both, 1, &queue::Purge { queue: short(&queue), ..default() });
    peer.send_bytes(&both);
    if Difference::CommitsMayBeFollowed.holds() {
        peer.expect::<tx::CommitOk>(1);
        assert_eq!(peer.expect::<queue::PurgeOk>(1).message_count, 200);
    } else {
        peer.expect_hard_refusal(queue::Purge::ROW, 504, "unexpected command while processing 'tx.commit'");
    }
}
