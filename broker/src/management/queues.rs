//! Queues: list, look at, declare, delete, purge.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{delete, get};
use leveret_spec::{Method, ShortStr, queue};
use serde_json::{Value, json};

use super::auth::Caller;
use super::json::{self, Object};
use super::query::Query;
use super::reply::{self, Error, Reply};
use super::session::Session;
use super::{Api, Shared, bindings, connections, consumers};
use crate::exchange::DestinationId;
use crate::node;
use crate::policy::{Definition, Target, Term};
use crate::queue::Queue;

/// What a queue takes in memory without its messages, about, in bytes.
const QUEUE_BYTES: usize = 2048;

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/api/queues", get(all))
        .route("/api/queues/{vhost}", get(of_vhost))
        .route("/api/queues/{vhost}/{queue}", get(one).put(declare).delete(remove))
        .route("/api/queues/{vhost}/{queue}/bindings", get(bindings_to))
        .route("/api/queues/{vhost}/{queue}/contents", delete(purge))
}

async fn all(State(api): State<Shared>, caller: Caller, query: Query) -> Reply {
    let queues = caller.vhosts().iter().flat_map(|vhost| vhost.all_queues()).collect();
    list(api, query, queues).await
}

async fn of_vhost(State(api): State<Shared>, caller: Caller, Path(vhost): Path<String>, query: Query) -> Reply {
    let queues = caller.vhost(&vhost)?.all_queues();
    list(api, query, queues).await
}

async fn list(api: Shared, query: Query, queues: Vec<Arc<Queue>>) -> Reply {
    query.list(queues, |queue| &queue.name, move |queue| of_queue(&api, queue)).await
}

async fn one(
    State(api): State<Shared>,
    caller: Caller,
    Path((vhost, name)): Path<(String, String)>,
    query: Query,
) -> Reply {
    let queue = caller.vhost(&vhost)?.queue(&name).map_err(|_| Error::not_found())?;
    let mut object = of_queue(&api, &queue);
    object["consumer_details"] = consumers::of_queue(&api, &queue).into();
    object["arguments"] = json::of_table(queue.declaration.arguments.as_table());
    Ok(query.one(object))
}

async fn declare(
    State(api): State<Shared>,
    caller: Caller,
    Path((vhost, name)): Path<(String, String)>,
    body: Object,
) -> Reply {
    let mut session = Session::enter(&api, &caller, &vhost)?;
    let arguments = body.table("arguments")?;
    let method = queue::Declare {
        queue: short(&name)?,
        durable: body.0.get("durable").is_none() || body.flag("durable")?,
        auto_delete: body.flag("auto_delete")?,
        arguments: arguments.as_table(),
        ..queue::Declare::default()
    };
    let new = session.vhost().queue(&name).is_err();
    session.carry_out(Method::Queue(queue::Method::Declare(method)))?;
    Ok(reply::put(new))
}

async fn remove(
    State(api): State<Shared>,
    caller: Caller,
    Path((vhost, name)): Path<(String, String)>,
    query: Query,
) -> Reply {
    let mut session = Session::enter(&api, &caller, &vhost)?;
    session.vhost().queue(&name).map_err(|_| Error::not_found())?;
    let (if_unused, if_empty) = (query.is_set("if-unused"), query.is_set("if-empty"));
    let method = queue::Delete { queue: short(&name)?, if_unused, if_empty, ..queue::Delete::default() };
    session.carry_out(Method::Queue(queue::Method::Delete(method)))?;
    Ok(reply::done())
}

async fn purge(State(api): State<Shared>, caller: Caller, Path((vhost, name)): Path<(String, String)>) -> Reply {
    let mut session = Session::enter(&api, &caller, &vhost)?;
    session.vhost().queue(&name).map_err(|_| Error::not_found())?;
    let method = queue::Purge { queue: short(&name)?, ..queue::Purge::default() };
    session.carry_out(Method::Queue(queue::Method::Purge(method)))?;
    Ok(reply::done())
}

async fn bindings_to(caller: Caller, Path((vhost, name)): Path<(String, String)>, query: Query) -> Reply {
    let vhost = caller.vhost(&vhost)?;
    let queue = vhost.queue(&name).map_err(|_| Error::not_found())?;
    bindings::list(query, bindings::to(&vhost, &DestinationId::Queue(queue.name.clone()))).await
}

/// A name that fits into a method.
pub(super) fn short(name: &str) -> Result<ShortStr<'_>, Error> {
    ShortStr::new(name).map_err(|_| Error::bad_request("a name is longer than 255 bytes"))
}

/// A queue in JSON.
fn of_queue(api: &Api, queue: &Queue) -> Value {
    let figures = queue.figures();
    let applied = queue.applied().unwrap_or_default();
    let mut object = json!({
        "name": &*queue.name,
        "vhost": &*queue.vhost,
        "type": if queue.policy_target() == Target::QuorumQueue { "quorum" } else { "classic" },
        "durable": queue.declaration.durable,
        "auto_delete": queue.declaration.auto_delete,
        "exclusive": queue.declaration.owner.is_some(),
        "arguments": json::of_table(queue.declaration.arguments.as_table()),
        "node": node::NAME,
        "state": "running",
        "messages": figures.ready + figures.unacked,
        "messages_ready": figures.ready,
        "messages_unacknowledged": figures.unacked,
        "message_bytes_ready": figures.body_bytes,
        "consumers": figures.consumers,
        "memory": QUEUE_BYTES + figures.bytes,
        "policy": applied.policy.as_deref(),
        "operator_policy": applied.operator_policy.as_deref(),
        "effective_policy_definition": of_definition(&applied.definition),
    });
    if let Some(owner) = queue.declaration.owner.and_then(|id| api.node.roster.connection(id)) {
        object["owner_pid_details"] = json!({"name": &*owner.facts.name});
        connections::insert_addresses(&mut object["owner_pid_details"], &owner.facts);
    }
    object
}

/// A policy's definition in JSON.
pub(super) fn of_definition(definition: &Definition) -> Value {
    let of_term = |term: &Term| match term {
        Term::Number(number) => (*number).into(),
        Term::Text(text) => text.as_str().into(),
        Term::Flag(flag) => (*flag).into(),
    };
    Value::Object(definition.iter().map(|(key, term)| (key.clone(), of_term(term))).collect())
}

/// What it takes to declare the queue again.
pub(super) fn declaration(queue: &Queue) -> Value {
    json!({
        "name": &*queue.name,
        "vhost": &*queue.vhost,
        "durable": queue.declaration.durable,
        "auto_delete": queue.declaration.auto_delete,
        "arguments": json::of_table(queue.declaration.arguments.as_table()),
    })
}
