//! Class queue: declare, bind, purge, delete, unbind.

use std::borrow::Cow;
use std::sync::Arc;

use leveret_spec::{ShortStr, TableBuf, Value, queue};

use super::exchange::{check_not_default, check_topic, without_line_ends};
use super::{Channel, Link, unimplemented_method};
use crate::auth::{Access, Resource};
use crate::exchange::Destination;
use crate::failure::{Failure, Hard, Soft};
use crate::queue::{ConnectionId, Declaration, Queue};
use crate::vhost::{DeleteCondition, Ends, REPLY_TO, is_reply_name};

/// Tries to find a name that nobody has; with 128 random bits the first will do.
const NAME_TRIES: usize = 8;

impl Channel {
    pub(super) fn handle_queue(&mut self, method: queue::Method<'_>, link: &mut Link) -> Result<(), Failure> {
        match method {
            queue::Method::Declare(m) => self.queue_declare(m, link),
            queue::Method::Bind(m) => self.queue_bind(m, link),
            queue::Method::Unbind(m) => self.queue_unbind(m, link),
            queue::Method::Purge(m) => self.queue_purge(m, link),
            queue::Method::Delete(m) => self.queue_delete(m, link),
            _ => Err(unimplemented_method()),
        }
    }

    /// The name that a client means: an empty one is the last queue that this channel declared.
    pub(super) fn meant<'n>(&self, name: &'n str) -> Result<Cow<'n, str>, Soft> {
        if !name.is_empty() {
            return Ok(name.into());
        }
        match &self.last_queue {
            Some(last) => Ok(last.to_string().into()),
            None => Err(Soft::not_found("no previously declared queue")),
        }
    }

    /// The queue that a client means, if this connection may use it.
    pub(super) fn queue_meant(&self, name: &str, link: &Link) -> Result<Arc<Queue>, Soft> {
        let queue = link.vhost.queue(&self.meant(name)?)?;
        queue.check_owner(link.id)?;
        Ok(queue)
    }

    fn queue_declare(&mut self, m: queue::Declare<'_>, link: &mut Link) -> Result<(), Failure> {
        let name = without_line_ends(&m.queue);
        if name == REPLY_TO || is_reply_name(name.as_bytes()) {
            return self.declare_reply_name(&name, m.no_wait, link);
        }
        let queue = if m.passive {
            link.rights()?.check_any(Resource::Queue(&name))?;
            let queue = link.vhost.queue(&name)?;
            queue.check_owner(link.id)?;
            queue.renew(link.turn.now);
            queue
        } else {
            let declaration = Declaration {
                durable: m.durable && !m.exclusive,
                owner: m.exclusive.then_some(link.id),
                auto_delete: m.auto_delete,
                arguments: TableBuf::from(m.arguments),
            };
            create(&name, declaration, link)?
        };
        self.last_queue = Some(queue.name.clone());
        if !m.no_wait {
            let (messages, consumers) = queue.counts();
            let name = ShortStr::cut(&queue.name);
            let (message_count, consumer_count) = (messages as u32, consumers as u32);
            self.reply(link, &queue::DeclareOk { queue: name, message_count, consumer_count });
        }
        Ok(())
    }

    /// A name of direct reply-to cannot be declared, but it can be asked whether somebody waits behind it.
    fn declare_reply_name(&self, name: &str, no_wait: bool, link: &mut Link) -> Result<(), Failure> {
        if name != REPLY_TO && link.vhost.reply_queue(name).is_none() {
            return Err(Soft::not_found(format!("no queue '{name}' in vhost '{}'", link.vhost.name)).into());
        }
        if !no_wait {
            self.reply(link, &queue::DeclareOk { queue: ShortStr::cut(name), message_count: 0, consumer_count: 1 });
        }
        Ok(())
    }

    fn queue_bind(&mut self, m: queue::Bind<'_>, link: &mut Link) -> Result<(), Failure> {
        // With neither queue nor key, the queue's name is the key (section 1.7.2.3, rule "previous").
        let name = self.meant(&without_line_ends(&m.queue))?.into_owned();
        let key = if m.queue.is_empty() && m.routing_key.is_empty() { &name } else { m.routing_key.as_str() };
        check_bind(link, &name, &m.exchange, key.as_bytes())?;
        let ends = queue_ends(link, &name, &m.exchange)?;
        let connection = link.id;
        link.vhost.bind(ends, key.as_bytes(), m.arguments, |destination| may_change(destination, connection))?;
        if !m.no_wait {
            self.reply(link, &queue::BindOk {});
        }
        Ok(())
    }

    fn queue_unbind(&mut self, m: queue::Unbind<'_>, link: &mut Link) -> Result<(), Failure> {
        let name = self.meant(&without_line_ends(&m.queue))?.into_owned();
        let key = if m.queue.is_empty() && m.routing_key.is_empty() { &name } else { m.routing_key.as_str() };
        check_bind(link, &name, &m.exchange, key.as_bytes())?;
        // What does not exist is not bound; whose the queue is counts only if there is something to unbind.
        if let Ok(ends) = queue_ends(link, &name, &m.exchange) {
            let connection = link.id;
            link.vhost.unbind(ends, key.as_bytes(), m.arguments, |destination| may_change(destination, connection))?;
        }
        self.reply(link, &queue::UnbindOk {});
        Ok(())
    }

    fn queue_purge(&mut self, m: queue::Purge<'_>, link: &mut Link) -> Result<(), Failure> {
        link.rights()?.check(Access::Read, Resource::Queue(&self.meant(&m.queue)?))?;
        let queue = self.queue_meant(&m.queue, link)?;
        let message_count = queue.purge(&mut link.turn) as u32;
        if !m.no_wait {
            self.reply(link, &queue::PurgeOk { message_count });
        }
        Ok(())
    }

    fn queue_delete(&mut self, m: queue::Delete<'_>, link: &mut Link) -> Result<(), Failure> {
        let name = self.meant(&without_line_ends(&m.queue))?.into_owned();
        link.rights()?.check(Access::Configure, Resource::Queue(&name))?;
        let mut message_count = 0;
        // A queue that does not exist is deleted already.
        if let Ok(queue) = link.vhost.queue(&name) {
            queue.check_owner(link.id)?;
            let condition = DeleteCondition { unused: m.if_unused, empty: m.if_empty };
            message_count = link.vhost.delete_queue(&queue, condition, &mut link.turn)? as u32;
        }
        if !m.no_wait {
            self.reply(link, &queue::DeleteOk { message_count });
        }
        Ok(())
    }
}

fn create(name: &str, declaration: Declaration, link: &mut Link) -> Result<Arc<Queue>, Failure> {
    let exclusive = declaration.owner.is_some();
    let (queue, new) = match name {
        "" => (create_unnamed(&declaration, link)?, true),
        _ => {
            check_declare(name, &declaration, link)?;
            link.vhost.declare_queue(name, declaration, link.turn.now)?
        }
    };
    if new && exclusive {
        link.owns(queue.clone());
    }
    Ok(queue)
}

/// To declare a queue one has to be allowed to configure it, and to send its dead letters where they are to go.
fn check_declare(name: &str, declaration: &Declaration, link: &mut Link) -> Result<(), Soft> {
    let rights = link.rights()?;
    rights.check(Access::Configure, Resource::Queue(name))?;
    if let Some(Value::LongStr(exchange)) = declaration.arguments.as_table().lookup("x-dead-letter-exchange") {
        rights.check(Access::Read, Resource::Queue(name))?;
        rights.check(Access::Write, Resource::Exchange(&String::from_utf8_lossy(exchange)))?;
    }
    Ok(())
}

fn create_unnamed(declaration: &Declaration, link: &mut Link) -> Result<Arc<Queue>, Failure> {
    for _ in 0..NAME_TRIES {
        let name = link.node.entropy.name("amq.gen-");
        check_declare(&name, declaration, link)?;
        if let Some(queue) = link.vhost.declare_named_by_server(&name, declaration.clone(), link.turn.now)? {
            return Ok(queue);
        }
    }
    Err(Hard::resource_error("no unused name for a queue").into())
}

fn check_bind(link: &mut Link, queue: &str, exchange: &str, key: &[u8]) -> Result<(), Soft> {
    let exchange = without_line_ends(exchange);
    check_not_default(&exchange)?;
    let rights = link.rights()?;
    rights.check(Access::Write, Resource::Queue(queue))?;
    rights.check(Access::Read, Resource::Exchange(&exchange))?;
    check_topic(link, Access::Read, &exchange, key)
}

/// Another connection's exclusive queue is bound by nobody else.
fn may_change(destination: &Destination, connection: ConnectionId) -> Result<(), Soft> {
    match destination {
        Destination::Queue(queue) => queue.check_owner(connection),
        Destination::Exchange(_) => Ok(()),
    }
}

fn queue_ends(link: &Link, queue: &str, exchange: &str) -> Result<Ends, Soft> {
    let exchange = without_line_ends(exchange);
    check_not_default(&exchange)?;
    let source = link.vhost.exchange(&exchange)?;
    Ok(Ends { source, destination: Destination::Queue(link.vhost.queue(queue)?) })
}
