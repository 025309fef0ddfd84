//! Connections: list, look at, close.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::routing::get;
use serde_json::{Value, json};

use super::auth::Caller;
use super::query::Query;
use super::reply::{self, Error, Reply};
use super::{Api, Shared, json};
use crate::connection::close;
use crate::failure::Hard;
use crate::node;
use crate::roster::{Connection, Facts};

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/api/connections", get(all))
        .route("/api/connections/{name}", get(one).delete(remove))
        .route("/api/connections/username/{user}", get(of_user).delete(remove_of_user))
        .route("/api/vhosts/{vhost}/connections", get(of_vhost))
}

/// The connections that a caller may see: all, or his own.
pub(super) fn seen(api: &Api, caller: &Caller) -> Vec<Arc<Connection>> {
    let mut all = api.node.roster.connections();
    all.retain(|connection| caller.sees_user(&connection.facts.user));
    all
}

/// The connection of that name.
///
/// # Errors
/// 404 if there is none, 401 if it is another user's and the caller sees only his own.
pub(super) fn named(api: &Api, caller: &Caller, name: &str) -> Result<Arc<Connection>, Error> {
    let found = api.node.roster.connections().into_iter().find(|connection| *connection.facts.name == *name);
    let found = found.ok_or_else(Error::not_found)?;
    match caller.sees_user(&found.facts.user) {
        true => Ok(found),
        false => Err(Error::refused("User not authorised to access object")),
    }
}

async fn all(State(api): State<Shared>, caller: Caller, query: Query) -> Reply {
    list(query, seen(&api, &caller)).await
}

async fn of_vhost(State(api): State<Shared>, caller: Caller, Path(vhost): Path<String>, query: Query) -> Reply {
    let vhost = caller.vhost(&vhost)?;
    let mut found = seen(&api, &caller);
    found.retain(|connection| connection.facts.vhost == vhost.name);
    list(query, found).await
}

async fn of_user(State(api): State<Shared>, caller: Caller, Path(user): Path<String>, query: Query) -> Reply {
    let mut found = seen(&api, &caller);
    found.retain(|connection| *connection.facts.user == *user);
    list(query, found).await
}

async fn list(query: Query, connections: Vec<Arc<Connection>>) -> Reply {
    query.list(connections, |connection| &connection.facts.name, |connection| of_connection(connection)).await
}

async fn one(State(api): State<Shared>, caller: Caller, Path(name): Path<String>, query: Query) -> Reply {
    Ok(query.one(of_connection(&*named(&api, &caller, &name)?)))
}

async fn remove(State(api): State<Shared>, caller: Caller, Path(name): Path<String>, headers: HeaderMap) -> Reply {
    let connection = named(&api, &caller, &name)?;
    close_for(&caller, &connection, &headers)?;
    Ok(reply::done())
}

async fn remove_of_user(
    State(api): State<Shared>,
    caller: Caller,
    Path(user): Path<String>,
    headers: HeaderMap,
) -> Reply {
    for connection in seen(&api, &caller).iter().filter(|connection| *connection.facts.user == *user) {
        close_for(&caller, connection, &headers)?;
    }
    Ok(reply::done())
}

/// Administrators close any connection, others their own.
fn close_for(caller: &Caller, connection: &Connection, headers: &HeaderMap) -> Result<(), Error> {
    if !caller.is_administrator() && caller.name != connection.facts.user {
        return Err(Error::refused("User not authorised to access object"));
    }
    let reason = headers.get("x-reason").and_then(|reason| reason.to_str().ok());
    let reason = reason.unwrap_or("Closed via management plugin");
    tracing::info!(peer = &*connection.facts.name, by = &*caller.name, reason, "closing a connection over HTTP");
    close(&connection.facts.mailbox, Hard::connection_forced(reason));
    Ok(())
}

/// Closes the connections that something that is being deleted has left.
pub(super) fn close_all(api: &Api, orphaned: impl Fn(&Facts) -> bool, reason: &str) {
    for connection in api.node.roster.connections() {
        if orphaned(&connection.facts) {
            close(&connection.facts.mailbox, Hard::connection_forced(reason));
        }
    }
}

/// Where the peer is, if it is anywhere.
pub(super) fn insert_addresses(object: &mut Value, facts: &Facts) {
    if let Some(addresses) = facts.addresses {
        object["peer_host"] = addresses.peer.ip().to_string().into();
        object["peer_port"] = addresses.peer.port().into();
    }
}

fn of_connection(connection: &Connection) -> Value {
    let facts = &connection.facts;
    let properties = facts.client_properties.as_table();
    let mut object = json!({
        "name": &*facts.name,
        "user": &*facts.user,
        "user_who_performed_action": &*facts.user,
        "vhost": &*facts.vhost,
        "node": node::NAME,
        "type": if facts.addresses.is_some() { "network" } else { "direct" },
        "protocol": "AMQP 0-9-1",
        "state": "running",
        "ssl": facts.tls.is_some(),
        "auth_mechanism": facts.mechanism,
        "client_properties": json::of_table(properties),
        "connected_at": facts.connected_at_ms,
        "channels": connection.channel_count(),
        "channel_max": facts.channel_max,
        "frame_max": facts.frame_max,
        "timeout": facts.heartbeat_s,
    });
    insert_addresses(&mut object, facts);
    if let Some(tls) = facts.tls {
        object["ssl_protocol"] = tls.protocol.into();
        object["ssl_key_exchange"] = tls.key_exchange.into();
        object["ssl_cipher"] = tls.cipher.into();
        // All that there are authenticate what they encrypt.
        object["ssl_hash"] = "aead".into();
    }
    if let Some(addresses) = facts.addresses {
        object["host"] = addresses.local.ip().to_string().into();
        object["port"] = addresses.local.port().into();
    }
    if let Some(name) = facts.client_name() {
        object["user_provided_name"] = name.into();
    }
    object
}
