//! Exchanges: list, look at, declare, delete.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use leveret_spec::{Method, exchange};
use serde_json::{Value, json};

use super::auth::Caller;
use super::json::{self, Object};
use super::query::Query;
use super::queues::{of_definition, short};
use super::reply::{self, Error, Reply};
use super::session::Session;
use super::{Shared, bindings};
use crate::exchange::{Declaration, DestinationId, Exchange, Kind};
use crate::vhost::Vhost;

/// The default exchange's name in paths, where there is no place for an empty one.
const DEFAULT: &str = "amq.default";

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/api/exchanges", get(all))
        .route("/api/exchanges/{vhost}", get(of_vhost))
        .route("/api/exchanges/{vhost}/{exchange}", get(one).put(declare).delete(remove))
        .route("/api/exchanges/{vhost}/{exchange}/bindings/source", get(bindings_from))
        .route("/api/exchanges/{vhost}/{exchange}/bindings/destination", get(bindings_to))
}

/// The exchange's name that stands in a path.
pub(super) fn name_in_path(name: &str) -> &str {
    if name == DEFAULT { "" } else { name }
}

async fn all(caller: Caller, query: Query) -> Reply {
    list(query, caller.vhosts().iter().flat_map(exchanges_of).collect()).await
}

async fn of_vhost(caller: Caller, Path(vhost): Path<String>, query: Query) -> Reply {
    list(query, exchanges_of(&caller.vhost(&vhost)?)).await
}

async fn list(query: Query, exchanges: Vec<Arc<Exchange>>) -> Reply {
    query.list(exchanges, |exchange| &exchange.name, |exchange| of_exchange(exchange)).await
}

/// All of them, the default one in front.
fn exchanges_of(vhost: &Arc<Vhost>) -> Vec<Arc<Exchange>> {
    let mut all = vec![default_exchange(vhost)];
    all.extend(vhost.all_exchanges());
    all
}

/// What stands for the default exchange, which is none of those that the virtual host keeps.
fn default_exchange(vhost: &Vhost) -> Arc<Exchange> {
    let arguments = Default::default();
    let declaration = Declaration { kind: Kind::Direct, durable: true, auto_delete: false, internal: false, arguments };
    Arc::new(Exchange::new("".into(), vhost.name.clone(), declaration))
}

/// # Errors
/// 404 if there is none of that name.
fn named(vhost: &Vhost, name: &str) -> Result<Arc<Exchange>, Error> {
    match name_in_path(name) {
        "" => Ok(default_exchange(vhost)),
        name => vhost.exchange(name).map_err(|_| Error::not_found()),
    }
}

async fn one(caller: Caller, Path((vhost, name)): Path<(String, String)>, query: Query) -> Reply {
    Ok(query.one(of_exchange(&*named(&*caller.vhost(&vhost)?, &name)?)))
}

async fn declare(
    State(api): State<Shared>,
    caller: Caller,
    Path((vhost, name)): Path<(String, String)>,
    body: Object,
) -> Reply {
    let mut session = Session::enter(&api, &caller, &vhost)?;
    let arguments = body.table("arguments")?;
    let method = exchange::Declare {
        exchange: short(name_in_path(&name))?,
        kind: short(body.text("type")?.unwrap_or("direct"))?,
        durable: body.0.get("durable").is_none() || body.flag("durable")?,
        auto_delete: body.flag("auto_delete")?,
        internal: body.flag("internal")?,
        arguments: arguments.as_table(),
        ..exchange::Declare::default()
    };
    let new = session.vhost().exchange(&name).is_err();
    session.carry_out(Method::Exchange(exchange::Method::Declare(method)))?;
    Ok(reply::put(new))
}

async fn remove(
    State(api): State<Shared>,
    caller: Caller,
    Path((vhost, name)): Path<(String, String)>,
    query: Query,
) -> Reply {
    let mut session = Session::enter(&api, &caller, &vhost)?;
    named(session.vhost(), &name)?;
    let exchange = short(name_in_path(&name))?;
    let method = exchange::Delete { exchange, if_unused: query.is_set("if-unused"), ..exchange::Delete::default() };
    session.carry_out(Method::Exchange(exchange::Method::Delete(method)))?;
    Ok(reply::done())
}

async fn bindings_from(caller: Caller, Path((vhost, name)): Path<(String, String)>, query: Query) -> Reply {
    let vhost = caller.vhost(&vhost)?;
    let exchange = named(&vhost, &name)?;
    bindings::list(query, bindings::from(&vhost, &exchange.name)).await
}

async fn bindings_to(caller: Caller, Path((vhost, name)): Path<(String, String)>, query: Query) -> Reply {
    let vhost = caller.vhost(&vhost)?;
    let exchange = named(&vhost, &name)?;
    bindings::list(query, bindings::to(&vhost, &DestinationId::Exchange(exchange.name.clone()))).await
}

fn of_exchange(exchange: &Exchange) -> Value {
    let mut object = declaration(exchange);
    if let Some(applied) = exchange.applied() {
        object["policy"] = applied.policy.as_deref().into();
        object["effective_policy_definition"] = of_definition(&applied.definition);
    }
    object
}

/// What it takes to declare the exchange again.
pub(super) fn declaration(exchange: &Exchange) -> Value {
    let Declaration { kind, durable, auto_delete, internal, arguments } = &exchange.declaration;
    json!({
        "name": &*exchange.name,
        "vhost": &*exchange.vhost,
        "type": kind.name(),
        "durable": durable,
        "auto_delete": auto_delete,
        "internal": internal,
        "arguments": json::of_table(arguments.as_table()),
    })
}
