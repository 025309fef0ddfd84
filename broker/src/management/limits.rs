//! Limits of virtual hosts and users: list, set, clear. A negative one is none.

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, put};
use serde_json::{Map, Value, json};

use super::auth::Caller;
use super::json::{self, Object};
use super::query::Query;
use super::reply::{self, Error, Reply};
use super::{Api, Shared, users};
use crate::vhost::Vhost;

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/api/vhost-limits", get(all_of_vhosts))
        .route("/api/vhost-limits/{vhost}", get(of_one_vhost))
        .route("/api/vhost-limits/{vhost}/{limit}", put(put_for_vhost).delete(clear_for_vhost))
        .route("/api/user-limits", get(all_of_users))
        .route("/api/user-limits/{user}", get(of_one_user))
        .route("/api/user-limits/{user}/{limit}", put(put_for_user).delete(clear_for_user))
}

/// A virtual host's limits, as far as it has any.
pub(super) fn of_vhost(vhost: &Vhost) -> Value {
    let metadata = vhost.metadata();
    let limits = [("max-connections", metadata.connections_max), ("max-queues", metadata.queues_max)];
    let limits = limits.into_iter().filter_map(|(name, limit)| Some((name.to_owned(), limit?.into())));
    Value::Object(Map::from_iter(limits))
}

async fn list(query: Query, key: &'static str, limits: impl Iterator<Item = (String, Value)>) -> Reply {
    let limited = limits.filter(|(_, value)| value.as_object().is_some_and(|limits| !limits.is_empty())).collect();
    query.list(limited, |(name, _)| name, move |(name, value)| json!({key: name, "value": value})).await
}

async fn all_of_vhosts(caller: Caller, query: Query) -> Reply {
    list(query, "vhost", caller.vhosts().iter().map(|vhost| (vhost.name.to_string(), of_vhost(vhost)))).await
}

async fn of_one_vhost(caller: Caller, Path(vhost): Path<String>, query: Query) -> Reply {
    let vhost = caller.vhost(&vhost)?;
    list(query, "vhost", std::iter::once((vhost.name.to_string(), of_vhost(&vhost)))).await
}

async fn all_of_users(State(api): State<Shared>, caller: Caller, query: Query) -> Reply {
    let mut all = api.node.users.all();
    all.retain(|(name, _)| caller.sees_user(name));
    list(query, "user", all.iter().map(|(name, user)| (name.clone(), users::limits(user)))).await
}

async fn of_one_user(State(api): State<Shared>, caller: Caller, Path(name): Path<String>, query: Query) -> Reply {
    if !caller.sees_user(&name) {
        return Err(Error::refused("User not authorised to access object"));
    }
    let user = api.node.users.user(&name).ok_or_else(Error::not_found)?;
    list(query, "user", std::iter::once((name, users::limits(&user)))).await
}

fn value(body: &Object) -> Result<Option<usize>, Error> {
    match body.value("value") {
        None => Err(json::missing("value")),
        Some(value) => limit(value),
    }
}

fn limit(value: &Value) -> Result<Option<usize>, Error> {
    let number = value.as_i64().ok_or_else(|| Error::bad_request("a limit is a whole number"))?;
    Ok(usize::try_from(number).ok())
}

fn unknown(name: &str) -> Error {
    Error::bad_request(format!("Unrecognised limit '{name}'"))
}

/// Sets or clears a limit of a virtual host.
pub(super) fn set_for_vhost(vhost: &Vhost, name: &str, value: Option<usize>) -> Result<(), Error> {
    match name {
        "max-connections" => vhost.change_metadata(|metadata| metadata.connections_max = value),
        "max-queues" => vhost.change_metadata(|metadata| metadata.queues_max = value),
        _ => return Err(unknown(name)),
    }
    Ok(())
}

/// Sets or clears a limit of a user.
pub(super) fn set_for_user(api: &Api, user: &str, name: &str, value: Option<usize>) -> Result<(), Error> {
    api.node.users.user(user).ok_or_else(Error::not_found)?;
    match name {
        "max-connections" => api.node.change_user(user, |user| user.connections_max = value),
        "max-channels" => api.node.change_user(user, |user| user.channels_max = value),
        _ => return Err(unknown(name)),
    };
    Ok(())
}

/// The limits in an object of them.
pub(super) fn read_all(limits: &Object) -> impl Iterator<Item = Result<(&str, Option<usize>), Error>> {
    limits.0.iter().map(|(name, value)| Ok((name.as_str(), limit(value)?)))
}

async fn put_for_vhost(
    State(api): State<Shared>,
    caller: Caller,
    Path((vhost, name)): Path<(String, String)>,
    body: Object,
) -> Reply {
    caller.administers()?;
    set_for_vhost(&*api.vhost(&vhost)?, &name, value(&body)?)?;
    Ok(reply::done())
}

async fn clear_for_vhost(
    State(api): State<Shared>,
    caller: Caller,
    Path((vhost, name)): Path<(String, String)>,
) -> Reply {
    caller.administers()?;
    set_for_vhost(&*api.vhost(&vhost)?, &name, None)?;
    Ok(reply::done())
}

async fn put_for_user(
    State(api): State<Shared>,
    caller: Caller,
    Path((user, name)): Path<(String, String)>,
    body: Object,
) -> Reply {
    caller.administers()?;
    set_for_user(&api, &user, &name, value(&body)?)?;
    Ok(reply::done())
}

async fn clear_for_user(
    State(api): State<Shared>,
    caller: Caller,
    Path((user, name)): Path<(String, String)>,
) -> Reply {
    caller.administers()?;
    set_for_user(&api, &user, &name, None)?;
    Ok(reply::done())
}
