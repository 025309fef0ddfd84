//! Users: list, look at, create, change, delete.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use serde_json::{Map, Value, json};

use super::auth::Caller;
use super::json::Object;
use super::query::Query;
use super::reply::{self, Error, Reply};
use super::vhosts::NAME_BYTES_MAX;
use super::{Api, Shared, connections};
use crate::auth::{Algorithm, PasswordHash, Secret, User};

/// Tags of one user.
const TAGS_MAX: usize = 32;

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/api/whoami", get(whoami))
        .route("/api/users", get(all))
        .route("/api/users/without-permissions", get(without_permissions))
        .route("/api/users/bulk-delete", post(remove_many))
        .route("/api/users/{user}", get(one).put(put).delete(remove))
}

async fn whoami(caller: Caller, query: Query) -> Reply {
    Ok(query.one(json!({"name": &*caller.name, "tags": caller.tags()})))
}

type Named = (String, Arc<User>);

async fn all(State(api): State<Shared>, caller: Caller, query: Query) -> Reply {
    caller.administers()?;
    query.list(api.node.users.all(), |(name, _)| name, of_user).await
}

async fn without_permissions(State(api): State<Shared>, caller: Caller, query: Query) -> Reply {
    caller.administers()?;
    let mut users = api.node.users.all();
    users.retain(|(_, user)| user.permissions.is_empty());
    query.list(users, |(name, _)| name, of_user).await
}

async fn one(State(api): State<Shared>, caller: Caller, Path(name): Path<String>, query: Query) -> Reply {
    caller.administers()?;
    let user = api.node.users.user(&name).ok_or_else(Error::not_found)?;
    Ok(query.one(of_user(&(name, user))))
}

async fn put(State(api): State<Shared>, caller: Caller, Path(name): Path<String>, body: Object) -> Reply {
    caller.administers()?;
    Ok(reply::put(set(&api, &name, &body)?))
}

/// Creates or changes a user as an object says; false if he existed.
///
/// # Errors
/// 400 for what cannot be.
pub(super) fn set(api: &Api, name: &str, body: &Object) -> Result<bool, Error> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return Err(Error::bad_request(format!("a name has 1 to {NAME_BYTES_MAX} bytes")));
    }
    let tags = body.list("tags")?.ok_or_else(|| Error::bad_request("tags_not_present"))?;
    if tags.len() > TAGS_MAX {
        return Err(Error::bad_request(format!("a user has at most {TAGS_MAX} tags")));
    }
    let password = password(body)?;
    Ok(api.node.change_user(name, |user| {
        user.password = password;
        user.tags = tags;
    }))
}

/// The password, or its hash. Without either, and with an empty one, nobody can log in with a password.
fn password(body: &Object) -> Result<Option<PasswordHash>, Error> {
    if let Some(password) = body.text("password")? {
        return Ok((!password.is_empty()).then(|| PasswordHash::of(&Secret::new(password))));
    }
    let Some(hash) = body.text("password_hash")?.filter(|hash| !hash.is_empty()) else { return Ok(None) };
    let algorithm = match body.text("hashing_algorithm")? {
        None => Algorithm::default(),
        Some(name) => {
            Algorithm::of(name).ok_or_else(|| Error::bad_request(format!("unknown hashing algorithm '{name}'")))?
        }
    };
    // Not the hash itself: errors end up in logs.
    let hash = PasswordHash::decode(hash, algorithm);
    hash.map(Some).ok_or_else(|| Error::bad_request(json!(["not_base64", "password_hash"])))
}

async fn remove(State(api): State<Shared>, caller: Caller, Path(name): Path<String>) -> Reply {
    caller.administers()?;
    if remove_one(&api, &name) { Ok(reply::done()) } else { Err(Error::not_found()) }
}

async fn remove_many(State(api): State<Shared>, caller: Caller, body: Object) -> Reply {
    caller.administers()?;
    for name in body.list("users")?.unwrap_or_default() {
        remove_one(&api, &name);
    }
    Ok(reply::done())
}

/// Deletes a user and closes his connections; false if there is none.
fn remove_one(api: &Api, name: &str) -> bool {
    let removed = api.node.remove_user(name);
    connections::close_all(api, |facts| *facts.user == *name, &format!("user '{name}' is deleted"));
    removed
}

/// A user's limits, as far as he has any.
pub(super) fn limits(user: &User) -> Value {
    let limits = [("max-connections", user.connections_max), ("max-channels", user.channels_max)];
    let limits = limits.into_iter().filter_map(|(name, limit)| Some((name.to_owned(), limit?.into())));
    Value::Object(Map::from_iter(limits))
}

pub(super) fn of_user((name, user): &Named) -> Value {
    let algorithm = user.password.as_ref().map_or(Algorithm::default(), |hash| hash.algorithm);
    json!({
        "name": name,
        "password_hash": user.password.as_ref().map_or(String::new(), PasswordHash::encode),
        "hashing_algorithm": algorithm.name(),
        "tags": user.tags,
        "limits": limits(user),
    })
}
