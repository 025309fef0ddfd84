//! Reply codes (section 1.1 of the specification's generated part) and how far each reaches.

/// What ends when an error is raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// A soft error: channel.close.
    Channel,
    /// A hard error: connection.close.
    Connection,
}

macro_rules! reply_codes {
    ($($(#[$doc:meta])* $variant:ident = $code:literal $name:literal $reach:ident;)*) => {
        /// Why a channel or connection is closed, or a message returned.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u16)]
        pub enum ReplyCode { $($(#[$doc])* $variant = $code,)* }

        impl ReplyCode {
            /// Every code.
            pub const ALL: &[ReplyCode] = &[$(ReplyCode::$variant,)*];

            /// The name that RabbitMQ puts in front of its explanations.
            pub const fn name(self) -> &'static str {
                match self { $(ReplyCode::$variant => $name,)* }
            }

            /// What the error ends.
            pub const fn reach(self) -> Reach {
                match self { $(ReplyCode::$variant => Reach::$reach,)* }
            }
        }
    };
}

reply_codes! {
    /// A normal close.
    Success = 200 "REPLY_SUCCESS" Connection;
    /// The content is larger than the server takes (RabbitMQ uses 406 for that).
    ContentTooLarge = 311 "CONTENT_TOO_LARGE" Channel;
    /// A mandatory message reached no queue (basic.return only).
    NoRoute = 312 "NO_ROUTE" Channel;
    /// An immediate message reached no consumer (basic.return only).
    NoConsumers = 313 "NO_CONSUMERS" Channel;
    /// An operator, or the broker's shutdown, closed the connection. Clients take it as a reason to reconnect.
    ConnectionForced = 320 "CONNECTION_FORCED" Connection;
    /// The virtual host is unknown (RabbitMQ uses 530).
    InvalidPath = 402 "INVALID_PATH" Connection;
    /// No permission, or a reserved name. At login it closes the connection.
    AccessRefused = 403 "ACCESS_REFUSED" Channel;
    /// No such queue, exchange or virtual host.
    NotFound = 404 "NOT_FOUND" Channel;
    /// The queue is exclusive to another connection.
    ResourceLocked = 405 "RESOURCE_LOCKED" Channel;
    /// A condition of the method does not hold: inequivalent arguments, an unknown delivery tag, in use, not empty.
    PreconditionFailed = 406 "PRECONDITION_FAILED" Channel;
    /// The frame, or what is in it, cannot be decoded.
    FrameError = 501 "FRAME_ERROR" Connection;
    /// A field holds an illegal value.
    SyntaxError = 502 "SYNTAX_ERROR" Connection;
    /// The method is not valid here, or not at all.
    CommandInvalid = 503 "COMMAND_INVALID" Connection;
    /// The channel is not open, or open already.
    ChannelError = 504 "CHANNEL_ERROR" Connection;
    /// A frame came out of turn.
    UnexpectedFrame = 505 "UNEXPECTED_FRAME" Connection;
    /// The server has no resources left for this.
    ResourceError = 506 "RESOURCE_ERROR" Connection;
    /// Against the server's rules: unknown vhost, a limit, a repeated consumer tag.
    NotAllowed = 530 "NOT_ALLOWED" Connection;
    /// The server does not implement it.
    NotImplemented = 540 "NOT_IMPLEMENTED" Connection;
    /// The server failed.
    InternalError = 541 "INTERNAL_ERROR" Connection;
}

impl ReplyCode {
    /// The number on the wire.
    pub const fn code(self) -> u16 {
        self as u16
    }

    /// The code of that number.
    pub fn of(code: u16) -> Option<ReplyCode> {
        Self::ALL.iter().copied().find(|c| c.code() == code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_found_by_its_number() {
        for &code in ReplyCode::ALL {
            assert_eq!(ReplyCode::of(code.code()), Some(code));
        }
        assert_eq!(ReplyCode::of(999), None);
    }

    #[test]
    fn four_codes_from_403_to_406_are_soft() {
        let soft = |c: u16| ReplyCode::of(c).map(ReplyCode::reach) == Some(Reach::Channel);
        assert!((403..=406).all(soft));
        assert!(![320, 501, 502, 503, 504, 505, 506, 530, 540, 541].into_iter().any(soft));
    }
}
