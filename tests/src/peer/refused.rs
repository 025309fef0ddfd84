//! Misuse: what a broker has to answer, how far it reaches, and that it harms nothing else.

use leveret_spec::connection;
use leveret_spec::method::{MethodFrame, Row};

use super::Peer;

impl Peer {
    /// The method closes its channel, for this reason and in its own name; the connection goes on, and the channel's number
    /// can be used again.
    #[track_caller]
    pub fn refused(&mut self, channel: u16, method: &impl MethodFrame, code: u16, explanation: &str) {
        self.send(channel, method);
        self.expect_refusal(channel, row(method), code, explanation);
    }

    /// A method that was sent is refused.
    #[track_caller]
    pub fn expect_refusal(&mut self, channel: u16, row: Row, code: u16, explanation: &str) {
        let close = self.expect_channel_close(channel, code, explanation);
        assert_eq!((close.class_id, close.method_id), (row.class, row.method), "the close names {}", row.name);
        self.open_channel(channel);
    }

    /// The method closes the whole connection, for this reason and in its own name.
    #[track_caller]
    pub fn refused_hard(&mut self, channel: u16, method: &impl MethodFrame, code: u16, explanation: &str) {
        self.send(channel, method);
        self.expect_hard_refusal(row(method), code, explanation);
    }

    /// A method that was sent ends the connection.
    #[track_caller]
    pub fn expect_hard_refusal(&mut self, row: Row, code: u16, explanation: &str) {
        let close = self.expect_connection_close(code, explanation);
        assert_eq!((close.class_id, close.method_id), (row.class, row.method), "the close names {}", row.name);
        self.expect_eof();
    }

    /// Ends the connection in order: close-ok is the last that comes.
    #[track_caller]
    pub fn close(mut self) {
        self.call::<connection::CloseOk>(0, &connection::Close { reply_code: 200, ..Default::default() });
        self.finish_sending();
        self.expect_eof();
    }
}

fn row<M: MethodFrame>(_: &M) -> Row {
    M::ROW
}
