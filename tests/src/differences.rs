//! Where Leveret and RabbitMQ answer differently on purpose. What is not in this table has to be the same.

use crate::target::{Product, target};

/// Something that Leveret does, and RabbitMQ not in all of its versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// A frame_max from 4096 to 8191 bytes may be negotiated.
    SmallFrames,
    /// A foreign protocol header is answered with that of AMQP 0-9-1.
    AnswersWith091,
    /// SASL PLAIN may name an authorization id.
    PlainAuthorizationId,
    /// Limits that cannot be agreed on are refused with a reason.
    RefusedLimitsExplained,
    /// A delivery_mode may be any number; what is not 2 is transient.
    AnyDeliveryMode,
    /// A connection's exclusive queues are gone when its close-ok comes.
    ExclusiveNamesFreeAtClose,
    /// basic.qos with `global` limits the whole channel.
    GlobalPrefetch,
    /// Ids that no method has are answered with connection.close.
    UnknownMethodsAnswered,
    /// An unknown exchange type closes the channel (406) and not the connection (503).
    UnknownTypeIsSoft,
    /// A topic binding may have any number of `#`.
    AnyNumberOfHashes,
    /// Table fields of type `U` are read as 16-bit integers.
    ReadsTagU,
    /// Table fields of type `L` are sent on as `l`.
    RewritesTagL,
    /// A client may answer the server's basic.cancel.
    CancelOkWelcome,
    /// A body that is too large, or larger than announced, is refused at once.
    BodiesMeasured,
    /// Tables may nest only so deep.
    DepthLimited,
    /// A headers binding tells 1 from 1.0.
    FloatsAreNoIntegers,
    /// A headers binding with a timestamp matches the same timestamp.
    TimestampsMatch,
    /// A reply text that is too long is cut between characters.
    TextsCutBetweenCharacters,
    /// Where a queue has a routing key for its dead letters, they lose the header CC.
    DeadLettersLoseCopies,
    /// The headers x-last-death-* tell the latest death.
    LastDeathTold,
    /// The deaths that a client publishes in x-death are counted on.
    ClientsDeathsMerged,
    /// A message's user-id is looked at before its expiration and its copies.
    UsersFirst,
    /// A dead letter is not redelivered, though its first queue had delivered it.
    DeadLettersAreNew,
    /// A message whose queue is deleted before tx.commit was routed nowhere.
    CommitWithoutQueue,
    /// An answer that reaches its requester was routed: it is not returned.
    AnswersAreRouted,
    /// Answers by direct reply-to have their own delivery tags.
    AnswersAreNumbered,
    /// A refusal says which kind of access was refused.
    AccessNamed,
    /// A queue's x-queue-mode has to be one that is known.
    QueueModesChecked,
    /// basic.qos with `global` is for quorum queues as for all others.
    GlobalPrefetchForAll,
    /// A name of direct reply-to is no queue for queue.bind.
    ReplyNamesAreMissing,
    /// Arguments that are hints for clusters are taken, for every type of queue.
    HintsTaken,
    /// Topic permissions are for the keys of CC and BCC too.
    CopiesNeedPermission,
    /// A passive declaration needs some permission.
    PassiveNeedsPermission,
    /// A single active consumer may cancel while it holds messages.
    ActiveMayCancel,
    /// Giving a delivery back counts towards its delivery limit.
    GivingBackFails,
    /// A later basic.qos reaches the running consumers of py-amqp's clients.
    QosReachesPyAmqp,
    /// What has no time to live is not given out of a priority queue because it came to stand in front.
    ExpiredIsNotGivenOut,
    /// A consumer that keeps a delivery longer than x-consumer-timeout is cancelled, and its deliveries go back.
    OverdueConsumersAreCancelled,
    /// What is sent behind a tx.commit without waiting for its answer is done next.
    CommitsMayBeFollowed,
    /// A transaction holds so many publishes and no more.
    TransactionsBounded,
}

/// RabbitMQ's versions that do as Leveret does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Versions {
    /// None.
    None,
    /// Those before major and minor.
    Before(u16, u16),
    /// Major and minor, and those after it.
    From(u16, u16),
}

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// What Leveret does.
    pub difference: Difference,
    /// Which versions of RabbitMQ do the same.
    pub shared_by: Versions,
    /// Why Leveret does.
    pub reason: &'static str,
}

/// Every deliberate difference.
pub const TABLE: &[Row] = &[
    Row {
        difference: Difference::SmallFrames,
        shared_by: Versions::Before(4, 1),
        reason: "4096 is the specification's floor, and amqplib up to 0.10.6 and other old clients ask for it",
    },
    Row {
        difference: Difference::AnswersWith091,
        shared_by: Versions::Before(4, 0),
        reason: "a server answers with a protocol that it speaks (section 4.2.2), and Leveret does not speak AMQP 1.0",
    },
    Row {
        difference: Difference::PlainAuthorizationId,
        shared_by: Versions::None,
        reason: "RFC 4616 has it, and some clients repeat the user's name there",
    },
    Row {
        difference: Difference::RefusedLimitsExplained,
        shared_by: Versions::None,
        reason: "RabbitMQ writes the reason to its log and closes the socket; a peer should hear what it did wrong",
    },
    Row {
        difference: Difference::AnyDeliveryMode,
        shared_by: Versions::From(4, 0),
        reason: "properties are the publisher's; RabbitMQ 3 closes the channel for numbers but 1 and 2",
    },
    Row {
        difference: Difference::ExclusiveNamesFreeAtClose,
        shared_by: Versions::Before(4, 3),
        reason: "the next connection declares the same name at once; RabbitMQ 4.3 needs a moment after close-ok",
    },
    Row {
        difference: Difference::GlobalPrefetch,
        shared_by: Versions::Before(4, 3),
        reason: "Celery with kombu up to 5.5 limits its workers with it",
    },
    Row {
        difference: Difference::UnknownMethodsAnswered,
        shared_by: Versions::None,
        reason: "RabbitMQ's reader fails and drops the socket; a peer should hear what it did wrong",
    },
    Row {
        difference: Difference::UnknownTypeIsSoft,
        shared_by: Versions::From(4, 0),
        reason: "one channel's mistake should not end the others; RabbitMQ changed it too",
    },
    Row {
        difference: Difference::AnyNumberOfHashes,
        shared_by: Versions::Before(4, 3),
        reason: "the work of matching is bounded, so that the pattern need not be",
    },
    Row {
        difference: Difference::ReadsTagU,
        shared_by: Versions::None,
        reason: "the specification's grammar has this type",
    },
    Row {
        difference: Difference::RewritesTagL,
        shared_by: Versions::From(4, 0),
        reason: "py-amqp writes L, and the clients of Java and Go refuse it",
    },
    Row {
        difference: Difference::CancelOkWelcome,
        shared_by: Versions::None,
        reason: "answering a cancel is what a client does; RabbitMQ closes the connection with 503 or 541",
    },
    Row {
        difference: Difference::BodiesMeasured,
        shared_by: Versions::From(4, 0),
        reason: "whatever a peer can grow has a bound; RabbitMQ has learned it too",
    },
    Row {
        difference: Difference::DepthLimited,
        shared_by: Versions::None,
        reason: "whatever a peer can grow has a bound; no application nests 64 tables",
    },
    Row {
        difference: Difference::FloatsAreNoIntegers,
        shared_by: Versions::From(4, 0),
        reason: "values of different types are different, as in redeclarations; RabbitMQ changed it too",
    },
    Row {
        difference: Difference::TimestampsMatch,
        shared_by: Versions::Before(4, 0),
        reason: "RabbitMQ 4 compares a message's timestamps in other units than a binding's, so that they never match",
    },
    Row {
        difference: Difference::TextsCutBetweenCharacters,
        shared_by: Versions::None,
        reason: "half a character is no UTF-8: clients fail to decode it, and RabbitMQ 4.3 closes the connection (541)",
    },
    Row {
        difference: Difference::DeadLettersLoseCopies,
        shared_by: Versions::Before(4, 0),
        reason: "the key is the only one that counts, and the Java client's suite checks that the others are gone",
    },
    Row {
        difference: Difference::LastDeathTold,
        shared_by: Versions::From(3, 13),
        reason: "programs read the latest death there; RabbitMQ has learned it",
    },
    Row {
        difference: Difference::ClientsDeathsMerged,
        shared_by: Versions::Before(4, 0),
        reason: "old programs count their retries so; RabbitMQ 4 does not look at a client's x-death",
    },
    Row {
        difference: Difference::UsersFirst,
        shared_by: Versions::Before(4, 0),
        reason: "either order will do; this one spares a message that is refused anyway from being read further",
    },
    Row {
        difference: Difference::DeadLettersAreNew,
        shared_by: Versions::Before(4, 0),
        reason: "to the queue that it comes to, a dead letter is as new as any other message",
    },
    Row {
        difference: Difference::CommitWithoutQueue,
        shared_by: Versions::Before(4, 0),
        reason: "a queue that is gone is no error of who publishes; RabbitMQ 4.3 closes the connection (506)",
    },
    Row {
        difference: Difference::AnswersAreRouted,
        shared_by: Versions::From(4, 2),
        reason: "what has arrived does not come back; RabbitMQ has learned it",
    },
    Row {
        difference: Difference::AnswersAreNumbered,
        shared_by: Versions::From(4, 0),
        reason: "section 1.8.3.13: delivery tags are unique in their channel; RabbitMQ 3 repeats the same one",
    },
    Row {
        difference: Difference::AccessNamed,
        shared_by: Versions::From(4, 0),
        reason: "whoever is refused should hear what is missing; RabbitMQ has learned it",
    },
    Row {
        difference: Difference::QueueModesChecked,
        shared_by: Versions::Before(4, 0),
        reason: "a mistake in an argument should be heard of; RabbitMQ 4 passes over the argument",
    },
    Row {
        difference: Difference::GlobalPrefetchForAll,
        shared_by: Versions::None,
        reason: "a quorum queue is an ordinary durable queue here: there is no reason to refuse",
    },
    Row {
        difference: Difference::ReplyNamesAreMissing,
        shared_by: Versions::Before(4, 3),
        reason: "there is no such queue; RabbitMQ 4.3 says instead that it must not be bound (403)",
    },
    Row {
        difference: Difference::HintsTaken,
        shared_by: Versions::None,
        reason: "on one machine a hint about many is followed already",
    },
    Row {
        difference: Difference::CopiesNeedPermission,
        shared_by: Versions::From(4, 0),
        reason: "a key that may not be written to is not written to by way of a header; RabbitMQ has learned it",
    },
    Row {
        difference: Difference::PassiveNeedsPermission,
        shared_by: Versions::From(4, 3),
        reason: "names are nobody's business who may do nothing with them; RabbitMQ has learned it",
    },
    Row {
        difference: Difference::ActiveMayCancel,
        shared_by: Versions::From(4, 0),
        reason: "a consumer may cancel at any time; RabbitMQ 3.10's queue fails when the next message comes",
    },
    Row {
        difference: Difference::GivingBackFails,
        shared_by: Versions::Before(4, 3),
        reason: "a consumer that gives a poisonous message back at once would go on for ever; RabbitMQ 4.3 lets it",
    },
    Row {
        difference: Difference::QosReachesPyAmqp,
        shared_by: Versions::None,
        reason: "kombu from 5.6 on changes a running worker's prefetch this way (ETA tasks, autoscaling)",
    },
    Row {
        difference: Difference::ExpiredIsNotGivenOut,
        shared_by: Versions::None,
        reason: "expired messages are not delivered; RabbitMQ forgets to look when a higher priority takes the front of a queue",
    },
    Row {
        difference: Difference::OverdueConsumersAreCancelled,
        shared_by: Versions::None,
        reason: "one slow consumer should not end its channel, as in RabbitMQ up to 4.2; without a timeout nobody is asked",
    },
    Row {
        difference: Difference::CommitsMayBeFollowed,
        shared_by: Versions::None,
        reason: "a peer need not wait for answers; RabbitMQ closes the connection (504) while a commit waits for its queues",
    },
    Row {
        difference: Difference::TransactionsBounded,
        shared_by: Versions::From(4, 3),
        reason: "whatever a peer can grow has a bound; RabbitMQ has learned it",
    },
];

impl Difference {
    /// True if the broker at hand does as Leveret does.
    ///
    /// # Panics
    /// If the table has no row for it.
    pub fn holds(self) -> bool {
        let row = TABLE.iter().find(|row| row.difference == self).expect("every difference has its row");
        match (target().product(), row.shared_by) {
            (Product::Leveret, _) => true,
            (_, Versions::None) => false,
            (Product::RabbitMq { major, minor }, Versions::Before(m, n)) => (major, minor) < (m, n),
            (Product::RabbitMq { major, minor }, Versions::From(m, n)) => (major, minor) >= (m, n),
        }
    }
}
