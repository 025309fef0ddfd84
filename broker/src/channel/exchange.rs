//! Class exchange: declare, delete, bind and unbind to another exchange.

use leveret_spec::{Table, TableBuf, Value, exchange};

use super::{Channel, Link, unimplemented_method};
use crate::auth::{Access, Resource};
use crate::exchange::{Declaration, Destination, Kind};
use crate::failure::{Failure, Soft};
use crate::vhost::Ends;

/// The default exchange takes no declarations and no bindings.
pub(super) fn check_not_default(name: &str) -> Result<(), Soft> {
    if name.is_empty() {
        return Err(Soft::access_refused("operation not permitted on the default exchange"));
    }
    Ok(())
}

/// Names lose their line ends in declarations, deletions and bindings, as with RabbitMQ.
pub(super) fn without_line_ends(name: &str) -> std::borrow::Cow<'_, str> {
    if name.contains(['\r', '\n']) { name.replace(['\r', '\n'], "").into() } else { name.into() }
}

impl Channel {
    pub(super) fn handle_exchange(&mut self, method: exchange::Method<'_>, link: &mut Link) -> Result<(), Failure> {
        match method {
            exchange::Method::Declare(m) => self.exchange_declare(m, link)?,
            exchange::Method::Delete(m) => {
                let name = without_line_ends(&m.exchange);
                check_not_default(&name)?;
                link.rights()?.check(Access::Configure, Resource::Exchange(&name))?;
                link.vhost.delete_exchange(&name, m.if_unused)?;
                if !m.no_wait {
                    self.reply(link, &exchange::DeleteOk {});
                }
            }
            exchange::Method::Bind(m) => {
                check_bind(link, &m.source, &m.destination, m.routing_key.as_bytes())?;
                let ends = exchange_ends(link, &m.source, &m.destination)?;
                link.vhost.bind(ends, m.routing_key.as_bytes(), m.arguments, |_| Ok(()))?;
                if !m.no_wait {
                    self.reply(link, &exchange::BindOk {});
                }
            }
            exchange::Method::Unbind(m) => {
                check_bind(link, &m.source, &m.destination, m.routing_key.as_bytes())?;
                // What does not exist is not bound.
                if let Ok(ends) = exchange_ends(link, &m.source, &m.destination) {
                    link.vhost.unbind(ends, m.routing_key.as_bytes(), m.arguments, |_| Ok(()))?;
                }
                if !m.no_wait {
                    self.reply(link, &exchange::UnbindOk {});
                }
            }
            _ => return Err(unimplemented_method()),
        }
        Ok(())
    }

    fn exchange_declare(&mut self, m: exchange::Declare<'_>, link: &mut Link) -> Result<(), Failure> {
        let name = without_line_ends(&m.exchange);
        check_not_default(&name)?;
        if m.passive {
            link.rights()?.check_any(Resource::Exchange(&name))?;
            link.vhost.exchange(&name)?;
        } else {
            link.rights()?.check(Access::Configure, Resource::Exchange(&name))?;
            let kind = Kind::of(&m.kind)
                .ok_or_else(|| Soft::precondition_failed(format!("unknown exchange type '{}'", m.kind)))?;
            check_alternate(&name, m.arguments, link)?;
            let declaration = Declaration {
                kind,
                durable: m.durable,
                auto_delete: m.auto_delete,
                internal: m.internal,
                arguments: TableBuf::from(m.arguments),
            };
            link.vhost.declare_exchange(&name, declaration)?;
        }
        if !m.no_wait {
            self.reply(link, &exchange::DeclareOk {});
        }
        Ok(())
    }
}

fn check_alternate(name: &str, arguments: Table<'_>, link: &mut Link) -> Result<(), Soft> {
    match arguments.lookup("alternate-exchange") {
        None => Ok(()),
        Some(Value::LongStr(alternate)) => {
            let rights = link.rights()?;
            rights.check(Access::Read, Resource::Exchange(name))?;
            rights.check(Access::Write, Resource::Exchange(&String::from_utf8_lossy(alternate)))
        }
        Some(other) => Err(Soft::precondition_failed(format!(
            "invalid type '{}' for arg 'alternate-exchange' in exchange '{name}' in vhost '{}'",
            crate::queue::argument_type(other),
            link.vhost.name
        ))),
    }
}

fn check_bind(link: &mut Link, source: &str, destination: &str, key: &[u8]) -> Result<(), Soft> {
    let (source, destination) = (without_line_ends(source), without_line_ends(destination));
    check_not_default(&source)?;
    check_not_default(&destination)?;
    let rights = link.rights()?;
    rights.check(Access::Write, Resource::Exchange(&destination))?;
    rights.check(Access::Read, Resource::Exchange(&source))?;
    check_topic(link, Access::Read, &source, key)
}

/// On a topic exchange the keys may be restricted too.
pub(super) fn check_topic(link: &mut Link, access: Access, exchange: &str, key: &[u8]) -> Result<(), Soft> {
    if !link.rights()?.has_topics() || link.vhost.exchange(exchange)?.declaration.kind != Kind::Topic {
        return Ok(());
    }
    link.rights()?.check_topic(access, exchange, key)
}

fn exchange_ends(link: &Link, source: &str, destination: &str) -> Result<Ends, Soft> {
    let (source, destination) = (without_line_ends(source), without_line_ends(destination));
    check_not_default(&source)?;
    check_not_default(&destination)?;
    let source = link.vhost.exchange(&source)?;
    Ok(Ends { source, destination: Destination::Exchange(link.vhost.exchange(&destination)?) })
}
