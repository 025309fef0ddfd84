//! Virtual hosts: list, look at, create, change, delete.

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use serde_json::{Value, json};

use super::auth::Caller;
use super::json::Object;
use super::query::Query;
use super::reply::{self, Error, Reply};
use super::{Api, Shared, connections};
use crate::auth::{Pattern, Permission};
use crate::node;
use crate::vhost::{Metadata, Vhost};

/// The longest name, in bytes.
pub(super) const NAME_BYTES_MAX: usize = 255;

pub(super) fn routes() -> Router<Shared> {
    Router::new().route("/api/vhosts", get(all)).route("/api/vhosts/{vhost}", get(one).put(put).delete(remove))
}

async fn all(caller: Caller, query: Query) -> Reply {
    query.list(caller.vhosts(), |vhost| &vhost.name, |vhost| of_vhost(vhost)).await
}

async fn one(caller: Caller, Path(name): Path<String>, query: Query) -> Reply {
    Ok(query.one(of_vhost(&*caller.vhost(&name)?)))
}

/// Creates a virtual host, in which the caller may do everything, or changes what is said about it.
async fn put(State(api): State<Shared>, caller: Caller, Path(name): Path<String>, body: Object) -> Reply {
    caller.administers()?;
    let change = Change::read(&body)?;
    let new = create(&api, &name, &caller.name)?;
    api.vhost(&name)?.change_with(change);
    Ok(reply::put(new))
}

/// Creates a virtual host and gives its creator everything in it; false if it exists.
///
/// # Errors
/// 400 for a name that cannot be, and for one virtual host too many.
pub(super) fn create(api: &Api, name: &str, creator: &str) -> Result<bool, Error> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return Err(Error::bad_request(format!("a name has 1 to {NAME_BYTES_MAX} bytes")));
    }
    let new = api.node.create_vhost(name).map_err(|most| {
        Error::bad_request(format!("cannot create vhost '{name}': vhost limit of {most} is reached"))
    })?;
    // The broker itself, which takes definitions in, is no user.
    if new && api.node.users.user(creator).is_some() {
        let all = Pattern::everything();
        let permission = Permission { configure: all.clone(), write: all.clone(), read: all };
        api.node.change_user(creator, |user| drop(user.permissions.insert(name.into(), permission)));
    }
    Ok(new)
}

async fn remove(State(api): State<Shared>, caller: Caller, Path(name): Path<String>) -> Reply {
    caller.administers()?;
    let vhost = api.node.remove_vhost(&name).ok_or_else(Error::not_found)?;
    connections::close_all(&api, |facts| facts.vhost == vhost.name, &format!("vhost '{name}' is deleted"));
    Ok(reply::done())
}

/// What a request changes of a virtual host. What it does not name is as if it were new, but for the firehose.
pub(super) struct Change {
    tracing: Option<bool>,
    description: String,
    tags: Vec<String>,
    default_queue_type: Option<String>,
}

impl Change {
    /// # Errors
    /// 400 for values that cannot be.
    pub(super) fn read(body: &Object) -> Result<Self, Error> {
        let default_queue_type = match body.text("default_queue_type")? {
            None | Some("undefined" | "") => None,
            Some(kind @ ("classic" | "quorum")) => Some(kind.to_owned()),
            Some(other) => return Err(Error::bad_request(format!("unknown queue type '{other}'"))),
        };
        Ok(Change {
            tracing: body.value("tracing").map(|_| body.flag("tracing")).transpose()?,
            description: body.text("description")?.unwrap_or_default().into(),
            tags: body.list("tags")?.unwrap_or_default(),
            default_queue_type,
        })
    }
}

impl Vhost {
    /// Changes what a request has said of it.
    pub(super) fn change_with(&self, change: Change) {
        let Change { tracing, description, tags, default_queue_type } = change;
        if let Some(tracing) = tracing {
            self.set_traced(tracing);
        }
        self.change_metadata(|metadata| {
            *metadata = Metadata { description, tags, default_queue_type, ..metadata.clone() };
        });
    }
}

fn of_vhost(vhost: &Vhost) -> Value {
    let Metadata { description, tags, default_queue_type, .. } = vhost.metadata();
    let figures = vhost
        .all_queues()
        .iter()
        .map(|queue| queue.figures())
        .fold((0, 0), |(ready, unacked), figures| (ready + figures.ready, unacked + figures.unacked));
    json!({
        "name": &*vhost.name,
        "description": description,
        "tags": tags,
        "default_queue_type": default_queue_type.as_deref().unwrap_or("undefined"),
        "metadata": {"description": description, "tags": tags},
        "tracing": vhost.is_traced(),
        "cluster_state": {node::NAME: "running"},
        "messages": figures.0 + figures.1,
        "messages_ready": figures.0,
        "messages_unacknowledged": figures.1,
    })
}

/// What it takes to create the virtual host again.
pub(super) fn declaration(vhost: &Vhost) -> Value {
    let Metadata { description, tags, default_queue_type, .. } = vhost.metadata();
    let mut object = json!({
        "name": &*vhost.name,
        "description": description,
        "tags": tags,
        "metadata": {"description": description, "tags": tags},
        "tracing": vhost.is_traced(),
    });
    if let Some(kind) = default_queue_type {
        object["default_queue_type"] = kind.into();
    }
    object
}
