//! Permissions and topic permissions: list, look at, set, clear.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use serde_json::{Value, json};

use super::auth::Caller;
use super::json::Object;
use super::query::Query;
use super::reply::{self, Error, Reply};
use super::{Api, Shared};
use crate::auth::{Pattern, Permission, TopicPermission, User};

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/api/permissions", get(all))
        .route("/api/permissions/{vhost}/{user}", get(one).put(put).delete(remove))
        .route("/api/vhosts/{vhost}/permissions", get(of_vhost))
        .route("/api/users/{user}/permissions", get(of_user))
        .route("/api/topic-permissions", get(all_topics))
        .route("/api/topic-permissions/{vhost}/{user}", get(topics).put(put_topic).delete(remove_topics))
        .route("/api/vhosts/{vhost}/topic-permissions", get(topics_of_vhost))
        .route("/api/users/{user}/topic-permissions", get(topics_of_user))
}

/// Those of one kind, which `of` picks from a user: all, by user and virtual host.
fn rows(api: &Api, of: impl Fn(&str, &User) -> Vec<Value>) -> Vec<Value> {
    api.node.users.all().iter().flat_map(|(name, user)| of(name, user)).collect()
}

pub(super) fn permissions(name: &str, user: &User) -> Vec<Value> {
    user.permissions.iter().map(|(vhost, permission)| of_permission(name, vhost, permission)).collect()
}

pub(super) fn topic_permissions(name: &str, user: &User) -> Vec<Value> {
    let topics = user.topics.iter().flat_map(|(vhost, topics)| topics.iter().map(move |topic| (vhost, topic)));
    topics.map(|(vhost, topic)| of_topic(name, vhost, topic)).collect()
}

async fn list(query: Query, rows: Vec<Value>) -> Reply {
    query.list(rows, |row| row["user"].as_str().unwrap_or_default(), Value::clone).await
}

async fn all(State(api): State<Shared>, caller: Caller, query: Query) -> Reply {
    caller.administers()?;
    list(query, rows(&api, permissions)).await
}

async fn all_topics(State(api): State<Shared>, caller: Caller, query: Query) -> Reply {
    caller.administers()?;
    list(query, rows(&api, topic_permissions)).await
}

async fn of_vhost(State(api): State<Shared>, caller: Caller, Path(vhost): Path<String>, query: Query) -> Reply {
    caller.administers()?;
    let vhost = api.vhost(&vhost)?;
    list(query, rows(&api, permissions).into_iter().filter(|row| row["vhost"] == *vhost.name).collect()).await
}

async fn topics_of_vhost(State(api): State<Shared>, caller: Caller, Path(vhost): Path<String>, query: Query) -> Reply {
    caller.administers()?;
    let vhost = api.vhost(&vhost)?;
    list(query, rows(&api, topic_permissions).into_iter().filter(|row| row["vhost"] == *vhost.name).collect()).await
}

async fn of_user(State(api): State<Shared>, caller: Caller, Path(name): Path<String>, query: Query) -> Reply {
    caller.administers()?;
    list(query, permissions(&name, &*named(&api, &name)?)).await
}

async fn topics_of_user(State(api): State<Shared>, caller: Caller, Path(name): Path<String>, query: Query) -> Reply {
    caller.administers()?;
    list(query, topic_permissions(&name, &*named(&api, &name)?)).await
}

fn named(api: &Api, user: &str) -> Result<Arc<User>, Error> {
    api.node.users.user(user).ok_or_else(Error::not_found)
}

async fn one(
    State(api): State<Shared>,
    caller: Caller,
    Path((vhost, name)): Path<(String, String)>,
    query: Query,
) -> Reply {
    caller.administers()?;
    let user = named(&api, &name)?;
    let permission = user.permissions.get(&vhost).ok_or_else(Error::not_found)?;
    Ok(query.one(of_permission(&name, &vhost, permission)))
}

async fn topics(
    State(api): State<Shared>,
    caller: Caller,
    Path((vhost, name)): Path<(String, String)>,
    query: Query,
) -> Reply {
    caller.administers()?;
    let user = named(&api, &name)?;
    let topics = user.topics.get(&vhost).ok_or_else(Error::not_found)?;
    list(query, topics.iter().map(|topic| of_topic(&name, &vhost, topic)).collect()).await
}

fn check_ends(api: &Api, vhost: &str, user: &str) -> Result<(), Error> {
    match (api.node.vhost(vhost), api.node.users.user(user)) {
        (Some(_), Some(_)) => Ok(()),
        _ => Err(Error::bad_request("vhost_or_user_not_found")),
    }
}

fn pattern(body: &Object, name: &str) -> Result<Pattern, Error> {
    Pattern::new(body.required_text(name)?).map_err(|why| invalid(name, &why))
}

fn invalid(name: &str, why: &str) -> Error {
    Error::bad_request(json!(["invalid_regexp", name, why]))
}

async fn put(
    State(api): State<Shared>,
    caller: Caller,
    Path((vhost, name)): Path<(String, String)>,
    body: Object,
) -> Reply {
    caller.administers()?;
    Ok(reply::put(set(&api, &vhost, &name, &body)?))
}

/// Sets a permission; false if there was one.
///
/// # Errors
/// 400 without user or virtual host, and for patterns that cannot be.
pub(super) fn set(api: &Api, vhost: &str, name: &str, body: &Object) -> Result<bool, Error> {
    check_ends(api, vhost, name)?;
    let permission = Permission {
        configure: pattern(body, "configure")?,
        write: pattern(body, "write")?,
        read: pattern(body, "read")?,
    };
    let mut new = false;
    api.node.change_user(name, |user| new = user.permissions.insert(vhost.into(), permission).is_none());
    Ok(new)
}

async fn put_topic(
    State(api): State<Shared>,
    caller: Caller,
    Path((vhost, name)): Path<(String, String)>,
    body: Object,
) -> Reply {
    caller.administers()?;
    Ok(reply::put(set_topic(&api, &vhost, &name, &body)?))
}

/// Sets a topic permission; false if there was one for that exchange.
///
/// # Errors
/// As `set`.
pub(super) fn set_topic(api: &Api, vhost: &str, name: &str, body: &Object) -> Result<bool, Error> {
    check_ends(api, vhost, name)?;
    let text = |key| {
        let text = body.required_text(key)?;
        // It is a pattern once the names are in it.
        let filled = text.replace("{username}", name).replace("{vhost}", vhost);
        Pattern::new(&filled).map_err(|why| invalid(key, &why))?;
        Ok::<_, Error>(text.into())
    };
    let exchange = body.required_text("exchange")?.into();
    let topic = TopicPermission { exchange, write: text("write")?, read: text("read")? };
    let mut new = true;
    api.node.change_user(name, |user| {
        let topics = user.topics.entry(vhost.into()).or_default();
        topics.retain(|other| {
            let other = other.exchange == topic.exchange;
            new &= !other;
            !other
        });
        topics.push(topic);
    });
    Ok(new)
}

async fn remove(State(api): State<Shared>, caller: Caller, Path((vhost, name)): Path<(String, String)>) -> Reply {
    caller.administers()?;
    if !named(&api, &name)?.permissions.contains_key(&vhost) {
        return Err(Error::not_found());
    }
    api.node.change_user(&name, |user| drop(user.permissions.remove(&vhost)));
    Ok(reply::done())
}

/// Clears all of a user's topic permissions in a virtual host, or those for one exchange.
async fn remove_topics(
    State(api): State<Shared>,
    caller: Caller,
    Path((vhost, name)): Path<(String, String)>,
    body: Object,
) -> Reply {
    caller.administers()?;
    if !named(&api, &name)?.topics.contains_key(&vhost) {
        return Err(Error::not_found());
    }
    let exchange = body.text("exchange")?;
    api.node.change_user(&name, |user| {
        if let Some(topics) = user.topics.get_mut(&vhost) {
            topics.retain(|topic| exchange.is_some_and(|exchange| exchange != topic.exchange));
            if topics.is_empty() {
                user.topics.remove(&vhost);
            }
        }
    });
    Ok(reply::done())
}

fn of_permission(user: &str, vhost: &str, permission: &Permission) -> Value {
    let Permission { configure, write, read } = permission;
    json!({"user": user, "vhost": vhost, "configure": configure.text(), "write": write.text(), "read": read.text()})
}

fn of_topic(user: &str, vhost: &str, topic: &TopicPermission) -> Value {
    let TopicPermission { exchange, write, read } = topic;
    json!({"user": user, "vhost": vhost, "exchange": exchange, "write": write, "read": read})
}
