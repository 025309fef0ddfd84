//! A caller as an AMQP client: what changes queues, exchanges, bindings and messages goes through the same methods, checks and
//! texts as if it had come over AMQP.

use std::sync::Arc;

use leveret_spec::Method;

use super::Api;
use super::auth::Caller;
use super::reply::Error;
use crate::channel::{Channel, Client, Link};
use crate::failure::Failure;
use crate::message::Message;
use crate::vhost::Vhost;

pub(super) struct Session {
    link: Link,
    channel: Channel,
}

impl Session {
    /// Enters a virtual host.
    ///
    /// # Errors
    /// 404 if there is none, 401 if the caller has no permissions there.
    pub(super) fn enter(api: &Api, caller: &Caller, vhost: &str) -> Result<Self, Error> {
        let (vhost, rights) = caller.enters(vhost)?;
        let client = Client { user: caller.name.clone(), peer: "HTTP API".into(), ..Client::default() };
        let node = api.node.clone();
        let mut link = Link::new(node.next_connection(), node, vhost, client, rights, Arc::default(), 0);
        link.is_broker = caller.is_broker();
        link.turn.now = (api.clock)();
        Ok(Session { link, channel: Channel::new(1) })
    }

    pub(super) fn vhost(&self) -> &Vhost {
        &self.link.vhost
    }

    /// Carries out a method.
    ///
    /// # Errors
    /// What AMQP would close the channel or the connection for.
    pub(super) fn carry_out(&mut self, method: Method<'_>) -> Result<(), Error> {
        Ok(self.channel.handle(method, &mut self.link)?)
    }

    /// Publishes a message; true if it went to any queue.
    ///
    /// # Errors
    /// As AMQP would.
    pub(super) fn publish(&mut self, message: Message) -> Result<bool, Failure> {
        self.channel.publish_whole(message, &mut self.link)
    }

    /// For what is done with queues directly, after the checks.
    pub(super) fn link(&mut self) -> &mut Link {
        &mut self.link
    }
}

/// What the session has left undone reaches the queues and whoever waits for them.
impl Drop for Session {
    fn drop(&mut self) {
        self.channel.shut_down(&mut self.link);
        self.link.finish();
    }
}
