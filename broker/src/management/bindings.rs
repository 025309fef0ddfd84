//! Bindings: list, add, remove. The key of a binding in paths is its routing key, and a digest of its arguments if it has any.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use leveret_spec::{Method, TableBuf, exchange, queue};
use md5::{Digest, Md5};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::Shared;
use super::auth::Caller;
use super::exchanges::name_in_path;
use super::json::{self, Object};
use super::query::Query;
use super::queues::short;
use super::reply::{self, Error, Reply};
use super::session::Session;
use crate::exchange::{Binding, DestinationId, Exchange};
use crate::vhost::Vhost;

/// What does not stand for itself in a key, and in a path.
const IN_KEY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');
const IN_PATH: &AsciiSet = &IN_KEY.remove(b'~');

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/api/bindings", get(all))
        .route("/api/bindings/{vhost}", get(of_vhost))
        .route("/api/bindings/{vhost}/e/{source}/{kind}/{destination}", get(between).post(add))
        .route("/api/bindings/{vhost}/e/{source}/{kind}/{destination}/{key}", get(one).delete(remove))
}

/// A binding, or what the default exchange has instead.
pub(super) struct Row {
    vhost: Arc<str>,
    source: Arc<str>,
    destination: DestinationId,
    key: Box<[u8]>,
    arguments: TableBuf,
}

/// Source, kind of destination (`q` or `e`) and destination, as a path has them.
struct Ends {
    source: String,
    destination: DestinationId,
}

impl Ends {
    /// # Errors
    /// 404 for a kind of destination that there is not.
    fn of(source: &str, kind: &str, destination: &str) -> Result<Self, Error> {
        let destination = match kind {
            "q" => DestinationId::Queue(destination.into()),
            "e" => DestinationId::Exchange(name_in_path(destination).into()),
            _ => return Err(Error::not_found()),
        };
        Ok(Ends { source: name_in_path(source).into(), destination })
    }

    /// The bindings between the two.
    fn bindings(&self, vhost: &Vhost) -> Vec<Row> {
        let mut found = to(vhost, &self.destination);
        found.retain(|row| row.comes_from(&self.source));
        found
    }
}

async fn all(caller: Caller, query: Query) -> Reply {
    list(query, caller.vhosts().iter().flat_map(|vhost| all_of(vhost)).collect()).await
}

async fn of_vhost(caller: Caller, Path(vhost): Path<String>, query: Query) -> Reply {
    list(query, all_of(&*caller.vhost(&vhost)?)).await
}

pub(super) async fn list(query: Query, rows: Vec<Row>) -> Reply {
    query.list(rows, |row| &row.source, Row::show).await
}

type BetweenPath = Path<(String, String, String, String)>;
type OnePath = Path<(String, String, String, String, String)>;

async fn between(caller: Caller, Path((vhost, source, kind, destination)): BetweenPath, query: Query) -> Reply {
    let rows = Ends::of(&source, &kind, &destination)?.bindings(&*caller.vhost(&vhost)?);
    list(query, rows).await
}

async fn one(caller: Caller, Path((vhost, source, kind, destination, key)): OnePath, query: Query) -> Reply {
    let rows = Ends::of(&source, &kind, &destination)?.bindings(&*caller.vhost(&vhost)?);
    let row = rows.into_iter().find(|row| row.properties_key() == key).ok_or_else(Error::not_found)?;
    Ok(query.one(row.show()))
}

async fn add(
    State(api): State<Shared>,
    caller: Caller,
    Path((vhost, source, kind, destination)): BetweenPath,
    body: Object,
) -> Reply {
    let mut session = Session::enter(&api, &caller, &vhost)?;
    let ends = Ends::of(&source, &kind, &destination)?;
    let row = Row {
        vhost: vhost.into(),
        source: ends.source.as_str().into(),
        destination: ends.destination,
        key: body.text("routing_key")?.unwrap_or_default().as_bytes().into(),
        arguments: body.table("arguments")?,
    };
    session.carry_out(row.bind()?)?;
    let location = format!("{}/{}", quoted(&destination, IN_PATH), quoted(&row.properties_key(), IN_PATH));
    let mut response = StatusCode::CREATED.into_response();
    if let Ok(location) = HeaderValue::try_from(location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

async fn remove(
    State(api): State<Shared>,
    caller: Caller,
    Path((vhost, source, kind, destination, key)): OnePath,
) -> Reply {
    let mut session = Session::enter(&api, &caller, &vhost)?;
    let rows = Ends::of(&source, &kind, &destination)?.bindings(session.vhost());
    let row = rows.into_iter().find(|row| row.properties_key() == key).ok_or_else(Error::not_found)?;
    session.carry_out(row.unbind()?)?;
    Ok(reply::done())
}

/// Every binding of a virtual host, those of the default exchange in front.
pub(super) fn all_of(vhost: &Vhost) -> Vec<Row> {
    let mut rows = from(vhost, "");
    for exchange in vhost.all_exchanges() {
        rows.extend(exchange.bindings().iter().map(|binding| Row::of(&exchange, binding)));
    }
    rows
}

/// The bindings of an exchange; the default one has each queue bound by its name.
pub(super) fn from(vhost: &Vhost, exchange: &str) -> Vec<Row> {
    match exchange {
        "" => vhost.all_queues().iter().map(|queue| Row::by_name(vhost, &queue.name)).collect(),
        name => {
            let Ok(exchange) = vhost.exchange(name) else { return vec![] };
            exchange.bindings().iter().map(|binding| Row::of(&exchange, binding)).collect()
        }
    }
}

/// The bindings to a queue or exchange.
pub(super) fn to(vhost: &Vhost, destination: &DestinationId) -> Vec<Row> {
    let implicit = match destination {
        DestinationId::Queue(name) if vhost.queue(name).is_ok() => Some(Row::by_name(vhost, name)),
        _ => None,
    };
    let bound = vhost.bindings_to(destination);
    implicit.into_iter().chain(bound.iter().map(|(exchange, binding)| Row::of(exchange, binding))).collect()
}

fn quoted(text: &str, plain: &'static AsciiSet) -> String {
    utf8_percent_encode(text, plain).to_string()
}

impl Row {
    fn of(exchange: &Exchange, binding: &Binding) -> Self {
        Row {
            vhost: exchange.vhost.clone(),
            source: exchange.name.clone(),
            destination: binding.destination.id(),
            key: binding.key.clone(),
            arguments: binding.arguments.clone(),
        }
    }

    /// How the default exchange leads to a queue.
    fn by_name(vhost: &Vhost, queue: &Arc<str>) -> Self {
        Row {
            vhost: vhost.name.clone(),
            source: "".into(),
            destination: DestinationId::Queue(queue.clone()),
            key: queue.as_bytes().into(),
            arguments: TableBuf::new(),
        }
    }

    pub(super) fn comes_from(&self, exchange: &str) -> bool {
        *self.source == *exchange
    }

    /// True if it ends with a connection, because its queue does.
    pub(super) fn leads_to_exclusive(&self, vhost: &Vhost) -> bool {
        match &self.destination {
            DestinationId::Queue(name) => vhost.queue(name).is_ok_and(|queue| queue.declaration.owner.is_some()),
            DestinationId::Exchange(_) => false,
        }
    }

    /// From what `declaration` has made of it.
    ///
    /// # Errors
    /// 400 for what cannot be.
    pub(super) fn read(vhost: &str, item: &Object) -> Result<Self, Error> {
        let destination = item.required_text("destination")?.into();
        Ok(Row {
            vhost: vhost.into(),
            source: item.required_text("source")?.into(),
            destination: match item.required_text("destination_type")? {
                "queue" => DestinationId::Queue(destination),
                "exchange" => DestinationId::Exchange(destination),
                other => return Err(Error::bad_request(format!("unknown destination_type '{other}'"))),
            },
            key: item.text("routing_key")?.unwrap_or_default().as_bytes().into(),
            arguments: item.table("arguments")?,
        })
    }

    fn text_key(&self) -> String {
        String::from_utf8_lossy(&self.key).into_owned()
    }

    /// What tells it from other bindings between the same two.
    fn properties_key(&self) -> String {
        let arguments = self.arguments.as_table();
        let digest = || URL_SAFE_NO_PAD.encode(Md5::digest(arguments.as_bytes()));
        match (&*self.key, arguments.is_empty()) {
            ([], true) => "~".into(),
            (_, true) => quoted(&self.text_key(), IN_KEY),
            (_, false) => format!("{}~{}", quoted(&self.text_key(), IN_KEY), digest()),
        }
    }

    fn show(&self) -> Value {
        let mut object = self.declaration();
        object["properties_key"] = self.properties_key().into();
        object
    }

    /// What it takes to add it again.
    pub(super) fn declaration(&self) -> Value {
        let (kind, destination) = match &self.destination {
            DestinationId::Queue(name) => ("queue", name),
            DestinationId::Exchange(name) => ("exchange", name),
        };
        json!({
            "source": &*self.source,
            "vhost": &*self.vhost,
            "destination": &**destination,
            "destination_type": kind,
            "routing_key": self.text_key(),
            "arguments": json::of_table(self.arguments.as_table()),
        })
    }

    fn key_in_method(&self) -> Result<&str, Error> {
        std::str::from_utf8(&self.key).map_err(|_| Error::bad_request("the routing key is no text"))
    }

    /// The method that adds it.
    pub(super) fn bind(&self) -> Result<Method<'_>, Error> {
        let (source, routing_key) = (short(&self.source)?, short(self.key_in_method()?)?);
        let arguments = self.arguments.as_table();
        Ok(match &self.destination {
            DestinationId::Queue(name) => {
                let (queue, exchange) = (short(name)?, source);
                let method = queue::Bind { queue, exchange, routing_key, arguments, ..queue::Bind::default() };
                Method::Queue(queue::Method::Bind(method))
            }
            DestinationId::Exchange(name) => {
                let destination = short(name)?;
                let method =
                    exchange::Bind { destination, source, routing_key, arguments, ..exchange::Bind::default() };
                Method::Exchange(exchange::Method::Bind(method))
            }
        })
    }

    fn unbind(&self) -> Result<Method<'_>, Error> {
        let (source, routing_key) = (short(&self.source)?, short(self.key_in_method()?)?);
        let arguments = self.arguments.as_table();
        Ok(match &self.destination {
            DestinationId::Queue(name) => {
                let (queue, exchange) = (short(name)?, source);
                let method = queue::Unbind { queue, exchange, routing_key, arguments, ..queue::Unbind::default() };
                Method::Queue(queue::Method::Unbind(method))
            }
            DestinationId::Exchange(name) => {
                let destination = short(name)?;
                let method =
                    exchange::Unbind { destination, source, routing_key, arguments, ..exchange::Unbind::default() };
                Method::Exchange(exchange::Method::Unbind(method))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(routing_key: &str, arguments: TableBuf) -> String {
        let destination = DestinationId::Queue("q".into());
        Row { vhost: "/".into(), source: "x".into(), destination, key: routing_key.as_bytes().into(), arguments }
            .properties_key()
    }

    #[test]
    fn a_bindings_key_tells_it_from_others() {
        assert_eq!(key("", TableBuf::new()), "~");
        assert_eq!(key("a.b", TableBuf::new()), "a.b");
        assert_eq!(key("a~/b", TableBuf::new()), "a%7E%2Fb");
        let with = |n: i32| key("a", TableBuf::new().with("n", n).unwrap());
        assert!(with(1).starts_with("a~") && with(1) != with(2));
    }
}
