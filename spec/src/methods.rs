//! Every method of AMQP 0-9-1 with RabbitMQ's extensions, one row each: id, name, sender, replies, arguments.
//!
//! A row yields a struct with decode and encode, a variant of its class's `Method`, and what `Row` tells. `content`
//! marks the methods that a content header follows. Reserved arguments keep their place on the wire under the name
//! `reserved`; `Default` fills them as the specification wants them.

use crate::method::{Argument, Arguments, ArgumentsMut, Decode, MethodError, MethodFrame, Row, Sender};
use crate::table::Table;
use crate::text::{ShortBytes, ShortStr};
use crate::wire::Malformed;

macro_rules! methods {
    (lifetime $a:lifetime; $(
        $(#[$class_doc:meta])*
        class $class_id:literal $module:ident $class:ident $(<$life:lifetime>)? {
            $(
                $(#[$doc:meta])*
                $id:literal $name:ident $(<$lt:lifetime>)? $sender:ident $([$content:ident])? $(=> $($reply:literal)*)?
                    { $($field:ident: $type:ty),* $(,)? }
            )*
        }
    )*) => {
        $(
            $(#[$class_doc])*
            #[allow(missing_docs, reason = "the arguments carry the specification's own names")]
            pub mod $module {
                use super::*;

                /// The class's id.
                pub const CLASS: u16 = $class_id;

                $(
                    $(#[$doc])*
                    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
                    pub struct $name $(<$lt>)? { $(pub $field: $type,)* }

                    impl<$a> Decode<$a> for $name $(<$lt>)? {
                        #[inline]
                        #[allow(unused_variables, reason = "a method without arguments")]
                        fn decode(from: &mut Arguments<$a>) -> Result<Self, Malformed> {
                            Ok($name { $($field: Argument::take(from)?,)* })
                        }
                    }

                    impl $(<$lt>)? MethodFrame for $name $(<$lt>)? {
                        const ROW: Row = Row {
                            class: $class_id,
                            method: $id,
                            name: concat!(stringify!($module), ".", stringify!($name)),
                            sender: Sender::$sender,
                            replies: &[$($($reply,)*)?],
                            content: content!($($content)?),
                            arguments: &[$((stringify!($field), <$type as Argument>::KIND),)*],
                        };

                        #[inline]
                        #[allow(unused_variables, unused_mut, reason = "a method without arguments")]
                        fn encode(&self, out: &mut Vec<u8>) {
                            const IDS: [u8; 4] = {
                                let (c, m) = (($class_id as u16).to_be_bytes(), ($id as u16).to_be_bytes());
                                [c[0], c[1], m[0], m[1]]
                            };
                            out.extend_from_slice(&IDS);
                            let mut to = ArgumentsMut::of(out);
                            $(self.$field.put(&mut to);)*
                        }
                    }
                )*

                /// A method of this class.
                #[derive(Clone, Copy, Debug, PartialEq, Eq)]
                pub enum Method $(<$life>)? { $($(#[$doc])* $name($name $(<$lt>)?),)* }

                impl $(<$life>)? Method $(<$life>)? {
                    /// What the table knows of it.
                    pub const fn row(&self) -> Row {
                        match self { $(Method::$name(_) => <$name as MethodFrame>::ROW,)* }
                    }

                    /// Appends ids and arguments.
                    pub fn encode(&self, out: &mut Vec<u8>) {
                        match self { $(Method::$name(m) => m.encode(out),)* }
                    }
                }

                $(
                    impl<$a> From<$name $(<$lt>)?> for super::Method<$a> {
                        fn from(method: $name $(<$lt>)?) -> super::Method<$a> {
                            super::Method::$class(Method::$name(method))
                        }
                    }
                )*
            }
        )*

        /// Any method.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Method<$a> { $($(#[$class_doc])* $class($module::Method $(<$life>)?),)* }

        impl<$a> Method<$a> {
            /// Every row of the table.
            pub const ROWS: &'static [Row] = &[$($(<$module::$name as MethodFrame>::ROW,)*)*];

            /// Decodes a method frame's payload. Bytes after the last argument are ignored, as RabbitMQ does.
            ///
            /// # Errors
            /// `MethodError` with the ids, as far as they could be read.
            pub fn decode(payload: &$a [u8]) -> Result<Self, MethodError> {
                let &[c0, c1, m0, m1, ref rest @ ..] = payload else {
                    let why = Malformed("ends before the method's ids");
                    return Err(MethodError::Malformed { class: 0, method: 0, why });
                };
                let (class, method) = (u16::from_be_bytes([c0, c1]), u16::from_be_bytes([m0, m1]));
                let mut from = Arguments::of(rest);
                let decoded: Result<Self, Malformed> = match (class, method) {
                    $($(($class_id, $id) => <$module::$name as Decode>::decode(&mut from).map(Self::from),)*)*
                    _ => return Err(MethodError::Unknown { class, method }),
                };
                decoded.map_err(|why| MethodError::Malformed { class, method, why })
            }

            /// What the table knows of it.
            pub const fn row(&self) -> Row {
                match self { $(Method::$class(m) => m.row(),)* }
            }

            /// Appends ids and arguments.
            pub fn encode(&self, out: &mut Vec<u8>) {
                match self { $(Method::$class(m) => m.encode(out),)* }
            }
        }
    };
}

macro_rules! content {
    () => {
        false
    };
    (content) => {
        true
    };
}

methods! { lifetime 'a;
    /// The conversation as a whole, on channel 0.
    class 10 connection Connection<'a> {
        /// The server's first word: its version, properties and the SASL mechanisms and locales that it offers.
        10 Start<'a> Server => 11 {
            version_major: u8, version_minor: u8, server_properties: Table<'a>, mechanisms: &'a [u8], locales: &'a [u8],
        }
        /// The client's properties and its choice of mechanism, with the mechanism's first response.
        11 StartOk<'a> Client {
            client_properties: Table<'a>, mechanism: ShortStr<'a>, response: &'a [u8], locale: ShortStr<'a>,
        }
        /// Asks for another step of the SASL exchange.
        20 Secure<'a> Server => 21 { challenge: &'a [u8] }
        /// The answer to a challenge.
        21 SecureOk<'a> Client { response: &'a [u8] }
        /// The server's limits: number of channels, frame size in bytes, heartbeat in seconds; 0 is no limit.
        30 Tune Server => 31 { channel_max: u16, frame_max: u32, heartbeat: u16 }
        /// The limits that hold from now on.
        31 TuneOk Client { channel_max: u16, frame_max: u32, heartbeat: u16 }
        /// Chooses the virtual host.
        40 Open<'a> Client => 41 { virtual_host: ShortStr<'a>, reserved_1: ShortStr<'a>, reserved_2: bool }
        /// The connection is open.
        41 OpenOk<'a> Server { reserved: ShortStr<'a> }
        /// Ends the connection; class and method name what caused it, or are 0.
        50 Close<'a> Both => 51 { reply_code: u16, reply_text: ShortStr<'a>, class_id: u16, method_id: u16 }
        /// The last frame of a connection.
        51 CloseOk Both {}
        /// RabbitMQ: publishers wait until a resource is free again.
        60 Blocked<'a> Server { reason: ShortStr<'a> }
        /// RabbitMQ: publishers go on.
        61 Unblocked Server {}
        /// RabbitMQ: replaces a credential that expires.
        70 UpdateSecret<'a> Client => 71 { new_secret: &'a [u8], reason: ShortStr<'a> }
        /// RabbitMQ: the credential was taken.
        71 UpdateSecretOk Server {}
    }

    /// One of the conversations that share a connection.
    class 20 channel Channel<'a> {
        /// Opens the channel.
        10 Open<'a> Client => 11 { reserved: ShortStr<'a> }
        /// The channel is open.
        11 OpenOk<'a> Server { reserved: &'a [u8] }
        /// Pauses (`active` false) or resumes content from the peer.
        20 Flow Both => 21 { active: bool }
        /// What holds now.
        21 FlowOk Both { active: bool }
        /// Ends the channel; class and method name what caused it, or are 0.
        40 Close<'a> Both => 41 { reply_code: u16, reply_text: ShortStr<'a>, class_id: u16, method_id: u16 }
        /// The channel is closed and its number free.
        41 CloseOk Both {}
    }

    /// Access tickets: obsolete, but old clients still ask for one.
    class 30 access Access<'a> {
        /// Asks for a ticket.
        10 Request<'a> Client => 11 {
            realm: ShortStr<'a>, exclusive: bool, passive: bool, active: bool, write: bool, read: bool,
        }
        /// A ticket, which nobody looks at.
        11 RequestOk Server { ticket: u16 }
    }

    /// Exchanges.
    class 40 exchange Exchange<'a> {
        /// Creates an exchange, or checks that it exists (`passive`) or is the same.
        10 Declare<'a> Client => 11 {
            reserved: u16, exchange: ShortStr<'a>, kind: ShortStr<'a>, passive: bool, durable: bool, auto_delete: bool,
            internal: bool, no_wait: bool, arguments: Table<'a>,
        }
        /// The exchange exists.
        11 DeclareOk Server {}
        /// Deletes an exchange.
        20 Delete<'a> Client => 21 { reserved: u16, exchange: ShortStr<'a>, if_unused: bool, no_wait: bool }
        /// The exchange is gone.
        21 DeleteOk Server {}
        /// RabbitMQ: binds an exchange to an exchange.
        30 Bind<'a> Client => 31 {
            reserved: u16, destination: ShortStr<'a>, source: ShortStr<'a>, routing_key: ShortStr<'a>, no_wait: bool,
            arguments: Table<'a>,
        }
        /// The binding exists.
        31 BindOk Server {}
        /// RabbitMQ: removes a binding between exchanges.
        40 Unbind<'a> Client => 51 {
            reserved: u16, destination: ShortStr<'a>, source: ShortStr<'a>, routing_key: ShortStr<'a>, no_wait: bool,
            arguments: Table<'a>,
        }
        /// The binding is gone. (The id is 51, not 41.)
        51 UnbindOk Server {}
    }

    /// Queues.
    class 50 queue Queue<'a> {
        /// Creates a queue, or checks that it exists (`passive`) or is the same. An empty name asks for a new one.
        10 Declare<'a> Client => 11 {
            reserved: u16, queue: ShortStr<'a>, passive: bool, durable: bool, exclusive: bool, auto_delete: bool,
            no_wait: bool, arguments: Table<'a>,
        }
        /// The queue exists: its name, ready messages and consumers.
        11 DeclareOk<'a> Server { queue: ShortStr<'a>, message_count: u32, consumer_count: u32 }
        /// Binds a queue to an exchange.
        20 Bind<'a> Client => 21 {
            reserved: u16, queue: ShortStr<'a>, exchange: ShortStr<'a>, routing_key: ShortStr<'a>, no_wait: bool,
            arguments: Table<'a>,
        }
        /// The binding exists.
        21 BindOk Server {}
        /// Drops a queue's ready messages.
        30 Purge<'a> Client => 31 { reserved: u16, queue: ShortStr<'a>, no_wait: bool }
        /// How many were dropped.
        31 PurgeOk Server { message_count: u32 }
        /// Deletes a queue.
        40 Delete<'a> Client => 41 {
            reserved: u16, queue: ShortStr<'a>, if_unused: bool, if_empty: bool, no_wait: bool,
        }
        /// How many ready messages went with it.
        41 DeleteOk Server { message_count: u32 }
        /// Removes a binding.
        50 Unbind<'a> Client => 51 {
            reserved: u16, queue: ShortStr<'a>, exchange: ShortStr<'a>, routing_key: ShortStr<'a>, arguments: Table<'a>,
        }
        /// The binding is gone.
        51 UnbindOk Server {}
    }

    /// Messages: publish, deliver, settle.
    class 60 basic Basic<'a> {
        /// Sets the prefetch of later consumers (RabbitMQ), or of the whole channel (`global`).
        10 Qos Client => 11 { prefetch_size: u32, prefetch_count: u16, global: bool }
        /// The prefetch holds.
        11 QosOk Server {}
        /// Starts a consumer.
        20 Consume<'a> Client => 21 {
            reserved: u16, queue: ShortStr<'a>, consumer_tag: ShortStr<'a>, no_local: bool, no_ack: bool,
            exclusive: bool, no_wait: bool, arguments: Table<'a>,
        }
        /// The consumer's tag.
        21 ConsumeOk<'a> Server { consumer_tag: ShortStr<'a> }
        /// Ends a consumer; from the server: the consumer has ended (RabbitMQ).
        30 Cancel<'a> Both => 31 { consumer_tag: ShortStr<'a>, no_wait: bool }
        /// The consumer has ended.
        31 CancelOk<'a> Both { consumer_tag: ShortStr<'a> }
        /// A message for an exchange.
        40 Publish<'a> Client [content] {
            reserved: u16, exchange: ShortBytes<'a>, routing_key: ShortBytes<'a>, mandatory: bool, immediate: bool,
        }
        /// A message that reached no queue.
        50 Return<'a> Server [content] {
            reply_code: u16, reply_text: ShortStr<'a>, exchange: ShortBytes<'a>, routing_key: ShortBytes<'a>,
        }
        /// A message for a consumer.
        60 Deliver<'a> Server [content] {
            consumer_tag: ShortStr<'a>, delivery_tag: u64, redelivered: bool, exchange: ShortBytes<'a>,
            routing_key: ShortBytes<'a>,
        }
        /// Asks for one message.
        70 Get<'a> Client => 71 72 { reserved: u16, queue: ShortStr<'a>, no_ack: bool }
        /// The message, and how many are ready after it.
        71 GetOk<'a> Server [content] {
            delivery_tag: u64, redelivered: bool, exchange: ShortBytes<'a>, routing_key: ShortBytes<'a>,
            message_count: u32,
        }
        /// There is none.
        72 GetEmpty<'a> Server { reserved: ShortStr<'a> }
        /// A delivery was dealt with; from the server: a publish was (RabbitMQ).
        80 Ack Both { delivery_tag: u64, multiple: bool }
        /// A delivery was refused.
        90 Reject Client { delivery_tag: u64, requeue: bool }
        /// Requeues what is unacknowledged, without an answer.
        100 RecoverAsync Client { requeue: bool }
        /// Requeues what is unacknowledged.
        110 Recover Client => 111 { requeue: bool }
        /// It is done.
        111 RecoverOk Server {}
        /// RabbitMQ: deliveries were refused; from the server: publishes were.
        120 Nack Both { delivery_tag: u64, multiple: bool, requeue: bool }
    }

    /// RabbitMQ: publisher confirms.
    class 85 confirm Confirm {
        /// Puts the channel into confirm mode.
        10 Select Client => 11 { no_wait: bool }
        /// Publishes from now on are confirmed.
        11 SelectOk Server {}
    }

    /// Transactions on publishes and acknowledgements.
    class 90 tx Tx {
        /// Puts the channel into transaction mode.
        10 Select Client => 11 {}
        /// What follows is part of a transaction.
        11 SelectOk Server {}
        /// Carries out what was held back.
        20 Commit Client => 21 {}
        /// It is done.
        21 CommitOk Server {}
        /// Forgets what was held back.
        30 Rollback Client => 31 {}
        /// It is forgotten.
        31 RollbackOk Server {}
    }
}
